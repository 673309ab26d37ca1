// Partition tables, good and bad.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Partitions;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Partitions;

/// <summary>Tables in the first block, chains of logical partitions, GUID tables and their copies.</summary>
public sealed class PartitionScanTests
{
    [Fact]
    public void The_entries_of_a_table_are_found_and_empty_ones_left_out()
    {
        TestScan scan = new TableDisk().Mbr(0, (0, 0x83, 1, 99), (2, 0x0C, 100, 9900)).Scan();
        Assert.Equal("", scan.Error);
        Assert.Equal([(1, 1ul, 99ul, "type 83 Linux"), (3, 100ul, 9900ul, "type 0c FAT32")], scan.All.Select(Describe));
    }

    [Fact]
    public void Blocks_of_4_KiB_are_8_sectors()
    {
        TestScan scan = new TableDisk(blocks: 1000, blockSize: 4096).Mbr(0, (0, 0x83, 1, 999)).Scan();
        Assert.Equal([(1, 8ul, 7992ul, "type 83 Linux")], scan.All.Select(Describe));
    }

    [Theory]
    [InlineData(0u, 10u)]
    [InlineData(10u, 0u)]
    [InlineData(1u, 10_000u)]
    [InlineData(10_000u, 1u)]
    [InlineData(uint.MaxValue, uint.MaxValue)]
    public void An_entry_that_is_empty_or_leaves_the_disk_makes_the_table_corrupt(uint first, uint count)
    {
        TestScan scan = new TableDisk().Mbr(0, (0, 0x83, 1, 1), (1, 0x83, first, count)).Scan();
        Assert.Contains("corrupt", scan.Error);
        Assert.Empty(scan.All);
    }

    [Fact]
    public void Entries_that_overlap_make_the_table_corrupt() =>
        Assert.Contains("overlap", new TableDisk().Mbr(0, (0, 0x83, 1, 100), (3, 0x83, 100, 1)).Scan().Error);

    [Fact]
    public void Without_the_signature_there_is_no_table() => Assert.Contains("no partition table", new TableDisk().Scan().Error);

    [Fact]
    public void An_empty_disk_has_no_table() => Assert.Contains("no partition table", new TableDisk(blocks: 0).Scan().Error);

    [Fact]
    public void Logical_partitions_are_found_in_their_chain()
    {
        TestScan scan = new TableDisk()
            .Mbr(0, (0, 0x83, 1, 999), (1, 0x0F, 1000, 9000))
            .Mbr(1000, (0, 0x83, 10, 90), (1, 0x05, 100, 200))
            .Mbr(1100, (0, 0x82, 10, 190), (1, 0x05, 300, 8700))
            .Mbr(1300, (0, 0x07, 1, 8699))
            .Scan();
        Assert.Equal("", scan.Error);
        Assert.Equal(
            [
                (1, 1ul, 999ul, "type 83 Linux"), (2, 1000ul, 9000ul, "type 0f extended"), (5, 1010ul, 90ul, "type 83 Linux"),
                (6, 1110ul, 190ul, "type 82 Linux swap"), (7, 1301ul, 8699ul, "type 07 NTFS or exFAT"),
            ],
            scan.All.Select(Describe));
    }

    [Fact]
    public void An_extended_partition_may_be_empty()
    {
        Assert.Equal("", new TableDisk().Mbr(0, (0, 0x05, 1000, 9000)).Scan().Error);
        Assert.Equal("", new TableDisk().Mbr(0, (0, 0x05, 1000, 9000)).Mbr(1000).Scan().Error);
    }

    [Theory]
    [InlineData(0u, "goes back")] // to the first: a loop
    [InlineData(100u, "goes back")] // to itself
    [InlineData(50u, "goes back")]
    [InlineData(9000u, "leaves its partition")]
    [InlineData(uint.MaxValue, "leaves its partition")]
    [InlineData(500u, "no table")]
    public void A_chain_that_loops_goes_back_or_leaves_is_an_error(uint next, string message)
    {
        TestScan scan = new TableDisk()
            .Mbr(0, (0, 0x05, 1000, 9000))
            .Mbr(1000, (0, 0x83, 10, 10), (1, 0x05, 100, 200))
            .Mbr(1100, (0, 0x83, 10, 10), (1, 0x05, next, 200))
            .Scan();
        Assert.Contains(message, scan.Error);
        Assert.Empty(scan.All);
    }

    [Theory]
    [InlineData(0u, 10u, "leaves the extended one")]
    [InlineData(1u, 0u, "leaves the extended one")]
    [InlineData(1u, 9000u, "leaves the extended one")]
    [InlineData(uint.MaxValue, uint.MaxValue, "leaves the extended one")]
    public void A_logical_partition_that_leaves_the_extended_one_is_an_error(uint first, uint count, string message) =>
        Assert.Contains(message, new TableDisk().Mbr(0, (0, 0x05, 1000, 9000)).Mbr(1000, (0, 0x83, first, count)).Scan().Error);

