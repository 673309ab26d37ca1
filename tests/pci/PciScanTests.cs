// Finding functions on every bus.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>The scan, on machines made for it.</summary>
public sealed class PciScanTests : IDisposable
{
    private readonly FakeMachine _machine = new();

    [Fact]
    public void An_empty_machine_has_no_functions() => Assert.Equal(0, PciScan.Run(_machine).Count);

    [Fact]
    public void Functions_are_found_on_bus_0_in_the_order_of_their_slots()
    {
        Plug(0, 31);
        Plug(0, 0);
        Plug(0, 7);
        Assert.Equal([(0, 0, 0), (0, 7, 0), (0, 31, 0)], Scan());
    }

    [Fact]
    public void Functions_above_0_are_found_only_behind_the_multifunction_bit()
    {
        Plug(0, 1).Set8(PciRegisters.HeaderType, PciRegisters.HeaderMultifunction);
        Plug(0, 1, 3);
        Plug(0, 1, 7);
        Plug(0, 2);
        Plug(0, 2, 1);
        Assert.Equal([(0, 1, 0), (0, 1, 3), (0, 1, 7), (0, 2, 0)], Scan());
    }

    [Fact]
    public void Functions_behind_bridges_behind_bridges_are_found()
    {
        _machine.Plug(new FakePciBridge(0, 1, 3), 0, 2);
        _machine.Plug(new FakePciBridge(1, 3, 3), 1, 0);
        Plug(3, 5);
        Plug(0, 9);
        Assert.Equal([(0, 2, 0), (1, 0, 0), (3, 5, 0), (0, 9, 0)], Scan());
    }

    [Theory]
    [InlineData(0, 0, 255)]
    [InlineData(0, 5, 4)]
    public void A_bridge_that_leads_back_or_nowhere_is_not_followed(byte primary, byte secondary, byte subordinate)
    {
        _machine.Plug(new FakePciBridge(primary, secondary, subordinate), 0, 1);
        Plug(0, 2);
        Assert.Equal([(0, 1, 0), (0, 2, 0)], Scan());
    }

    [Fact]
    public void Two_bridges_to_the_same_bus_show_it_once()
    {
        _machine.Plug(new FakePciBridge(0, 1, 1), 0, 1);
        _machine.Plug(new FakePciBridge(0, 1, 1), 0, 2);
        Plug(1, 0);
        Assert.Equal([(0, 1, 0), (1, 0, 0), (0, 2, 0)], Scan());
    }

    [Fact]
    public void A_scan_writes_nothing()
    {
        FakePciFunction function = Plug(0, 1);
        function.OnConfigWrite = (_, _, _) => throw new InvalidOperationException("the scan wrote config space");
        Assert.Single(Scan());
    }

    public void Dispose() => _machine.Dispose();

    private FakePciFunction Plug(byte bus, byte device, byte function = 0) => _machine.Plug(new FakePciFunction(0x8086, 0x1234), bus, device, function);

    private (int Bus, int Device, int Function)[] Scan()
    {
        PciScan scan = PciScan.Run(_machine);
        return [.. Enumerable.Range(0, scan.Count).Select(i => ((int)scan[i].Address.Bus, (int)scan[i].Address.Device, (int)scan[i].Address.Function))];
    }
}
