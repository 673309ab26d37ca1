// A virtio console in service: its life, and when it is looked at (virtio 5.3.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Drivers.Console;

/// <summary>A device with one port, or with several that the device announces.</summary>
public sealed partial class VirtioConsole : ConsoleDevice
{
    private const ulong LookAgainInterval = 10_000_000;
    private const ulong IdleInterval = 200_000_000;

    private readonly VirtioDevice _virtio;
    private readonly VirtioConsoleControl? _control;
    private readonly VirtioConsoleChannel[] _channels;
    private readonly VirtioConsolePort?[] _known;
    private readonly VirtioConsolePort[] _ports;
    private int _portCount;
    private bool _failed;

    internal VirtioConsole(VirtioDevice virtio, VirtioConsoleChannel[] channels, VirtioConsoleControl? control)
    {
        _virtio = virtio;
        _channels = channels;
        _control = control;
        _known = new VirtioConsolePort?[channels.Length];
        _ports = new VirtioConsolePort[channels.Length];
    }

    /// <summary>The virtio device under it, for those who list what was agreed on.</summary>
    public VirtioDevice Virtio => _virtio;

    /// <inheritdoc/>
    public override object? Hardware => _virtio;

    /// <summary>True when the device is out of service.</summary>
    public bool IsFailed => _failed;

    /// <inheritdoc/>
    public override int PortCount => _portCount;

    /// <summary>The most ports that there can be.</summary>
    public int MaxPorts => _channels.Length;

    /// <inheritdoc/>
    public override bool IsPolled => _virtio.IsPolled;

    /// <inheritdoc/>
    public override bool WantsPolling => _virtio.IsPolled && !_failed && IsSending();

    /// <summary>How often a doorbell or an interrupt had to be made good for.</summary>
    public ulong LostDoorbells { get; private set; }

    /// <summary>How long an idle console is left alone: input without an interrupt is looked for more often.</summary>
    private ulong Idle => _virtio.IsPolled ? LookAgainInterval : IdleInterval;

    /// <inheritdoc/>
    public override ConsolePort Port(int index)
    {
        Contract.Require((uint)index < (uint)_portCount, "no port has this index");
        return _ports[index];
    }

    /// <inheritdoc/>
    public override bool TryWriteEmergency(byte value) =>
        // Offered is enough: it works without any agreement (5.3.4, 5.3.5).
        (_virtio.OfferedFeatures & VirtioConsoleFormat.EmergencyWrite) != 0 && _virtio.Transport.IsPresent &&
        _virtio.TryWriteConfig32(VirtioConsoleFormat.EmergencyOffset, value);

    /// <inheritdoc/>
    public override void Poll()
    {
        if (_failed)
        {
            return;
        }
        PollControl();
        bool moved = false;
        bool broken = _control is not null && _control.IsBroken;
        for (int i = 0; i < _channels.Length; i++)
        {
            VirtioConsoleChannel channel = _channels[i];
            if (channel.IsLive)
            {
                moved |= PollChannel(channel, _known[i]!);
                broken |= channel.IsBroken;
            }
        }
        bool changed = _virtio.TakeConfigChange();
        if (broken || (changed && _virtio.NeedsReset()))
        {
            Recover();
        }
        else
        {
            _recoveriesInVain = moved ? 0 : _recoveriesInVain;
            if (changed)
            {
                ReadSize();
            }
        }
        Tell();
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        NextDeadline = ulong.MaxValue;
        Poll();
        if (!_failed && _virtio.NeedsReset())
        {
            Recover();
            Tell();
        }
        else if (!_failed && _virtio.IsPolled)
        {
            ReadSize();
            Tell();
        }
        if (_failed)
        {
            return;
        }
        if (!IsSending())
        {
            // Should the interrupt of something received get lost, none would follow with EVENT_IDX: it was looked for above.
            NextDeadline = now + Idle;
            return;
        }
        for (int i = 0; i < _channels.Length; i++)
        {
            LostDoorbells += _channels[i].LookAgain() ? 1u : 0;
        }
        if (_control is not null && _control.HasUnsent)
        {
            _control.KickAgain();
        }
        NextDeadline = now + LookAgainInterval;
    }

    /// <inheritdoc/>
    public override void Remove()
    {
        GiveUp();
        Tell();
    }

    /// <summary>Something is on its way: it is looked at soon.</summary>
    internal void LookSoon() => NextDeadline = Math.Min(NextDeadline, _virtio.Transport.Clock.Now + LookAgainInterval);

    /// <summary>Called once the device was started: what it sends can come.</summary>
    internal void Begin()
    {
        for (int i = 0; i < _channels.Length; i++)
        {
            if (_channels[i].IsLive)
            {
                _channels[i].BeginReceiving();
            }
        }
        if (_control is not null)
        {
            _control.BeginReceiving();
            // Told first of all: without it no port is announced (5.3.5).
            _control.TrySend(0, VirtioConsoleFormat.DeviceReady, 1);
            _control.Kick();
        }
        NextDeadline = _virtio.Transport.Clock.Now + (IsSending() ? LookAgainInterval : Idle);
        ReadSize();
    }

    private bool IsSending()
    {
        bool sending = _control is not null && _control.HasUnsent;
        for (int i = 0; i < _channels.Length; i++)
        {
            sending |= _channels[i].SendingCount != 0;
        }
        return sending;
    }

    private static bool PollChannel(VirtioConsoleChannel channel, VirtioConsolePort port)
    {
        bool received = channel.PollReceive();
        bool sent = channel.PollTransmit();
        if (!port.IsPresent)
        {
            channel.Discard();
            return false;
        }
        port.WasRead |= received;
        port.WasWritten |= sent;
        return received || sent;
    }

    /// <summary>Reads columns and rows of the first port (5.3.4).</summary>
    private void ReadSize()
    {
        if (_virtio.Has(VirtioConsoleFormat.Size) && _known[0] is VirtioConsolePort first)
        {
            first.WasResized |= first.TrySetSize(
                _virtio.ReadConfig16(VirtioConsoleFormat.ColumnsOffset), _virtio.ReadConfig16(VirtioConsoleFormat.RowsOffset));
        }
    }
}
