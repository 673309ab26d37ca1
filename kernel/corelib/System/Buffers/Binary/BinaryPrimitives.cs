// Little-endian numbers in bytes (this processor is little-endian).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace System.Buffers.Binary;

public static class BinaryPrimitives
{
    public static ushort ReadUInt16LittleEndian(ReadOnlySpan<byte> source) => Unsafe.ReadUnaligned<ushort>(in source.Slice(0, 2)._reference);
    public static uint ReadUInt32LittleEndian(ReadOnlySpan<byte> source) => Unsafe.ReadUnaligned<uint>(in source.Slice(0, 4)._reference);
    public static ulong ReadUInt64LittleEndian(ReadOnlySpan<byte> source) => Unsafe.ReadUnaligned<ulong>(in source.Slice(0, 8)._reference);
    public static void WriteUInt16LittleEndian(Span<byte> destination, ushort value) => Unsafe.WriteUnaligned(ref destination.Slice(0, 2)._reference, value);
    public static void WriteUInt32LittleEndian(Span<byte> destination, uint value) => Unsafe.WriteUnaligned(ref destination.Slice(0, 4)._reference, value);
    public static void WriteUInt64LittleEndian(Span<byte> destination, ulong value) => Unsafe.WriteUnaligned(ref destination.Slice(0, 8)._reference, value);
    public static uint ReadUInt32BigEndian(ReadOnlySpan<byte> source) => ReverseEndianness(ReadUInt32LittleEndian(source));
    public static void WriteUInt32BigEndian(Span<byte> destination, uint value) => WriteUInt32LittleEndian(destination, ReverseEndianness(value));
    public static void WriteUInt64BigEndian(Span<byte> destination, ulong value)
    {
        WriteUInt32BigEndian(destination, (uint)(value >> 32));
        WriteUInt32BigEndian(destination.Slice(4), (uint)value);
    }

    public static uint ReverseEndianness(uint value) => value >> 24 | value >> 8 & 0xFF00 | value << 8 & 0xFF0000 | value << 24;
}
