// A source of random bytes behind virtio-rng (virtio 5.4): what it gives is what the test gave it.
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Entropy;

/// <summary>A strict virtio-rng device. It holds buffers until it has at least one byte for each.</summary>
public sealed class FakeEntropyDevice : FakeVirtioDevice
{
    private readonly Queue<byte> _source = [];
    private readonly Queue<FakeChain> _held = [];

    /// <summary>Makes a source with nothing in it.</summary>
    public FakeEntropyDevice(ushort queueSize = 8)
        : base(4, 0, 1, queueSize)
    {
    }

    /// <summary>The most bytes that one buffer is filled with.</summary>
    public int MostAtOnce { get; set; } = int.MaxValue;

    /// <summary>How many bytes are left.</summary>
    public int Left => _source.Count;

    /// <summary>How many buffers the device holds.</summary>
    public int Held => _held.Count;

    /// <summary>The most buffers that it held at the same time.</summary>
    public int MostHeld { get; private set; }

    /// <summary>Where all buffers were that it was ever lent.</summary>
    public HashSet<FakePiece> Pieces { get; } = [];

    /// <summary>How many buffers were given back.</summary>
    public int Answers { get; private set; }

    /// <summary>A fault: how many of the bytes that it says it wrote are really written, from those that it would write.</summary>
    public Func<int, int>? OnWrite { get; set; }

    /// <summary>A fault: what the device says it wrote, from what it would have written.</summary>
    public Func<uint, uint>? OnAnswer { get; set; }

    /// <summary>A fault: so many buffers come back with nothing in them.</summary>
    public int EmptyAnswers { get; set; }

    /// <inheritdoc/>
    public override IReadOnlyList<FakeConfigField> ConfigFields => [];

    /// <summary>The host has these bytes to give, once and in this order.</summary>
    public void Give(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            _source.Enqueue(value);
        }
    }

    /// <summary>Writes to the oldest buffer that it holds, and keeps it.</summary>
    public void WriteHeld(ReadOnlySpan<byte> bytes) => _held.Peek().Write(0, bytes);

    /// <inheritdoc/>
    protected override void Process(FakeVirtqueue queue)
    {
        while (queue.Take() is FakeChain chain)
        {
            Machine.Violations.Require(chain.Readable.Count == 0, "a buffer for random bytes is readable (5.4.6.1)");
            _held.Enqueue(chain);
            Pieces.UnionWith(chain.Writable);
            MostHeld = Math.Max(MostHeld, _held.Count);
        }
        Answer();
    }

    /// <inheritdoc/>
    protected override bool WorkMore()
    {
        bool any = Answer();
        if (any)
        {
            Queues[0].Signal();
        }
        return any;
    }

    /// <inheritdoc/>
    protected override void OnReset() => _held.Clear();

    /// <inheritdoc/>
    protected internal override void OnQueueReset(FakeVirtqueue queue) => _held.Clear();

    private bool Answer()
    {
        bool any = false;
        while (_held.Count > 0 && (_source.Count > 0 || EmptyAnswers > 0))
        {
            FakeChain chain = _held.Dequeue();
            byte[] bytes = [];
            if (EmptyAnswers > 0)
            {
                EmptyAnswers--;
            }
            else
            {
                bytes = new byte[Math.Min(Math.Min(_source.Count, MostAtOnce), (int)chain.WritableLength)];
                for (int i = 0; i < bytes.Length; i++)
                {
                    bytes[i] = _source.Dequeue();
                }
            }
            chain.Write(0, bytes.AsSpan(0, OnWrite?.Invoke(bytes.Length) ?? bytes.Length));
            Queues[0].Use(chain, OnAnswer?.Invoke((uint)bytes.Length) ?? (uint)bytes.Length);
            Answers++;
            any = true;
        }
        return any;
    }
}
