// A virtio console: ports that are announced, change and go (virtio 5.3.6.2).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Console;

public sealed partial class VirtioConsole
{
    private const int MaxRounds = 64;

    private bool _owesAny;

    /// <summary>How many control messages made no sense and were ignored.</summary>
    public ulong IgnoredMessages { get; private set; }

    /// <summary>Without MULTIPORT there is one port, and it is a console; false when there is no memory for it.</summary>
    internal bool TryAddOnlyPort()
    {
        if (!TryAdd(0))
        {
            return false;
        }
        VirtioConsolePort port = _known[0]!;
        port.Kind = true;
        port.GuestOpen = true;
        port.HostOpen = true;
        port.UpdateSending();
        port.WasChanged = false;
        return true;
    }

    /// <summary>Opens or closes this end of a port, and tells the device.</summary>
    internal void SetOpen(VirtioConsolePort port, bool open)
    {
        if (_control is null || port.IsFailed || port.GuestOpen == open)
        {
            return;
        }
        port.GuestOpen = open;
        port.OwesOpen = true;
        _owesAny = true;
        SendOwed();
    }

    private void PollControl()
    {
        if (_control is null)
        {
            return;
        }
        bool quiet = false;
        for (int round = 0; round < MaxRounds && !quiet; round++)
        {
            // Within a round as well: a packed ring shows the device what it has back at once.
            for (int i = 0; i < MaxRounds && _control.TryReceive(out ushort buffer, out ReadOnlySpan<byte> message); i++)
            {
                IgnoredMessages += TryHandle(message) ? 0 : 1u;
                _control.Release(buffer);
            }
            quiet = _control.TryEndRound();
        }
        if (!quiet)
        {
            LookSoon(); // a device that never ceases has its turn again later
        }
        SendOwed();
        _control.Kick();
    }

