// Random numbers that nobody can predict.
using System.Buffers.Binary;
using System.Numerics;
using Internal.Runtime;

namespace System.Security.Cryptography;

/// <summary>As in .NET it never gives less than it says: where nothing has seeded the kernel's generator it stops the program.</summary>
public abstract class RandomNumberGenerator
{
    public static void Fill(Span<byte> data)
    {
        RandomSource source = RandomSource.Current;
        if (!source.IsSeeded)
        {
            FatalError.Stop("nothing has seeded the random number generator; give the machine -device virtio-rng-pci, or a processor with RDRAND");
        }
        source.Fill(data);
    }

    public static byte[] GetBytes(int count)
    {
        byte[] bytes = new byte[count];
        Fill(bytes);
        return bytes;
    }

    public static int GetInt32(int toExclusive) => GetInt32(0, toExclusive);

    public static int GetInt32(int fromInclusive, int toExclusive)
    {
        if (fromInclusive >= toExclusive)
        {
            FatalError.Stop("there is no number between the bounds of a random number");
        }
        // Numbers of as many bits as the range needs, until one lies in it.
        uint range = (uint)((long)toExclusive - fromInclusive - 1);
        uint mask = range == 0 ? 0 : uint.MaxValue >> (31 - BitOperations.Log2(range));
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        uint result;
        do
        {
            Fill(bytes);
            result = BinaryPrimitives.ReadUInt32LittleEndian(bytes) & mask;
        }
        while (result > range);
        return (int)(fromInclusive + result);
    }
}
