// What a bridge lets through: its window for memory, the one for prefetchable memory with 32 and 64 bits, and those of the bridges in front of it.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Bridges whose registers are set by hand, and functions behind them whose BARs are.</summary>
public sealed class BridgeWindowTests : IDisposable
{
    private const ushort Closed = 0xFFF0;

    private readonly FakeMachine _machine = new();
    private readonly FakePciBridge _bridge = new(0, 1, 2);

    public BridgeWindowTests()
    {
        _machine.Plug(_bridge, 0, 1);
        SetMemory(_bridge, Closed, 0);
        SetPrefetchable(_bridge, Closed, 0, 0, 0);
    }

    [Theory]
    [InlineData(0xE000_0000, 0x1000, true)]
    [InlineData(0xE000_0000, 0x80_0000, true)] // all of it
    [InlineData(0xE07F_F000, 0x1000, true)]
    [InlineData(0xE07F_F000, 0x1001, false)]
    [InlineData(0xE000_0000, 0x80_0001, false)]
    [InlineData(0xDFFF_F000, 0x1000, false)]
    [InlineData(0xDFFF_FFFF, 2, false)]
    [InlineData(0xE080_0000, 1, false)]
    [InlineData(0, 0x1000, false)]
    public void Memory_gets_through_the_window_for_memory(ulong start, ulong length, bool passes)
    {
        SetMemory(_bridge, 0xE000, 0xE070);
        Assert.Equal(passes, Read(_bridge).LetsThrough(start, length));
    }

    [Theory]
    [InlineData(0xF000_0000, 0x10_0000, true)]
    [InlineData(0xF000_0000, 0x10_0001, false)]
    [InlineData(0xEFFF_FFFF, 1, false)]
    [InlineData(0xF010_0000, 1, false)]
    [InlineData(0x1_F000_0000, 1, false)]
    public void Of_a_prefetchable_window_of_32_bits_the_upper_halves_mean_nothing(ulong start, ulong length, bool passes)
    {
        SetPrefetchable(_bridge, 0xF000, 0xF000, 1, 1);
        Assert.Equal(passes, Read(_bridge).LetsThrough(start, length));
    }

    [Theory]
    [InlineData(0x8_1000_0000, 0x100_0000, true)]
    [InlineData(0x8_1000_0000, 0x100_0001, false)]
    [InlineData(0x8_0FFF_FFFF, 1, false)]
    [InlineData(0x8_1100_0000, 1, false)]
    [InlineData(0x1000_0000, 0x1000, false)]
    public void A_prefetchable_window_of_64_bits_lies_where_both_halves_say(ulong start, ulong length, bool passes)
    {
        SetPrefetchable(_bridge, 0x1001, 0x10F1, 8, 8);
        Assert.Equal(passes, Read(_bridge).LetsThrough(start, length));
    }

    [Fact]
    public void A_window_may_span_4_GiB_boundaries()
    {
        SetPrefetchable(_bridge, 0xFFF1, 0x0001, 7, 9);
        PciBridge bridge = Read(_bridge);
        Assert.True(bridge.LetsThrough(0x7_FFF0_0000, 0x1_0020_0000));
        Assert.False(bridge.LetsThrough(0x7_FFF0_0000, 0x1_0020_0001));
    }

    [Fact]
    public void Closed_windows_let_nothing_through_and_registers_of_zero_name_none()
    {
        Assert.False(Read(_bridge).LetsThrough(0xFFF0_0000, 1));
        SetMemory(_bridge, 0, 0);
        SetPrefetchable(_bridge, 0, 0, 0, 0);
        Assert.False(Read(_bridge).LetsThrough(0, 1));
        SetPrefetchable(_bridge, 1, 1, 0, 0);
        Assert.False(Read(_bridge).LetsThrough(0, 1));
    }

    [Fact]
    public void Behind_two_bridges_both_have_to_let_it_through()
    {
        FakePciBridge inner = new(1, 2, 2);
        _machine.Plug(inner, 1, 0);
        SetMemory(_bridge, 0xE000, 0xE030);
        SetMemory(inner, 0xE020, 0xE050); // half of it lies outside
        PciBridge outer = Read(_bridge);
        PciBridge both = new(_machine, inner.Address, outer);
        Assert.True(both.LetsThrough(0xE020_0000, 0x20_0000));
        Assert.False(both.LetsThrough(0xE020_0000, 0x20_0001));
        Assert.False(both.LetsThrough(0xE000_0000, 0x1000));
        Assert.True(outer.LetsThrough(0xE000_0000, 0x1000));
    }

    [Theory]
    [InlineData(0x10_0000ul, true)] // within the window: it stays
    [InlineData(0x80_0000ul, false)] // right behind it
    public void A_BAR_outside_the_window_gets_another_place_and_one_inside_keeps_its_own(ulong offset, bool stays)
    {
        using FakeMachine machine = new();
        FakePciBridge bridge = new(0, 1, 1);
        machine.Plug(bridge, 0, 1);
        FakePciFunction function = new(0x1234, 0x5678);
        function.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        machine.PlugBehind(bridge, function);
        ulong place = bridge.WindowStart + offset;
        function.AssignBar(0, place);
        PciScan scan = PciScan.Run(machine);
        PciFunction found = Assert.Single(Enumerable.Range(0, scan.Count).Select(i => scan[i]), each => each.Address.Bus == 1);
        Assert.True(found.TryEnable());
        Assert.True(found.TryGetBar(0, out PciBar bar));
        Assert.Equal((0x1000ul, false), (bar.Length, bar.IsPorts));
        Assert.Equal(stays, bar.Address == place);
        Assert.InRange(bar.Address, bridge.WindowStart, bridge.WindowEnd - 0x1000);
        Assert.Equal(bar.Address, function.BarAddress(0));
        Assert.True(found.TryMapBar(0, out IoRegion? region));
        region!.Write32(0, 0x1234_5678);
        Assert.Equal(0x1234_5678u, region.Read32(0));
    }

    public void Dispose() => _machine.Dispose();

    private PciBridge Read(FakePciBridge bridge) => new(_machine, bridge.Address, null);

    private static void SetMemory(FakePciBridge bridge, ushort first, ushort last)
    {
        bridge.Set16(PciRegisters.MemoryBase, first);
        bridge.Set16(PciRegisters.MemoryLimit, last);
    }

    private static void SetPrefetchable(FakePciBridge bridge, ushort first, ushort last, uint firstUpper, uint lastUpper)
    {
        bridge.Set16(PciRegisters.PrefetchableBase, first);
        bridge.Set16(PciRegisters.PrefetchableBase + 2, last);
        bridge.Set32(PciRegisters.PrefetchableBaseUpper, firstUpper);
        bridge.Set32(PciRegisters.PrefetchableLimitUpper, lastUpper);
    }
}
