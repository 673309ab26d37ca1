// What the C# compiler calls for arrays, strings and hash codes.
using Internal.Runtime;

namespace System.Runtime.CompilerServices;

public static class RuntimeHelpers
{
    // The offset that `fixed` and string pinning in old style use; kept for the compiler.
    public static int OffsetToStringData
    {
        [Intrinsic]
        get => 12;
    }

    [Intrinsic]
    public static void InitializeArray(Array array, RuntimeFieldHandle fldHandle) =>
        Environment.FailFast("an array initialiser was not expanded");

    [Intrinsic]
    public static ReadOnlySpan<T> CreateSpan<T>(RuntimeFieldHandle fldHandle)
    {
        Environment.FailFast("a span literal was not expanded");
        return default;
    }

    [Intrinsic]
    public static bool IsReferenceOrContainsReferences<T>() where T : allows ref struct => true;

    /// <summary>There is no collector: an object's address is its identity for good.</summary>
    public static unsafe int GetHashCode(object? value) => value is null ? 0 : (int)(*(nint*)Unsafe.AsPointer(ref value) >> 3);
}
