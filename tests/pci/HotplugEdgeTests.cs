// Hot-plug slots at their edges: which ports have one, what is turned on and off, who hears of what, and when.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
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
    public void The_first_look_comes_with_the_first_poll_and_later_ones_with_interrupts_or_time()
    {
        Port.PutIn(HotplugScene.Disk());
        _scene.Scan();
        PciHotplugSlot slot = _scene.Watch();
        Machine.MayMiss = true;
        Port.Yank();
        _scene.Devices.Poll();
        Assert.Equal(1, slot.Departures);
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

    private sealed class Listener : PciHotplugListener
    {
        public List<string> Heard { get; } = [];

        public override void OnArrived(PciFunction function, in ProbeResult result) => Heard.Add($"arrived {result.Status}");

        public override void OnDeparted(PciHotplugSlot slot) => Heard.Add("departed");
    }
}
