// The bytes of a fuzzer, read one after the other; behind their end there are only zeroes.
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>A stream of decisions.</summary>
public sealed class FuzzInput(byte[] bytes)
{
    private int _at;

    /// <summary>True when all bytes were read.</summary>
    public bool IsEmpty => _at >= bytes.Length;

    /// <summary>8 bits.</summary>
    public byte Next8() => _at < bytes.Length ? bytes[_at++] : (byte)0;

    /// <summary>16 bits.</summary>
    public ushort Next16() => (ushort)(Next8() | Next8() << 8);

    /// <summary>32 bits.</summary>
    public uint Next32() => (uint)(Next16() | Next16() << 16);

    /// <summary>A number below <paramref name="end"/>.</summary>
    public int Below(int end) => Next8() % end;

    /// <summary>Bytes, as they come.</summary>
    public byte[] Take(int count)
    {
        byte[] taken = new byte[count];
        for (int i = 0; i < count; i++)
        {
            taken[i] = Next8();
        }
        return taken;
    }

    /// <summary>A number that is often one of those that matter: near <paramref name="around"/>, at a limit, or anything.</summary>
    public uint NextInteresting(uint around)
    {
        byte choice = Next8();
        return (choice & 7) switch
        {
            0 => around,
            1 => around + 1,
            2 => around - 1,
            3 => 0,
            4 => uint.MaxValue >> (choice >> 3),
            5 => 1u << (choice >> 3),
            6 => Next8(),
            _ => Next32(),
        };
    }

    /// <summary>The same as little-endian bytes.</summary>
    public byte[] NextBytes(int width, uint around)
    {
        byte[] value = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(value, NextInteresting(around));
        return value[..width];
    }
}
