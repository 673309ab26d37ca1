// Partition tables at their edges: large blocks, tables that are just full, partitions that end where they may.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Partitions;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Partitions;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class PartitionEdgeTests
{
    private const string Efi = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

    [Fact]
    public void Every_number_of_a_GUID_table_is_in_blocks_of_the_disk_and_not_in_sectors()
    {
        TableDisk disk = new TableDisk(blocks: 1000, blockSize: 4096).Guid().Put(0, Efi, 34, 99).Put(1, TableDisk.LinuxType, 100, 966);
        Assert.Equal([(272ul, 528ul), (800ul, 6936ul)], Places(disk));
        disk.Header()[0] ^= 1;
        TestScan scan = disk.Scan();
        Assert.Contains("the copy", scan.Warning);
        Assert.Equal(2, scan.Found.Count);
    }

    [Fact]
    public void Every_number_of_a_chain_of_logical_partitions_is_in_blocks_of_the_disk()
    {
        TableDisk disk = new TableDisk(blocks: 1000, blockSize: 4096)
            .Mbr(0, (0, 0x05, 100, 900)).Mbr(100, (0, 0x83, 1, 9), (1, 0x05, 10, 90)).Mbr(110, (0, 0x83, 2, 88));
        Assert.Equal([(800ul, 7200ul), (808ul, 72ul), (896ul, 704ul)], Places(disk));
    }

    [Fact]
    public void The_fourth_entry_may_be_the_extended_partition_and_one_before_it_may_lie_behind_it()
    {
        TableDisk disk = new TableDisk().Mbr(0, (0, 0x83, 5000, 5000), (1, 0x83, 1, 999), (3, 0x05, 1000, 4000)).Mbr(1000, (0, 0x83, 1, 3999));
        Assert.Equal([(5000ul, 5000ul), (1ul, 999ul), (1000ul, 4000ul), (1001ul, 3999ul)], Places(disk));
    }

    [Fact]
    public void Only_an_extended_partition_is_looked_into_and_of_two_the_first()
    {
        // A file system may begin with a block that looks like a table.
        Assert.Equal([(10ul, 90ul)], Places(new TableDisk().Mbr(0, (0, 0x83, 10, 90)).Mbr(10, (0, 0x83, 1, 9))));
        TableDisk disk = new TableDisk()
            .Mbr(0, (0, 0x05, 1000, 1000), (1, 0x05, 2000, 1000), (2, 0x83, 3000, 10))
            .Mbr(1000, (0, 0x83, 1, 11)).Mbr(2000, (0, 0x83, 1, 12)).Mbr(3000, (0, 0x83, 1, 9));
        Assert.Equal([(1000ul, 1000ul), (2000ul, 1000ul), (3000ul, 10ul), (1001ul, 11ul)], Places(disk));
    }

    [Fact]
    public void Half_a_signature_is_none_and_an_entry_at_the_table_itself_is_named()
    {
        foreach (int at in new[] { 510, 511 })
        {
            TableDisk disk = new TableDisk().Mbr(0, (0, 0x83, 1, 9));
            disk.Block(0)[at] = 0;
            Assert.Contains("no partition table", disk.Scan().Error);
        }
        Assert.Contains("begins at the table itself", new TableDisk().Mbr(0, (0, 0x83, 0, 9)).Scan().Error);
    }

    [Theory]
    [InlineData(0x01, "FAT12")]
    [InlineData(0x04, "FAT16")]
    [InlineData(0x06, "FAT16")]
    [InlineData(0x0E, "FAT16")]
    [InlineData(0x0B, "FAT32")]
    [InlineData(0x0C, "FAT32")]
    [InlineData(0x05, "extended")]
    [InlineData(0x0F, "extended")]
    [InlineData(0x85, "extended")]
    [InlineData(0x82, "Linux swap")]
    [InlineData(0xEF, "EFI system")]
    [InlineData(0x77, "unknown")]
    public void A_type_has_its_name(byte type, string name) =>
        Assert.Equal($"type {type:x2} {name}", Assert.Single(new TableDisk().Mbr(0, (0, type, 10, 90)).Scan().All).Kind);

    [Fact]
    public void A_header_may_fill_its_block_and_have_one_usable_block()
    {
        TableDisk disk = new TableDisk().Guid().Put(0, TableDisk.LinuxType, 100, 100);
        Span<byte> header = disk.Header();
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], 512);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], 100);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], 100);
        disk.SealHeader(length: 512);
        Assert.Equal([(100ul, 1ul)], Places(disk));
    }

    [Theory]
    [InlineData(1024u, 128u, true)]
    [InlineData(1025u, 128u, false)]
    [InlineData(1u, 131072u, true)]
    [InlineData(1u, 262144u, false)]
    public void An_array_of_entries_has_128_KiB_at_most(uint count, uint length, bool isRead)
    {
        TableDisk disk = new TableDisk(entryCount: 1024).Guid().Put(0, TableDisk.LinuxType, 1000, 1999);
        foreach (bool copy in new[] { false, true })
        {
            Span<byte> header = disk.Header(copy);
            BinaryPrimitives.WriteUInt32LittleEndian(header[80..], count);
            BinaryPrimitives.WriteUInt32LittleEndian(header[84..], length);
            disk.SealHeader(copy);
        }
        TestScan scan = disk.Scan();
        Assert.Equal((isRead, isRead ? 1 : 0), (scan.Error.Length == 0, scan.Found.Count));
        Assert.Contains(isRead ? "" : "its header contradicts the disk or itself", scan.Error);
    }

    [Fact]
    public void Entries_may_end_with_the_last_block_of_the_disk_and_need_not_fill_a_block()
    {
        TableDisk disk = new TableDisk(blocks: 300, entryCount: 4).Guid().Put(0, TableDisk.LinuxType, 100, 199).Put(2, Efi, 200, 209);
        Span<byte> entries = disk.Entries();
        entries.CopyTo(disk.Block(299));
        Span<byte> header = disk.Header();
        BinaryPrimitives.WriteUInt64LittleEndian(header[72..], 299);
        disk.SealHeader();
        Assert.Equal([(100ul, 100ul), (200ul, 10ul)], Places(disk));
        BinaryPrimitives.WriteUInt32LittleEndian(header[80..], 3);
        BinaryPrimitives.WriteUInt32LittleEndian(header[88..], TableDisk.Checksum(entries[..(3 * 128)]));
        disk.SealHeader();
        Assert.Equal([(100ul, 100ul), (200ul, 10ul)], Places(disk));
    }

    [Fact]
    public void Only_a_type_of_nothing_but_zeroes_means_that_an_entry_is_empty()
    {
        const string FirstHalf = "00000001-0000-0000-0000-000000000000";
        const string SecondHalf = "00000000-0000-0000-0000-000000000001";
        TestScan scan = new TableDisk().Guid().Put(0, FirstHalf, 100, 199).Put(1, SecondHalf, 200, 299).Scan();
        Assert.Equal([FirstHalf, SecondHalf], scan.All.Select(partition => partition.Kind));
    }

    [Fact]
    public void A_name_may_fill_its_field_and_has_a_question_mark_for_what_is_not_ASCII()
    {
        string letters = "bcdefghijklmnopqrstuvwxyzBCDEFGH";
        TestScan scan = new TableDisk().Guid()
            .Put(0, TableDisk.LinuxType, 100, 199, " \u007f\u0141\u0100" + letters).Put(1, TableDisk.LinuxType, 200, 299, "ab").Put(2, Efi, 300, 399, "~")
            .Scan();
        Assert.Equal([" ???" + letters, "ab", "~"], scan.All.Select(partition => partition.Label));
    }

    [Fact]
    public void The_copy_is_looked_for_on_a_disk_of_three_blocks_or_more()
    {
        Assert.EndsWith("does not begin with EFI PART", new TableDisk(blocks: 2).Mbr(0, (0, 0xEE, 1, 1)).Scan().Error);
        TestScan scan = new TableDisk(blocks: 3).Mbr(0, (0, 0xEE, 1, 2)).Scan();
        Assert.EndsWith("does not begin with EFI PART; and so is its copy at the end of the disk", scan.Error);
    }

    [Fact]
    public void A_disk_that_takes_no_request_ends_the_scan_and_each_request_that_it_takes_is_told()
    {
        TableDisk disk = new TableDisk().Mbr(0, (0, 0x05, 1000, 9000)).Mbr(1000);
        disk.Scan();
        Assert.Equal((2, 2), (disk.Disk.Requests, disk.Disk.Kicks));
        disk.Disk.Refuses = IoStatus.Removed;
        TestScan scan = disk.Scan();
        Assert.Equal(("the partition table can't be read", IoStatus.Removed, 0), (scan.Error, scan.ReadStatus, scan.Found.Count));
        Assert.Equal((2, 2), (disk.Disk.Requests, disk.Disk.Kicks));
    }

    [Fact]
    public void A_partition_may_be_the_whole_disk()
    {
        PartitionList list = new();
        Assert.Equal("", list.Add(new Partition(1, 0, 100, "", ""), 100));
        Assert.Contains("beyond the end", new PartitionList().Add(new Partition(1, 0, 101, "", ""), 100));
        Assert.Equal(1, list.Count);
    }

    private static IEnumerable<(ulong First, ulong Count)> Places(TableDisk disk)
    {
        TestScan scan = disk.Scan();
        Assert.Equal("", scan.Error);
        return scan.All.Select(partition => (partition.First, partition.Count));
    }
}
