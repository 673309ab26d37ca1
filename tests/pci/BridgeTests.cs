// Bus numbers and windows where no firmware set them; bridges let through what they were told, and nothing else.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Trees of bridges on machines with and without firmware.</summary>
public sealed class BridgeTests : MachineScene
{
    public BridgeTests() => Machine.HasRoomForBars = true;

    [Fact]
    public void A_disk_behind_bridges_behind_bridges_works_without_firmware()
    {
        FakePciBridge outer = Machine.Plug(new FakePciBridge(), 0, 2);
        FakePciBridge middle = Machine.PlugBehind(outer, new FakePciBridge());
        FakePciBridge inner = Machine.PlugBehind(middle, new FakePciBridge(), 3);
        FakePciBridge beside = Machine.PlugBehind(middle, new FakePciBridge(), 4);
        FakePciBridge second = Machine.Plug(new FakePciBridge(), 0, 5);
        FakeBlockDevice disk = new(16);
        Machine.PlugBehind(inner, new FakeVirtioPciDevice(disk), 1);
        VirtioBlk driver = FakeBinding.AttachOne<VirtioBlk>(Machine);
        ReadOne(driver);
        driver.Remove();
        Assert.Equal([(0, 1, 4), (1, 2, 4), (2, 3, 3), (2, 4, 4), (0, 5, 5)], Numbers(outer, middle, inner, beside, second));
        AssertNested(outer, middle, inner, beside, second);
    }

    [Fact]
    public void A_disk_behind_bridges_that_firmware_set_up_works_and_no_bridge_is_written()
    {
        Machine.HasRoomForBars = false;
        FakePciBridge outer = Machine.Plug(new FakePciBridge(0, 8, 12), 0, 2);
        FakePciBridge inner = Machine.PlugBehind(outer, new FakePciBridge(8, 10, 11));
        Machine.PlugBehind(inner, new FakeVirtioPciDevice(new FakeBlockDevice(16)));
        outer.OnConfigWrite = inner.OnConfigWrite = (_, _, _) => throw new InvalidOperationException("a bridge was written");
        VirtioBlk driver = FakeBinding.AttachOne<VirtioBlk>(Machine);
        ReadOne(driver);
        driver.Remove();
    }