    /// <summary>Does what a message says; false when it makes no sense.</summary>
    private bool TryHandle(ReadOnlySpan<byte> message)
    {
        if (message.Length < VirtioConsoleFormat.ControlLength)
        {
            return false;
        }
        uint id = BinaryPrimitives.ReadUInt32LittleEndian(message.Slice(VirtioConsoleFormat.ControlIdOffset));
        ushort what = BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(VirtioConsoleFormat.ControlEventOffset));
        ushort value = BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(VirtioConsoleFormat.ControlValueOffset));
        if (id >= (uint)_channels.Length)
        {
            // A port that can't be served is refused; should there be no room for the answer, the device gets none.
            _ = what == VirtioConsoleFormat.DeviceAdd && _control!.TrySend((int)id, VirtioConsoleFormat.PortReady, 0);
            return false;
        }
        if (what == VirtioConsoleFormat.DeviceAdd)
        {
            return TryAnnounce((int)id);
        }
        VirtioConsolePort? port = _known[id];
        if (port is null || !port.IsPresent)
        {
            return false;
        }
        switch (what)
        {
            case VirtioConsoleFormat.DeviceRemove:
                RemovePort(port);
                return true;
            case VirtioConsoleFormat.ConsolePort:
                // Answered each time, as the specification wants it (5.3.6.2.2).
                port.Kind = true;
                port.GuestOpen = true;
                port.OwesOpen = true;
                _owesAny = true;
                break;
            case VirtioConsoleFormat.PortOpen:
                port.WasOpened |= value != 0 && !port.HostOpen;
                port.WasClosed |= value == 0 && port.HostOpen;
                port.HostOpen = value != 0;
                break;
            case VirtioConsoleFormat.PortName:
                port.SetName(message.Slice(VirtioConsoleFormat.ControlLength));
                break;
            case VirtioConsoleFormat.Resize:
                return TryResize(port, message);
            default:
                return false;
        }
        port.WasChanged = true;
        port.UpdateSending();
        return true;
    }

    private static bool TryResize(VirtioConsolePort port, ReadOnlySpan<byte> message)
    {
        if (message.Length < VirtioConsoleFormat.ControlLength + VirtioConsoleFormat.ResizeLength)
        {
            return false;
        }
        port.WasResized |= port.TrySetSize(
            BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(VirtioConsoleFormat.ResizeColumnsOffset)),
            BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(VirtioConsoleFormat.ResizeRowsOffset)));
        return true;
    }

    /// <summary>The device announced a port; false when it had done so before.</summary>
    private bool TryAnnounce(int number)
    {
        VirtioConsolePort? port = _known[number];
        bool wasLive = _channels[number].IsLive;
        if (port is not null && port.IsPresent)
        {
            if (port.IsConfirmed)
            {
                return false;
            }
            // It is there again after a reset of the device, and as open as it was.
            port.IsConfirmed = true;
            port.OwesOpen = port.GuestOpen;
        }
        else if (TryAdd(number))
        {
            port = _known[number]!;
            if (!wasLive)
            {
                port.Channel.BeginReceiving(); // buffers of one that was there before are with the device still
            }
            ReadSize();
        }
        else
        {
            Log.Write(LogLevel.Error, "virtio-console", "there is no memory for the buffers of a port", (ulong)number);
            _control!.TrySend(number, VirtioConsoleFormat.PortReady, 0);
            return true;
        }
        port.OwesReady = true;
        _owesAny = true;
        return true;
    }

    private bool TryAdd(int number)
    {
        VirtioConsoleChannel channel = _channels[number];
        bool wasLive = channel.IsLive;
        if (!channel.TryMakeBuffers())
        {
            return false;
        }
        VirtioConsolePort port = _known[number] ??= new VirtioConsolePort(this, channel, number);
        if (wasLive)
        {
            channel.Discard();
        }
        port.Begin();
        port.WasChanged = true;
        _ports[_portCount++] = port;
        return true;
    }

    private void RemovePort(VirtioConsolePort port)
    {
        int index = 0;
        while (_ports[index] != port)
        {
            index++;
        }
        _portCount--;
        for (int i = index; i < _portCount; i++)
        {
            _ports[i] = _ports[i + 1];
        }
        port.IsPresent = false;
        port.OwesReady = false;
        port.OwesOpen = false;
        port.Channel.Discard();
        port.WasChanged = true;
    }

    /// <summary>Sends the messages that are due, as far as there is room; the rest follows when some came back.</summary>
    private void SendOwed()
    {
        if (!_owesAny)
        {
            return;
        }
        bool room = true;
        for (int i = 0; i < _portCount && room; i++)
        {
            VirtioConsolePort port = _ports[i];
            if (port.OwesReady && port.IsConfirmed)
            {
                room = _control!.TrySend(port.Number, VirtioConsoleFormat.PortReady, 1);
                port.OwesReady = !room;
            }
            if (room && port.OwesOpen && port.IsConfirmed)
            {
                room = _control!.TrySend(port.Number, VirtioConsoleFormat.PortOpen, port.GuestOpen ? (ushort)1 : (ushort)0);
                port.OwesOpen = !room;
            }
        }
        _owesAny = !room;
        _control!.Kick();
        LookSoon();
    }

    /// <summary>Tells listeners what happened. They may write, read, open, close, and remove the device.</summary>
    private void Tell()
    {
        for (int i = 0; i < _known.Length; i++)
        {
            if (_known[i] is VirtioConsolePort port)
            {
                Tell(port);
            }
        }
    }

    private void Tell(VirtioConsolePort port)
    {
        ConsoleListener? listener = port.Listener;
        bool gone = !port.IsPresent || _failed;
        if (port.WasChanged)
        {
            port.WasChanged = false;
            if (gone)
            {
                port.Listener = null;
                port.WasRead = port.WasWritten = port.WasClosed = true;
                port.WasOpened = port.WasResized = false;
                PortListener?.OnPortRemoved(port);
            }
            else
            {
                PortListener?.OnPortChanged(port);
            }
        }
        if (Take(ref port.WasResized))
        {
            listener?.OnResized();
        }
        if (Take(ref port.WasOpened))
        {
            listener?.OnOpened();
        }
        if (Take(ref port.WasRead))
        {
            listener?.OnReadable();
        }
        if (Take(ref port.WasWritten))
        {
            listener?.OnWritable();
        }
        if (Take(ref port.WasClosed))
        {
            listener?.OnClosed();
        }
    }

    private static bool Take(ref bool flag)
    {
        bool was = flag;
        flag = false;
        return was;
    }
}
