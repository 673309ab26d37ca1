// References in memory that no collector looks at.
using System.Runtime.CompilerServices;

namespace Internal.Runtime;

/// <summary>
/// Stores references without a write barrier. There is no collector that would have to hear of it, but the compiler can't know, and makes
/// each store of a reference a call: too dear where something is stored for every request.
/// </summary>
public static class Reference
{
    /// <summary>The same as <c>field = value</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<T>(ref T? field, T? value) where T : class => Unsafe.As<T?, nint>(ref field) = Unsafe.As<T?, nint>(ref value);
}
