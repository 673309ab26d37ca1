// A virtio console in service: one port, both directions (virtio 5.3.6).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Console;

/// <summary>
/// Bytes are received into buffers that go back to the device only after somebody read them, and sent from buffers that are filled
/// while the one before is on its way: many small writes become few large ones, and nothing is dropped in either direction.
/// </summary>
public sealed partial class VirtioConsole : ConsolePort
{
    private const int MaxBuffers = 8;
    private const uint BufferLength = 4096;
    private const ulong LookAgainInterval = 10_000_000;
    private const ulong IdleInterval = 200_000_000;

    private readonly VirtioDevice _virtio;
    private readonly Virtqueue _receive;
    private readonly Virtqueue _transmit;
    private readonly DmaBuffer _memory;
    private readonly int _receiveCount;
    private readonly int _transmitCount;
    private readonly DmaBuffer[] _one = new DmaBuffer[1];

    // Receiving: buffers that the device filled, in the order it did, and how far the first was read.
    private readonly ushort[] _filled = new ushort[MaxBuffers];
    private readonly uint[] _filledLength = new uint[MaxBuffers];
    private int _filledCount;
    private uint _readOffset;

    // Sending: the buffers are used in turn; the one that is being filled is sent when nothing is on its way, or when it is full.
    private readonly bool[] _sending = new bool[MaxBuffers];
    private readonly uint[] _sendingLength = new uint[MaxBuffers];
    private int _filling;
    private uint _fillLength;
    private int _sendingCount;

    private ulong _lookAt = ulong.MaxValue;
    private ulong _sent;
    private ulong _sentAtLook;
    private bool _failed;

    private VirtioConsole(VirtioDevice virtio, Virtqueue receive, Virtqueue transmit, in DmaBuffer memory)
    {
        _virtio = virtio;
        _receive = receive;
        _transmit = transmit;
        _memory = memory;
        _receiveCount = Math.Min((int)receive.Size, MaxBuffers);
        _transmitCount = Math.Min((int)transmit.Size, MaxBuffers);
    }

    /// <summary>The virtio device under it, for those who list what was agreed on.</summary>
    public VirtioDevice Virtio => _virtio;

    /// <inheritdoc/>
    public override object? Hardware => _virtio;

    /// <inheritdoc/>
    public override ushort Columns => _columns;

    /// <inheritdoc/>
    public override ushort Rows => _rows;

    /// <inheritdoc/>
    public override bool IsFailed => _failed;

    /// <inheritdoc/>
    public override bool HasUnsent => !_failed && (_fillLength != 0 || _sendingCount != 0);

    /// <inheritdoc/>
    public override ulong NextDeadline => _lookAt;

    /// <inheritdoc/>
    public override bool IsPolled => _virtio.IsPolled;

    /// <inheritdoc/>
    public override bool WantsPolling => _virtio.IsPolled && _sendingCount != 0 && !_failed;

    /// <summary>How often a doorbell or an interrupt had to be made good for.</summary>
    public ulong LostDoorbells { get; private set; }

    internal static bool TryCreate(VirtioDevice virtio, Virtqueue receive, Virtqueue transmit, out VirtioConsole? console)
    {
        console = null;
        if (!virtio.Transport.Dma.TryAllocate(2 * MaxBuffers * BufferLength, BufferLength, out DmaBuffer memory))
        {
            return false;
        }
        console = new VirtioConsole(virtio, receive, transmit, memory);
        return true;
    }

    /// <summary>Lends the receive buffers that hold nothing to read; called once the device was started.</summary>
    internal void BeginReceiving()
    {
        for (int i = 0; i < _receiveCount; i++)
        {
            if (!IsFilled((ushort)i))
            {
                Lend((ushort)i);
            }
        }
        _receive.Kick();
        _lookAt = _virtio.Transport.Clock.Now + Idle;
        ReadSize();
    }

    /// <inheritdoc/>
    public override uint Write(ReadOnlySpan<byte> bytes)
    {
        uint taken = 0;
        while (!_failed && taken < bytes.Length && !_sending[_filling])
        {
            uint room = BufferLength - _fillLength;
            uint count = Math.Min(room, (uint)bytes.Length - taken);
            bytes.Slice((int)taken, (int)count).CopyTo(TransmitBuffer(_filling).Span.Slice((int)_fillLength));
            _fillLength += count;
            taken += count;
            if ((_fillLength == BufferLength || _sendingCount == 0) && !TrySend())
            {
                break;
            }
        }
        _transmit.Kick();
        return taken;
    }

