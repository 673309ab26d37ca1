// A virtio console as a place to write text to and to read from.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// A virtio console as a terminal. Output goes to the port as far as it has room, and waits here for the rest of the way;
/// <see cref="FlushAsync"/> waits until it is gone, so that a host that reads slowly loses nothing and holds up only its own shell.
/// </summary>
internal sealed class PortTerminal : Terminal
{
    private readonly AsyncPort _async;
    private readonly ConsolePort _port;
    private readonly byte[] _waiting = new byte[65536];
    private uint _head;
    private uint _tail;

    internal PortTerminal(ConsolePort port)
    {
        _async = new AsyncPort(port);
        _port = port;
    }

    /// <summary>Bytes that were dropped because a command wrote too much between two flushes.</summary>
    internal ulong Dropped { get; private set; }

    /// <inheritdoc/>
    public override void WriteByte(byte value)
    {
        if (_head - _tail == (uint)_waiting.Length && !TryPush() && _head - _tail == (uint)_waiting.Length)
        {
            Dropped++;
            return;
        }
        _waiting[_head++ % (uint)_waiting.Length] = value;
    }

    /// <inheritdoc/>
    public override ValueTask FlushAsync() => TryPush() ? default : WaitAsync();

    private async ValueTask WaitAsync()
    {
        while (!TryPush())
        {
            await _async.WhenWritable();
        }
    }

    /// <summary>Gives the port what it takes; true when nothing is left, or the port is out of service.</summary>
    private bool TryPush()
    {
        while (_head != _tail && !_port.IsFailed)
        {
            uint start = _tail % (uint)_waiting.Length;
            uint length = Math.Min(_head - _tail, (uint)_waiting.Length - start);
            uint taken = _port.Write(new ReadOnlySpan<byte>(_waiting, (int)start, (int)length));
            if (taken == 0)
            {
                return false;
            }
            _tail += taken;
        }
        _tail = _head;
        return true;
    }
}

/// <summary>The bytes that come in on a virtio console.</summary>
internal sealed class PortInput : ByteSource
{
    private readonly ConsolePort _port;
    private readonly byte[] _bytes = new byte[256];
    private int _count;
    private int _next;

    internal PortInput(ConsolePort port) => _port = port;

    /// <inheritdoc/>
    public override bool IsEnded => _port.IsFailed;

    /// <inheritdoc/>
    public override bool IsReadable
    {
        get
        {
            if (_next == _count)
            {
                _next = 0;
                _count = (int)_port.Read(_bytes);
            }
            return _next != _count;
        }
    }

    /// <inheritdoc/>
    public override bool TryRead(out byte value)
    {
        value = 0;
        if (!IsReadable)
        {
            return false;
        }
        value = _bytes[_next++];
        return true;
    }
}
