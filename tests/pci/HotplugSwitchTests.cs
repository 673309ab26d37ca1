// Switches that are plugged in while the machine runs: numbers, windows and slots for what is behind them.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>A switch with two downstream ports in the slot of a root port.</summary>
public sealed class HotplugSwitchTests : IDisposable
{
    private const ulong Second = 1_000_000_000;

    private readonly HotplugScene _scene = new();

    private FakeRootPort Port => _scene.Port;

    [Fact]
    public void Ports_with_a_slot_get_spare_numbers_and_a_window_where_no_firmware_set_them()
    {
        _scene.Watch();
        Assert.Equal((1, 5), (Port.Secondary, Port.Subordinate));
        Assert.Equal(8ul << 20, Port.WindowEnd - Port.WindowStart);
    }

    [Fact]
    public void Spare_numbers_are_not_given_at_the_cost_of_those_that_are_needed()
    {
        using FakeMachine machine = new() { HasRoomForBars = true };
        List<FakeRootPort> ports = [];
        for (int i = 0; i < 200; i++)
        {
            FakeRootPort port = new();
            port.Set8(PciRegisters.HeaderType, PciRegisters.HeaderBridge | PciRegisters.HeaderMultifunction);
            ports.Add(i < 100 ? machine.Plug(port, 0, (byte)(i / 8), (byte)(i % 8)) : machine.PlugBehind(ports[i - 100], port));
        }
        Assert.Equal(200, PciScan.Run(machine).BridgeCount);
        Assert.All(ports, port => Assert.NotEqual(0, port.Secondary));
        Assert.All(ports[..100], port => Assert.Equal(port.Secondary + 1, port.Subordinate)); // not one number is spare, with the first port neither
    }

    [Theory]
    [InlineData(5, 5)]
    [InlineData(4, 1)]
    public void Spare_numbers_are_given_when_all_of_them_are_within_reach(byte lastBus, byte subordinate)
    {
        using FakeMachine machine = new() { HasRoomForBars = true, LastReachableBus = lastBus };
        FakeRootPort port = machine.Plug(new FakeRootPort(), 0, 3);
        PciScan.Run(machine);
        Assert.Equal((1, subordinate), (port.Secondary, port.Subordinate));
    }

