// BARs at their edges: sizes that make no sense, addresses that do not stick, decoding that is off meanwhile, functions that were set up anew.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class BarEdgeTests : IDisposable
{
    private const ushort Decoding = PciRegisters.CommandMemory | PciRegisters.CommandPorts;

    private readonly FakeMachine _machine = new();
    private readonly FakePciFunction _fake = new(0x8086, 0x1234);
    private readonly List<string> _writes = [];

    [Fact]
    public void Decoding_is_off_while_BARs_are_sized_and_as_before_afterwards()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        ScannedPciFunction function = Plug();
        _fake.Set16(PciRegisters.Command, Decoding | PciRegisters.CommandBusMaster);
        Note();
        Assert.True(function.TryGetBar(0, out PciBar bar));
        uint address = (uint)bar.Address;
        Assert.Equal(
            [$"4 {PciRegisters.CommandBusMaster:X}", "10 FFFFFFFF", $"10 {address:X}", "14 FFFFFFFF", "14 0", "18 FFFFFFFF", "18 0", "1C FFFFFFFF", "1C 0",
                "20 FFFFFFFF", "20 0", "24 FFFFFFFF", "24 0", $"4 {Decoding | PciRegisters.CommandBusMaster:X}"],
            _writes);
        _writes.Clear();
        Assert.False(function.TryGetBar(1, out _));
        Assert.Empty(_writes); // once is enough
    }

    [Theory]
    [InlineData(0x00, 6)]
    [InlineData(0x01, 2)]
    [InlineData(0x02, 0)]
    [InlineData(0x7F, 0)]
    [InlineData(0x80, 6)] // a device of several functions
    [InlineData(0x81, 2)]
    public void How_many_BARs_there_are_goes_by_the_layout_of_the_header(byte layout, int count)
    {
        for (int i = 0; i < 6; i++)
        {
            _fake.AddMemoryBar(i, new FakeMemoryBar(0x1000));
        }
        ScannedPciFunction function = Plug();
        _fake.Set8(PciRegisters.HeaderType, layout);
        for (int i = 0; i < 6; i++)
        {
            Assert.Equal(i < count, function.TryGetBar(i, out _));
        }
    }

    [Theory]
    [InlineData(0x00, 4, true)]
    [InlineData(0x00, 5, false)] // its upper half would lie behind the last one
    [InlineData(0x01, 0, true)]
    [InlineData(0x01, 1, false)]
    public void A_64_bit_BAR_needs_the_next_one_as_well(byte layout, int index, bool found)
    {
        ScannedPciFunction function = Plug();
        _fake.Set8(PciRegisters.HeaderType, layout);
        int offset = PciRegisters.Bar0 + 4 * index;
        _fake.Set32(offset, 0x8000_0004);
        _fake.Allow(offset, 4, 0xFFFF_F000);
        _fake.Allow(offset + 4, 4, uint.MaxValue);
        Assert.Equal(found, function.TryGetBar(index, out PciBar bar));
        Assert.True(!found || bar is { Is64Bit: true, Length: 0x1000, Address: 0x8000_0000 });
        Assert.False(function.TryGetBar(index + 1, out _));
    }

    [Theory]
    [InlineData(0xFFFF_F000u, 0x8000_0000u, true)]
    [InlineData(0xFFFF_F000u, 0x8000_0800u, false)] // not at a multiple of its size
    [InlineData(0xFFFF_5000u, 0x8000_0000u, false)] // no power of two
    [InlineData(0x0000_0000u, 0x8000_0000u, false)] // nothing can be written
    [InlineData(0x8000_0000u, 0x8000_0000u, true)] // 2 GiB
    public void A_BAR_that_makes_no_sense_is_none(uint mask, uint address, bool found)
    {
        ScannedPciFunction function = Plug();
        Show(address, mask);
        Assert.Equal(found, function.TryGetBar(0, out PciBar bar));
        Assert.Equal(found ? ~mask + 1ul : 0, bar.Length);
    }

    [Theory]
    [InlineData(0xC001u, 0xFFE0u, 0x20u)]
    [InlineData(0xC001u, 0xFFFF_FF00u, 0x100u)] // the upper half can be written as well
    [InlineData(0xC001u, 0u, 0u)]
    public void A_port_BAR_has_16_bits(uint low, uint mask, uint length)
    {
        ScannedPciFunction function = Plug();
        Show(low, mask | 1);
        Assert.Equal(length != 0, function.TryGetBar(0, out PciBar bar));
        Assert.True(length == 0 || bar is { IsPorts: true, Address: 0xC000 } && bar.Length == length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_BAR_is_assigned_in_both_halves_and_its_decoding_is_off_meanwhile(bool is64Bit)
    {
        _machine.HasRoomForBars = true;
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000), is64Bit);
        ScannedPciFunction function = Plug();
        _fake.AssignBar(2, 0);
        _fake.Set16(PciRegisters.Command, Decoding);
        if (is64Bit)
        {
            _fake.Set32(PciRegisters.Bar0 + 12, 0x77); // as if it had been somewhere before
            _fake.Set32(PciRegisters.Bar0 + 12, 0);
        }
        Note();
        Assert.True(function.TryMapBar(2, out _));
        Assert.True(function.TryGetBar(2, out PciBar bar));
        Assert.NotEqual(0ul, bar.Address);
        int placed = _writes.IndexOf($"18 {(uint)bar.Address:X}");
        Assert.True(placed > 0, string.Join("; ", _writes));
        Assert.Equal("4 0", _writes[placed - 1]);
        Assert.Equal(is64Bit ? "1C 0" : $"4 {Decoding:X}", _writes[placed + 1]);
        Assert.Equal(Decoding, _fake.Get16(PciRegisters.Command) & Decoding);
        Assert.Equal((uint)bar.Address, _fake.Get32(PciRegisters.Bar0 + 8) & ~15u);
    }

    [Fact]
    public void A_BAR_whose_address_does_not_stick_can_not_be_mapped()
    {
        _machine.HasRoomForBars = true;
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000));
        ScannedPciFunction function = Plug();
        _fake.AssignBar(2, 0);
        _fake.OnConfigWrite = (offset, _, value) => offset == PciRegisters.Bar0 + 8 && value is not (0 or uint.MaxValue);
        Assert.False(function.TryMapBar(2, out _));
        Assert.Equal(0u, _fake.Get32(PciRegisters.Bar0 + 8) & ~15u);
    }

    [Fact]
    public void Without_room_a_machine_that_assigns_says_so_and_one_that_does_not_says_nothing()
    {
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000));
        ScannedPciFunction function = Plug();
        _fake.AssignBar(2, 0);
        using CapturedLog log = new();
        Assert.False(function.TryMapBar(2, out _));
        Assert.Empty(log.Entries);
    }

    [Fact]
    public void A_function_is_as_before_until_its_ids_its_BARs_or_its_rights_change()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _fake.AddPortBar(1, new FakeMemoryBar(0x20));
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000), is64Bit: true);
        ScannedPciFunction function = Plug();
        function.Identify();
        Assert.True(function.TryGetBar(0, out _));
        Assert.True(function.TryEnable());
        Assert.True(function.IsAsBefore());
        foreach (int offset in (int[])[PciRegisters.Bar0, PciRegisters.Bar0 + 4, PciRegisters.Bar0 + 8, PciRegisters.VendorId, PciRegisters.DeviceId])
        {
            uint before = _fake.Get32(offset & ~3);
            _fake.Set32(offset & ~3, before ^ 0x0100_0000u >> (offset == PciRegisters.VendorId ? 24 : 8));
            Assert.False(function.IsAsBefore(), $"a change at 0x{offset:X} was not noticed");
            _fake.Set32(offset & ~3, before);
            Assert.True(function.IsAsBefore());
        }
        ushort command = _fake.Get16(PciRegisters.Command);
        _fake.Set16(PciRegisters.Command, (ushort)(command & ~PciRegisters.CommandMemory));
        Assert.False(function.IsAsBefore());
        _fake.Set16(PciRegisters.Command, (ushort)(command | 0x100));
        Assert.True(function.IsAsBefore());
    }

    [Fact]
    public void The_memory_that_a_function_needs_is_the_sum_of_its_BARs_without_ports()
    {
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _fake.AddPortBar(1, new FakeMemoryBar(0x20));
        _fake.AddMemoryBar(2, new FakeMemoryBar(0x4000), is64Bit: true);
        Assert.Equal(0x5000ul, Plug().MemoryNeeded);
    }

    [Fact]
    public void A_second_function_is_a_ghost_when_all_that_it_shows_is_the_same()
    {
        FakePciFunction second = new(0x8086, 0x1234);
        _fake.AddMemoryBar(0, new FakeMemoryBar(0x1000));
        _machine.Plug(_fake, 0, 3);
        _machine.Plug(second, 0, 4);
        ScannedPciFunction one = new(_machine, _fake.Address);
        ScannedPciFunction other = new(_machine, second.Address);
        Assert.False(other.IsGhostOf(one));
        second.Set32(PciRegisters.Bar0, _fake.Get32(PciRegisters.Bar0));
        Assert.True(other.IsGhostOf(one));
        second.Set32(PciRegisters.Bar0 + 20, 1);
        Assert.False(other.IsGhostOf(one));
        second.Set32(PciRegisters.Bar0 + 20, 0);
        second.Set32(PciRegisters.Bar0 + 24, 0x55); // behind the BARs: another register
        Assert.True(other.IsGhostOf(one));
        second.Set16(PciRegisters.SubsystemId, 9);
        Assert.False(other.IsGhostOf(one));
        second.Set16(PciRegisters.SubsystemId, 0);
        second.Set16(PciRegisters.DeviceId, 9);
        Assert.False(other.IsGhostOf(one));
        second.Set16(PciRegisters.DeviceId, 0x1234);
        // Without any address nothing can be told from the same twice.
        _fake.Set32(PciRegisters.Bar0, 0xC);
        second.Set32(PciRegisters.Bar0, 0xC);
        Assert.False(other.IsGhostOf(one));
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private ScannedPciFunction Plug()
    {
        _machine.Plug(_fake, 0, 3);
        return new ScannedPciFunction(_machine, _fake.Address);
    }

    /// <summary>The first BAR reads as an address, and as a mask once ones were written to it.</summary>
    private void Show(uint address, uint mask)
    {
        bool ones = false;
        _fake.OnConfigWrite = (offset, _, value) => offset == PciRegisters.Bar0 && ((ones = value == uint.MaxValue) || true);
        _fake.OnConfigRead = (offset, _, value) => offset != PciRegisters.Bar0 ? value : ones ? mask : address;
    }

    private void Note() => _fake.OnConfigWrite = (offset, _, value) =>
    {
        _writes.Add($"{offset:X} {value:X}");
        return false;
    };
}
