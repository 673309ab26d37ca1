// The fake bridges and ports find what a real one would not let through.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>A disk behind two bridges that are set up by hand, well and badly.</summary>
public sealed class FakeBridgeTests : IDisposable
{
    private const ulong Window = 0xE000_0000;

    private readonly FakeMachine _machine = new() { HasRoomForBars = true, MayMiss = true };
    private readonly FakePciBridge _outer;
    private readonly FakePciBridge _inner;
    private readonly FakeVirtioPciDevice _card;

    public FakeBridgeTests()
    {
        _outer = _machine.Plug(new FakePciBridge(), 0, 1);
        _inner = _machine.PlugBehind(_outer, new FakePciBridge());
        _card = _machine.PlugBehind(_inner, new FakeVirtioPciDevice(new FakeBlockDevice(16)));
    }

    [Theory]
    [InlineData(1, 2, 2, 2, true)]
    [InlineData(1, 5, 3, 4, true)]
    [InlineData(0, 0, 0, 0, false)]
    [InlineData(1, 1, 2, 2, false)] // the outer one ends too early
    [InlineData(1, 2, 3, 3, false)]
    public void A_function_is_reached_only_by_the_numbers_of_all_bridges_in_front(byte first, byte last, byte innerFirst, byte innerLast, bool reached)
    {
        _outer.Number(0, first, last);
        _inner.Number(first, innerFirst, innerLast);
        bool any = Enumerable.Range(0, 256).Any(bus => _machine.ReadConfig16(new PciAddress(0, (byte)bus, 0, 0), 0) == 0x1AF4);
        Assert.Equal(reached, any);
    }

    [Fact]
    public void Numbers_that_are_given_twice_are_found()
    {
        FakePciBridge second = _machine.Plug(new FakePciBridge(), 0, 2);
        _machine.PlugBehind(second, new FakePciFunction(0x8086, 1));
        _outer.Number(0, 1, 1);
        second.Number(0, 1, 1);
        Assert.Throws<FakeDeviceException>(() => _machine.ReadConfig16(new PciAddress(0, 1, 0, 0), 0));
        _machine.Violations.Forgive();
    }

    [Fact]
    public void Memory_is_reached_only_through_open_windows_of_all_bridges_in_front()
    {
        const int Bar = FakeVirtioPciDevice.RegisterBar;
        _outer.Number(0, 1, 2);
        _inner.Number(1, 2, 2);
        _card.AssignBar(Bar, Window);
        _card.Set16(PciRegisters.Command, PciRegisters.CommandMemory | PciRegisters.CommandBusMaster);
        Assert.True(_machine.TryMapMemory(Window, 0x4000, out IoRegion? region));
        Open(_outer, Window, Window + 0x1F_FFFF);
        Open(_inner, Window, Window + 0xF_FFFF);
        Assert.NotEqual(0xFF, region!.Read8(20));
        Open(_inner, Window + 0x10_0000, Window + 0x1F_FFFF);
        Assert.Equal(0xFF, region.Read8(20));
        Open(_inner, Window, Window + 0xF_FFFF);
        _outer.Set16(PciRegisters.Command, PciRegisters.CommandBusMaster);
        Assert.Equal(0xFF, region.Read8(20));
        Assert.True(_card.IsBusMaster);
        _outer.Set16(PciRegisters.Command, PciRegisters.CommandMemory);
        Assert.NotEqual(0xFF, region.Read8(20));
        Assert.False(_card.IsBusMaster);
    }

    [Fact]
    public void A_port_keeps_a_card_without_power_hidden_and_gives_it_up_when_power_and_indicator_go_off()
    {
        FakeRootPort port = _machine.Plug(new FakeRootPort(), 0, 4);
        port.Number(0, 9, 9);
        FakePciFunction card = port.Insert(new FakePciFunction(0x8086, 1));
        PciAddress place = new(0, 9, 0, 0);
        ushort control = (ushort)(port.Get8(PciRegisters.CapabilitiesPointer) + PciExpressRegisters.SlotControl);
        Assert.Equal(0xFFFF, _machine.ReadConfig16(place, 0));
        _machine.WriteConfig16(port.Address, control, PciExpressRegisters.PowerIndicatorBlink);
        Assert.Equal(0x8086, _machine.ReadConfig16(place, 0));
        _machine.WriteConfig16(port.Address, control, PciExpressRegisters.PowerIndicatorOff);
        Assert.Same(card, port.Card);
        _machine.WriteConfig16(port.Address, control, PciExpressRegisters.PowerIndicatorOff | PciExpressRegisters.PowerOff);
        Assert.Null(port.Card);
        Assert.Equal(0xFFFF, _machine.ReadConfig16(place, 0));
        Assert.Equal(0, port.SlotStatus & PciExpressRegisters.CardPresent);
    }

    public void Dispose() => _machine.Dispose();

    private static void Open(FakePciBridge bridge, ulong first, ulong last)
    {
        bridge.Set16(PciRegisters.MemoryBase, (ushort)(first >> 16));
        bridge.Set16(PciRegisters.MemoryLimit, (ushort)(last >> 16 & 0xFFF0));
        bridge.Set32(PciRegisters.PrefetchableBase, 0x0000_FFF0);
        bridge.Set16(PciRegisters.Command, PciRegisters.CommandMemory | PciRegisters.CommandBusMaster);
    }
}
