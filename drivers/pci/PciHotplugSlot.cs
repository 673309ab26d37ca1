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
    private const ulong SettleTime = 10_000_000;
    private const int MaxSettleLooks = 100;
    private const int MaxCommandLooks = 10_000;

    private readonly PciFunction _port;
    private readonly PciBridge _bridge;
    private readonly PciScan _scan;
    private readonly DriverRegistry _registry;
    private readonly DeviceTable _devices;
    private readonly byte _capability;
    private readonly uint _abilities;
    private readonly SlotInterrupt _interrupt = new();
    private readonly bool _hasInterrupt;
    private State _state;
    private ulong _lookAt;
    private int _looksLeft;
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
        bool isPresent = (ReadStatus() & PciExpressRegisters.CardPresent) != 0;
        _state = isPresent && HasFunctions() ? State.InService : State.Empty;
        ushort enable = PciExpressRegisters.PresenceChangedEnable | PciExpressRegisters.AttentionButtonEnable;
        WriteControl(0, (ushort)(enable | (_hasInterrupt ? PciExpressRegisters.HotplugInterruptEnable : 0)));
        _interrupt.OnInterrupt(); // what happened before now is looked at first
        _lookAt = port.Clock.Now + LookInterval;
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

    /// <inheritdoc/>
    public override ulong NextDeadline => _lookAt;

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
            _lookAt = ulong.MaxValue;
            return;
        }
        _lookAt = now + LookInterval;
        Look();
    }

    /// <summary>Stops watching; the card stays in service.</summary>
    public override void Remove()
    {
        if (!_ended)
        {
            _ended = true;
            _lookAt = ulong.MaxValue;
            WriteControl(PciExpressRegisters.HotplugInterruptEnable, 0);
            _port.ReleaseInterrupts();
        }
    }

    private void Look()
    {
        ushort status = ReadStatus();
        if (status == ushort.MaxValue)
        {
            return; // the port itself does not answer
        }
        // What is cleared before it is acted on can't get lost: a later event sets it again.
        ushort events = PciExpressRegisters.AttentionButtonPressed | PciExpressRegisters.PresenceChanged | PciExpressRegisters.LinkChanged;
        WriteStatus((ushort)(status & events));
        bool isPresent = (status & PciExpressRegisters.CardPresent) != 0;
        bool isPressed = (status & PciExpressRegisters.AttentionButtonPressed) != 0;
        switch (_state)
        {
            case State.Empty when isPresent:
                PowerOn();
                break;
            case State.Settling:
                Settle(isPresent);
                break;
            case State.InService when !isPresent || isPressed:
                TakeOutOfService();
                PowerOff();
                _state = isPresent ? State.Ejected : State.Empty;
                break;
            case State.Ejected when !isPresent || isPressed:
                _state = State.Empty;
                if (isPresent)
                {
                    PowerOn(); // the button was pressed again: the card stays
                }
                break;
        }
    }

    private void PowerOn()
    {
        WriteControl(PciExpressRegisters.PowerOff | PciExpressRegisters.PowerIndicatorMask, PciExpressRegisters.PowerIndicatorBlink);
        _state = State.Settling;
        _looksLeft = MaxSettleLooks;
        _lookAt = _port.Clock.Now + SettleTime;
    }

    /// <summary>A card answers some time after it got power (6.6.1): at most a second, looked at every 10 ms.</summary>
    private void Settle(bool isPresent)
    {
        if (isPresent && !HasFunctions() && --_looksLeft > 0)
        {
            _lookAt = _port.Clock.Now + SettleTime;
            return;
        }
        if (!isPresent || _looksLeft <= 0)
        {
            Log.Write(LogLevel.Warning, "hotplug", "a card that came does not answer; slot on bus", _bridge.Secondary);
            PowerOff();
            _state = isPresent ? State.Ejected : State.Empty;
            return;
        }
        WriteControl(PciExpressRegisters.PowerIndicatorMask, PciExpressRegisters.PowerIndicatorOn);
        _state = State.InService;
        Arrivals++;
        int first = _scan.ScanBehind(_bridge);
        int end = _scan.Count;
        for (int i = first; i < end; i++)
        {
            PciFunction function = _scan[i];
            ProbeResult result = _registry.Attach(function);
            Listener?.OnArrived(function, result);
        }
    }

    private void TakeOutOfService()
    {
        Departures++;
        _registry.Detach(_bridge.Address.Segment, _bridge.Secondary, _bridge.Subordinate);
        _scan.Forget(_bridge);
        Listener?.OnDeparted(this);
    }

    private void PowerOff() => WriteControl(PciExpressRegisters.PowerIndicatorMask, PciExpressRegisters.PowerOff | PciExpressRegisters.PowerIndicatorOff);

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

    /// <summary>One command to the slot, awaited where the slot says when it is done (6.7.3.2).</summary>
    private void WriteControl(ushort cleared, ushort set)
    {
        if ((_abilities & PciExpressRegisters.HasPowerController) == 0)
        {
            set &= unchecked((ushort)~PciExpressRegisters.PowerOff);
        }
        ushort place = (ushort)(_capability + PciExpressRegisters.SlotControl);
        WriteStatus(PciExpressRegisters.CommandCompleted);
        _port.WriteConfig16(place, (ushort)(_port.ReadConfig16(place) & ~cleared | set));
        bool awaited = (_abilities & PciExpressRegisters.NoCommandCompleted) == 0;
        for (int i = 0; awaited && i < MaxCommandLooks; i++)
        {
            awaited = (ReadStatus() & PciExpressRegisters.CommandCompleted) == 0;
            if (awaited)
            {
                _port.Clock.Pause();
            }
        }
        WriteStatus(PciExpressRegisters.CommandCompleted);
    }

    private sealed class SlotInterrupt : InterruptHandler
    {
        private bool _noted;

        public override bool OnInterrupt()
        {
            _noted = true;
            return true;
        }

        internal bool Take()
        {
            if (!_noted)
            {
                return false; // not cleared: an interrupt that comes now is not forgotten
            }
            _noted = false;
            return true;
        }
    }
}