    [Fact]
    public void Logical_partitions_that_overlap_are_an_error() => Assert.Contains(
        "overlap",
        new TableDisk()
            .Mbr(0, (0, 0x05, 1000, 9000)).Mbr(1000, (0, 0x83, 10, 100), (1, 0x05, 50, 100)).Mbr(1050, (0, 0x83, 10, 10)).Scan().Error);

    [Theory]
    [InlineData(60, "")]
    [InlineData(61, "longer chain of logical partitions")]
    public void No_more_logical_partitions_are_followed_than_bounded(int count, string message)
    {
        TableDisk disk = new TableDisk().Mbr(0, (0, 0x05, 1000, 9000));
        for (uint i = 0; i < count; i++)
        {
            (int, byte, uint, uint)[] entries = [(0, 0x83, 1, 9), (1, i + 1 < count ? (byte)0x05 : (byte)0, 10 * (i + 1), 10)];
            disk.Mbr(1000 + 10 * i, entries);
        }
        TestScan scan = disk.Scan();
        Assert.Contains(message, scan.Error);
        Assert.Equal(message.Length == 0 ? count + 1 : 0, scan.All.Length);
    }

    [Fact]
    public void Partitions_of_a_GUID_table_have_type_and_name()
    {
        TestScan scan = new TableDisk()
            .Guid()
            .Put(0, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 34, 99, "boot")
            .Put(5, TableDisk.LinuxType, 100, 9900, "root\x1b")
            .Put(7, "00112233-4455-6677-8899-AABBCCDDEEFF", 9901, 9901, "")
            .Scan();
        Assert.Equal(("", ""), (scan.Error, scan.Warning));
        Assert.Equal(
            [(1, 34ul, 66ul, "EFI system"), (6, 100ul, 9801ul, "Linux"), (8, 9901ul, 1ul, "00112233-4455-6677-8899-AABBCCDDEEFF")],
            scan.All.Select(Describe));
        Assert.Equal(["boot", "root?", ""], scan.All.Select(partition => partition.Label));
    }

    [Fact]
    public void GUID_partitions_that_overlap_make_the_table_corrupt() => Assert.Contains(
        "overlap", new TableDisk().Guid().Put(0, TableDisk.LinuxType, 100, 200).Put(1, TableDisk.LinuxType, 200, 300).Scan().Error);

    [Theory]
    [InlineData(33ul, 40ul)]
    [InlineData(40ul, 39ul)]
    [InlineData(40ul, 9_967ul)]
    [InlineData(40ul, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, 0ul)]
    public void A_GUID_partition_outside_the_usable_blocks_makes_the_table_corrupt(ulong first, ulong last)
    {
        TestScan scan = new TableDisk().Guid().Put(0, TableDisk.LinuxType, first, last).Scan();
        Assert.Contains("outside the usable blocks", scan.Error);
        Assert.Empty(scan.All);
    }

    [Theory]
    [InlineData(24, 2ul, "contradicts")] // its own place
    [InlineData(40, 9_999ul, "contradicts")] // first usable behind the last
    [InlineData(48, 10_000ul, "contradicts")] // last usable behind the end
    [InlineData(72, 1ul, "outside the disk")]
    [InlineData(72, 9_990ul, "outside the disk")]
    [InlineData(72, ulong.MaxValue, "outside the disk")]
    [InlineData(80, 0x0000_0080_0000_0000ul, "contradicts")] // no entries
    [InlineData(80, 0x0000_0080_FFFF_FFFFul, "contradicts")] // entries without end
    [InlineData(80, 0x8000_0000_0000_0002ul, "contradicts")] // a size that wraps around
    [InlineData(80, 0x0000_0040_0000_0080ul, "contradicts")] // entries too small
    public void A_header_that_makes_no_sense_is_refused_though_its_checksum_is_right(int offset, ulong value, string message)
    {
        TableDisk disk = new TableDisk().Guid().Put(0, TableDisk.LinuxType, 100, 200);
        BinaryPrimitives.WriteUInt64LittleEndian(disk.Header()[offset..], value);
        disk.SealHeader();
        TestScan scan = disk.Scan();
        Assert.Equal("", scan.Error);
        Assert.Contains(message, scan.Warning);
        Assert.Single(scan.All);
        BinaryPrimitives.WriteUInt64LittleEndian(disk.Header(copy: true)[offset..], value);
        disk.SealHeader(copy: true);
        scan = disk.Scan();
        Assert.Contains(message, scan.Error);
        Assert.Contains("so is its copy", scan.Error);
    }

    [Theory]
    [InlineData(0, "does not begin with EFI PART")]
    [InlineData(12, "checksum of its header")]
    [InlineData(60, "checksum of its header")]
    public void A_damaged_header_is_replaced_by_its_copy(int offset, string message)
    {
        TableDisk disk = new TableDisk().Guid().Put(3, TableDisk.LinuxType, 100, 200, "here");
        disk.Header()[offset] ^= 0xFF;
        TestScan scan = disk.Scan();
        Assert.Equal("", scan.Error);
        Assert.Contains(message, scan.Warning);
        Assert.Equal([(4, 100ul, 101ul, "Linux")], scan.All.Select(Describe));
    }

