// The kernel's own SHA-256 against .NET's.
using System.Security.Cryptography;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

public sealed class Sha256Tests
{
    [Fact]
    public void Every_length_around_the_blocks_gives_the_hash_that_DotNet_gives()
    {
        byte[] bytes = new byte[260];
        new Random(1).NextBytes(bytes);
        for (int length = 0; length <= bytes.Length; length++)
        {
            Assert.Equal(SHA256.HashData(bytes.AsSpan(0, length)), Hash(bytes.AsSpan(0, length), piece: 1000));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(512)]
    public void It_does_not_matter_in_which_pieces_bytes_are_added(int piece)
    {
        byte[] bytes = new byte[10_000];
        new Random(2).NextBytes(bytes);
        Assert.Equal(SHA256.HashData(bytes), Hash(bytes, piece));
    }

    private static byte[] Hash(ReadOnlySpan<byte> bytes, int piece)
    {
        VirtioSharp.Kernel.Apps.Sha256 hash = new();
        for (int at = 0; at < bytes.Length; at += piece)
        {
            hash.Add(bytes.Slice(at, Math.Min(piece, bytes.Length - at)));
        }
        byte[] result = new byte[32];
        hash.Finish(result);
        return result;
    }
}
