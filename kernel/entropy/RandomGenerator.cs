// The kernel's random generator: ChaCha20 whose key is replaced by its own output after each use, and mixed with what comes from outside.
namespace VirtioSharp.Kernel.Entropy;

/// <summary>
/// Who sees the generator's memory learns nothing of what it gave before ("fast key erasure", as in Linux and in OpenBSD's arc4random), and
/// after the next seed nothing of what it gives later. It says itself whether anything that counts was mixed in.
/// </summary>
internal sealed class RandomGenerator
{
    /// <summary>So many bits that nobody knows have to come together.</summary>
    internal const uint SeedBits = 256;

    private const int KeyLength = ChaCha20.KeyLength;
    private const int MaxRun = 4;

    private readonly ChaCha20 _cipher = new();
    private readonly byte[] _key = new byte[KeyLength];
    private readonly byte[] _block = new byte[ChaCha20.BlockLength];
    private readonly byte[] _lastSeed = new byte[KeyLength];

    // The same key begins two streams: the one that is given out, and the one that new input is mixed with.
    private readonly byte[] _givingNonce = new byte[ChaCha20.NonceLength];
    private readonly byte[] _mixingNonce = new byte[ChaCha20.NonceLength];

    internal RandomGenerator() => _mixingNonce[0] = 1;

    /// <summary>True once 256 bits came in that nobody knows, as far as their sources can be believed.</summary>
    internal bool IsSeeded => CreditedBits >= SeedBits;

    /// <summary>How many bits of what was mixed in count.</summary>
    internal ulong CreditedBits { get; private set; }

    /// <summary>How many seeds came in.</summary>
    internal ulong Seeds { get; private set; }

    /// <summary>How many seeds were no random bytes to anybody's eyes: mixed in, and not counted.</summary>
    internal ulong RejectedSeeds { get; private set; }

    /// <summary>How many bytes were given out.</summary>
    internal ulong BytesGiven { get; private set; }

    /// <summary>How many of them since the last seed that counted.</summary>
    internal ulong BytesSinceSeed { get; private set; }

    /// <summary>Mixes in anything: it can do no harm, whoever made it, and counts for nothing.</summary>
    internal void Mix(ReadOnlySpan<byte> bytes)
    {
        // New key: the old one's stream, with the input put over it.
        while (bytes.Length > 0)
        {
            int count = Math.Min(bytes.Length, KeyLength);
            _cipher.Begin(_key, 0, _mixingNonce);
            _cipher.NextBlock(_block);
            for (int i = 0; i < KeyLength; i++)
            {
                _key[i] = (byte)(_block[i] ^ (i < count ? bytes[i] : 0));
            }
            bytes = bytes.Slice(count);
        }
        Forget();
    }

    /// <summary>
    /// Mixes in bytes of a source that is believed, 32 at least, and counts every bit of them; false when they are counted for nothing since no
    /// random bytes look like that.
    /// </summary>
    internal bool MixSeed(ReadOnlySpan<byte> bytes)
    {
        bool isPlausible = bytes.Length >= KeyLength && IsPlausible(bytes);
        if (bytes.Length >= KeyLength)
        {
            bytes.Slice(0, KeyLength).CopyTo(_lastSeed);
        }
        Mix(bytes);
        if (!isPlausible)
        {
            RejectedSeeds++;
            return false;
        }
        Seeds++;
        CreditedBits += (uint)bytes.Length * 8;
        BytesSinceSeed = 0;
        return true;
    }

    /// <summary>Fills a span with random bytes.</summary>
    internal void Fill(Span<byte> bytes)
    {
        BytesGiven += (uint)bytes.Length;
        BytesSinceSeed += (uint)bytes.Length;
        // The next key comes first; what is given follows it in the stream.
        _cipher.Begin(_key, 0, _givingNonce);
        _cipher.NextBlock(_block);
        new Span<byte>(_block, 0, KeyLength).CopyTo(_key);
        int from = KeyLength;
        while (bytes.Length > 0)
        {
            if (from == ChaCha20.BlockLength)
            {
                _cipher.NextBlock(_block);
                from = 0;
            }
            int count = Math.Min(bytes.Length, ChaCha20.BlockLength - from);
            new Span<byte>(_block, from, count).CopyTo(bytes);
            bytes = bytes.Slice(count);
            from += count;
        }
        Forget();
    }

    /// <summary>False for bytes that a source gives that is stuck: five equal ones in a row (once in 2^26 seeds by chance), or the last seed again.</summary>
    private bool IsPlausible(ReadOnlySpan<byte> bytes)
    {
        int run = 1;
        bool isNew = false;
        for (int i = 0; i < bytes.Length; i++)
        {
            run = i > 0 && bytes[i] == bytes[i - 1] ? run + 1 : 1;
            if (run > MaxRun)
            {
                return false;
            }
            isNew |= i < KeyLength && bytes[i] != _lastSeed[i];
        }
        return isNew;
    }

    private void Forget()
    {
        new Span<byte>(_block).Clear();
        _cipher.Clear();
    }
}
