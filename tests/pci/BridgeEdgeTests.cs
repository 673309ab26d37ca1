// Bridges and the scan at their edges: windows of firmware, tables that are just full, bridges that changed.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class BridgeEdgeTests : IDisposable
{
    private readonly FakeMachine _machine = new();

    [Theory]
    [InlineData(1, 0xE000, 0xE010, 0xE000_0000, 0x20_0000)]
    [InlineData(1, 0xE000, 0xE000, 0xE000_0000, 0x10_0000)]
    [InlineData(1, 0xE00F, 0xE01F, 0xE000_0000, 0x20_0000)] // the lowest four bits say something else
    [InlineData(1, 0xE010, 0xE000, 0, 0)] // closed
    [InlineData(1, 0xFFF0, 0x0000, 0, 0)]
    [InlineData(1, 0x0000, 0xE000, 0, 0)] // nobody has set it
    [InlineData(0, 0xE000, 0xE010, 0, 0)] // it leads nowhere
    public void The_window_that_firmware_set_is_what_its_registers_say(byte secondary, ushort start, ushort last, uint expected, uint length)
    {
        FakePciBridge fake = new(0, secondary, secondary);
        _machine.Plug(fake, 0, 3);
        fake.Set16(PciRegisters.MemoryBase, start);
        fake.Set16(PciRegisters.MemoryLimit, last);
        PciBridge bridge = new(_machine, fake.Address, null);
        Assert.Equal((expected, length), ((uint)bridge.Room.Start, (uint)bridge.Room.Length));
        Assert.Equal((secondary, secondary != 0), (bridge.Secondary, bridge.IsNumbered));
    }

    [Fact]
    public void The_scan_goes_up_to_the_last_bus_and_the_last_segment_and_no_farther()
    {
        _machine.Segments = 2;
        _machine.LastReachableBus = 7;
        _machine.RootBuses.UnionWith([7, 8]);
        FakePciFunction last = _machine.Plug(new FakePciFunction(0x8086, 1), 7, 0);
        FakePciFunction lastSegment = _machine.Plug(new FakePciFunction(0x8086, 1), 0, 31, segment: 1);
        _machine.Plug(new FakePciFunction(0x8086, 1), 5, 0); // no bridge and no host bridge leads there
        _machine.Plug(new FakePciFunction(0x8086, 1), 8, 0);
        _machine.Plug(new FakePciFunction(0x8086, 1), 0, 0, segment: 2);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal([last.Address, lastSegment.Address], Enumerable.Range(0, scan.Count).Select(i => scan[i].Address));
    }

    [Fact]
    public void Where_buses_have_to_be_numbered_a_bridge_that_has_numbers_keeps_them()
    {
        _machine.HasRoomForBars = true;
        FakePciBridge numbered = _machine.Plug(new FakePciBridge(0, 7, 9), 0, 3);
        FakePciBridge other = _machine.Plug(new FakePciBridge(), 0, 4);
        PciScan.Run(_machine);
        Assert.Equal((7, 9, 10), (numbered.Secondary, numbered.Subordinate, other.Secondary));
    }

    [Fact]
    public void A_bridge_that_is_opened_has_one_window_and_its_other_one_is_closed()
    {
        _machine.HasRoomForBars = true;
        FakePciBridge fake = new();
        fake.Set32(PciRegisters.PrefetchableBase, 0xD010_D000);
        _machine.Plug(fake, 0, 3);
        FakePciFunction card = new(0x8086, 0x1234);
        card.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _machine.PlugBehind(fake, card, byFirmware: false);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal((2, 1), (scan.Count, scan.BridgeCount));
        Assert.Equal(0x0000_FFF0u, fake.Get32(PciRegisters.PrefetchableBase));
        PciBridge bridge = scan.FindBridge(fake.Address)!;
        Assert.Equal((fake.WindowStart, fake.WindowEnd - fake.WindowStart), (bridge.Room.Start, bridge.Room.Length));
        Assert.Null(scan.FindBridge(new PciAddress(0, 0, 4, 0)));
        Assert.Equal(scan[1].Address, card.Address);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(31)]
    public void Bridges_and_functions_of_any_number_are_found_forgotten_and_found_again(int cards)
    {
        FakePciBridge top = new(0, 1, 40);
        _machine.Plug(top, 0, 3);
        for (byte i = 0; i < cards; i++)
        {
            _machine.Plug(new FakePciBridge(1, (byte)(2 + i), (byte)(2 + i)), 1, i);
        }
        _machine.Plug(new FakePciFunction(0x8086, 0x1234), 0, 4);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal((cards + 2, cards + 1), (scan.Count, scan.BridgeCount));
        PciBridge bridge = scan.FindBridge(top.Address)!;
        Assert.True(scan.KnowsBehind(bridge));
        Assert.True(scan.IsAsBefore(bridge));
        scan.Forget(bridge);
        Assert.Equal((2, 1), (scan.Count, scan.BridgeCount));
        Assert.False(scan.KnowsBehind(bridge));
        Assert.Equal((3, 4), (scan[0].Address.Device, scan[1].Address.Device));
        Assert.Equal(2, scan.ScanBehind(bridge));
        Assert.Equal((cards + 2, cards + 1), (scan.Count, scan.BridgeCount));
        scan.Forget(bridge);
        scan.Forget(bridge);
        Assert.Equal((2, 1), (scan.Count, scan.BridgeCount));
    }

    [Fact]
    public void What_lies_behind_a_bridge_is_as_before_until_a_function_or_a_bridge_right_behind_it_changes()
    {
        FakePciBridge top = _machine.Plug(new FakePciBridge(0, 1, 3), 0, 3);
        FakePciBridge other = _machine.Plug(new FakePciBridge(0, 4, 5), 0, 4);
        FakePciBridge first = _machine.Plug(new FakePciBridge(1, 2, 2), 1, 0);
        FakePciBridge second = _machine.Plug(new FakePciBridge(1, 3, 3), 1, 1);
        FakePciBridge beside = _machine.Plug(new FakePciBridge(4, 5, 5), 4, 0);
        FakePciFunction card = _machine.Plug(new FakePciFunction(0x8086, 0x1234), 1, 2);
        PciScan scan = PciScan.Run(_machine);
        PciBridge bridge = scan.FindBridge(top.Address)!;
        PciBridge neighbour = scan.FindBridge(other.Address)!;
        Assert.True(scan.IsAsBefore(bridge) && scan.IsAsBefore(neighbour));
        foreach (FakePciBridge changed in new[] { first, second })
        {
            byte secondary = changed.Secondary;
            changed.Set8(PciRegisters.SecondaryBus, 0);
            Assert.False(scan.IsAsBefore(bridge));
            Assert.True(scan.IsAsBefore(neighbour));
            changed.Set8(PciRegisters.SecondaryBus, secondary);
        }
        beside.Set8(PciRegisters.SecondaryBus, 9);
        Assert.True(scan.IsAsBefore(bridge));
        Assert.False(scan.IsAsBefore(neighbour));
        card.Set16(PciRegisters.DeviceId, 0x4321);
        Assert.False(scan.IsAsBefore(bridge));
        card.Set16(PciRegisters.DeviceId, 0x1234);
        Assert.True(scan.IsAsBefore(bridge));
        Assert.Null(scan.FindBridge(card.Address));
    }

    [Fact]
    public void A_bridge_that_leads_nowhere_has_nothing_new_behind_it()
    {
        FakePciBridge fake = _machine.Plug(new FakePciBridge(0, 1, 1), 0, 3);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal(1, scan.ScanBehind(scan.FindBridge(fake.Address)!));
        Assert.Equal(1, scan.Count);
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();
}