    /// <inheritdoc/>
    public override uint Read(Span<byte> into)
    {
        uint read = 0;
        while (!_failed && read < into.Length && _filledCount > 0)
        {
            uint count = Math.Min(_filledLength[0] - _readOffset, (uint)into.Length - read);
            ReceiveBuffer(_filled[0]).Span.Slice((int)_readOffset, (int)count).CopyTo(into.Slice((int)read));
            read += count;
            _readOffset += count;
            if (_readOffset == _filledLength[0])
            {
                ushort buffer = _filled[0];
                _filledCount--;
                for (int i = 0; i < _filledCount; i++)
                {
                    _filled[i] = _filled[i + 1];
                    _filledLength[i] = _filledLength[i + 1];
                }
                _readOffset = 0;
                Lend(buffer);
            }
        }
        _receive.Kick();
        return read;
    }

    /// <inheritdoc/>
    public override void Poll()
    {
        if (_failed)
        {
            return;
        }
        bool received = PollReceive();
        bool sent = PollTransmit();
        if (_receive.IsBroken || _transmit.IsBroken)
        {
            Recover();
            return;
        }
        if (received || sent)
        {
            _recoveriesInVain = 0;
        }
        bool changed = _virtio.TakeConfigChange();
        if (changed && _virtio.NeedsReset())
        {
            Recover();
            return;
        }
        if (changed && ReadSize())
        {
            Listener?.OnResized();
        }
        if (received)
        {
            Listener?.OnReadable();
        }
        if (sent)
        {
            Listener?.OnWritable();
        }
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        _lookAt = ulong.MaxValue;
        if (_failed)
        {
            return;
        }
        Poll();
        if (!_failed && _virtio.NeedsReset())
        {
            Recover();
        }
        else if (!_failed && _virtio.IsPolled && ReadSize())
        {
            Listener?.OnResized();
        }
        if (_failed)
        {
            return;
        }
        if (_sendingCount == 0)
        {
            // Should the interrupt of something received get lost, none would follow with EVENT_IDX: it was looked for above.
            _lookAt = now + Idle;
            return;
        }
        if (_sent == _sentAtLook)
        {
            // A slow host, or a doorbell that was lost: one more does no harm.
            _transmit.KickAgain();
            LostDoorbells++;
        }
        _sentAtLook = _sent;
        _lookAt = now + LookAgainInterval;
    }

    /// <inheritdoc/>
    public override void Remove() => GiveUp();

    /// <summary>How long an idle console is left alone: input without an interrupt is looked for more often.</summary>
    private ulong Idle => _virtio.IsPolled ? LookAgainInterval : IdleInterval;

    private DmaBuffer ReceiveBuffer(int index) => _memory.Slice((uint)index * BufferLength, BufferLength);

    private DmaBuffer TransmitBuffer(int index) => _memory.Slice((uint)(MaxBuffers + index) * BufferLength, BufferLength);

    private void Lend(ushort buffer)
    {
        _one[0] = ReceiveBuffer(buffer);
        _receive.TryAdd(default, _one, buffer);
    }

    private bool TrySend()
    {
        _one[0] = TransmitBuffer(_filling).Slice(0, _fillLength);
        if (!_transmit.TryAdd(_one, default, (ushort)_filling))
        {
            return false;
        }
        _sending[_filling] = true;
        _sendingLength[_filling] = _fillLength;
        _sendingCount++;
        _filling = (_filling + 1) % _transmitCount;
        _fillLength = 0;
        if (_sendingCount == 1)
        {
            _lookAt = Math.Min(_lookAt, _virtio.Transport.Clock.Now + LookAgainInterval);
        }
        return true;
    }

    private bool PollReceive()
    {
        bool any = false;
        do
        {
            while (_receive.TryTakeUsed(out ushort buffer, out uint written))
            {
                if (written == 0)
                {
                    Lend(buffer);
                    continue;
                }
                any = true;
                _filled[_filledCount] = buffer;
                _filledLength[_filledCount++] = written;
            }
        }
        while (!_receive.TryEnableInterrupts());
        _receive.Kick();
        return any;
    }

    private bool PollTransmit()
    {
        bool any = false;
        do
        {
            while (_transmit.TryTakeUsed(out ushort buffer, out _))
            {
                any = true;
                _sending[buffer] = false;
                _sendingCount--;
                _sent++;
            }
        }
        while (!_transmit.TryEnableInterrupts());
        if (any && _fillLength != 0 && _sendingCount == 0)
        {
            TrySend();
            _transmit.Kick();
        }
        return any;
    }
}
