// A slot whose card may come and go (PCI Express base specification 6.7).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>Told of cards that come and go.</summary>
public abstract class PciHotplugListener
{
    /// <summary>A function has come, and this is what its driver said.</summary>
    public abstract void OnArrived(PciFunction function, in ProbeResult result);

    /// <summary>The card of a slot has left service.</summary>
    public abstract void OnDeparted(PciHotplugSlot slot);
}

/// <summary>
/// Watches the slot of a port. A card that comes is powered on, found and offered to the drivers; one whose button is pressed, or that is
/// gone, leaves service first, and then its slot is powered off. All work is done from <see cref="Poll"/> and <see cref="OnDeadline"/>.
/// </summary>
public sealed class PciHotplugSlot : Device
{
    private const ulong LookInterval = 100_000_000;
    private const ulong FirstLook = 100_000_000; // 6.6.1: no config access earlier
    private const ulong SettleInterval = 10_000_000;
    private const ulong SettleLimit = 1_000_000_000;
    private const ulong CommandLimit = 1_000_000_000; // 6.7.3.2
    private const ushort Events =
        PciExpressRegisters.AttentionButtonPressed | PciExpressRegisters.PresenceChanged | PciExpressRegisters.LinkChanged;

    private readonly PciFunction _port;
    private readonly PciBridge _bridge;
    private readonly PciScan _scan;
    private readonly DriverRegistry _registry;
    private readonly DeviceTable _devices;
    private readonly byte _capability;
    private readonly uint _abilities;
    private readonly NotedInterrupt _interrupt = new();
    private readonly bool _hasInterrupt;
    private State _state;
    private ulong _settleFrom;
    private ulong _settleUntil;
    private ulong _commandUntil;
    private bool _isCommandPending;
    private bool _completesCommands;
    private bool _ended;

    private enum State
    {
        Empty,
        Settling,
        InService,
        Ejected,
    }

    private PciHotplugSlot(PciFunction port, PciBridge bridge, PciScan scan, DriverRegistry registry, DeviceTable devices, byte capability)
    {
        _port = port;
        _bridge = bridge;
        _scan = scan;
        _registry = registry;
        _devices = devices;
        _capability = capability;
        _abilities = port.ReadConfig32((ushort)(capability + PciExpressRegisters.SlotCapabilities));
        _hasInterrupt = port.PrepareInterrupts(1, out InterruptKind kind) > 0 && port.TryAttachInterrupt(0, _interrupt);
        InterruptKind = _hasInterrupt ? kind : InterruptKind.None;
        _completesCommands = (_abilities & PciExpressRegisters.NoCommandCompleted) == 0;
        // What happened before somebody watched says nothing of what is wanted now: an insertion has pressed the button, too.
        WriteStatus((ushort)(ReadStatus() & Events));
        ushort enable = PciExpressRegisters.PresenceChangedEnable | PciExpressRegisters.AttentionButtonEnable;
        Command(0, (ushort)(enable | (_hasInterrupt ? PciExpressRegisters.HotplugInterruptEnable : 0)));
        // A card that the scan did not see is taken in by the first look, and one that has left since is let go.
        _state = scan.KnowsBehind(bridge) ? State.InService : State.Empty;
        _interrupt.OnInterrupt();
        NextDeadline = port.Clock.Now + LookInterval;
    }

    /// <summary>Who hears of cards that come and go; null when nobody does.</summary>
    public PciHotplugListener? Listener { get; set; }

    /// <summary>The port, for people and logs.</summary>
    public PciAddress Address => _port.Address;

    /// <summary>How the port interrupts; a slot without interrupts is looked at ten times a second.</summary>
    public InterruptKind InterruptKind { get; }

    /// <summary>How many cards have come since the slot is watched.</summary>
    public int Arrivals { get; private set; }

    /// <summary>How many cards have left.</summary>
    public int Departures { get; private set; }

    /// <summary>
    /// Watches the slot of a port; false for a function that is no port with a hot-plug capable slot. What is in the slot already has to be
    /// in service, or not at all, before.
    /// </summary>
    public static bool TryCreate(PciFunction port, PciBridge bridge, PciScan scan, DriverRegistry registry, DeviceTable devices, out PciHotplugSlot? slot)
    {
        slot = null;
        if (!IsHotplugPort(port, out byte capability) || !port.TryEnable())
        {
            return false;
        }
        slot = new PciHotplugSlot(port, bridge, scan, registry, devices, capability);
        registry.Note(port.Address, slot); // a port of a switch leaves with the switch
        return true;
    }

