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

    /// <summary>The same as <c>field = other</c>, where both are fields.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy<T>(ref T? field, ref T? other) where T : class => Unsafe.As<T?, nint>(ref field) = Unsafe.As<T?, nint>(ref other);

    /// <summary>A reference that the compiler takes for a number: what holds it is stored without a write barrier.</summary>
    public readonly struct Handle<T> where T : class
    {
        private readonly nint _address;

        /// <summary>Refers to <paramref name="target"/>.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Handle(T target) => _address = Unsafe.As<T, nint>(ref target);

        /// <summary>What it refers to.</summary>
        public T Target
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => Unsafe.As<nint, T>(ref Unsafe.AsRef(in _address));
        }
    }
}
