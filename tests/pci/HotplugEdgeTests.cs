// Hot-plug slots at their edges: which ports have one, what is turned on and off, who hears of what, and when.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class HotplugEdgeTests : IDisposable
{
    private const ulong Millisecond = 1_000_000;
    private const uint Abilities = 0x7B;

    private readonly HotplugScene _scene = new();

    private FakeRootPort Port => _scene.Port;

    private FakeMachine Machine => _scene.Machine;

    [Theory]
    [InlineData(0x40, true, 0x40u, 0x40, true)] // a root port
    [InlineData(0x60, true, 0x40u, 0x40, true)] // a port of a switch
    [InlineData(0x50, true, 0x40u, 0x40, false)] // an upstream port
    [InlineData(0x00, true, 0x40u, 0x40, false)] // an endpoint
    [InlineData(0x40, false, 0x40u, 0x40, false)] // no slot
    [InlineData(0x60, false, 0x40u, 0x40, false)]
    [InlineData(0x40, true, 0xFFFF_FFBFu, 0x40, false)] // no hot-plug
    [InlineData(0x60, true, 0u, 0x40, false)]
    [InlineData(0x40, true, 0x40u, 0xE4, true)] // the last place at which the registers fit
    [InlineData(0x40, true, 0x40u, 0xE8, false)]
    public void A_slot_has_to_say_what_it_is(int type, bool isSlot, uint abilities, int place, bool expected)
    {
        using FakeMachine machine = new();
        FakePciFunction port = new(0x1B36, 0x000C);
        port.Set16(PciRegisters.Status, PciRegisters.StatusCapabilities);
        port.Set8(PciRegisters.CapabilitiesPointer, (byte)place);
        port.Set8(place, PciExpressRegisters.Capability);
        port.Set16(place + PciExpressRegisters.Flags, (ushort)(2 | type | (isSlot ? PciExpressRegisters.SlotImplemented : 0)));
        port.Set32(Math.Min(place + PciExpressRegisters.SlotCapabilities, 252), abilities);
        machine.Plug(port, 0, 1);
        Assert.Equal(expected, PciHotplugSlot.IsHotplugPort(new ScannedPciFunction(machine, port.Address), out _));
    }

    [Fact]
    public void A_function_without_the_capability_is_no_port()
    {
        using FakeMachine machine = new();
        FakePciFunction port = new(0x1B36, 0x000C);
        machine.Plug(port, 0, 1);
        Assert.False(PciHotplugSlot.IsHotplugPort(new ScannedPciFunction(machine, port.Address), out _));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Watching_turns_on_just_what_is_needed_and_the_end_of_it_turns_the_interrupt_off(bool hasMsi)
    {
        using HotplugScene scene = new(hasMsi);
        scene.Port.Press();
        PciHotplugSlot slot = scene.Watch();
        ushort wanted = PciExpressRegisters.PresenceChangedEnable | PciExpressRegisters.AttentionButtonEnable;
        wanted |= hasMsi ? PciExpressRegisters.HotplugInterruptEnable : (ushort)0;
        const int enables = 0x3F;
        Assert.Equal(wanted, scene.Port.Control & enables);
        Assert.Equal(0, scene.Port.SlotStatus & (PciExpressRegisters.AttentionButtonPressed | PciExpressRegisters.PresenceChanged));
        ulong first = slot.NextDeadline;
        Assert.InRange(first, scene.Machine.Clock.Now, scene.Machine.Clock.Now + 100 * Millisecond);
        slot.Remove();
        Assert.Equal(wanted & ~PciExpressRegisters.HotplugInterruptEnable, scene.Port.Control & enables);
        Assert.Equal((ulong.MaxValue, 0), (slot.NextDeadline, scene.Machine.HandlerCount));
        // It looks at nothing any more.
        scene.Port.Insert(HotplugScene.Disk());
        slot.Poll();
        slot.OnDeadline(scene.Machine.Clock.Now + 1000 * Millisecond);
        Assert.Equal(ulong.MaxValue, slot.NextDeadline);
        Assert.False(scene.Port.HasPower);
        slot.Remove();
        scene.Machine.Pull(scene.Port.Card!);
    }

    [Fact]
    public void The_first_look_comes_with_the_first_poll_though_no_interrupt_came()
    {
        using HotplugScene scene = new(hasMsi: false);
        scene.Port.PutIn(HotplugScene.Disk());
        scene.Scan();
        PciHotplugSlot slot = scene.Watch();
        scene.Machine.MayMiss = true;
        scene.Port.Yank();
        scene.Devices.Poll();
        Assert.Equal(1, slot.Departures);
    }

    [Fact]
    public void A_message_that_the_port_can_not_send_leaves_a_slot_that_is_looked_at()
    {
        Machine.NextMessage = 0x1_0000;
        PciHotplugSlot slot = _scene.Watch();
        Assert.Equal(InterruptKind.None, slot.InterruptKind);
        Assert.Equal(0, Port.Control & PciExpressRegisters.HotplugInterruptEnable);
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
    }

    [Fact]
    public void Where_the_port_does_not_say_that_a_card_is_there_one_that_answers_is()
    {
        Port.PutIn(HotplugScene.Disk());
        _scene.Scan();
        int status = 0;
        Port.OnConfigRead = (offset, width, value) =>
        {
            bool isStatus = width == 2 && offset == SlotStatusOf(Port);
            status += isStatus ? 1 : 0;
            return isStatus ? value & ~(uint)PciExpressRegisters.CardPresent : value;
        };
        PciHotplugSlot slot = _scene.Watch();
        _scene.Pass(1000 * Millisecond);
        Assert.True(status > 5);
        Assert.Equal((0, 0), (slot.Arrivals, slot.Departures));
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void Without_any_event_nobody_looks_at_a_card_and_a_change_of_the_link_alone_changes_nothing()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
        Machine.MayMiss = true;
        card.Set16(PciRegisters.SubsystemId, 0x77);
        ushort device = card.Get16(PciRegisters.DeviceId);
        card.Set16(PciRegisters.DeviceId, 0x1041);
        _scene.Pass(500 * Millisecond);
        Assert.Equal((1, 0), (slot.Arrivals, slot.Departures));
        card.Set16(PciRegisters.DeviceId, device);
        Port.ChangeLink();
        _scene.Pass(500 * Millisecond);
        Assert.Equal((1, 0), (slot.Arrivals, slot.Departures)); // the same card as before
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void A_card_that_was_let_go_and_stays_in_its_slot_is_left_alone_until_the_button_is_pressed()
    {
        Port.Say(Abilities & ~2u | 1 << 19);
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
        Port.Press();
        _scene.RunUntil(() => slot.Departures == 1);
        _scene.Pass(2000 * Millisecond);
        Assert.Equal((1, PciExpressRegisters.PowerIndicatorOff), (slot.Arrivals, Port.PowerIndicator));
        Port.Press();
        _scene.Turn();
        Assert.Equal(PciExpressRegisters.PowerIndicatorBlink, Port.PowerIndicator);
        _scene.RunUntil(() => slot.Arrivals == 2);
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void A_press_while_a_card_settles_lets_it_go_though_it_answers_at_that_moment()
    {
        Port.Say(Abilities & ~2u | 1 << 19);
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        bool answers = false;
        card.OnConfigRead = (_, _, value) => answers ? value : uint.MaxValue;
        Port.Insert(card);
        _scene.Pass(300 * Millisecond);
        answers = true;
        Port.Press();
        _scene.Turn();
        Assert.Equal((0, PciExpressRegisters.PowerIndicatorOff), (slot.Arrivals, Port.PowerIndicator));
        _scene.Pass(2000 * Millisecond);
        Assert.Equal(0, slot.Arrivals);
    }

    [Fact]
    public void Another_card_while_one_settles_has_its_time_from_the_beginning_and_early_looks_do_not_count()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        ulong first = 0;
        card.OnConfigRead = (_, _, value) =>
        {
            first = first == 0 ? Machine.Clock.Now : first;
            return value;
        };
        Port.Insert(card);
        _scene.Turn();
        Machine.FakeClock.Advance(90 * Millisecond);
        ulong changed = Machine.Clock.Now;
        Port.Flicker();
        _scene.Turn();
        Machine.FakeClock.Advance(50 * Millisecond);
        slot.OnDeadline(Machine.Clock.Now);
        Assert.Equal(0ul, first);
        Assert.InRange(slot.NextDeadline, changed + 100 * Millisecond, changed + 101 * Millisecond);
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.InRange(first, changed + 100 * Millisecond, changed + 101 * Millisecond);
    }

    [Fact]
    public void A_card_that_answers_at_the_very_last_look_is_taken()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        Port.Insert(card);
        _scene.Turn();
        ulong ready = Machine.Clock.Now + 1000 * Millisecond - 100;
        card.OnConfigRead = (_, _, value) => Machine.Clock.Now < ready ? uint.MaxValue : value;
        _scene.RunUntil(() => slot.Arrivals == 1);
        _scene.Pass(1000 * Millisecond);
        Assert.Equal((0, PciExpressRegisters.PowerIndicatorOn), (slot.Departures, Port.PowerIndicator));
        Assert.True(Port.HasPower);
    }

    [Fact]
    public void A_listener_hears_of_each_function_with_what_its_driver_said_and_of_each_card_that_leaves()
    {
        Listener listener = new();
        PciHotplugSlot slot = _scene.Watch();
        slot.Listener = listener;
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Equal([$"arrived {ProbeStatus.Bound}"], listener.Heard);
        Port.AskFor();
        _scene.RunUntil(() => slot.Departures == 1);
        Assert.Equal([$"arrived {ProbeStatus.Bound}", "departed"], listener.Heard);
        FakePciFunction other = new(0x8086, 0x4321);
        Port.Insert(other);
        _scene.RunUntil(() => slot.Arrivals == 2);
        Assert.Equal($"arrived {ProbeStatus.NotMine}", listener.Heard[^1]);
    }

    [Theory]
    [InlineData(Abilities, true)]
    [InlineData(Abilities & ~2u, false)]
    public void Power_is_only_switched_where_there_is_a_switch(uint abilities, bool hasSwitch)
    {
        Port.Say(abilities | 1 << 19);
        PciHotplugSlot slot = _scene.Watch();
        List<ushort> written = [];
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Equal(PciExpressRegisters.PowerIndicatorOn, Port.PowerIndicator);
        Port.OnConfigWrite = (offset, width, value) =>
        {
            written.Add((ushort)(width == 2 ? value : 0));
            return false;
        };
        Machine.MayMiss = true;
        Port.Press();
        _scene.RunUntil(() => slot.Departures == 1);
        Assert.Equal(hasSwitch, written.Exists(value => (value & PciExpressRegisters.PowerOff) != 0 && (value & 0x3F) == 0x29));
        Assert.Equal(PciExpressRegisters.PowerIndicatorOff, Port.PowerIndicator);
    }

    [Fact]
    public void A_card_that_was_given_up_comes_back_when_the_button_is_pressed_and_answers_then()
    {
        FakeVirtioPciDevice card = HotplugScene.Disk();
        bool answers = false;
        card.OnConfigRead = (_, _, value) => answers ? value : uint.MaxValue;
        // A port that keeps its card though power and indicator are off, as real ones do.
        Port.Say(Abilities & ~2u | 1 << 19);
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(card);
        ulong start = Machine.Clock.Now;
        _scene.RunUntil(() => Port.PowerIndicator == PciExpressRegisters.PowerIndicatorOff && Machine.Clock.Now > start + 500 * Millisecond);
        Assert.Equal(0, slot.Arrivals);
        answers = true;
        _scene.Pass(2000 * Millisecond);
        Assert.Equal(0, slot.Arrivals);
        Port.Press();
        _scene.RunUntil(() => slot.Arrivals == 1);
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void A_card_that_settles_is_looked_at_every_10_ms_from_100_ms_on()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        List<ulong> looks = [];
        card.OnConfigRead = (_, _, _) =>
        {
            looks.Add(Machine.Clock.Now);
            return uint.MaxValue;
        };
        _scene.Turn();
        ulong start = Machine.Clock.Now;
        Port.Insert(card);
        _scene.RunUntil(() => looks.Count == 3);
        Assert.InRange(looks[0] - start, 100 * Millisecond, 101 * Millisecond);
        Assert.InRange(looks[1] - looks[0], 10 * Millisecond, 11 * Millisecond);
        Assert.InRange(looks[2] - looks[1], 10 * Millisecond, 11 * Millisecond);
        Assert.Equal(0, slot.Arrivals);
        Port.Press();
        _scene.RunUntil(() => Port.Card is null);
        Assert.Equal((0, 0), (slot.Arrivals, slot.Departures));
    }

    [Fact]
    public void Time_alone_wakes_no_slot_that_is_empty()
    {
        PciHotplugSlot slot = _scene.Watch();
        _scene.Pass(1000 * Millisecond);
        Assert.Equal((0, 0, false), (slot.Arrivals, slot.Departures, Port.HasPower));
        Assert.Equal(PciExpressRegisters.PowerIndicatorOff, Port.PowerIndicator);
    }

    [Fact]
    public void A_port_that_comes_back_has_an_empty_slot_at_first()
    {
        using CapturedLog log = new();
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
        Machine.MayMiss = true;
        Port.IsPresent = false;
        _scene.RunUntil(() => slot.Departures == 1);
        Assert.Contains(log.Entries, entry => entry.StartsWith("hotplug: a port does not answer any more", StringComparison.Ordinal));
        Port.IsPresent = true;
        _scene.RunUntil(() => slot.Arrivals == 2);
        _scene.Read(_scene.TheDisk);
    }

    /// <inheritdoc/>
    public void Dispose() => _scene.Dispose();

    private static int SlotStatusOf(FakePciFunction port)
    {
        int at = port.Get8(PciRegisters.CapabilitiesPointer);
        while (port.Get8(at) != PciExpressRegisters.Capability)
        {
            at = port.Get8(at + 1);
        }
        return at + PciExpressRegisters.SlotStatus;
    }

    private sealed class Listener : PciHotplugListener
    {
        public List<string> Heard { get; } = [];

        public override void OnArrived(PciFunction function, in ProbeResult result) => Heard.Add($"arrived {result.Status}");

        public override void OnDeparted(PciHotplugSlot slot) => Heard.Add("departed");
    }
}
