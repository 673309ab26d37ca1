// A virtio console as a place to write text to and to read from.
using System.Runtime.CompilerServices;
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
    private readonly ConsolePort _port;
    private readonly byte[] _waiting = new byte[65536];
    private readonly Ear _ear = new();
    private uint _head;
    private uint _tail;

    internal PortTerminal(ConsolePort port)
    {
        _port = port;
        port.Listener = _ear;
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
            await _ear;
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

    /// <summary>Wakes the one who waits for room.</summary>
    private sealed class Ear : ConsoleListener
    {
        internal Action? Continuation;

        public override void OnReadable()
        {
        }

        public override void OnWritable()
        {
            Action? continuation = Continuation;
            Continuation = null;
            continuation?.Invoke();
        }

        public RoomAwaiter GetAwaiter() => new(this);
    }

    private readonly struct RoomAwaiter : ICriticalNotifyCompletion
    {
        private readonly Ear _ear;

        internal RoomAwaiter(Ear ear) => _ear = ear;

        public bool IsCompleted => false;

        public void GetResult()
        {
        }

        public void OnCompleted(Action continuation) => _ear.Continuation = continuation;

        public void UnsafeOnCompleted(Action continuation) => _ear.Continuation = continuation;
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
