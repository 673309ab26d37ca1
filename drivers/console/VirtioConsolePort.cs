// A port of a virtio console (virtio 5.3.6).
namespace VirtioSharp.Drivers.Console;

/// <summary>What is known of a port; the bytes are the business of its channel.</summary>
internal sealed class VirtioConsolePort : ConsolePort
{
    private readonly VirtioConsole _console;
    private readonly VirtioConsoleChannel _channel;
    private readonly byte[] _name = new byte[MaxNameLength];
    private readonly int _number;
    private int _nameLength;
    private ushort _columns;
    private ushort _rows;

    internal VirtioConsolePort(VirtioConsole console, VirtioConsoleChannel channel, int number)
    {
        _console = console;
        _channel = channel;
        _number = number;
    }

    /// <inheritdoc/>
    public override int Number => _number;

    /// <inheritdoc/>
    public override string Label => _console.Name + "p" + _number.ToString();

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Name => new(_name, 0, _nameLength);

    /// <inheritdoc/>
    public override bool IsConsole => Kind;

    /// <inheritdoc/>
    public override bool IsOpen => GuestOpen;

    /// <inheritdoc/>
    public override bool IsHostOpen => HostOpen;

    /// <inheritdoc/>
    public override ushort Columns => _columns;

    /// <inheritdoc/>
    public override ushort Rows => _rows;

    /// <inheritdoc/>
    public override bool IsFailed => !IsPresent || _console.IsFailed;

    /// <inheritdoc/>
    public override ulong BytesInDoubt => _channel.BytesInDoubt;

    /// <inheritdoc/>
    public override bool HasUnsent => !IsFailed && _channel.HasUnsent;

    /// <summary>The queues and buffers.</summary>
    internal VirtioConsoleChannel Channel => _channel;

    // What VirtioConsole notes of the port.
    internal bool Kind;
    internal bool GuestOpen;
    internal bool HostOpen;

    /// <summary>True from its announcement until it is taken away.</summary>
    internal bool IsPresent;

    /// <summary>False between a reset of the device and the port's next announcement.</summary>
    internal bool IsConfirmed;

    // Messages that have yet to be sent, and events that the listener has yet to hear of.
    internal bool OwesReady;
    internal bool OwesOpen;
    internal bool WasRead;
    internal bool WasWritten;
    internal bool WasResized;
    internal bool WasOpened;
    internal bool WasClosed;
    internal bool WasChanged;

    /// <inheritdoc/>
    public override void Open() => _console.SetOpen(this, true);

    /// <inheritdoc/>
    public override void Close() => _console.SetOpen(this, false);

    /// <inheritdoc/>
    public override uint Write(ReadOnlySpan<byte> bytes)
    {
        if (IsFailed)
        {
            return 0;
        }
        uint taken = _channel.Write(bytes);
        if (_channel.SendingCount != 0)
        {
            _console.LookSoon();
        }
        return taken;
    }

    /// <inheritdoc/>
    public override uint Read(Span<byte> into) => IsFailed ? 0 : _channel.Read(into);

    /// <summary>The port came, or came again: nothing is known of it yet.</summary>
    internal void Begin()
    {
        IsPresent = true;
        IsConfirmed = true;
        Kind = false;
        GuestOpen = false;
        HostOpen = false;
        _nameLength = 0;
        _columns = 0;
        _rows = 0;
    }

    /// <summary>Copies the name, up to the first NUL.</summary>
    internal void SetName(ReadOnlySpan<byte> name)
    {
        int length = 0;
        while (length < name.Length && length < _name.Length && name[length] != 0)
        {
            _name[length] = name[length];
            length++;
        }
        _nameLength = length;
    }

    /// <summary>Notes a size; true when it is another one.</summary>
    internal bool TrySetSize(ushort columns, ushort rows)
    {
        bool changed = columns != _columns || rows != _rows;
        _columns = columns;
        _rows = rows;
        return changed;
    }

    /// <summary>Bytes go out when somebody takes them: a console always does, at a plain port the host's end has to be open.</summary>
    internal void UpdateSending()
    {
        _channel.CanSend = IsPresent && IsConfirmed && (Kind || HostOpen);
        if (_channel.CanSend && _channel.TryContinue())
        {
            _console.LookSoon();
        }
    }
}
