// The ChaCha20 block function (RFC 8439, 2.3).
using System.Buffers.Binary;
using System.Numerics;

namespace VirtioSharp.Kernel.Entropy;

/// <summary>A stream of bytes that nobody can tell from random ones who does not have its key. Allocates nothing after it was made.</summary>
internal sealed class ChaCha20
{
    internal const int KeyLength = 32;
    internal const int NonceLength = 12;
    internal const int BlockLength = 64;

    private const int Words = 16;
    private const int Key = 4; // where words of the state begin
    private const int Counter = 12;
    private const int Nonce = 13;
    private const int DoubleRounds = 10;

    private readonly uint[] _state = new uint[Words];
    private readonly uint[] _work = new uint[Words];

    /// <summary>Begins a stream with a key, a block number and a nonce.</summary>
    internal void Begin(ReadOnlySpan<byte> key, uint counter, ReadOnlySpan<byte> nonce)
    {
        // "expand 32-byte k"
        _state[0] = 0x61707865;
        _state[1] = 0x3320646E;
        _state[2] = 0x79622D32;
        _state[3] = 0x6B206574;
        for (int i = 0; i < KeyLength / 4; i++)
        {
            _state[Key + i] = BinaryPrimitives.ReadUInt32LittleEndian(key.Slice(4 * i));
        }
        _state[Counter] = counter;
        for (int i = 0; i < NonceLength / 4; i++)
        {
            _state[Nonce + i] = BinaryPrimitives.ReadUInt32LittleEndian(nonce.Slice(4 * i));
        }
    }

    /// <summary>Writes the next block of the stream, 64 bytes.</summary>
    internal void NextBlock(Span<byte> block)
    {
        uint[] work = _work;
        for (int i = 0; i < Words; i++)
        {
            work[i] = _state[i];
        }
        for (int i = 0; i < DoubleRounds; i++)
        {
            QuarterRound(work, 0, 4, 8, 12);
            QuarterRound(work, 1, 5, 9, 13);
            QuarterRound(work, 2, 6, 10, 14);
            QuarterRound(work, 3, 7, 11, 15);
            QuarterRound(work, 0, 5, 10, 15);
            QuarterRound(work, 1, 6, 11, 12);
            QuarterRound(work, 2, 7, 8, 13);
            QuarterRound(work, 3, 4, 9, 14);
        }
        for (int i = 0; i < Words; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(block.Slice(4 * i), work[i] + _state[i]);
        }
        _state[Counter]++;
    }

    /// <summary>Forgets the key and everything made of it.</summary>
    internal void Clear()
    {
        new Span<uint>(_state).Clear();
        new Span<uint>(_work).Clear();
    }

    private static void QuarterRound(uint[] x, int a, int b, int c, int d)
    {
        x[a] += x[b];
        x[d] = BitOperations.RotateLeft(x[d] ^ x[a], 16);
        x[c] += x[d];
        x[b] = BitOperations.RotateLeft(x[b] ^ x[c], 12);
        x[a] += x[b];
        x[d] = BitOperations.RotateLeft(x[d] ^ x[a], 8);
        x[c] += x[d];
        x[b] = BitOperations.RotateLeft(x[b] ^ x[c], 7);
    }
}
