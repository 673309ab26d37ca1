// A console in memory behind virtio-console: the control messages of a console with several ports (virtio 5.3.6.2).
using System.Buffers.Binary;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Console;

public sealed partial class FakeConsoleDevice
{
    private const ushort DeviceReady = 0;
    private const ushort DeviceAdd = 1;
    private const ushort DeviceRemove = 2;
    private const ushort PortReady = 3;
    private const ushort ConsolePort = 4;
    private const ushort ResizeEvent = 5;
    private const ushort PortOpen = 6;
    private const ushort PortName = 7;

    private readonly Queue<byte[]> _controlOut = [];
    private readonly Queue<FakeChain> _controlBuffers = [];
    private readonly List<FakeChain> _controlHeld = [];

    /// <summary>True once the driver said that it is ready for announcements.</summary>
    public bool IsDriverReady { get; private set; }

    /// <summary>Every message that the driver sent: port, event, value.</summary>
    public List<(uint Port, ushort Event, ushort Value)> Messages { get; } = [];

    /// <summary>How many messages have not reached the driver.</summary>
    public int MessagesLeft => _controlOut.Count;

    /// <summary>True while the device does not take the driver's messages: their buffers don't come back.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>Plugs a port in; the driver hears of it.</summary>
    public FakePort Plug(int number, string name = "", bool isConsole = false, bool isHostOpen = true)
    {
        FakePort port = Ports[number];
        port.IsPlugged = true;
        port.IsConsole = isConsole;
        port.IsHostOpen = isHostOpen;
        port.Name = global::System.Text.Encoding.UTF8.GetBytes(name);
        if (IsDriverReady)
        {
            Announce(number);
        }
        return port;
    }

    /// <summary>Takes a port away; what it held comes back unused or not at all, and the driver hears of it.</summary>
    public void Unplug(int number)
    {
        FakePort port = Ports[number];
        if (IsDriverReady && !port.IsAnnounced)
        {
            throw new InvalidOperationException("the fake device was told to take away a port that was not announced (5.3.6.2.1)");
        }
        port.IsPlugged = false;
        port.IsAnnounced = false;
        port.IsReady = false;
        port.IsGuestOpen = false;
        while (port.Transmit.TryDequeue(out FakeChain? chain))
        {
            TransmitQueue(number).Use(chain, 0);
        }
        if (TransmitQueue(number).IsEnabled)
        {
            TransmitQueue(number).Signal();
        }
        Say((uint)number, DeviceRemove, 0);
    }

    /// <summary>Opens or closes the host's end.</summary>
    public void SetHostOpen(int number, bool open)
    {
        Ports[number].IsHostOpen = open;
        Say((uint)number, PortOpen, open ? (ushort)1 : (ushort)0);
    }

