// Reads that acquire, writes that release.
using System.Runtime.CompilerServices;

namespace System.Threading;

public static class Volatile
{
    private struct VolatileByte { public volatile byte Value; }
    private struct VolatileUInt16 { public volatile ushort Value; }
    private struct VolatileInt32 { public volatile int Value; }
    private struct VolatileUInt32 { public volatile uint Value; }
    private struct VolatileUIntPtr { public volatile nuint Value; }
    private struct VolatileBoolean { public volatile bool Value; }

    [Intrinsic] public static bool Read(ref readonly bool location) => Unsafe.As<bool, VolatileBoolean>(ref Unsafe.AsRef(in location)).Value;
    [Intrinsic] public static void Write(ref bool location, bool value) => Unsafe.As<bool, VolatileBoolean>(ref location).Value = value;
    [Intrinsic] public static byte Read(ref readonly byte location) => Unsafe.As<byte, VolatileByte>(ref Unsafe.AsRef(in location)).Value;
    [Intrinsic] public static void Write(ref byte location, byte value) => Unsafe.As<byte, VolatileByte>(ref location).Value = value;
    [Intrinsic] public static ushort Read(ref readonly ushort location) => Unsafe.As<ushort, VolatileUInt16>(ref Unsafe.AsRef(in location)).Value;
    [Intrinsic] public static void Write(ref ushort location, ushort value) => Unsafe.As<ushort, VolatileUInt16>(ref location).Value = value;
    [Intrinsic] public static int Read(ref readonly int location) => Unsafe.As<int, VolatileInt32>(ref Unsafe.AsRef(in location)).Value;
    [Intrinsic] public static void Write(ref int location, int value) => Unsafe.As<int, VolatileInt32>(ref location).Value = value;
    [Intrinsic] public static uint Read(ref readonly uint location) => Unsafe.As<uint, VolatileUInt32>(ref Unsafe.AsRef(in location)).Value;
    [Intrinsic] public static void Write(ref uint location, uint value) => Unsafe.As<uint, VolatileUInt32>(ref location).Value = value;
    [Intrinsic] public static ulong Read(ref readonly ulong location) => Unsafe.As<ulong, VolatileUIntPtr>(ref Unsafe.AsRef(in location)).Value;
    [Intrinsic] public static void Write(ref ulong location, ulong value) => Unsafe.As<ulong, VolatileUIntPtr>(ref location).Value = (nuint)value;
}

public static class Interlocked
{
    [Intrinsic]
    public static void MemoryBarrier() => MemoryBarrier();
}
