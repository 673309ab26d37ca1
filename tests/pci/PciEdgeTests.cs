// Addresses, capability lists, rooms and windows at their edges.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class PciEdgeTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakePciFunction _fake = new(0x8086, 0x1234);

    [Theory]
    [InlineData(32, 0)]
    [InlineData(0, 8)]
    [InlineData(32, 8)]
    [InlineData(255, 0)]
    public void An_address_that_no_bus_has_is_a_bug_of_the_caller(byte device, byte function) =>
        Assert.Throws<ContractException>(() => new PciAddress(0, 0, device, function));

    [Theory]
    [InlineData(0, 0, 0, 0)]
    [InlineData(0xFFFF, 0xFF, 31, 7)]
    [InlineData(0x8001, 0x80, 16, 4)]
    public void An_address_gives_back_its_parts(ushort segment, byte bus, byte device, byte function)
    {
        PciAddress address = new(segment, bus, device, function);
        Assert.Equal((segment, bus, device, function), (address.Segment, address.Bus, address.Device, address.Function));
        Assert.Equal(bus << 8 | device << 3 | function, address.BusDeviceFunction);
        PciAddress same = new(segment, bus, device, function);
        Assert.True(address.Equals(same) && address.Equals((object)same) && address.GetHashCode() == same.GetHashCode());
        Assert.False(address.Equals(new PciAddress(segment, bus, (byte)(device ^ 1), function)));
        Assert.False(address.Equals("another thing"));
        Assert.Equal(segment << 16 | address.BusDeviceFunction, address.GetHashCode());
    }

    [Fact]
    public void A_list_of_capabilities_that_never_ends_is_given_up_after_as_many_as_fit_into_config_space()
    {
        _fake.Set16(PciRegisters.Status, PciRegisters.StatusCapabilities);
        _fake.Set8(PciRegisters.CapabilitiesPointer, 0x40);
        _fake.Set8(0x40, 9);
        _fake.Set8(0x41, 0x40);
        _machine.Plug(_fake, 0, 3);
        PciCapabilities walk = new(new ScannedPciFunction(_machine, _fake.Address));
        int count = 0;
        while (walk.MoveNext())
        {
            count++;
        }
        Assert.Equal(48, count);
        Assert.False(walk.MoveNext());
    }

    [Theory]
    [InlineData(0x3C, false)] // within the header
    [InlineData(0x40, true)]
    [InlineData(0x43, true)] // the lowest two bits are reserved
    [InlineData(0xFC, true)]
    public void A_capability_begins_behind_the_header(byte pointer, bool found)
    {
        _fake.Set16(PciRegisters.Status, PciRegisters.StatusCapabilities);
        _fake.Set8(PciRegisters.CapabilitiesPointer, pointer);
        _fake.Set8(pointer & 0xFC, 9);
        _machine.Plug(_fake, 0, 3);
        ScannedPciFunction function = new(_machine, _fake.Address);
        Assert.Equal(found, PciCapabilities.TryFind(function, 9, out byte offset));
        Assert.Equal(found ? pointer & 0xFC : 0, offset);
        Assert.False(PciCapabilities.TryFind(function, 5, out offset));
        Assert.Equal(0, offset);
        PciCapabilities walk = new(function);
        if (walk.MoveNext())
        {
            Assert.True(walk.Fits(256 - walk.Offset));
            Assert.False(walk.Fits(257 - walk.Offset));
        }
    }

    [Fact]
    public void A_capability_that_reads_as_all_ones_is_the_end()
    {
        _fake.Set16(PciRegisters.Status, PciRegisters.StatusCapabilities);
        _fake.Set8(PciRegisters.CapabilitiesPointer, 0x40);
        _fake.Set16(0x40, 0xFFFF);
        _machine.Plug(_fake, 0, 3);
        Assert.False(PciCapabilities.TryFind(new ScannedPciFunction(_machine, _fake.Address), 0xFF, out _));
    }

    [Fact]
    public void A_room_has_the_length_of_its_window_and_gives_all_of_it_at_once()
    {
        PciRoom room = new();
        Assert.Equal((0ul, 0ul), (room.Start, room.Length));
        room.Open(0x1000_0000, 0x1010_0000);
        Assert.Equal((0x1000_0000ul, 0x10_0000ul), (room.Start, room.Length));
        Assert.False(room.TryTake(0x20_0000, out ulong address));
        Assert.Equal(0ul, address);
        Assert.True(room.TryTake(0x10_0000, out address));
        Assert.Equal(0x1000_0000ul, address);
        Assert.False(room.TryTake(1, out _));
        room.Return(address);
        Assert.True(room.TryTake(0x10_0000, out _));
    }

    [Fact]
    public void Room_behind_a_range_that_was_noted_begins_at_its_end()
    {
        PciRoom room = new();
        room.Open(0x1000, 0x3000);
        room.Note(0x1000, 0x1000);
        Assert.True(room.TryTake(0x1000, out ulong address));
        Assert.Equal(0x2000ul, address);
        room.Return(0x1000);
        Assert.True(room.TryTake(0x800, out address));
        Assert.Equal(0x1000ul, address);
        Assert.True(room.TryTake(0x800, out address));
        Assert.Equal(0x1800ul, address);
        Assert.False(room.TryTake(0x800, out _));
        // Of two notes of one range each takes its own back.
        room.Note(0x1800, 0x10);
        room.Return(0x1800);
        Assert.False(room.TryTake(0x800, out _));
    }

    [Fact]
    public void A_window_that_ends_where_addresses_do_is_given_out_to_its_end()
    {
        PciRoom room = new();
        room.Open(ulong.MaxValue - 0xFFF, ulong.MaxValue);
        Assert.True(room.TryTake(0x800, out ulong address));
        Assert.Equal(ulong.MaxValue - 0xFFF, address);
        Assert.False(room.TryTake(0x1000, out _));
        Assert.False(room.TryTake(0, out _));
        Assert.False(room.TryTake(ulong.MaxValue / 2 + 1, out _));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    [InlineData(int.MaxValue)]
    public void A_function_that_the_scan_did_not_find_is_a_bug_of_the_caller(int index)
    {
        _machine.Plug(_fake, 0, 3);
        PciScan scan = PciScan.Run(_machine);
        Assert.Equal(1, scan.Count);
        Assert.Throws<ContractException>(() => scan[index]);
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();
}
