// Unpacks, for the check of what was packed.
using System.Buffers.Binary;

namespace VirtioSharp.Pack;

/// <summary>The same as boot/unpack.S, but with bounds.</summary>
internal static class Unpacker
{
    /// <summary>The bytes that were packed.</summary>
    public static byte[] Unpack(ReadOnlySpan<byte> packed, int length)
    {
        byte[] result = new byte[length];
        int at = 0;
        int done = 0;
        int distance = 0;
        while (true)
        {
            int token = packed[at++];
            int literals = token & Format.MaxShortLiterals;
            literals += literals == Format.MaxShortLiterals ? Number(packed, ref at) : 0;
            packed.Slice(at, literals).CopyTo(result.AsSpan(done));
            at += literals;
            done += literals;
            int bytes = token >> Format.DistanceShift;
            if (bytes != 0)
            {
                distance = 1;
                for (int i = 0; i < bytes; i++)
                {
                    distance += packed[at++] << (8 * i);
                }
            }
            int more = (token >> Format.LengthShift) & Format.MaxShortLength;
            more += more == Format.MaxShortLength ? Number(packed, ref at) : 0;
            if (more == Format.MaxShortLength + Format.End)
            {
                return at == packed.Length && done == length ? result : [];
            }
            for (int end = done + more + Format.MinMatch; done < end; done++)
            {
                result[done] = result[done - distance];
            }
        }
    }

    private static int Number(ReadOnlySpan<byte> packed, ref int at)
    {
        int number = packed[at++];
        if (number == Format.LongNumber)
        {
            number = BinaryPrimitives.ReadUInt16LittleEndian(packed[at..]);
            at += 2;
        }
        return number;
    }
}
