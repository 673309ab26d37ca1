// The control queues of a console with several ports (virtio 5.3.6.2).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Console;

/// <summary>Control messages, in and out. What they mean is the business of <see cref="VirtioConsole"/>.</summary>
internal sealed class VirtioConsoleControl
{
    private const int MaxBuffers = 16;
    private const uint ReceiveLength = VirtioConsoleFormat.ControlLength + ConsolePort.MaxNameLength;

    private readonly DmaSpace _dma;
    private readonly Virtqueue _receive;
    private readonly Virtqueue _transmit;
    private readonly DmaBuffer _memory;
    private readonly DmaBuffer[] _one = new DmaBuffer[1];
    private readonly int _receiveCount;
    private readonly ushort[] _free = new ushort[MaxBuffers];
    private int _freeCount;

    private VirtioConsoleControl(DmaSpace dma, Virtqueue receive, Virtqueue transmit, in DmaBuffer memory)
    {
        _dma = dma;
        _receive = receive;
        _transmit = transmit;
        _memory = memory;
        _receiveCount = Math.Min((int)receive.Size, MaxBuffers);
        for (int i = Math.Min((int)transmit.Size, MaxBuffers) - 1; i >= 0; i--)
        {
            _free[_freeCount++] = (ushort)i;
        }
    }

    /// <summary>True when the device broke one of the queues.</summary>
    internal bool IsBroken => _receive.IsBroken || _transmit.IsBroken;

    /// <summary>True while messages have not been taken by the device.</summary>
    internal bool HasUnsent => _transmit.InFlight != 0;

    internal static bool TryCreate(DmaSpace dma, Virtqueue receive, Virtqueue transmit, out VirtioConsoleControl? control)
    {
        control = null;
        if (!dma.TryAllocate(MaxBuffers * (ReceiveLength + VirtioConsoleFormat.ControlLength), 64, out DmaBuffer memory))
        {
            return false;
        }
        control = new VirtioConsoleControl(dma, receive, transmit, memory);
        return true;
    }

    /// <summary>Lends the receive buffers; called once the device was started.</summary>
    internal void BeginReceiving()
    {
        for (int i = 0; i < _receiveCount; i++)
        {
            Lend((ushort)i);
        }
        _receive.Kick();
    }

    /// <summary>Sends a message; false when too many are on their way.</summary>
    internal bool TrySend(int port, ushort what, ushort value)
    {
        if (_freeCount == 0)
        {
            return false;
        }
        ushort number = _free[_freeCount - 1];
        DmaBuffer message = _memory.Slice(MaxBuffers * ReceiveLength + number * (uint)VirtioConsoleFormat.ControlLength, VirtioConsoleFormat.ControlLength);
        BinaryPrimitives.WriteUInt32LittleEndian(message.Span.Slice(VirtioConsoleFormat.ControlIdOffset), (uint)port);
        BinaryPrimitives.WriteUInt16LittleEndian(message.Span.Slice(VirtioConsoleFormat.ControlEventOffset), what);
        BinaryPrimitives.WriteUInt16LittleEndian(message.Span.Slice(VirtioConsoleFormat.ControlValueOffset), value);
        _one[0] = message;
        if (!_transmit.TryAdd(_one, default, number))
        {
            return false;
        }
        _freeCount--;
        return true;
    }

    /// <summary>Tells the device about the messages sent.</summary>
    internal void Kick() => _transmit.Kick();

    /// <summary>For a doorbell that may have been lost.</summary>
    internal void KickAgain() => _transmit.KickAgain();

    /// <summary>
    /// Takes the next message that came: its bytes, valid until <see cref="Release"/>, which has to follow. False when there is none.
    /// </summary>
    internal bool TryReceive(out ushort buffer, out ReadOnlySpan<byte> message)
    {
        message = default;
        if (!_receive.TryTakeUsed(out buffer, out uint written))
        {
            return false;
        }
        message = ReceiveBuffer(buffer).Slice(0, written).Span;
        return true;
    }

    /// <summary>Gives the device a buffer back.</summary>
    internal void Release(ushort buffer) => Lend(buffer);

    /// <summary>
    /// Ends a round of <see cref="TryReceive"/>: takes back what was sent, tells the device of the buffers it has back. False when more came
    /// meanwhile.
    /// </summary>
    internal bool TryEndRound()
    {
        do
        {
            while (_transmit.TryTakeUsed(out ushort number, out _))
            {
                _free[_freeCount++] = number;
            }
        }
        while (!_transmit.TryEnableInterrupts());
        bool quiet = _receive.TryEnableInterrupts();
        _receive.Kick();
        return quiet;
    }

    /// <summary>Takes everything back from a device that was reset.</summary>
    internal void TakeBack()
    {
        while (_receive.TryDetach(out _))
        {
        }
        while (_transmit.TryDetach(out ushort number))
        {
            _free[_freeCount++] = number;
        }
    }

    /// <summary>Gives the memory back; the device was reset and everything taken back.</summary>
    internal void Free() => _dma.Free(_memory);

    private DmaBuffer ReceiveBuffer(ushort number) => _memory.Slice(number * ReceiveLength, ReceiveLength);

    private void Lend(ushort number)
    {
        _one[0] = ReceiveBuffer(number);
        _receive.TryAdd(default, _one, number);
    }
}