    [Fact]
    public void Bridges_that_let_nobody_reach_memory_are_told_to_when_a_function_behind_them_is_enabled()
    {
        Machine.HasRoomForBars = false;
        FakePciBridge outer = Machine.Plug(new FakePciBridge(0, 8, 12), 0, 2);
        FakePciBridge inner = Machine.PlugBehind(outer, new FakePciBridge(8, 10, 11));
        Machine.PlugBehind(inner, new FakeVirtioPciDevice(new FakeBlockDevice(16)));
        outer.Set16(PciRegisters.Command, PciRegisters.CommandMemory);
        inner.Set16(PciRegisters.Command, PciRegisters.CommandMemory);
        VirtioBlk driver = FakeBinding.AttachOne<VirtioBlk>(Machine);
        ReadOne(driver);
        driver.Remove();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void Trees_of_any_shape_get_numbers_and_windows_that_nest(int seed)
    {
        Random random = new(seed);
        List<FakePciBridge> bridges = [];
        List<FakePciFunction> cards = [];
        for (byte i = 0; i < 12; i++)
        {
            FakePciBridge bridge = random.Next(3) == 0 ? new FakeRootPort() : new FakePciBridge();
            FakePciBridge? behind = bridges.Count == 0 || random.Next(3) == 0 ? null : bridges[random.Next(bridges.Count)];
            bridges.Add(behind is null ? Machine.Plug(bridge, 0, (byte)(i + 1)) : Machine.PlugBehind(behind, bridge, (byte)(i + 1)));
            FakePciFunction card = new(0x8086, i);
            card.AddMemoryBar(0, new FakeMemoryBar(0x1000ul << random.Next(12)), is64Bit: random.Next(2) == 0);
            cards.Add(Machine.PlugBehind(bridge, card, 31));
        }
        PciScan scan = PciScan.Run(Machine);
        Assert.Equal(bridges.Count + cards.Count, scan.Count);
        AssertNested([.. bridges]);
        for (int i = 0; i < scan.Count; i++)
        {
            Assert.True(scan[i].TryEnable());
            if (scan[i].TryMapBar(0, out IoRegion? region))
            {
                region!.Write32(0, (uint)i);
                Assert.Equal((uint)i, region.Read32(0)); // the strict fake lets it through only inside of every window
            }
        }
        Assert.All(cards, card => Assert.NotEqual(0ul, card.BarAddress(0)));
    }

    [Theory]
    [InlineData(4ul << 20)]
    [InlineData(64ul << 20)]
    public void A_window_is_as_large_as_a_large_BAR_behind_it(ulong length)
    {
        FakePciBridge outer = Machine.Plug(new FakePciBridge(), 0, 2);
        FakePciBridge inner = Machine.PlugBehind(outer, new FakePciBridge());
        FakePciFunction card = new(0x8086, 1);
        card.AddMemoryBar(0, new FakeMemoryBar(length), is64Bit: true, isPrefetchable: true);
        card.AddMemoryBar(2, new FakeMemoryBar(0x1000));
        Machine.PlugBehind(inner, card);
        PciScan scan = PciScan.Run(Machine);
        Assert.True(scan[2].TryMapBar(0, out _));
        Assert.True(scan[2].TryMapBar(2, out _));
        Assert.True(inner.WindowEnd - inner.WindowStart > length);
        AssertNested(outer, inner);
    }

    [Fact]
    public void Where_there_is_no_room_the_function_is_not_usable_and_its_neighbour_is()
    {
        using CapturedLog log = new();
        FakePciBridge bridge = Machine.Plug(new FakePciBridge(), 0, 2);
        FakePciFunction large = new(0x8086, 1);
        large.AddMemoryBar(0, new HugeBar(), is64Bit: true);
        Machine.PlugBehind(bridge, large);
        Machine.PlugBehind(bridge, new FakeVirtioPciDevice(new FakeBlockDevice(16)), 1);
        PciScan scan = PciScan.Run(Machine);
        Assert.False(scan[1].TryMapBar(0, out _));
        Assert.True(scan[2].TryMapBar(FakeVirtioPciDevice.RegisterBar, out _));
        Assert.Single(log.Entries, entry => entry.Contains("no room for a BAR", StringComparison.Ordinal));
        Assert.True(scan[1].TryEnable());
        Assert.Equal(0, large.Get16(PciRegisters.Command) & PciRegisters.CommandMemory);
    }

    [Fact]
    public void Without_any_room_a_bridge_stays_closed_and_a_disk_behind_it_is_reached_through_config_space()
    {
        using CapturedLog log = new();
        for (ulong length = 1 << 28; length > 0; length /= 2)
        {
            while (Machine.TryAssignMemory(length, out _))
            {
            }
        }
        FakePciBridge bridge = Machine.Plug(new FakePciBridge(), 0, 2);
        Machine.PlugBehind(bridge, new FakeVirtioPciDevice(new FakeBlockDevice(16)));
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(Machine);
        Assert.Contains(log.Entries, entry => entry.Contains("window of a bridge", StringComparison.Ordinal));
        Assert.False(bridge.PassesAddress(0x1000, isPorts: false));
        ReadOne(disk);
        disk.Remove();
    }

    [Fact]
    public void When_bus_numbers_run_out_the_rest_is_left_alone()
    {
        using CapturedLog log = new();
        List<FakePciBridge> bridges = [];
        for (int i = 0; i < 300; i++)
        {
            bridges.Add(i < 200 ? Port(i) : Machine.PlugBehind(bridges[i - 200], new FakePciBridge()));
        }
        PciScan scan = PciScan.Run(Machine);
        Assert.Equal(255, scan.BridgeCount);
        Assert.Contains(log.Entries, entry => entry.Contains("bus numbers", StringComparison.Ordinal));
        Assert.All(bridges.Where(bridge => bridge.Secondary != 0), bridge => Assert.True(bridge.Secondary <= bridge.Subordinate));
        Assert.Equal(255, bridges.Select(bridge => bridge.Secondary).Where(bus => bus != 0).Distinct().Count());

        FakePciBridge Port(int index)
        {
            FakePciBridge bridge = new();
            bridge.Set8(PciRegisters.HeaderType, PciRegisters.HeaderBridge | PciRegisters.HeaderMultifunction);
            return Machine.Plug(bridge, 0, (byte)(index / 8 + 1), (byte)(index % 8));
        }
    }

    [Fact]
    public void Bridges_of_one_host_bridge_get_no_numbers_of_another()
    {
        Machine.RootBuses.Add(3);
        FakePciBridge[] first = [.. Enumerable.Range(1, 4).Select(i => Machine.Plug(new FakePciBridge(), 0, (byte)i))];
        FakePciBridge second = Machine.Plug(new FakePciBridge(), 3, 1);
        PciScan.Run(Machine);
        Assert.Equal([1, 2, 0, 0], first.Select(bridge => (int)bridge.Secondary));
        Assert.Equal(4, second.Secondary);
    }

    [Fact]
    public void Each_segment_has_buses_of_its_own()
    {
        Machine.Segments = 3;
        FakePciBridge first = Machine.Plug(new FakePciBridge(), 0, 1);
        FakePciBridge second = Machine.Plug(new FakePciBridge(), 0, 1, segment: 2);
        Machine.PlugBehind(first, new FakePciFunction(0x8086, 1));
        Machine.PlugBehind(second, new FakePciFunction(0x8086, 2));
        PciScan scan = PciScan.Run(Machine);
        Assert.Equal((4, 1, 1), (scan.Count, first.Secondary, second.Secondary));
        Assert.Equal((2, 1, 2), (scan[3].Address.Segment, scan[3].Address.Bus, scan[3].ReadConfig16(PciRegisters.DeviceId)));
        scan.Forget(scan.FindBridge(first.Address)!);
        Assert.Equal(3, scan.Count);
        Assert.Equal(2, scan.ScanBehind(scan.FindBridge(first.Address)!) - 1);
        Assert.Equal(4, scan.Count);
    }

    [Theory]
    [InlineData(PciRegisters.SecondaryBus)]
    [InlineData(PciRegisters.SubordinateBus)]
    public void A_bridge_whose_numbers_do_not_stick_is_not_followed(ushort register)
    {
        using CapturedLog log = new();
        FakePciBridge broken = Machine.Plug(new FakePciBridge(), 0, 1);
        broken.OnConfigWrite = (offset, _, _) => offset == register;
        Machine.PlugBehind(broken, new FakePciFunction(0x8086, 1));
        Machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(16)), 0, 2);
        PciScan scan = PciScan.Run(Machine);
        Assert.Equal((2, 0), (scan.Count, scan.BridgeCount));
        Assert.Contains(log.Entries, entry => entry.Contains("bus numbers", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(PciRegisters.MemoryBase, true)]
    [InlineData(PciRegisters.Command, false)]
    public void A_bridge_whose_window_does_not_stick_lets_nothing_through_and_harms_nobody(ushort register, bool reachesMemory)
    {
        using CapturedLog log = new();
        FakePciBridge broken = Machine.Plug(new FakePciBridge(), 0, 1);
        broken.OnConfigWrite = (offset, _, _) => offset == register;
        Machine.PlugBehind(broken, new FakeVirtioPciDevice(new FakeBlockDevice(16)));
        Machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(16)), 0, 2);
        DeviceTable devices = FakeBinding.Attach(Machine, out List<ProbeResult> results);
        Assert.Equal((reachesMemory, true), (results[1].IsBound, results[2].IsBound)); // behind it by way of config space
        Assert.Contains(log.Entries, entry => entry.Contains("window", StringComparison.Ordinal));
        Assert.Equal(0, broken.Get16(PciRegisters.Command) & PciRegisters.CommandMemory);
        for (int i = 0; i < devices.Count; i++)
        {
            ReadOne(Assert.IsType<VirtioBlk>(devices[i]));
            devices[i].Remove();
        }
    }

    private static (int, int, int)[] Numbers(params FakePciBridge[] bridges) =>
        [.. bridges.Select(bridge => ((int)bridge.Get8(PciRegisters.PrimaryBus), (int)bridge.Secondary, (int)bridge.Subordinate))];

    private static void AssertNested(params FakePciBridge[] bridges)
    {
        foreach (FakePciBridge bridge in bridges)
        {
            Assert.Equal(bridge.Address.Bus, bridge.Get8(PciRegisters.PrimaryBus));
            Assert.True(bridge.Secondary > bridge.Address.Bus && bridge.Secondary <= bridge.Subordinate);
            if (bridge.Behind is FakePciBridge outer)
            {
                Assert.True(bridge.Subordinate <= outer.Subordinate);
                Assert.True(bridge.WindowStart >= outer.WindowStart && bridge.WindowEnd <= outer.WindowEnd);
            }
            foreach (FakePciBridge other in bridges.Where(other => other != bridge && other.Behind == bridge.Behind))
            {
                Assert.True(bridge.Subordinate < other.Secondary || other.Subordinate < bridge.Secondary);
                Assert.True(bridge.WindowEnd <= other.WindowStart || other.WindowEnd <= bridge.WindowStart);
            }
        }
    }

    private void ReadOne(VirtioBlk disk)
    {
        Assert.True(Machine.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Machine.Run();
        disk.Poll();
        Assert.Equal((1, IoStatus.Ok), (request.Completions, request.Status));
        Machine.Dma.Free(buffer);
    }

    private sealed class HugeBar : FakeBar
    {
        public override ulong Length => 1ul << 38;

        public override uint Read(ulong offset, int width) => 0;

        public override void Write(ulong offset, int width, uint value)
        {
        }
    }
}