    [Fact]
    public void A_switch_that_is_plugged_in_leaves_spare_numbers_to_those_that_come_after_it()
    {
        using HotplugScene scene = new(hasMsi: true, byFirmware: true);
        scene.Port.Number(0, 1, 40);
        PciHotplugSlot slot = scene.Watch();
        FakePciBridge upstream = scene.Port.Insert(new FakePciBridge());
        FakeRootPort inner = scene.Machine.PlugBehind(upstream, new FakeRootPort(type: PciExpressRegisters.DownstreamPort), byFirmware: false);
        scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Equal((2, 3, 3, 3), (upstream.Secondary, upstream.Subordinate, inner.Secondary, inner.Subordinate));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disk_behind_a_switch_that_is_plugged_in_works_and_so_does_the_next_switch(bool byFirmware)
    {
        using HotplugScene scene = new(hasMsi: true, byFirmware);
        scene.Port.Number(0, 0, 0);
        if (byFirmware)
        {
            scene.Port.Number(0, 1, 4); // firmware that leaves numbers for this
        }
        PciHotplugSlot slot = scene.Watch();
        for (int i = 1; i <= 20; i++)
        {
            (FakePciBridge upstream, FakePciBridge[] ports) = Insert(scene);
            scene.RunUntil(() => slot.Arrivals == i);
            Assert.Equal((2, 3, 4), (upstream.Secondary, ports[0].Secondary, ports[1].Secondary));
            Assert.True(upstream.WindowStart >= scene.Port.WindowStart && upstream.WindowEnd <= scene.Port.WindowEnd);
            scene.Read(scene.TheDisk);
            scene.Machine.MayMiss = i % 2 == 0;
            if (scene.Machine.MayMiss)
            {
                scene.Port.Yank();
            }
            else
            {
                scene.Port.AskFor();
            }
            scene.RunUntil(() => slot.Departures == i && scene.Port.Card is null);
            Assert.Equal((1, 1, 1), (scene.Devices.Count, scene.Functions.Count, scene.Functions.BridgeCount));
        }
    }

    [Fact]
    public void A_switch_in_a_slot_without_spare_numbers_is_left_alone()
    {
        using CapturedLog log = new();
        using HotplugScene scene = new(hasMsi: true, byFirmware: true);
        PciHotplugSlot slot = scene.Watch();
        Insert(scene);
        scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Contains(log.Entries, entry => entry.Contains("bus numbers", StringComparison.Ordinal));
        Assert.Equal((1, 1), (scene.Devices.Count, scene.Functions.BridgeCount));
        scene.Port.AskFor();
        scene.RunUntil(() => scene.Port.Card is null);
        scene.Port.Insert(HotplugScene.Disk());
        scene.RunUntil(() => scene.Devices.Count == 2);
        scene.Read(scene.TheDisk);
    }

    [Fact]
    public void Slots_of_a_switch_are_watched_from_its_arrival_to_its_end()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakePciBridge upstream = Port.Insert(new FakePciBridge());
        FakeRootPort inner = _scene.Machine.PlugBehind(upstream, new FakeRootPort(type: PciExpressRegisters.DownstreamPort), byFirmware: false);
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Equal(2, _scene.Devices.Count);
        inner.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 3);
        _scene.Read(_scene.TheDisk);
        inner.AskFor();
        _scene.RunUntil(() => inner.Card is null);
        inner.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 3);
        Port.AskFor();
        _scene.RunUntil(() => Port.Card is null);
        Assert.Equal(1, _scene.Devices.Count);
        _scene.Pass(Second);
    }

    [Fact]
    public void A_card_of_several_functions_comes_and_goes_as_one()
    {
        PciHotplugSlot slot = _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        card.Set8(PciRegisters.HeaderType, PciRegisters.HeaderMultifunction);
        FakePciFunction second = new(0x8086, 1);
        second.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        Port.Insert(card);
        _scene.Machine.PlugBehind(Port, second, number: 1, byFirmware: false);
        _scene.RunUntil(() => slot.Arrivals == 1);
        Assert.Equal(3, _scene.Functions.Count);
        _scene.Machine.Unplug(second);
        Port.AskFor();
        _scene.RunUntil(() => Port.Card is null);
        Assert.Equal(1, _scene.Functions.Count);
    }

    /// <summary>Config cycles for such a bus go elsewhere: what answers there belongs to somebody else, and may be in service.</summary>
    [Theory]
    [InlineData(0x40, 0x40, true)]
    [InlineData(0x30, 0x30, false)]
    [InlineData(3, 0x30, false)]
    public void A_card_that_says_it_leads_to_a_bus_that_is_not_its_ports_is_not_followed(byte secondary, byte subordinate, bool isRootBus)
    {
        byte other = subordinate;
        if (isRootBus)
        {
            _scene.Machine.RootBuses.Add(other);
        }
        FakeVirtioPciDevice disk = _scene.Machine.Plug(HotplugScene.Disk(), other, 0);
        _scene.Watch();
        for (int i = 0; i < _scene.Functions.Count; i++)
        {
            _scene.Registry.Attach(_scene.Functions[i]);
        }
        Assert.Equal(isRootBus ? 2 : 1, _scene.Devices.Count);
        int resets = disk.Device.Resets;
        FakePciBridge card = new();
        card.OnConfigRead = (offset, width, value) => (offset, width) switch
        {
            (PciRegisters.SecondaryBus, 1) => secondary,
            (PciRegisters.SubordinateBus, 1) => subordinate,
            _ => value,
        };
        Port.Insert(card);
        _scene.Pass(Second);
        Assert.Equal((isRootBus ? 2 : 1, resets), (_scene.Devices.Count, disk.Device.Resets));
        Assert.Equal(1, _scene.Functions.BridgeCount);
    }

    /// <summary>Accesses to such a place go elsewhere: what answers there belongs to somebody else, and may be in service.</summary>
    [Fact]
    public void A_card_that_says_its_registers_are_where_another_device_has_them_reaches_nothing_of_that()
    {
        FakeVirtioPciDevice disk = _scene.Machine.Plug(HotplugScene.Disk(), 0, 5);
        ulong place = disk.BarAddress(FakeVirtioPciDevice.RegisterBar);
        _scene.Watch();
        FakeVirtioPciDevice card = HotplugScene.Disk();
        int low = PciRegisters.Bar0 + 4 * FakeVirtioPciDevice.RegisterBar;
        card.OnConfigRead = (offset, width, value) => width != 4 ? value
            : offset == low ? value & 15 | (uint)place : offset == low + 4 ? (uint)(place >> 32) : value;
        Port.Insert(card);
        _scene.Pass(Second);
        Assert.Equal((0, 1), (disk.Device.Resets, _scene.Devices.Count));
        Port.Yank();
        _scene.Machine.MayMiss = true;
        _scene.Pass(Second);
        Port.Insert(HotplugScene.Disk());
        _scene.RunUntil(() => _scene.Devices.Count == 2);
        _scene.Read(_scene.TheDisk);
    }

    public void Dispose() => _scene.Dispose();

    private static (FakePciBridge Upstream, FakePciBridge[] Ports) Insert(HotplugScene scene)
    {
        FakePciBridge upstream = new();
        FakePciBridge[] ports = [new(), new()];
        scene.Port.Insert(upstream);
        for (byte i = 0; i < ports.Length; i++)
        {
            scene.Machine.PlugBehind(upstream, ports[i], i, byFirmware: false);
        }
        scene.Machine.PlugBehind(ports[1], HotplugScene.Disk(), byFirmware: false);
        return (upstream, ports);
    }
}