    /// <summary>Says that a port has another size.</summary>
    public void Resize(int number, ushort columns, ushort rows)
    {
        byte[] payload = new byte[4];
        BinaryPrimitives.WriteUInt16LittleEndian(payload, columns);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(2), rows);
        Say((uint)number, ResizeEvent, 0, payload);
    }

    /// <summary>Says anything, right or wrong.</summary>
    public void Say(uint port, ushort what, ushort value, params ReadOnlySpan<byte> payload)
    {
        byte[] message = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, port);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), what);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), value);
        payload.CopyTo(message.AsSpan(8));
        SayRaw(message);
    }

    /// <summary>Says bytes that need not even be a message.</summary>
    public void SayRaw(byte[] message) => _controlOut.Enqueue(message);

    /// <summary>Takes the messages that were kept while it was deaf.</summary>
    public void Listen()
    {
        IsDeaf = false;
        foreach (FakeChain chain in _controlHeld)
        {
            Queues[3].Use(chain, 0);
        }
        _controlHeld.Clear();
        Queues[3].Signal();
    }

    private void Announce(int number)
    {
        if (Ports[number].IsAnnounced)
        {
            throw new InvalidOperationException("the fake device was told to announce a port that is there (5.3.6.2.1)");
        }
        Ports[number].IsAnnounced = true;
        Ports[number].WasAnnounced = true;
        Say((uint)number, DeviceAdd, 0);
    }

    private void TakeControl(FakeVirtqueue queue, FakeChain chain)
    {
        if (queue.Index == 2)
        {
            _controlBuffers.Enqueue(chain);
            return;
        }
        ViolationLog violations = Machine.Violations;
        violations.Require(chain.ReadableLength == 8, $"a control message of {chain.ReadableLength} bytes (5.3.6.2)");
        violations.Require(!Bus.IsLegacy || Has(1ul << 27) || chain.Readable.Count == 1, "a control message in pieces, without ANY_LAYOUT (5.3.6.4)");
        byte[] message = chain.Read();
        uint id = BinaryPrimitives.ReadUInt32LittleEndian(message);
        ushort what = BinaryPrimitives.ReadUInt16LittleEndian(message.AsSpan(4));
        ushort value = BinaryPrimitives.ReadUInt16LittleEndian(message.AsSpan(6));
        Messages.Add((id, what, value));
        violations.Require(what == DeviceReady || IsDriverReady, $"control message {what} before DEVICE_READY (5.3.5)");
        violations.Require(value <= 1, $"control message {what} with value {value} (5.3.6.2)");
        Answer(id, what, value);
        if (IsDeaf)
        {
            _controlHeld.Add(chain);
        }
        else
        {
            queue.Use(chain, 0);
        }
    }

    private void Answer(uint id, ushort what, ushort value)
    {
        ViolationLog violations = Machine.Violations;
        FakePort? port = id < Ports.Length ? Ports[id] : null;
        switch (what)
        {
            case DeviceReady:
                violations.Require(value == 1 && !IsDriverReady, "DEVICE_READY a second time, or of a driver that is not (5.3.5)");
                IsDriverReady = true;
                for (int i = 0; i < Ports.Length; i++)
                {
                    if (Ports[i].IsPlugged)
                    {
                        Announce(i);
                    }
                }
                break;
            case PortReady when value == 0:
                break; // a port may be refused, whatever its number
            case PortReady:
                // It may have been taken away while the message was on its way.
                violations.Require(
                    IsTamperingAllowed || (port is not null && !port.IsReady), $"PORT_READY for port {id}, which is not there or was ready (5.3.6.2)");
                if (port is { IsAnnounced: true })
                {
                    port.IsReady = true;
                    Introduce((int)id, port);
                }
                break;
            case PortOpen:
                violations.Require(
                    IsTamperingAllowed || (port is not null && (port.IsReady || !port.IsAnnounced)), $"PORT_OPEN for port {id}, which is not ready (5.3.6.2)");
                if (port is { IsReady: true })
                {
                    port.IsGuestOpen = value == 1;
                    port.Opens += value;
                }
                break;
            default:
                violations.Break($"the driver sent control message {what} (5.3.6.2)");
                break;
        }
    }

    private void Introduce(int number, FakePort port)
    {
        if (port.IsConsole)
        {
            Say((uint)number, ConsolePort, 1);
        }
        if (port.Name.Length != 0)
        {
            Say((uint)number, PortName, 1, port.Name);
        }
        if (port.IsHostOpen)
        {
            Say((uint)number, PortOpen, 1);
        }
    }

    private bool SendControl()
    {
        bool any = false;
        while (_controlOut.Count > 0 && _controlBuffers.TryDequeue(out FakeChain? chain))
        {
            byte[] message = _controlOut.Dequeue();
            int length = Math.Min(message.Length, (int)chain.WritableLength);
            chain.Write(0, message.AsSpan(0, length));
            Queues[2].Use(chain, (uint)length);
            any = true;
        }
        if (any)
        {
            Queues[2].Signal();
        }
        return any;
    }

    private void ForgetControl()
    {
        IsDriverReady = false;
        _controlOut.Clear();
        _controlBuffers.Clear();
        _controlHeld.Clear();
    }
}
