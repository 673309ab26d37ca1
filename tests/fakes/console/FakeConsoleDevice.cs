// A console in memory behind virtio-console with one port (virtio 5.3).
using System.Buffers.Binary;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Console;

/// <summary>Collects what the driver sends and feeds it what the test types; a slow host takes as much as the test lets it.</summary>
public sealed class FakeConsoleDevice : FakeVirtioDevice
{
    /// <summary>VIRTIO_CONSOLE_F_SIZE.</summary>
    public const ulong HasSize = 1ul << 0;

    /// <summary>VIRTIO_CONSOLE_F_MULTIPORT.</summary>
    public const ulong Multiport = 1ul << 1;

    /// <summary>VIRTIO_CONSOLE_F_EMERG_WRITE.</summary>
    public const ulong EmergencyWrite = 1ul << 2;

    private static readonly FakeConfigField[] Fields =
    [
        new(0, 2, HasSize), new(2, 2, HasSize), new(4, 4, Multiport), new(8, 4, EmergencyWrite, IsWritable: true),
    ];

    private readonly List<byte> _output = [];
    private readonly Queue<byte> _input = [];
    private readonly Queue<FakeChain> _receive = [];
    private readonly Queue<FakeChain> _transmit = [];

    /// <summary>Makes a console.</summary>
    public FakeConsoleDevice(ushort queueSize = 64)
        : base(3, 12, 2, queueSize)
    {
    }

    /// <summary>What the driver sent so far.</summary>
    public byte[] Output => [.. _output];

    /// <summary>What was written to the emergency register.</summary>
    public List<byte> Emergency { get; } = [];

    /// <summary>How many sent buffers the host takes from now on; a slow host takes few.</summary>
    public int TransmitCredit { get; set; } = int.MaxValue;

    /// <summary>The most bytes that one receive buffer is filled with.</summary>
    public int MostInput { get; set; } = int.MaxValue;

    /// <summary>How many bytes typed have not reached the driver.</summary>
    public int InputLeft => _input.Count;

    /// <summary>How many receive buffers the device holds.</summary>
    public int ReceiveBuffers => _receive.Count;

    /// <summary>A fault: what the device claims to have written into a receive buffer.</summary>
    public Func<uint, uint>? OnReceived { get; set; }

    /// <summary>A fault: what the device claims to have written into a buffer that it can only read.</summary>
    public uint TransmitUsedLength { get; set; }

    /// <inheritdoc/>
    public override IReadOnlyList<FakeConfigField> ConfigFields => Fields;

    /// <summary>Sets the size in characters.</summary>
    public FakeConsoleDevice SetSize(ushort columns, ushort rows)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Config, columns);
        BinaryPrimitives.WriteUInt16LittleEndian(Config.AsSpan(2), rows);
        OfferedFeatures |= HasSize;
        return this;
    }

    /// <summary>Types bytes; they reach the driver when the device works.</summary>
    public void Type(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            _input.Enqueue(value);
        }
    }

    /// <summary>Uses one receive buffer with no byte in it: a device that lies.</summary>
    public void UseEmpty()
    {
        Queues[0].Use(_receive.Dequeue(), 0);
        Queues[0].Signal();
    }

    /// <inheritdoc/>
    public override bool IsWritableEarly(int offset) => offset == 8; // emerg_wr (5.3.5)

    /// <inheritdoc/>
    protected override void Process(FakeVirtqueue queue)
    {
        while (queue.Take() is FakeChain chain)
        {
            Machine.Violations.Require(
                queue.Index == 0 ? chain.Readable.Count == 0 : chain.Writable.Count == 0,
                queue.Index == 0 ? "a readable buffer in a receive queue (5.3.6)" : "a writable buffer in a transmit queue (5.3.6)");
            (queue.Index == 0 ? _receive : _transmit).Enqueue(chain);
        }
        if (queue.Index == 1)
        {
            Transmit();
        }
    }

    /// <inheritdoc/>
    protected override bool WorkMore()
    {
        bool any = Transmit();
        if (any)
        {
            Queues[1].Signal();
        }
        bool received = false;
        while (_input.Count > 0 && _receive.TryDequeue(out FakeChain? chain))
        {
            int length = Math.Min(Math.Min(_input.Count, MostInput), (int)chain.WritableLength);
            byte[] bytes = new byte[length];
            for (int i = 0; i < length; i++)
            {
                bytes[i] = _input.Dequeue();
            }
            chain.Write(0, bytes);
            Queues[0].Use(chain, OnReceived?.Invoke((uint)length) ?? (uint)length);
            received = true;
        }
        if (received)
        {
            Queues[0].Signal();
        }
        return any | received;
    }

    /// <inheritdoc/>
    protected override void OnConfigWritten(int offset, uint value) => Emergency.Add((byte)value);

    /// <inheritdoc/>
    protected override void OnReset()
    {
        _receive.Clear();
        _transmit.Clear();
    }

    /// <inheritdoc/>
    protected internal override void OnQueueReset(FakeVirtqueue queue) => (queue.Index == 0 ? _receive : _transmit).Clear();

    private bool Transmit()
    {
        bool any = false;
        while (TransmitCredit > 0 && _transmit.TryDequeue(out FakeChain? chain))
        {
            TransmitCredit -= TransmitCredit == int.MaxValue ? 0 : 1;
            _output.AddRange(chain.Read());
            Queues[1].Use(chain, TransmitUsedLength);
            any = true;
        }
        return any;
    }
}
