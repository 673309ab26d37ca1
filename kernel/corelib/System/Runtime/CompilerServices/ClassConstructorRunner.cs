// Runs a static constructor on the first use of its type. One processor, no threads: no locks.
using System.Runtime.InteropServices;

namespace System.Runtime.CompilerServices;

internal static unsafe class ClassConstructorRunner
{
    private static nint CheckStaticClassConstructionReturnNonGCStaticBase(StaticClassConstructionContext* context, nint nonGcStaticBase)
    {
        CheckStaticClassConstruction(context);
        return nonGcStaticBase;
    }

    private static object? CheckStaticClassConstructionReturnGCStaticBase(StaticClassConstructionContext* context, object? gcStaticBase)
    {
        CheckStaticClassConstruction(context);
        return gcStaticBase;
    }

    private static void CheckStaticClassConstruction(StaticClassConstructionContext* context)
    {
        nint constructor = context->cctorMethodAddress;
        if (constructor != 0)
        {
            context->cctorMethodAddress = 0;
            ((delegate*<void>)constructor)();
        }
    }
}

[StructLayout(LayoutKind.Sequential)]
internal struct StaticClassConstructionContext
{
    public nint cctorMethodAddress;
}
