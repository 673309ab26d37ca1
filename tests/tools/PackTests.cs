// Packing: whatever the bytes, they come out as they went in.
using VirtioSharp.Pack;
using Xunit;

namespace VirtioSharp.Tests.Tools;

public sealed class PackTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(17)]
    [InlineData(70_000)]
    public void A_run_of_one_byte_is_a_few_bytes(int length)
    {
        byte[] image = new byte[length];
        byte[] packed = Packer.Pack(image);
        Assert.Equal(image, Unpacker.Unpack(packed, length));
        Assert.True(packed.Length < 30, $"{packed.Length} bytes");
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 4)]
    [InlineData(4, 16)]
    [InlineData(5, 256)]
    public void Random_bytes_of_few_values_or_many_come_out_as_they_went_in(int seed, int values)
    {
        Random random = new(seed);
        byte[] image = new byte[80_000];
        for (int i = 0; i < image.Length; i++)
        {
            image[i] = (byte)random.Next(values);
        }
        Assert.Equal(image, Unpacker.Unpack(Packer.Pack(image), image.Length));
    }

    [Theory]
    [InlineData(200)]
    [InlineData(60_000)]
    [InlineData(100_000)]
    public void What_comes_again_from_far_away_is_packed(int between)
    {
        Random random = new(6);
        byte[] image = new byte[between + 2000];
        random.NextBytes(image);
        image.AsSpan(0, 1000).CopyTo(image.AsSpan(between + 500));
        byte[] packed = Packer.Pack(image);
        Assert.Equal(image, Unpacker.Unpack(packed, image.Length));
        Assert.True(packed.Length < image.Length - 900 || between < 1000, $"{packed.Length} bytes");
    }

    [Fact]
    public void The_targets_of_calls_are_places_and_become_distances_again()
    {
        byte[] code = new byte[64];
        (code[10], code[40]) = (0xE8, 0xE8);
        code[11] = 20;                              // a call of 35, from 10
        code.AsSpan(41, 4).Fill(0xFF);              // and of 44, from 40
        byte[] rewritten = (byte[])code.Clone();
        CallTargets.MakeAbsolute(rewritten);
        Assert.Equal(35, rewritten[11]);
        Assert.Equal(44, rewritten[41]);
        CallTargets.MakeRelative(rewritten);
        Assert.Equal(code, rewritten);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(5000)]
    public void Bytes_that_are_no_calls_survive_as_well(int length)
    {
        // Every second byte looks like a call, and the operands are near the limits: just within the code, just outside, negative.
        Random random = new(length);
        for (int round = 0; round < 2000; round++)
        {
            byte[] code = new byte[length];
            for (int i = 0; i + 5 <= length; i += 5 + random.Next(3))
            {
                code[i] = 0xE8;
                BitConverter.TryWriteBytes(code.AsSpan(i + 1), random.Next(-2, 3) * length + random.Next(-8, 8));
            }
            byte[] rewritten = (byte[])code.Clone();
            CallTargets.MakeAbsolute(rewritten);
            CallTargets.MakeRelative(rewritten);
            Assert.Equal(code, rewritten);
        }
    }
}
