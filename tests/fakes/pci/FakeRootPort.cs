// A port with a hot-plug slot, as QEMU 7.2 models it (PCI Express base specification 6.7, 7.5.3).
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>
/// A root port with attention button, power controller and indicators. A card without power answers nothing; an insertion raises presence and
/// button together; an orderly removal presses the button, and the card leaves when power and power indicator are off.
/// </summary>
public sealed class FakeRootPort : FakePciBridge
{
    private const uint HotplugCapable = 0x7B; // button, power controller, both indicators, surprise, hot-plug
    private const ushort Offs = PciExpressRegisters.PowerIndicatorOff | 3 << 6;
    private const ushort Events = PciExpressRegisters.AttentionButtonPressed | PciExpressRegisters.PresenceChanged |
        PciExpressRegisters.CommandCompleted | PciExpressRegisters.LinkChanged;

    private readonly ushort _capability;
    private readonly List<FakePciFunction> _functions = [];
    private bool _wasAsking;
    private bool _isBusy;

    /// <summary>Makes a port that nobody gave numbers.</summary>
    public FakeRootPort(bool hasMsi = true, ushort type = PciExpressRegisters.RootPort)
        : base(0x1B36, 0x000C)
    {
        byte[] body = new byte[PciExpressRegisters.CapabilityLength - 2];
        _capability = AddCapability(PciExpressRegisters.Capability, body);
        Set16(_capability + PciExpressRegisters.Flags, (ushort)(2 | type | PciExpressRegisters.SlotImplemented));
        Set32(_capability + PciExpressRegisters.SlotCapabilities, HotplugCapable | 1 << 19);
        Allow(_capability + PciExpressRegisters.SlotControl, 2, 0x07F9);
        Control = Offs | PciExpressRegisters.PowerOff;
        Msi = hasMsi ? new FakeMsi(this) : null;
    }

    /// <summary>MSI; null when the port has none.</summary>
    public FakeMsi? Msi { get; }

    /// <summary>What is in the slot.</summary>
    public FakePciFunction? Card { get; private set; }

    /// <summary>False when commands complete late, when the test says so, or never.</summary>
    public bool CompletesCommands { get; set; } = true;

    /// <summary>How many commands came while the one before was not complete.</summary>
    public int Overruns { get; private set; }

    /// <summary>Slot control.</summary>
    public ushort Control
    {
        get => Get16(_capability + PciExpressRegisters.SlotControl);
        private set => Set16(_capability + PciExpressRegisters.SlotControl, value);
    }

    /// <summary>Slot status.</summary>
    public ushort SlotStatus
    {
        get => Get16(_capability + PciExpressRegisters.SlotStatus);
        private set => Set16(_capability + PciExpressRegisters.SlotStatus, value);
    }

    /// <summary>What the power indicator shows.</summary>
    public ushort PowerIndicator => (ushort)(Control & PciExpressRegisters.PowerIndicatorMask);

    /// <summary>True when the slot gives power.</summary>
    public bool HasPower => (Control & PciExpressRegisters.PowerOff) == 0;

    /// <summary>Changes what the slot says that it has.</summary>
    public void Say(uint abilities) => Set32(_capability + PciExpressRegisters.SlotCapabilities, abilities);

    /// <summary>Puts a card in before the machine is turned on.</summary>
    public T PutIn<T>(T card)
        where T : FakePciFunction
    {
        Card = card;
        SlotStatus |= PciExpressRegisters.CardPresent;
        Control = (ushort)(Control & ~(PciExpressRegisters.PowerOff | PciExpressRegisters.PowerIndicatorMask) | PciExpressRegisters.PowerIndicatorOn);
        return Machine.PlugBehind(this, card);
    }

    /// <summary>Plugs a card in while the machine runs (device_add).</summary>
    public T Insert<T>(T card)
        where T : FakePciFunction
    {
        Machine.Violations.Require(Card is null, "a card is in the slot already");
        Card = card;
        Machine.PlugBehind(this, card, byFirmware: false);
        card.Power(HasPower);
        SlotStatus |= PciExpressRegisters.CardPresent;
        Raise(PciExpressRegisters.PresenceChanged | PciExpressRegisters.AttentionButtonPressed);
        return card;
    }

