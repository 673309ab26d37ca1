// The two queues of a console port with their buffers (virtio 5.3.6).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Console;

/// <summary>
/// Bytes are received into buffers that go back to the device only after somebody read them, and sent from buffers that are filled
/// while the one before is on its way: many small writes become few large ones, and nothing is dropped in either direction.
/// The queues live as long as the device; the buffers are made for the first port that uses them, and stay.
/// </summary>
internal sealed class VirtioConsoleChannel
{
    private const int MaxBuffers = 8;
    private const uint BufferLength = 4096;
    private const int MaxEmpty = 64; // buffers that come back empty in one look

    private readonly DmaSpace _dma;
    private readonly Virtqueue _receive;
    private readonly Virtqueue _transmit;
    private readonly int _receiveCount;
    private readonly int _transmitCount;
    private readonly DmaBuffer[] _one = new DmaBuffer[1];
    private DmaBuffer _memory;

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
    private ulong _sentAtLook;

    internal VirtioConsoleChannel(DmaSpace dma, Virtqueue receive, Virtqueue transmit)
    {
        _dma = dma;
        _receive = receive;
        _transmit = transmit;
        _receiveCount = Math.Min((int)receive.Size, MaxBuffers);
        _transmitCount = Math.Min((int)transmit.Size, MaxBuffers);
    }

    /// <summary>True once there are buffers.</summary>
    internal bool IsLive => _memory.Length != 0;

    /// <summary>False while what is written has to wait here.</summary>
    internal bool CanSend { get; set; }

    /// <summary>How many buffers are on their way out.</summary>
    internal int SendingCount { get; private set; }

    /// <summary>How many buffers went out.</summary>
    internal ulong Sent { get; private set; }

    /// <summary>How many bytes were with the device when it was reset.</summary>
    internal ulong BytesInDoubt { get; private set; }

    /// <summary>True while bytes have not been taken by the device.</summary>
    internal bool HasUnsent => _fillLength != 0 || SendingCount != 0;

    /// <summary>True when the device broke one of the queues.</summary>
    internal bool IsBroken => _receive.IsBroken || _transmit.IsBroken;

    /// <summary>Makes the buffers if there are none; false when there is no memory.</summary>
    internal bool TryMakeBuffers() => IsLive || _dma.TryAllocate(2u * MaxBuffers * BufferLength, BufferLength, out _memory);

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
    }

    /// <summary>Takes bytes as far as there is room.</summary>
    internal uint Write(ReadOnlySpan<byte> bytes)
    {
        uint taken = 0;
        while (taken < bytes.Length && !_sending[_filling])
        {
            uint room = BufferLength - _fillLength;
            if (room == 0)
            {
                break;
            }
            uint count = Math.Min(room, (uint)bytes.Length - taken);
            bytes.Slice((int)taken, (int)count).CopyTo(TransmitBuffer(_filling).Span.Slice((int)_fillLength));
            _fillLength += count;
            taken += count;
            if ((_fillLength == BufferLength || SendingCount == 0) && !TrySend())
            {
                break;
            }
        }
        _transmit.Kick();
        return taken;
    }

    /// <summary>Gives bytes that were received.</summary>
    internal uint Read(Span<byte> into)
    {
        uint read = 0;
        while (read < into.Length && _filledCount > 0)
        {
            uint count = Math.Min(_filledLength[0] - _readOffset, (uint)into.Length - read);
            ReceiveBuffer(_filled[0]).Span.Slice((int)_readOffset, (int)count).CopyTo(into.Slice((int)read));
            read += count;
            _readOffset += count;
            if (_readOffset == _filledLength[0])
            {
                LendFirst();
            }
        }
        _receive.Kick();
        return read;
    }

    /// <summary>Forgets what was received and what waits to be sent: the port is gone.</summary>
    internal void Discard()
    {
        while (_filledCount > 0)
        {
            LendFirst();
        }
        _receive.Kick();
        _fillLength = 0;
        CanSend = false;
    }

    /// <summary>Sends what waits, if it may; true when something went on its way.</summary>
    internal bool TryContinue()
    {
        bool sent = _fillLength != 0 && SendingCount == 0 && TrySend();
        _transmit.Kick();
        return sent;
    }

    /// <summary>Takes what was received; true when something was. A device that gives back empty buffers only has its turn again later.</summary>
    internal bool PollReceive()
    {
        bool any = false;
        int empty = 0;
        do
        {
            while (empty < MaxEmpty && _receive.TryTakeUsed(out ushort buffer, out uint written))
            {
                if (written == 0)
                {
                    empty++;
                    Lend(buffer);
                    continue;
                }
                any = true;
                _filled[_filledCount] = buffer;
                _filledLength[_filledCount++] = written;
            }
        }
        while (empty < MaxEmpty && !_receive.TryEnableInterrupts());
        _receive.Kick();
        return any;
    }

    /// <summary>Takes back what was sent; true when something was.</summary>
    internal bool PollTransmit()
    {
        bool any = false;
        do
        {
            while (_transmit.TryTakeUsed(out ushort buffer, out _))
            {
                any = true;
                _sending[buffer] = false;
                SendingCount--;
                Sent++;
            }
        }
        while (!_transmit.TryEnableInterrupts());
        if (any)
        {
            TryContinue();
        }
        return any;
    }

    /// <summary>Looks now and then whether sending goes on; true when a doorbell had to be rung once more.</summary>
    internal bool LookAgain()
    {
        // A slow host, or a doorbell that was lost: one more does no harm.
        bool stuck = SendingCount != 0 && Sent == _sentAtLook;
        if (stuck)
        {
            _transmit.KickAgain();
        }
        _sentAtLook = Sent;
        return stuck;
    }

    /// <summary>Takes everything back from a device that was reset.</summary>
    internal void TakeBack()
    {
        while (_receive.TryDetach(out _))
        {
        }
        while (_transmit.TryDetach(out ushort buffer))
        {
            _sending[buffer] = false;
            SendingCount--;
            BytesInDoubt += _sendingLength[buffer];
        }
    }

    /// <summary>Gives the buffers back; the device was reset and everything taken back.</summary>
    internal void Free()
    {
        if (IsLive)
        {
            _dma.Free(_memory);
            _memory = default;
        }
    }

    private DmaBuffer ReceiveBuffer(int index) => _memory.Slice((uint)index * BufferLength, BufferLength);

    private DmaBuffer TransmitBuffer(int index) => _memory.Slice((uint)(MaxBuffers + index) * BufferLength, BufferLength);

    private void Lend(ushort buffer)
    {
        _one[0] = ReceiveBuffer(buffer);
        _receive.TryAdd(default, _one, buffer);
    }

    private void LendFirst()
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

    private bool IsFilled(ushort buffer)
    {
        for (int i = 0; i < _filledCount; i++)
        {
            if (_filled[i] == buffer)
            {
                return true;
            }
        }
        return false;
    }

    private bool TrySend()
    {
        if (!CanSend)
        {
            return false;
        }
        _one[0] = TransmitBuffer(_filling).Slice(0, _fillLength);
        if (!_transmit.TryAdd(_one, default, (ushort)_filling))
        {
            return false;
        }
        _sending[_filling] = true;
        _sendingLength[_filling] = _fillLength;
        SendingCount++;
        _filling = (_filling + 1) % _transmitCount;
        _fillLength = 0;
        return true;
    }
}