    /// <summary>True for a root or downstream port with a slot that says that it is hot-plug capable.</summary>
    public static bool IsHotplugPort(PciFunction port, out byte capability)
    {
        if (!PciCapabilities.TryFind(port, PciExpressRegisters.Capability, out capability) ||
            capability + PciExpressRegisters.CapabilityLength > PciRegisters.CapabilitiesEnd)
        {
            return false;
        }
        ushort flags = port.ReadConfig16((ushort)(capability + PciExpressRegisters.Flags));
        ushort type = (ushort)(flags & PciExpressRegisters.TypeMask);
        uint abilities = port.ReadConfig32((ushort)(capability + PciExpressRegisters.SlotCapabilities));
        return type is PciExpressRegisters.RootPort or PciExpressRegisters.DownstreamPort && (flags & PciExpressRegisters.SlotImplemented) != 0 &&
            (abilities & PciExpressRegisters.HotplugCapable) != 0;
    }

    /// <inheritdoc/>
    public override void Poll()
    {
        if (!_ended && _interrupt.Take())
        {
            Look();
        }
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        if (_ended)
        {
            NextDeadline = ulong.MaxValue;
            return;
        }
        NextDeadline = now + LookInterval;
        Look();
    }

    /// <summary>Stops watching; the card stays in service.</summary>
    public override void Remove()
    {
        if (!_ended)
        {
            _ended = true;
            NextDeadline = ulong.MaxValue;
            Command(PciExpressRegisters.HotplugInterruptEnable, 0);
            _port.ReleaseInterrupts();
        }
    }

    private void Look()
    {
        ushort events = ReadStatus();
        if (events == ushort.MaxValue)
        {
            LosePort();
            return;
        }
        // What is cleared before the state is read can't get lost: a later event sets it again.
        WriteStatus((ushort)(events & Events));
        // Where ACPI owns the slots QEMU's ports do not say that a card is there: one that answers is.
        bool isPresent = (ReadStatus() & PciExpressRegisters.CardPresent) != 0 || (_state == State.InService && HasFunctions());
        bool isChanged = (events & PciExpressRegisters.PresenceChanged) != 0;
        bool isLinkChanged = (events & PciExpressRegisters.LinkChanged) != 0;
        // An insertion may press the button as well: alone it is a wish.
        bool isWished = !isChanged && (events & PciExpressRegisters.AttentionButtonPressed) != 0;
        switch (_state)
        {
            case State.Empty when isPresent:
                PowerOn();
                break;
            case State.Settling:
                Settle(isPresent, isChanged, isWished);
                break;
            case State.InService when !isPresent || isWished:
                TakeOutOfService(isGone: !isPresent);
                PowerOff();
                _state = isPresent ? State.Ejected : State.Empty;
                break;
            case State.InService when (isChanged || isLinkChanged) && !_scan.IsAsBefore(_bridge):
                // The card was swapped between two looks: the new one is not set up. Without power it could be taken for one to be removed.
                TakeOutOfService(isGone: true);
                PowerOn();
                break;
            case State.Ejected when !isPresent || isChanged || isWished:
                _state = State.Empty;
                if (isPresent)
                {
                    PowerOn(); // another card, or the button was pressed again: the card stays
                }
                break;
        }
    }

    private void PowerOn()
    {
        Command(PciExpressRegisters.PowerOff | PciExpressRegisters.PowerIndicatorMask, PciExpressRegisters.PowerIndicatorBlink);
        _state = State.Settling;
        _settleFrom = _port.Clock.Now + FirstLook;
        _settleUntil = _port.Clock.Now + SettleLimit;
        NextDeadline = _settleFrom;
    }