    /// <summary>Gives the card in the slot another function, which comes and goes with it; the first one says whether it is looked for.</summary>
    public void AddFunction(FakePciFunction function, byte number)
    {
        Machine.Violations.Require(Card is not null && number != 0, "a function needs a card, and a number of its own");
        Machine.PlugBehind(this, function, number: number, byFirmware: false);
        function.Power(HasPower);
        _functions.Add(function);
    }

    /// <summary>Asks for the card (device_del): at once when the slot has no power, else by the button.</summary>
    public void AskFor()
    {
        if (!HasPower && PowerIndicator == PciExpressRegisters.PowerIndicatorOff)
        {
            TakeOut();
        }
        else
        {
            Press();
        }
    }

    /// <summary>Somebody presses the button.</summary>
    public void Press() => Raise(PciExpressRegisters.AttentionButtonPressed);

    /// <summary>Presence changes and is as before.</summary>
    public void Flicker() => Raise(PciExpressRegisters.PresenceChanged);

    /// <summary>The link changed, which nobody is told of.</summary>
    public void ChangeLink() => Raise(PciExpressRegisters.LinkChanged);

    /// <summary>The card is pulled without asking.</summary>
    public void Yank() => TakeOut();

    /// <summary>The card is pulled and another one put in before anybody looks.</summary>
    public T Swap<T>(T card)
        where T : FakePciFunction
    {
        TakeOut();
        return Insert(card);
    }

    /// <summary>The command before is complete.</summary>
    public void Complete()
    {
        _isBusy = false;
        Raise(PciExpressRegisters.CommandCompleted);
    }

    /// <inheritdoc/>
    protected override bool TryWriteConfig(ushort offset, int width, uint value)
    {
        int status = _capability + PciExpressRegisters.SlotStatus;
        int control = _capability + PciExpressRegisters.SlotControl;
        if (offset < control || offset > status + 1)
        {
            return false;
        }
        Machine.Violations.Require(width == 2 && offset % 2 == 0, "slot control and status were written together: events can get lost");
        if (offset == status)
        {
            Machine.Violations.Require((value & ~(uint)Events) == 0, $"slot status was written with 0x{value:X}, which has bits that can only be read");
            SlotStatus &= (ushort)~(value & Events);
            Notify();
            return true;
        }
        bool wasOff = !HasPower && PowerIndicator == PciExpressRegisters.PowerIndicatorOff;
        Control = (ushort)(value & 0x07F9);
        Overruns += _isBusy ? 1 : 0;
        _isBusy = true;
        if (Card is not null && !wasOff && !HasPower && PowerIndicator == PciExpressRegisters.PowerIndicatorOff)
        {
            TakeOut();
        }
        Card?.Power(HasPower);
        _functions.ForEach(function => function.Power(HasPower));
        if (CompletesCommands)
        {
            Complete();
        }
        Notify();
        return true;
    }

    private void TakeOut()
    {
        if (Card is null)
        {
            return;
        }
        FakePciFunction card = Card;
        Card = null;
        foreach (FakePciFunction function in _functions.Append(card))
        {
            function.Power(false);
            Machine.Unplug(function);
        }
        _functions.Clear();
        SlotStatus &= unchecked((ushort)~PciExpressRegisters.CardPresent);
        Raise(PciExpressRegisters.PresenceChanged);
    }

    private void Raise(ushort events)
    {
        SlotStatus |= events;
        Notify();
    }

    /// <summary>A message goes out when an event that is enabled stands where none did.</summary>
    private void Notify()
    {
        ushort enabled = (ushort)(Control & SlotStatus & (PciExpressRegisters.AttentionButtonPressed | PciExpressRegisters.PresenceChanged |
            PciExpressRegisters.CommandCompleted));
        bool asks = enabled != 0 && (Control & PciExpressRegisters.HotplugInterruptEnable) != 0;
        if (asks && !_wasAsking && IsBusMaster && Msi is { IsEnabled: true })
        {
            Msi.Raise();
        }
        _wasAsking = asks;
    }
}
