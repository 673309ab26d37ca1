// What is on a disk whose host knows what has to come out.
using System.Runtime.InteropServices;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Sectors of 512 bytes that differ in each word by their number and by how often they were written.</summary>
public static class VerdictPattern
{
    private const ulong Step = 0x9E3779B97F4A7C15;

    /// <summary>Fills one sector: generation 0 is what the host put there.</summary>
    public static void Fill(Span<byte> bytes, ulong sector, uint generation)
    {
        ulong x = Start(sector, generation);
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = x += Step;
        }
    }

    /// <summary>True when a sector is as <see cref="Fill"/> makes it.</summary>
    public static bool IsRight(ReadOnlySpan<byte> bytes, ulong sector, uint generation)
    {
        ulong x = Start(sector, generation);
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int i = 0; i < words.Length; i++)
        {
            x += Step;
            if (words[i] != x)
            {
                return false;
            }
        }
        return true;
    }

    private static ulong Start(ulong sector, uint generation)
    {
        ulong x = sector << 32 | generation;
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
        return (x ^ x >> 27) * 0x94D049BB133111EB;
    }
}