    [Fact]
    public void Damaged_entries_are_replaced_by_their_copy_and_both_damaged_are_an_error()
    {
        TableDisk disk = new TableDisk().Guid().Put(0, TableDisk.LinuxType, 100, 200);
        disk.Entries()[^1] ^= 1;
        Assert.Contains("checksum of its entries", disk.Scan().Warning);
        disk.Entries(copy: true)[^1] ^= 1;
        TestScan scan = disk.Scan();
        Assert.Contains("checksum of its entries", scan.Error);
        Assert.Empty(scan.All);
    }

    [Fact]
    public void Links_without_a_partition_count_too()
    {
        TableDisk disk = new TableDisk().Mbr(0, (0, 0x05, 1000, 9000));
        for (uint i = 0; i < 1000; i++)
        {
            disk.Mbr(1000 + i, (1, 0x05, i + 1, 1));
        }
        Assert.Contains("longer chain", disk.Scan().Error);
        Assert.InRange(disk.Disk.Requests, 60, 62);
    }

    [Fact]
    public void A_first_block_that_can_not_be_read_is_an_error()
    {
        TableDisk disk = new TableDisk().Guid().Put(0, TableDisk.LinuxType, 100, 200);
        disk.Disk.Fails = _ => IoStatus.DeviceError;
        TestScan scan = disk.Scan();
        Assert.Equal(("the partition table can't be read", IoStatus.DeviceError, 0), (scan.Error, scan.ReadStatus, scan.Found.Count));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void A_GUID_table_that_can_not_be_read_is_replaced_by_its_copy_and_without_one_it_is_an_error(int number)
    {
        TableDisk disk = new TableDisk().Guid().Put(0, TableDisk.LinuxType, 100, 200);
        int first = disk.Disk.Requests;
        disk.Disk.Fails = _ => disk.Disk.Requests - first == number ? IoStatus.DeviceError : null;
        TestScan scan = disk.Scan();
        Assert.Equal(("", 1), (scan.Error, scan.Found.Count));
        Assert.Contains("can't be read; the copy", scan.Warning);
        first = disk.Disk.Requests;
        disk.Disk.Fails = _ => disk.Disk.Requests - first >= number ? IoStatus.DeviceError : null;
        scan = disk.Scan();
        Assert.Equal(("the partition table can't be read", IoStatus.DeviceError, 0), (scan.Error, scan.ReadStatus, scan.Found.Count));
    }

    [Fact]
    public void Without_memory_nothing_is_read()
    {
        TableDisk disk = new();
        disk.Disk.FailNextAllocation();
        Assert.Contains("not enough memory", disk.Scan().Error);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_hundred_thousand_damaged_tables_are_an_answer_each_and_nothing_outside_is_read(int kind)
    {
        Random random = new(kind);
        TableDisk disk = kind == 1
            ? new TableDisk(blocks: 300)
                .Mbr(0, (0, 0x83, 1, 99), (1, 0x0F, 100, 200))
                .Mbr(100, (0, 0x83, 5, 20), (1, 0x05, 40, 50))
                .Mbr(140, (0, 0x83, 5, 20), (1, 0x05, 90, 50))
                .Mbr(190, (0, 7, 1, 9))
            : new TableDisk(blocks: 300, entryCount: 4).Guid().Put(0, TableDisk.LinuxType, 40, 99).Put(2, TableDisk.LinuxType, 100, 200);
        byte[] good = [.. disk.Disk.Bytes];
        int[] places = kind == 1 ? [446, 100 * 512 + 446, 140 * 512 + 446, 190 * 512 + 446] : [446, 512, 1024, 298 * 512, 299 * 512];
        int errors = 0;
        for (int round = 0; round < 50_000; round++)
        {
            for (int damage = random.Next(1, 4); damage > 0; damage--)
            {
                int at = places[random.Next(places.Length)] + random.Next(kind == 1 ? 66 : 128);
                disk.Disk.Bytes[at] = random.Next(4) == 0 ? (byte)0xFF : (byte)random.Next(256);
            }
            if (kind == 2 && round % 3 != 0)
            {
                disk.Seal();
            }
            TestScan scan = disk.Scan();
            errors += scan.Error.Length != 0 ? 1 : 0;
            Assert.All(scan.All, partition => Assert.True(partition.Count > 0 && partition.First + partition.Count <= disk.Disk.SectorCount));
            good.CopyTo(disk.Disk.Bytes, 0);
        }
        Assert.InRange(errors, 5_000, 49_999);
    }

    private static (int, ulong, ulong, string) Describe(Partition partition) => (partition.Number, partition.First, partition.Count, partition.Kind);
}
