// A console in memory behind virtio-console, with one port or several (virtio 5.3).
using System.Buffers.Binary;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Console;

/// <summary>A strict virtio-console. What is said of a port without a number is said of the first.</summary>
public sealed partial class FakeConsoleDevice : FakeVirtioDevice
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

    /// <summary>Makes a console with one port, or with <paramref name="ports"/> if that is not 0: none of those is plugged in yet.</summary>
    public FakeConsoleDevice(ushort queueSize = 64, int ports = 0)
        : base(3, 12, ports == 0 ? 2 : 2 * (ports + 1), queueSize)
    {
        Ports = [.. Enumerable.Range(0, Math.Max(ports, 1)).Select(_ => new FakePort())];
        if (ports != 0)
        {
            OfferedFeatures |= Multiport;
            BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(4), (uint)ports);
        }
    }

    /// <summary>The host's side of the ports.</summary>
    public FakePort[] Ports { get; }

    /// <summary>What the driver sent so far.</summary>
    public byte[] Output => [.. Ports[0].Output];

    /// <summary>What was written to the emergency register.</summary>
    public List<byte> Emergency { get; } = [];

    /// <summary>See <see cref="FakePort.TransmitCredit"/>.</summary>
    public int TransmitCredit
    {
        get => Ports[0].TransmitCredit;
        set => Ports[0].TransmitCredit = value;
    }

    /// <summary>See <see cref="FakePort.MostInput"/>.</summary>
    public int MostInput
    {
        get => Ports[0].MostInput;
        set => Ports[0].MostInput = value;
    }

    /// <summary>How many bytes typed have not reached the driver.</summary>
    public int InputLeft => Ports[0].Input.Count;

    /// <summary>How many receive buffers the device holds.</summary>
    public int ReceiveBuffers => Ports[0].Receive.Count;

    /// <summary>See <see cref="FakePort.OnReceived"/>.</summary>
    public Func<uint, uint>? OnReceived
    {
        get => Ports[0].OnReceived;
        set => Ports[0].OnReceived = value;
    }

    /// <summary>See <see cref="FakePort.TransmitUsedLength"/>.</summary>
    public uint TransmitUsedLength
    {
        get => Ports[0].TransmitUsedLength;
        set => Ports[0].TransmitUsedLength = value;
    }

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
    public void Type(ReadOnlySpan<byte> bytes, int port = 0)
    {
        foreach (byte value in bytes)
        {
            Ports[port].Input.Enqueue(value);
        }
    }

    /// <summary>Uses one receive buffer with no byte in it: a device that lies.</summary>
    public void UseEmpty()
    {
        Queues[0].Use(Ports[0].Receive.Dequeue(), 0);
        Queues[0].Signal();
    }

    /// <inheritdoc/>
    public override bool IsWritableEarly(int offset) => offset == 8; // emerg_wr (5.3.5)

    /// <inheritdoc/>
    protected override void Process(FakeVirtqueue queue)
    {
        bool isReceive = queue.Index % 2 == 0;
        while (queue.Take() is FakeChain chain)
        {
            Machine.Violations.Require(
                isReceive ? chain.Readable.Count == 0 : chain.Writable.Count == 0,
                isReceive ? "a readable buffer in a receive queue (5.3.6)" : "a writable buffer in a transmit queue (5.3.6)");
            if (IsControl(queue))
            {
                TakeControl(queue, chain);
                continue;
            }
            FakePort port = Ports[PortOf(queue)];
            Machine.Violations.Require(!Has(Multiport) || port.WasAnnounced || isReceive, "bytes were sent to a port that was never there (5.3.6)");
            if (Has(Multiport) && !port.IsAnnounced && !isReceive)
            {
                queue.Use(chain, 0); // they were on their way when it was taken away
                continue;
            }
            (isReceive ? port.Receive : port.Transmit).Enqueue(chain);
        }
        if (!isReceive && !IsControl(queue))
        {
            Transmit(PortOf(queue));
        }
    }

    /// <inheritdoc/>
    protected override bool WorkMore()
    {
        bool any = SendControl();
        for (int i = 0; i < Ports.Length; i++)
        {
            if (Transmit(i))
            {
                any = true;
                TransmitQueue(i).Signal();
            }
            any |= Deliver(i);
        }
        return any;
    }

    /// <inheritdoc/>
    protected override void OnConfigWritten(int offset, uint value) => Emergency.Add((byte)value);

    /// <inheritdoc/>
    protected override void OnReset()
    {
        ForgetControl();
        foreach (FakePort port in Ports)
        {
            port.Forget();
        }
    }

    /// <inheritdoc/>
    protected internal override void OnQueueReset(FakeVirtqueue queue)
    {
        if (!IsControl(queue))
        {
            FakePort port = Ports[PortOf(queue)];
            (queue.Index % 2 == 0 ? port.Receive : port.Transmit).Clear();
        }
    }

    private FakeVirtqueue ReceiveQueue(int port) => Queues[port == 0 ? 0 : 2 * port + 2];

    private FakeVirtqueue TransmitQueue(int port) => Queues[port == 0 ? 1 : 2 * port + 3];

    private static int PortOf(FakeVirtqueue queue) => queue.Index < 2 ? 0 : (queue.Index - 2) / 2;

    private bool IsControl(FakeVirtqueue queue) => queue.Index is 2 or 3;

    private bool Deliver(int number)
    {
        FakePort port = Ports[number];
        bool any = false;
        while (port.Input.Count > 0 && (!Has(Multiport) || port.IsGuestOpen) && port.Receive.TryDequeue(out FakeChain? chain))
        {
            uint room = port.UsesFirstPieceOnly ? chain.Writable[0].Length : chain.WritableLength;
            int length = Math.Min(Math.Min(port.Input.Count, port.MostInput), (int)room);
            byte[] bytes = new byte[length];
            for (int i = 0; i < length; i++)
            {
                bytes[i] = port.Input.Dequeue();
            }
            chain.Write(0, bytes);
            ReceiveQueue(number).Use(chain, port.OnReceived?.Invoke((uint)length) ?? (uint)length);
            any = true;
        }
        if (any)
        {
            ReceiveQueue(number).Signal();
        }
        return any;
    }

    private bool Transmit(int number)
    {
        FakePort port = Ports[number];
        bool any = false;
        while (port.TransmitCredit > 0 && port.Transmit.TryDequeue(out FakeChain? chain))
        {
            port.TransmitCredit -= port.TransmitCredit == int.MaxValue ? 0 : 1;
            port.Output.AddRange(port.UsesFirstPieceOnly ? chain.Read(0, chain.Readable[0].Length) : chain.Read());
            TransmitQueue(number).Use(chain, port.TransmitUsedLength);
            any = true;
        }
        return any;
    }
}
