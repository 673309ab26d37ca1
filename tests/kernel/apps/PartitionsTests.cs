// Partition tables, good and bad.
using System.Buffers.Binary;
using System.Text;
using VirtioSharp.Kernel.Apps;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

public sealed class PartitionsTests
{
    private const ulong DiskBlocks = 10_000;

    [Fact]
    public void The_entries_of_a_table_are_found_and_empty_ones_left_out()
    {
        byte[] block = Table((0, 0x83, 1, 99), (2, 0x0C, 100, 9900));
        Assert.Equal("", Read(block, out Partition[] found));
        Assert.Equal(2, found.Length);
        Assert.Equal((1, 1ul, 99ul, (byte)0x83), (found[0].Number, found[0].First, found[0].Count, found[0].Type));
        Assert.Equal((3, 100ul, 9900ul, (byte)0x0C), (found[1].Number, found[1].First, found[1].Count, found[1].Type));
    }

    [Theory]
    [InlineData(0u, 10u)]
    [InlineData(10u, 0u)]
    [InlineData(1u, 10_000u)]
    [InlineData(10_000u, 1u)]
    [InlineData(uint.MaxValue, uint.MaxValue)]
    public void An_entry_that_is_empty_or_leaves_the_disk_makes_the_table_corrupt(uint first, uint count)
    {
        Assert.Contains("corrupt", Read(Table((0, 0x83, 1, 1), (1, 0x83, first, count)), out Partition[] found));
        Assert.Empty(found);
    }

    [Fact]
    public void Entries_that_overlap_make_the_table_corrupt() =>
        Assert.Contains("overlap", Read(Table((0, 0x83, 1, 100), (3, 0x83, 100, 1)), out _));

    [Fact]
    public void A_protective_partition_may_be_larger_than_the_disk() =>
        Assert.Equal("", Read(Table((0, 0xEE, 1, uint.MaxValue)), out _));

    [Fact]
    public void Without_the_signature_there_is_no_table()
    {
        byte[] block = Table((0, 0x83, 1, 1));
        block[511] = 0;
        Assert.Contains("no partition table", Read(block, out _));
    }

    [Theory]
    [InlineData(38, 43, "FAT16   ", "DEMO       ", "DEMO")]
    [InlineData(66, 71, "FAT32   ", "TWO WORDS  ", "TWO WORDS")]
    [InlineData(38, 43, "FAT12   ", "NO NAME    ", "")]
    [InlineData(38, 43, "FAT16   ", "A\x1b[2J      ", "A?[2J")]
    [InlineData(38, 43, "NTFS    ", "DEMO       ", "")]
    public void The_label_of_a_FAT_file_system_is_shown_and_can_steer_no_terminal(int signature, int at, string type, string label, string shown)
    {
        byte[] block = Table();
        block[signature] = 0x29;
        Encoding.Latin1.GetBytes(type).CopyTo(block, signature + 16);
        Encoding.Latin1.GetBytes(label).CopyTo(block, at);
        Assert.Equal(shown, Partitions.LabelOf(block));
    }

    private static string Read(byte[] block, out Partition[] found)
    {
        Partition[] all = new Partition[Partitions.MaxCount];
        string wrong = Partitions.Read(block, DiskBlocks, all, out int count);
        found = all[..count];
        return wrong;
    }

    private static byte[] Table(params (int Index, byte Type, uint First, uint Count)[] entries)
    {
        byte[] block = new byte[512];
        block[510] = 0x55;
        block[511] = 0xAA;
        foreach ((int index, byte type, uint first, uint count) in entries)
        {
            Span<byte> entry = block.AsSpan(446 + index * 16, 16);
            entry[4] = type;
            BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], first);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], count);
        }
        return block;
    }
}