    /// <summary>A card answers some time after it got power (6.6.1): looked at every 10 ms from 100 ms on, until a second has passed.</summary>
    private void Settle(bool isPresent, bool isChanged, bool isWished)
    {
        ulong now = _port.Clock.Now;
        if (!isPresent || isWished)
        {
            PowerOff();
            _state = isPresent ? State.Ejected : State.Empty;
            return;
        }
        if (isChanged)
        {
            PowerOn(); // another card, whose time begins now
            return;
        }
        if (now < _settleFrom)
        {
            NextDeadline = _settleFrom;
            return;
        }
        if (HasFunctions())
        {
            TakeIntoService();
            return;
        }
        NextDeadline = now + SettleInterval;
        if (now >= _settleUntil)
        {
            Log.Write(LogLevel.Warning, "hotplug", "a card that came does not answer; slot on bus", _bridge.Secondary);
            PowerOff();
            _state = State.Ejected;
        }
    }

    private void TakeIntoService()
    {
        Command(PciExpressRegisters.PowerIndicatorMask, PciExpressRegisters.PowerIndicatorOn);
        _state = State.InService;
        Arrivals++;
        int first = _scan.ScanBehind(_bridge);
        int end = _scan.Count;
        for (int i = first; i < end; i++)
        {
            PciFunction function = _scan[i];
            ProbeResult result = _registry.Attach(function);
            Listener?.OnArrived(function, result);
            PciBridge? bridge = _scan.FindBridge(function.Address);
            if (bridge is not null && TryCreate(function, bridge, _scan, _registry, _devices, out PciHotplugSlot? slot))
            {
                slot!.Listener = Listener;
                _devices.Add(slot);
            }
        }
    }

    private void TakeOutOfService(bool isGone)
    {
        Departures++;
        if (isGone)
        {
            _scan.Leave(_bridge);
        }
        _registry.Detach(_bridge.Address.Segment, _bridge.Secondary, _bridge.Subordinate);
        _scan.Forget(_bridge);
        Listener?.OnDeparted(this);
    }

    /// <summary>The port does not answer any more, and so does nothing behind it. Should it come back, its slot is looked at as an empty one.</summary>
    private void LosePort()
    {
        if (_state == State.InService)
        {
            Log.Write(LogLevel.Warning, "hotplug", "a port does not answer any more; what was behind it, on bus", _bridge.Secondary);
            TakeOutOfService(isGone: true);
        }
        _state = State.Empty;
    }

    private void PowerOff() => Command(PciExpressRegisters.PowerIndicatorMask, PciExpressRegisters.PowerOff | PciExpressRegisters.PowerIndicatorOff);

    /// <summary>Reads the vendor id of the slot's first function through its port.</summary>
    private bool HasFunctions() => _bridge.IsNumbered && _scan.IsThere(new PciAddress(_bridge.Address.Segment, _bridge.Secondary, 0, 0));

    private ushort ReadStatus() => _port.ReadConfig16((ushort)(_capability + PciExpressRegisters.SlotStatus));

    private void WriteStatus(ushort events)
    {
        if (events != 0)
        {
            _port.WriteConfig16((ushort)(_capability + PciExpressRegisters.SlotStatus), events);
        }
    }

    /// <summary>One command to the slot. Nobody waits for its end, but for the end of the one before.</summary>
    private void Command(ushort cleared, ushort set)
    {
        if ((_abilities & PciExpressRegisters.HasPowerController) == 0)
        {
            set &= unchecked((ushort)~PciExpressRegisters.PowerOff);
        }
        AwaitCommand();
        ushort place = (ushort)(_capability + PciExpressRegisters.SlotControl);
        _port.WriteConfig16(place, (ushort)(_port.ReadConfig16(place) & ~cleared | set));
        _isCommandPending = _completesCommands;
        _commandUntil = _port.Clock.Now + CommandLimit;
    }

    /// <summary>A command ends within a second (6.7.3.2). A slot that does not keep to that is not waited for again.</summary>
    private void AwaitCommand()
    {
        while (_isCommandPending && (ReadStatus() & PciExpressRegisters.CommandCompleted) == 0)
        {
            if (_port.Clock.Now >= _commandUntil)
            {
                Log.Write(LogLevel.Warning, "hotplug", "a slot does not say that a command is complete; slot on bus", _bridge.Secondary);
                _completesCommands = _isCommandPending = false;
            }
            _port.Clock.Pause();
        }
        _isCommandPending = false;
        WriteStatus((ushort)(ReadStatus() & PciExpressRegisters.CommandCompleted));
    }
}
