// Arithmetic that operators do not have.
namespace System;

public static class Math
{
    public static int Min(int a, int b) => a < b ? a : b;
    public static uint Min(uint a, uint b) => a < b ? a : b;
    public static long Min(long a, long b) => a < b ? a : b;
    public static ulong Min(ulong a, ulong b) => a < b ? a : b;
    public static int Max(int a, int b) => a > b ? a : b;
    public static uint Max(uint a, uint b) => a > b ? a : b;
    public static long Max(long a, long b) => a > b ? a : b;
    public static ulong Max(ulong a, ulong b) => a > b ? a : b;
    public static ushort Min(ushort a, ushort b) => a < b ? a : b;
    public static ushort Max(ushort a, ushort b) => a > b ? a : b;
    public static int Abs(int value) => value < 0 ? -value : value;

    /// <summary>The full 128-bit product: the upper half returned, the lower half in <paramref name="low"/>.</summary>
    public static ulong BigMul(ulong a, ulong b, out ulong low)
    {
        ulong a0 = (uint)a, a1 = a >> 32, b0 = (uint)b, b1 = b >> 32;
        ulong middle = a1 * b0 + (a0 * b0 >> 32);
        ulong cross = (uint)middle + a0 * b1;
        low = a * b;
        return a1 * b1 + (middle >> 32) + (cross >> 32);
    }
}
