// A virtio console whose device failed or changed: reset and begun anew, given up, resized (virtio 2.1.2, 5.3.4).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Console;

public sealed partial class VirtioConsole
{
    private int _recoveriesInVain;
    private ulong _bytesInDoubt;
    private ushort _columns;
    private ushort _rows;

    /// <summary>
    /// How often the device is reset and begun anew without a byte in between, before it is given up; 0 for never.
    /// </summary>
    public int MaxRecoveries { get; set; } = 3;

    /// <summary>How often the device was reset and begun anew.</summary>
    public ulong Recoveries { get; private set; }

    /// <inheritdoc/>
    public override ulong BytesInDoubt => _bytesInDoubt;

    /// <summary>
    /// Resets the device and begins anew. What was received can still be read, what the device did not have yet is still sent; what was on
    /// its way is not repeated, since the other side may have seen it.
    /// </summary>
    private void Recover()
    {
        if (_recoveriesInVain >= MaxRecoveries || !_virtio.Halt())
        {
            GiveUp();
            return;
        }
        Log.Write(LogLevel.Warning, "virtio-console", "the device is reset and begun anew; buffers on their way", (ulong)_sendingCount);
        _recoveriesInVain++;
        Recoveries++;
        bool wasSending = _sendingCount != 0;
        TakeBack();
        ProbeResult result = _virtio.Restart();
        if (!result.IsBound)
        {
            Log.Write(LogLevel.Error, "virtio-console", result.Reason, result.Value);
            GiveUp();
            return;
        }
        _virtio.Start();
        BeginReceiving();
        if (_fillLength != 0)
        {
            TrySend();
            _transmit.Kick();
        }
        if (wasSending)
        {
            Listener?.OnWritable();
        }
    }

    private void TakeBack()
    {
        while (_receive.TryDetach(out _))
        {
        }
        while (_transmit.TryDetach(out ushort buffer))
        {
            _sending[buffer] = false;
            _sendingCount--;
            _bytesInDoubt += _sendingLength[buffer];
        }
    }

    /// <summary>Stops the device for good and frees the memory last.</summary>
    private void GiveUp()
    {
        if (_failed)
        {
            return;
        }
        _failed = true;
        _lookAt = ulong.MaxValue;
        bool reset = _virtio.Stop();
        TakeBack();
        if (reset)
        {
            _virtio.FreeQueues();
            _virtio.Transport.Dma.Free(_memory);
        }
        Listener?.OnReadable();
        Listener?.OnWritable();
    }

    /// <summary>Reads columns and rows, which belong together (5.3.4); true when they changed.</summary>
    private bool ReadSize()
    {
        if (!_virtio.Has(VirtioConsoleFormat.Size))
        {
            return false;
        }
        ushort columns = _virtio.ReadConfig16(VirtioConsoleFormat.ColumnsOffset);
        ushort rows = _virtio.ReadConfig16(VirtioConsoleFormat.RowsOffset);
        bool changed = columns != _columns || rows != _rows;
        _columns = columns;
        _rows = rows;
        return changed;
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
}
