// References without checks: the compiler replaces the bodies.
namespace System.Runtime.CompilerServices;

public static unsafe class Unsafe
{
    [Intrinsic] public static void* AsPointer<T>(ref readonly T value) where T : allows ref struct => Missing<nint>().ToPointer();
    [Intrinsic] public static T As<T>(object? value) where T : class? => Missing<T>();
    [Intrinsic] public static ref TTo As<TFrom, TTo>(ref TFrom source) => ref *(TTo*)null;
    [Intrinsic] public static ref T Add<T>(ref T source, int elementOffset) => ref *(T*)null;
    [Intrinsic] public static ref T Add<T>(ref T source, nint elementOffset) => ref *(T*)null;
    [Intrinsic] public static ref T AddByteOffset<T>(ref T source, nint byteOffset) => ref *(T*)null;
    [Intrinsic] public static ref T AsRef<T>(void* source) => ref *(T*)null;
    [Intrinsic] public static ref T AsRef<T>(scoped ref readonly T source) => ref *(T*)null;
    [Intrinsic] public static bool IsAddressLessThan<T>(ref readonly T left, ref readonly T right) => Missing<bool>();
    [Intrinsic] public static ref T NullRef<T>() where T : allows ref struct => ref *(T*)null;
    [Intrinsic] public static bool IsNullRef<T>(ref readonly T source) where T : allows ref struct => Missing<bool>();
    [Intrinsic] public static bool AreSame<T>(ref readonly T left, ref readonly T right) => Missing<bool>();
    [Intrinsic] public static int SizeOf<T>() => Missing<int>();
    [Intrinsic] public static T ReadUnaligned<T>(void* source) => Missing<T>();
    [Intrinsic] public static T ReadUnaligned<T>(ref readonly byte source) => Missing<T>();
    [Intrinsic] public static void WriteUnaligned<T>(void* destination, T value) => Missing<T>();
    [Intrinsic] public static void WriteUnaligned<T>(ref byte destination, T value) => Missing<T>();
    [Intrinsic] public static void SkipInit<T>(out T value) => value = Missing<T>();

    private static T Missing<T>()
    {
        Environment.FailFast("an intrinsic was not replaced");
        return default;
    }
}
