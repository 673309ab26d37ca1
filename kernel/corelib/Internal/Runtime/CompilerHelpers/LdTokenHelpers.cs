// typeof: from the type descriptor to the object that stands for it.
using System;
using System.Runtime.CompilerServices;

namespace Internal.Runtime.CompilerHelpers;

internal static unsafe class LdTokenHelpers
{
    private static RuntimeTypeHandle GetRuntimeTypeHandle(MethodTable* table) => new((nint)table);

    private static RuntimeFieldHandle GetRuntimeFieldHandle(nint handle) => default;

    private static RuntimeMethodHandle GetRuntimeMethodHandle(nint handle) => default;

    private static Type GetRuntimeType(MethodTable* table) => Type.GetTypeFromMethodTable(table);
}
