// The kernel's random generator: when it says that it is seeded, what it forgets, and what goes into its output.
using System.Reflection;
using VirtioSharp.Kernel.Entropy;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Entropy;

public sealed class RandomGeneratorTests
{
    [Fact]
    public void It_is_seeded_by_256_bits_of_a_believed_source_and_by_nothing_less()
    {
        RandomGenerator generator = new();
        Assert.False(generator.IsSeeded);
        generator.Mix(Seed(1, 1000));
        Assert.False(generator.IsSeeded);
        Assert.False(generator.MixSeed(Seed(2, 31)));
        Assert.False(generator.IsSeeded);
        Assert.True(generator.MixSeed(Seed(3, 32)));
        Assert.True(generator.IsSeeded);
        Assert.Equal((256ul, 1ul, 1ul), (generator.CreditedBits, generator.Seeds, generator.RejectedSeeds));
    }

    [Theory]
    [InlineData("zeroes")]
    [InlineData("ones")]
    [InlineData("five in a row")]
    [InlineData("the last one again")]
    public void A_source_that_is_stuck_is_not_believed(string what)
    {
        RandomGenerator generator = new();
        byte[] seed = Seed(4, 64);
        if (what == "five in a row")
        {
            seed.AsSpan(40, 5).Fill(0x99);
        }
        else if (what != "the last one again")
        {
            seed.AsSpan().Fill((byte)(what == "ones" ? 0xFF : 0));
        }
        else
        {
            Assert.True(generator.MixSeed(seed));
        }
        Assert.False(generator.MixSeed(seed));
        Assert.Equal(1ul, generator.RejectedSeeds);
        Assert.Equal(what == "the last one again", generator.IsSeeded);
    }

    [Fact]
    public void Random_seeds_are_believed()
    {
        RandomGenerator generator = new();
        for (int i = 0; i < 10_000; i++)
        {
            Assert.True(generator.MixSeed(Seed(i, 64)));
        }
    }

    [Fact]
    public void The_output_is_the_rest_of_the_stream_whose_beginning_is_the_next_key()
    {
        RandomGenerator generator = new();
        byte[] key = new byte[32];
        foreach (int length in new[] { 1, 32, 33, 96, 97, 1000, 0, 5 })
        {
            byte[] stream = Stream(key, 0, 32 + length);
            byte[] given = new byte[length];
            generator.Fill(given);
            Assert.Equal(stream[32..], given);
            key = stream[..32];
        }
    }

    [Fact]
    public void What_is_mixed_in_lies_over_the_stream_of_the_key_in_pieces_of_32_bytes()
    {
        RandomGenerator generator = new();
        byte[] input = Seed(5, 80);
        byte[] key = new byte[32];
        foreach (byte[] piece in input.Chunk(32))
        {
            byte[] stream = Stream(key, 1, 32);
            key = [.. stream.Select((value, i) => (byte)(value ^ (i < piece.Length ? piece[i] : 0)))];
        }
        generator.Mix(input);
        byte[] given = new byte[32];
        generator.Fill(given);
        Assert.Equal(Stream(key, 0, 64)[32..], given);
    }

    [Fact]
    public void Every_bit_that_is_mixed_in_changes_what_comes_out()
    {
        byte[] input = Seed(6, 40);
        HashSet<string> outputs = [Output(input)];
        for (int bit = 0; bit < input.Length * 8; bit++)
        {
            byte[] changed = [.. input];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(outputs.Add(Output(changed)), $"bit {bit} makes no difference");
        }
        Assert.Equal(Output(input), Output(input));
    }

    [Fact]
    public void Nothing_that_was_given_is_left_in_the_generator()
    {
        RandomGenerator generator = new();
        generator.MixSeed(Seed(7, 64));
        byte[] before = Memory(generator);
        byte[] given = new byte[300];
        generator.Fill(given);
        byte[] after = Memory(generator);
        Assert.NotEqual(before, after); // the key
        for (int i = 0; i + 4 <= given.Length; i++)
        {
            Assert.True(after.AsSpan().IndexOf(given.AsSpan(i, 4)) < 0, $"the bytes from {i} on are still there");
        }
    }

    [Fact]
    public void A_million_bytes_look_random()
    {
        RandomGenerator generator = new();
        byte[] given = new byte[1 << 20];
        generator.Fill(given);
        int[] counts = new int[256];
        Array.ForEach(given, value => counts[value]++);
        Assert.All(counts, count => Assert.InRange(count, 4096 - 400, 4096 + 400)); // six times the deviation
        Assert.Equal((1ul << 20, 1ul << 20), (generator.BytesGiven, generator.BytesSinceSeed));
        generator.MixSeed(Seed(8, 32));
        Assert.Equal((1ul << 20, 0ul), (generator.BytesGiven, generator.BytesSinceSeed));
    }

    private static byte[] Seed(int number, int length)
    {
        byte[] seed = new byte[length];
        new Random(number).NextBytes(seed);
        return seed;
    }

    private static string Output(byte[] input)
    {
        RandomGenerator generator = new();
        generator.Mix(input);
        byte[] given = new byte[16];
        generator.Fill(given);
        return Convert.ToHexString(given);
    }

    private static byte[] Stream(byte[] key, byte nonce, int length)
    {
        ChaCha20 cipher = new();
        cipher.Begin(key, 0, [nonce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        List<byte> stream = [];
        byte[] block = new byte[ChaCha20.BlockLength];
        while (stream.Count < length)
        {
            cipher.NextBlock(block);
            stream.AddRange(block);
        }
        return [.. stream[..length]];
    }

    /// <summary>All arrays of the generator and of its cipher.</summary>
    private static byte[] Memory(object of)
    {
        List<byte> bytes = [];
        foreach (FieldInfo field in of.GetType().GetFields(BindingFlags.Instance | BindingFlags.NonPublic))
        {
            bytes.AddRange(field.GetValue(of) switch
            {
                byte[] array => array,
                uint[] words => words.SelectMany(BitConverter.GetBytes),
                ChaCha20 cipher => Memory(cipher),
                _ => [],
            });
        }
        return [.. bytes];
    }
}
