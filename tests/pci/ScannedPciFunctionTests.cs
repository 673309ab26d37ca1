// BARs, command register and interrupts of a function.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>What a scanned function says of its BARs, and what it does with interrupts.</summary>
public sealed class ScannedPciFunctionTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakePciFunction _fake = new(0x8086, 0x1234);

    [Fact]
    public void BARs_of_every_sort_are_sized()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _fake.AddPortBar(1, new FakeMemoryBar(0x20));
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000), is64Bit: true, isPrefetchable: true);
        ScannedPciFunction function = Plug();
        Expect(function, 0, 0x1000, ports: false, is64Bit: false, prefetchable: false);
        Expect(function, 1, 0x20, ports: true, is64Bit: false, prefetchable: false);
        Expect(function, 2, 0x4000, ports: false, is64Bit: true, prefetchable: true);
        Assert.False(function.TryGetBar(3, out _));
        Assert.False(function.TryGetBar(4, out _));
        Assert.False(function.TryGetBar(6, out _));
        Assert.False(function.TryGetBar(-1, out _));
    }

    [Fact]
    public void A_mapped_BAR_reads_and_writes_the_registers_of_the_device()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _fake.AddPortBar(1, new FakeMemoryBar(0x20));
        ScannedPciFunction function = Plug();
        foreach (int index in (int[])[0, 1])
        {
            Assert.True(function.TryMapBar(index, out IoRegion? region));
            region!.Write32(4, 0x12345678);
            region.Write16(8, 0xABCD);
            region.Write8(11, 0xEF);
            Assert.Equal(0x12345678u, region.Read32(4));
            Assert.Equal(0x78, region.Read8(4));
            Assert.Equal(0xEF00ABCDu, region.Read32(8));
            Assert.Equal(0xABCDu, _fake.BarAt(index)!.Read(8, 2));
        }
    }

    /// <summary>It would be taken for gone as soon as somebody looks: what it was lent would be given back, and it never be reset.</summary>
    [Fact]
    public void A_function_with_other_ids_than_the_scan_found_is_not_enabled()
    {
        _machine.Plug(_fake, 0, 1);
        _fake.OnConfigRead = (offset, width, value) => offset == PciRegisters.VendorId && width == 4 ? 0x5678_8086u : value;
        ScannedPciFunction function = PciScan.Run(_machine)[0];
        _fake.OnConfigRead = null;
        Assert.False(function.TryEnable());
        Assert.False(_fake.IsBusMaster);
        Assert.True(PciScan.Run(_machine)[0].TryEnable());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_BAR_that_no_firmware_assigned_is_assigned_where_the_machine_has_room(bool is64Bit)
    {
        _machine.HasRoomForBars = true;
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000), is64Bit);
        ScannedPciFunction function = Plug();
        _fake.AssignBar(2, 0);
        _fake.Set16(PciRegisters.Command, 0);
        Expect(function, 2, 0x4000, ports: false, is64Bit, prefetchable: false);
        Assert.True(function.TryEnable());
        Assert.True(function.TryMapBar(2, out IoRegion? region));
        region!.Write32(4, 0x12345678);
        Assert.Equal(0x12345678u, _fake.BarAt(2)!.Read(4, 4));
        Assert.Equal(0ul, _fake.BarAddress(2) % 0x4000);
    }

    [Fact]
    public void A_BAR_that_nobody_assigned_is_sized_but_never_mapped_nor_decoded()
    {
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000));
        ScannedPciFunction function = Plug();
        _fake.AssignBar(2, 0);
        _fake.Set16(PciRegisters.Command, 0);
        Assert.True(function.TryGetBar(2, out PciBar bar));
        Assert.Equal((0ul, 0x4000ul), (bar.Address, bar.Length));
        Assert.False(function.TryMapBar(2, out _));
        Assert.True(function.TryEnable());
        Assert.Equal(PciRegisters.CommandBusMaster, _fake.Get16(PciRegisters.Command));
    }

    [Fact]
    public void A_BAR_that_refuses_its_address_stays_unassigned()
    {
        _machine.HasRoomForBars = true;
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000));
        ScannedPciFunction function = Plug();
        _fake.AssignBar(2, 0);
        _fake.Set16(PciRegisters.Command, 0);
        _fake.OnConfigWrite = (offset, _, value) => offset == PciRegisters.Bar0 + 8 && value is not 0 and not uint.MaxValue;
        Assert.True(function.TryGetBar(2, out PciBar bar));
        Assert.Equal(0ul, bar.Address);
        Assert.False(function.TryMapBar(2, out _));
    }

    [Fact]
    public void Sizing_leaves_BARs_and_command_as_they_were()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _fake.AddPortBar(1, new FakeMemoryBar(0x20));
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000), is64Bit: true);
        ScannedPciFunction function = Plug();
        _fake.Set16(PciRegisters.Command, 0x0147);
        byte[] before = Snapshot();
        Assert.True(function.TryGetBar(0, out _));
        Assert.Equal(before, Snapshot());

        byte[] Snapshot() => [.. Enumerable.Range(0, 0x40).Select(offset => _fake.Get8(offset))];
    }

    [Fact]
    public void Enabling_turns_decoding_and_bus_mastering_on_and_disabling_bus_mastering_off()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        ScannedPciFunction function = Plug();
        _fake.Set16(PciRegisters.Command, 0);
        Assert.True(function.TryEnable());
        Assert.Equal(PciRegisters.CommandMemory | PciRegisters.CommandBusMaster, _fake.Get16(PciRegisters.Command));
        function.Disable();
        Assert.False(_fake.IsBusMaster);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(2048)]
    [Trait("Requirement", "PCI-MSIX-1")]
    public void Every_size_of_MSIX_table_works(ushort size)
    {
        FakeMsixTable table = new(_fake, 1, size);
        ScannedPciFunction function = Plug();
        Assert.Equal(Math.Min(size, (ushort)3), function.PrepareInterrupts(3, out InterruptKind kind));
        Assert.Equal(InterruptKind.MsiX, kind);
        Assert.True(table.IsEnabled);
        Counter handler = new();
        Assert.True(table.IsMasked(0));
        Assert.True(function.TryAttachInterrupt(0, handler));
        Assert.False(table.IsMasked(0));
        table.Raise(0);
        Assert.Equal(1, handler.Count);
        Assert.False(function.TryAttachInterrupt(size, handler));
        function.ReleaseInterrupts();
        Assert.Equal((true, false, 0), (table.IsMasked(0), table.IsEnabled, _machine.HandlerCount));
    }

    [Fact]
    public void An_interrupt_that_came_while_its_vector_was_masked_is_delivered_when_it_is_attached()
    {
        FakeMsixTable table = new(_fake, 1, 2);
        ScannedPciFunction function = Plug();
        function.PrepareInterrupts(2, out _);
        table.Raise(1);
        Counter handler = new();
        Assert.True(function.TryAttachInterrupt(1, handler));
        Assert.Equal(1, handler.Count);
        function.ReleaseInterrupts();
    }

    [Fact]
    public void Without_MSIX_the_pin_is_used_and_without_a_pin_nothing()
    {
        _fake.Set8(PciRegisters.InterruptPin, 1);
        ScannedPciFunction function = Plug();
        Assert.Equal(1, function.PrepareInterrupts(3, out InterruptKind kind));
        Assert.Equal(InterruptKind.Pin, kind);
        Counter handler = new();
        Assert.True(function.TryAttachInterrupt(0, handler));
        Assert.False(function.TryAttachInterrupt(1, handler));
        Assert.Equal(1, _machine.HandlerCount);
        function.ReleaseInterrupts();
        Assert.Equal(0, _machine.HandlerCount);
        _fake.Set8(PciRegisters.InterruptPin, 0);
        Assert.Equal(0, function.PrepareInterrupts(3, out kind));
        Assert.Equal(InterruptKind.None, kind);
        Assert.False(function.TryAttachInterrupt(0, handler));
    }

    [Fact]
    public void Capabilities_are_walked_in_their_order()
    {
        ushort first = _fake.AddCapability(0x01, new byte[6]);
        ushort second = _fake.AddCapability(0x05, new byte[10]);
        ScannedPciFunction function = Plug();
        PciCapabilities walk = new(function);
        Assert.True(walk.MoveNext());
        Assert.Equal((first, 0x01), (walk.Offset, walk.Id));
        Assert.True(walk.MoveNext());
        Assert.Equal((second, 0x05), (walk.Offset, walk.Id));
        Assert.False(walk.MoveNext());
        Assert.True(PciCapabilities.TryFind(function, 0x05, out byte found));
        Assert.Equal(second, found);
        Assert.False(PciCapabilities.TryFind(function, 0x11, out _));
    }

    public void Dispose() => _machine.Dispose();

    private static void Expect(ScannedPciFunction function, int index, ulong length, bool ports, bool is64Bit, bool prefetchable)
    {
        Assert.True(function.TryGetBar(index, out PciBar bar));
        Assert.Equal((length, ports, is64Bit, prefetchable), (bar.Length, bar.IsPorts, bar.Is64Bit, bar.IsPrefetchable));
        Assert.NotEqual(0ul, bar.Address);
    }

    private ScannedPciFunction Plug() => new(_machine, _machine.Plug(_fake, 0, 4).Address);

    private sealed class Counter : InterruptHandler
    {
        public int Count { get; private set; }

        public override bool OnInterrupt()
        {
            Count++;
            return true;
        }
    }
}
