// Calls name their target by its distance, which is another one at each call; named by its place it is the same bytes each time, and packs better.
using System.Buffers.Binary;

namespace VirtioSharp.Pack;

/// <summary>Rewrites what follows each byte that may be a call (E8), and back again, whatever the bytes really are.</summary>
internal static class CallTargets
{
    private const byte Call = 0xE8;
    private const int CallLength = 5;

    /// <summary>Distances to places.</summary>
    public static void MakeAbsolute(Span<byte> code)
    {
        for (int i = 0; i <= code.Length - CallLength; i++)
        {
            if (code[i] == Call)
            {
                Span<byte> operand = code.Slice(i + 1, 4);
                int next = i + CallLength;
                long distance = BinaryPrimitives.ReadInt32LittleEndian(operand);
                long place = distance + next;
                // What is no call within the code stays, unless it could be taken for a place: that is moved where no place and no distance is.
                bool isPlace = place >= 0 && place < code.Length;
                bool isLike = distance >= 0 && distance < code.Length;
                BinaryPrimitives.WriteInt32LittleEndian(operand, (int)(isPlace ? place : isLike ? distance - code.Length : distance));
                i += CallLength - 1;
            }
        }
    }

    /// <summary>Places to distances: what boot/unpack.S does as well.</summary>
    public static void MakeRelative(Span<byte> code)
    {
        for (int i = 0; i <= code.Length - CallLength; i++)
        {
            if (code[i] == Call)
            {
                Span<byte> operand = code.Slice(i + 1, 4);
                int next = i + CallLength;
                int value = BinaryPrimitives.ReadInt32LittleEndian(operand);
                bool isPlace = value >= 0 && value < code.Length;
                bool isLike = value < 0 && value >= -next;
                BinaryPrimitives.WriteInt32LittleEndian(operand, isPlace ? value - next : isLike ? value + code.Length : value);
                i += CallLength - 1;
            }
        }
    }
}
