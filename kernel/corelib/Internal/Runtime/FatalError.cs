// The one way in which the runtime gives up.
using System.Diagnostics.CodeAnalysis;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime;

internal static unsafe class FatalError
{
    /// <summary>Implemented by the kernel: says what happened and ends the machine.</summary>
    [RuntimeImport("*", "kernel_panic")]
    [MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void KernelPanic(char* message, int length);

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void Stop(string message)
    {
        fixed (char* text = message)
        {
            KernelPanic(text, message.Length);
        }
        while (true)
        {
        }
    }
}
