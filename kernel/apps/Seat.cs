// Where a shell reads and writes: the serial line or a virtio console.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Where a shell reads and writes.</summary>
public sealed class Seat
{
    /// <summary>Puts input and output together.</summary>
    public Seat(ByteSource input, Terminal output)
    {
        Input = input;
        Output = output;
    }

    /// <summary>What the person types.</summary>
    public ByteSource Input { get; }

    /// <summary>What the person sees.</summary>
    public Terminal Output { get; }
}

/// <summary>A virtio console as a terminal. Output that the device has no room for waits here, and nothing of it is lost.</summary>
internal sealed class PortTerminal : Terminal
{
    private readonly ConsolePort _port;
    private readonly byte[] _line = new byte[512];
    private int _length;

    internal PortTerminal(ConsolePort port) => _port = port;

    /// <inheritdoc/>
    public override void WriteByte(byte value)
    {
        if (_length == _line.Length)
        {
            Flush();
        }
        _line[_length++] = value;
        if (value == (byte)'\n' || _length == 1)
        {
            Flush();
        }
    }

    /// <summary>Hands everything to the port; while the port is full its device is polled until it has room or fails.</summary>
    private void Flush()
    {
        int sent = 0;
        while (sent < _length && !_port.IsFailed)
        {
            sent += (int)_port.Write(new ReadOnlySpan<byte>(_line, sent, _length - sent));
            if (sent < _length)
            {
                _port.Poll();
            }
        }
        _length = 0;
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

/// <summary>The bytes that come in on the serial line.</summary>
internal sealed class SerialInput : ByteSource
{
    private readonly SerialPort _port;

    internal SerialInput(SerialPort port) => _port = port;

    /// <inheritdoc/>
    public override bool IsReadable => _port.HasReceived;

    /// <inheritdoc/>
    public override bool TryRead(out byte value) => _port.TryRead(out value);
}
