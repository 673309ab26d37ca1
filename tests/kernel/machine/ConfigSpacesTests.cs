// What the kernel makes of the tables that say where config space is.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Kernel.Machine;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Machine;

/// <summary>Entries of an MCFG: right, wrong and contradicting ones.</summary>
public sealed class ConfigSpacesTests
{
    private readonly ConfigSpaces _spaces = new();

    [Fact]
    public void Every_segment_is_reached_through_its_own_entry()
    {
        Read(Entry(0xB000_0000, 0, 0, 255), Entry(0x80_0000_0000, 1, 0, 127), Entry(0x90_0000_0000, 3, 16, 31));
        Assert.Equal((3, 4), (_spaces.Count, _spaces.SegmentCount));
        Assert.Equal(0xB000_0000ul + 0x1F_A123, Find(0, 1, 31, 2, 0x123));
        Assert.Equal(0x80_07F0_0000ul, Find(1, 127, 0, 0, 0));
        Assert.Null(Find(1, 128, 0, 0, 0));
        Assert.Null(Find(2, 0, 0, 0, 0));
        Assert.Null(Find(3, 15, 0, 0, 0));
        Assert.Equal(0x90_0100_0FFCul, Find(3, 16, 0, 0, 0xFFC));
        Assert.Null(Find(0, 0, 0, 0, 4096));
    }

    [Fact]
    public void A_segment_may_be_in_two_parts()
    {
        Read(Entry(0x80_0000_0000, 0, 64, 127), Entry(0xB000_0000, 0, 0, 63));
        Assert.Equal(0xB000_0000ul, Find(0, 0, 0, 0, 0));
        Assert.Equal(0x80_0400_0000ul, Find(0, 64, 0, 0, 0));
        Assert.True(_spaces.TryGetBuses(0, out byte first, out byte last));
        Assert.Equal((0, 127), (first, last));
        Assert.False(_spaces.TryGetBuses(1, out _, out _));
    }

    [Theory]
    [InlineData(0ul, 0, 0, 255)]
    [InlineData(0xB000_1000ul, 0, 0, 255)]
    [InlineData(0xFFFF_FFFF_F000_0000ul, 0, 0, 255)]
    [InlineData(0xB000_0000ul, 0, 5, 4)]
    [InlineData(0xB000_0000ul, 256, 0, 255)]
    public void Entries_that_make_no_sense_are_left_out(ulong address, int segment, byte first, byte last)
    {
        Read(Entry(address, (ushort)segment, first, last), Entry(0xE000_0000, 0, 0, 3));
        Assert.Equal((1, 1), (_spaces.Count, _spaces.SegmentCount));
        Assert.Equal(0xE000_0000ul, Find(0, 0, 0, 0, 0));
    }

    [Fact]
    public void The_first_of_two_that_contradict_each_other_counts_and_no_more_than_there_is_room_for()
    {
        Read(Entry(0xB000_0000, 0, 0, 10), Entry(0xC000_0000, 0, 10, 20));
        Assert.Equal(1, _spaces.Count);
        Read([.. Enumerable.Range(1, 100).Select(i => Entry((ulong)i << 32, (ushort)i, 0, 255))]);
        Assert.Equal((16, 16), (_spaces.Count, _spaces.SegmentCount));
        _spaces.Read(Entry(0xD000_0000, 200, 0, 0).AsSpan(0, 15));
        Assert.Equal(16, _spaces.Count);
    }

    [Fact]
    public void Memory_of_devices_does_not_lie_in_config_space()
    {
        Read(Entry(0xB000_0000, 0, 16, 31));
        Assert.False(_spaces.Overlaps(0xB000_0000, 0xB100_0000));
        Assert.True(_spaces.Overlaps(0xB000_0000, 0xB100_0001));
        Assert.True(_spaces.Overlaps(0xB1FF_FFFF, 0xB300_0000));
        Assert.False(_spaces.Overlaps(0xB200_0000, 0xB300_0000));
    }

    private static byte[] Entry(ulong address, ushort segment, byte first, byte last)
    {
        byte[] entry = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(entry, address);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(8), segment);
        (entry[10], entry[11]) = (first, last);
        return entry;
    }

    private void Read(params byte[][] entries) => _spaces.Read(entries.SelectMany(entry => entry).ToArray());

    private ulong? Find(ushort segment, byte bus, byte device, byte function, ushort offset) =>
        _spaces.TryFind(new PciAddress(segment, bus, device, function), offset, out ulong address) ? address : null;
}
