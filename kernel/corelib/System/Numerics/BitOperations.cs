// Counting and rotating bits, without instructions that the baseline processor lacks.
using System.Runtime.CompilerServices;

namespace System.Numerics;

public static class BitOperations
{
    public static bool IsPow2(uint value) => value != 0 && (value & (value - 1)) == 0;

    public static bool IsPow2(ulong value) => value != 0 && (value & (value - 1)) == 0;

    public static int TrailingZeroCount(uint value) => TrailingZeroCount((ulong)value | 1ul << 32);

    public static int TrailingZeroCount(ulong value)
    {
        int count = 0;
        while (count < 64 && (value >> count & 1) == 0)
        {
            count++;
        }
        return count;
    }

    public static int Log2(uint value) => Log2((ulong)value);

    public static int Log2(ulong value)
    {
        int result = 0;
        while ((value >>= 1) != 0)
        {
            result++;
        }
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint RotateRight(uint value, int offset) => value >> offset | value << (32 - offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint RotateLeft(uint value, int offset) => value << offset | value >> (32 - offset);
}
