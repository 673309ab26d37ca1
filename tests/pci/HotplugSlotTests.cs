// Slots whose cards come and go, on a fake port that behaves as QEMU's.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>One port with a slot, and what is plugged into it.</summary>
public sealed class HotplugSlotTests : IDisposable
{
    private const ulong Second = 1_000_000_000;

    private readonly HotplugScene _scene = new();

    private FakeMachine Machine => _scene.Machine;

    private FakeRootPort Port => _scene.Port;

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void A_card_that_is_inserted_is_driven_and_one_that_is_asked_for_leaves(bool hasMsi, bool byFirmware)
    {
        using HotplugScene scene = new(hasMsi, byFirmware);
        PciHotplugSlot slot = scene.Watch();
        Assert.Equal(hasMsi ? InterruptKind.Msi : InterruptKind.None, slot.InterruptKind);
        FakeVirtioPciDevice card = scene.Port.Insert(HotplugScene.Disk());
        scene.RunUntil(() => scene.Devices.Count == 2);
        Assert.Equal(PciExpressRegisters.PowerIndicatorOn, scene.Port.PowerIndicator);
        scene.Read(scene.TheDisk);
        scene.Port.AskFor();
        scene.RunUntil(() => scene.Port.Card is null);
        Assert.Equal((1, 1, 1), (scene.Devices.Count, slot.Arrivals, slot.Departures));
        Assert.False(card.IsPresent);
        Assert.Equal(0, scene.Port.Overruns);
    }

    [Fact]
    public void A_card_that_was_there_at_boot_leaves_when_it_is_asked_for()
    {
        Port.PutIn(HotplugScene.Disk());
        PciHotplugSlot slot = _scene.Watch();
        _scene.Read(_scene.TheDisk);
        Port.AskFor();
        _scene.RunUntil(() => Port.Card is null);
        Assert.Equal((0, 1), (slot.Arrivals, slot.Departures));
    }

