// Self-tests of the random generator.
using System.Security.Cryptography;
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Kernel.Entropy;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Outcomes are those of <see cref="SelfTest"/>.</summary>
internal static class RandomTests
{
    private const ulong Patience = 2_000_000_000;
    private const int Draws = 1000;

    /// <summary>The block of RFC 8439, 2.3.2.</summary>
    internal static string Vector()
    {
        byte[] key = new byte[ChaCha20.KeyLength];
        for (int i = 0; i < key.Length; i++)
        {
            key[i] = (byte)i;
        }
        byte[] nonce = [0, 0, 0, 9, 0, 0, 0, 0x4A, 0, 0, 0, 0];
        byte[] block = new byte[ChaCha20.BlockLength];
        ChaCha20 cipher = new();
        cipher.Begin(key, 1, nonce);
        cipher.NextBlock(block);
        return block[0] == 0x10 && block[1] == 0xF1 && block[2] == 0xE7 && block[3] == 0xE4 && block[62] == 0x3C && block[63] == 0x4E
            ? "" : "a block of ChaCha20 is wrong";
    }

    /// <summary>Random numbers that differ, lie where they should, and cost no memory.</summary>
    internal static async ValueTask<string> NumbersAsync(KernelRandom random, RunLoop loop)
    {
        bool isSeeded = await random.WhenSeededAsync(loop, Patience);
        return isSeeded ? Numbers() : "the generator was not seeded";
    }

    private static string Numbers()
    {
        byte[] first = new byte[64];
        byte[] second = new byte[64];
        Random shared = Random.Shared;
        ulong before = RuntimeHeap.BytesAllocated;
        ulong ones = 0;
        for (int i = 0; i < Draws; i++)
        {
            RandomNumberGenerator.Fill(first);
            RandomNumberGenerator.Fill(second);
            if (new ReadOnlySpan<byte>(first).SequenceEqual(second))
            {
                return "the same bytes came twice";
            }
            if (RandomNumberGenerator.GetInt32(-3, 4) is < -3 or >= 4 || shared.Next(10) is < 0 or >= 10 || shared.NextDouble() is < 0 or >= 1)
            {
                return "a number does not lie between its bounds";
            }
            ones += (ulong)(first[0] & 1);
        }
        return RuntimeHeap.BytesAllocated != before ? "drawing random numbers allocates memory"
            : ones is < Draws * 4 / 10 or > Draws * 6 / 10 ? "a bit is rather often the same" : "";
    }
}
