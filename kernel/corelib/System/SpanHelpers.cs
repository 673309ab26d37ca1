// Moving, filling and clearing memory: what the compiler calls for structs and spans.
using System.Runtime.CompilerServices;

namespace System;

internal static unsafe class SpanHelpers
{
    /// <summary>Two registers of 16 bytes: what is copied at once.</summary>
    private readonly struct Block
    {
        private readonly ulong _0, _1, _2, _3;
    }

    [Intrinsic]
    internal static void Memmove(ref byte destination, ref byte source, nuint length)
    {
        byte* to = (byte*)Unsafe.AsPointer(ref destination);
        byte* from = (byte*)Unsafe.AsPointer(ref source);
        if (to <= from || to >= from + length)
        {
            while (length >= (nuint)sizeof(Block))
            {
                *(Block*)to = *(Block*)from;
                to += sizeof(Block);
                from += sizeof(Block);
                length -= (nuint)sizeof(Block);
            }
            while (length >= 8)
            {
                *(ulong*)to = *(ulong*)from;
                to += 8;
                from += 8;
                length -= 8;
            }
            while (length > 0)
            {
                *to++ = *from++;
                length--;
            }
            return;
        }
        while (length >= 8)
        {
            length -= 8;
            *(ulong*)(to + length) = *(ulong*)(from + length);
        }
        while (length > 0)
        {
            length--;
            to[length] = from[length];
        }
    }

    internal static void ClearWithoutReferences(ref byte memory, nuint length) => Fill(ref memory, 0, length);

    internal static void Fill(ref byte memory, byte value, nuint length)
    {
        byte* to = (byte*)Unsafe.AsPointer(ref memory);
        ulong pattern = value * 0x0101010101010101ul;
        while (length >= 32)
        {
            *(ulong*)to = pattern;
            *(ulong*)(to + 8) = pattern;
            *(ulong*)(to + 16) = pattern;
            *(ulong*)(to + 24) = pattern;
            to += 32;
            length -= 32;
        }
        while (length >= 8)
        {
            *(ulong*)to = pattern;
            to += 8;
            length -= 8;
        }
        while (length > 0)
        {
            *to++ = value;
            length--;
        }
    }
}

internal static class Buffer
{
    internal static void Memmove(ref byte destination, ref byte source, nuint length) =>
        SpanHelpers.Memmove(ref destination, ref source, length);

    internal static void BulkMoveWithWriteBarrier(ref byte destination, ref byte source, nuint length) =>
        SpanHelpers.Memmove(ref destination, ref source, length);
}