    [Fact]
    public void A_card_inserted_before_anybody_watched_the_slot_is_taken_in_and_not_ejected()
    {
        Port.Insert(HotplugScene.Disk());
        PciHotplugSlot slot = _scene.Watch();
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        _scene.Pass(Second);
        Assert.Equal((1, 0), (slot.Arrivals, slot.Departures));
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void Events_of_a_card_that_the_scan_has_found_already_do_not_eject_it()
    {
        Port.PutIn(HotplugScene.Disk());
        Port.Press();
        PciHotplugSlot slot = _scene.Watch();
        _scene.Pass(Second);
        Assert.Equal((0, 0), (slot.Arrivals, slot.Departures));
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void A_card_that_left_between_the_scan_and_the_first_look_is_let_go()
    {
        Port.PutIn(HotplugScene.Disk());
        _scene.Scan();
        Machine.MayMiss = true;
        Port.Yank();
        PciHotplugSlot slot = _scene.Watch();
        _scene.RunUntil(() => _scene.Devices.Count == 1);
        Assert.Equal(1, slot.Departures);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_card_that_is_swapped_between_two_looks_is_driven_anew(bool hasMsi)
    {
        using HotplugScene scene = new(hasMsi);
        PciHotplugSlot slot = scene.Watch();
        scene.Port.Insert(HotplugScene.Disk(16));
        scene.RunUntil(() => scene.Devices.Count == 2);
        VirtioBlk first = scene.TheDisk;
        scene.Machine.MayMiss = true;
        int writes = 0;
        FakeVirtioPciDevice second = HotplugScene.Disk(32);
        second.OnConfigWrite = (_, _, _) => writes++ < 0;
        scene.Port.Swap(second);
        scene.RunUntil(() => slot.Departures == 1);
        Assert.Equal(0, writes); // the driver of the old card left the new one alone
        scene.RunUntil(() => slot.Arrivals == 2);
        Assert.NotSame(first, scene.TheDisk);
        Assert.Equal(32ul, scene.TheDisk.SectorCount);
        Assert.True(second.IsPresent);
        scene.Read(scene.TheDisk);
    }

    [Fact]
    public void Presence_that_flickers_leaves_the_card_in_service()
    {
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        Port.Flicker();
        _scene.Pass(Second);
        Assert.Equal((1, 0), (slot.Arrivals, slot.Departures));
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void A_press_while_the_card_settles_is_not_lost()
    {
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(HotplugScene.Disk());
        _scene.Turn();
        Assert.Equal(PciExpressRegisters.PowerIndicatorBlink, Port.PowerIndicator);
        Port.Press();
        _scene.RunUntil(() => Port.Card is null);
        Assert.Equal((0, 0, 1), (slot.Arrivals, slot.Departures, _scene.Devices.Count));
    }

    [Fact]
    public void A_button_that_is_pressed_twice_asks_once()
    {
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        Port.Press();
        Port.Press();
        _scene.RunUntil(() => Port.Card is null);
        _scene.Pass(Second);
        Assert.Equal((1, 1), (slot.Arrivals, slot.Departures));
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 2);
    }

    [Fact]
    public void A_card_that_never_answers_loses_its_power_after_a_second()
    {
        using CapturedLog log = new();
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        card.OnConfigRead = (_, _, _) => uint.MaxValue;
        ulong start = Machine.Clock.Now;
        Port.Insert(card);
        _scene.RunUntil(() => Port.Card is null);
        Assert.InRange(Machine.Clock.Now - start, Second, 2 * Second);
        Assert.Contains(log.Entries, entry => entry.Contains("does not answer", StringComparison.Ordinal));
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => slot.Arrivals == 1);
    }

    [Fact]
    public void A_card_that_answers_late_is_waited_for()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        ulong ready = Machine.Clock.Now + Second * 3 / 4;
        card.OnConfigRead = (_, _, value) => Machine.Clock.Now < ready ? uint.MaxValue : value;
        Port.Insert(card);
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.True(Machine.Clock.Now >= ready);
        _scene.Read(_scene.TheDisk);
    }

    [Fact]
    public void A_card_is_left_alone_for_100_ms_after_it_got_power()
    {
        _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        ulong start = Machine.Clock.Now;
        ulong first = 0;
        card.OnConfigRead = (_, _, value) =>
        {
            first = first == 0 ? Machine.Clock.Now : first;
            return value;
        };
        Port.Insert(card);
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        Assert.InRange(first - start, Second / 10, Second / 2);
    }

    [Fact]
    public void A_card_whose_probe_fails_is_quiet_and_leaves_like_any_other()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        card.Device.OfferedFeatures &= ~FakeVirtioDevice.Version1;
        Port.Insert(card);
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Equal((1, false), (_scene.Devices.Count, card.IsBusMaster));
        Port.AskFor();
        _scene.RunUntil(() => Port.Card is null);
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Requests_in_flight_end_once_when_their_card_leaves(bool isOrderly)
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = Port.Insert(HotplugScene.Disk(64));
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        ((FakeBlockDevice)card.Device).HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 16).Select(i => _scene.Submit(_scene.TheDisk, (ulong)i))];
        _scene.TheDisk.Kick();
        Machine.Run();
        Machine.MayMiss = !isOrderly;
        if (isOrderly)
        {
            Port.AskFor();
        }
        else
        {
            Port.Yank();
        }
        _scene.RunUntil(() => slot.Departures == 1);
        Assert.All(requests, request => Assert.Equal(1, request.Completions));
        Assert.All(requests, request => Assert.True(request.Status is IoStatus.Removed || (!isOrderly && request.Status is IoStatus.DeviceError)));
        Assert.Equal(1, _scene.Devices.Count);
    }

    [Fact]
    public void Commands_that_end_late_are_awaited_before_the_next_one()
    {
        _scene.Watch();
        Port.CompletesCommands = false;
        Port.Insert(HotplugScene.Disk());
        _scene.Turn();
        Port.Complete();
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        Assert.Equal(0, Port.Overruns);
    }

    [Fact]
    public void A_slot_whose_commands_never_complete_is_waited_for_once_for_a_second_and_works()
    {
        using CapturedLog log = new();
        Port.CompletesCommands = false;
        PciHotplugSlot slot = _scene.Watch();
        ulong start = Machine.Clock.Now;
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        Assert.InRange(Machine.Clock.Now - start, Second, 2 * Second);
        Assert.Single(log.Entries, entry => entry.Contains("command", StringComparison.Ordinal));
        start = Machine.Clock.Now;
        Port.AskFor();
        _scene.RunUntil(() => Port.Card is null);
        Assert.InRange(Machine.Clock.Now - start, 0ul, Second);
        Assert.Equal(1, slot.Departures);
    }

    [Fact]
    public void When_the_port_itself_vanishes_what_was_behind_it_leaves_service()
    {
        PciHotplugSlot slot = _scene.Watch();
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        TestRequest request = _scene.Submit(_scene.TheDisk, 0);
        Machine.MayMiss = true;
        Machine.Pull(Port);
        _scene.RunUntil(() => slot.Departures == 1);
        Assert.Equal(1, request.Completions);
        _scene.Pass(Second);
        Assert.Equal(1, slot.Departures);
    }

    [Fact]
    public void A_thousand_cards_come_and_go_and_nothing_is_left()
    {
        PciHotplugSlot slot = _scene.Watch();
        (int handlers, int users) = (Machine.HandlerCount, Machine.FakeDma.Users.Count);
        ulong bar = 0;
        for (int i = 0; i < 1000; i++)
        {
            FakeVirtioPciDevice card = Port.Insert(HotplugScene.Disk());
            _scene.RunUntil(() => slot.Arrivals == i + 1);
            bar = bar == 0 ? card.BarAddress(FakeVirtioPciDevice.RegisterBar) : bar;
            Assert.Equal(bar, card.BarAddress(FakeVirtioPciDevice.RegisterBar));
            Machine.MayMiss = i % 3 == 0;
            if (Machine.MayMiss)
            {
                Port.Yank();
            }
            else
            {
                Port.AskFor();
            }
            _scene.RunUntil(() => slot.Departures == i + 1 && Port.Card is null);
            Assert.Equal((handlers, 0ul, 1), (Machine.HandlerCount, Machine.FakeDma.AllocatedBytes, _scene.Devices.Count));
        }
        Assert.Equal((users, 1), (Machine.FakeDma.Users.Count, _scene.Functions.Count));
    }

    public void Dispose() => _scene.Dispose();
}
