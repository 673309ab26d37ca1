// GUID partition tables, good and bad.
using System.Buffers.Binary;
using System.Text;
using VirtioSharp.Kernel.Apps;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

public sealed class GuidPartitionsTests
{
    private const ulong DiskBlocks = 10_000;
    private const string LinuxType = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

    private readonly byte[] _header = new byte[512];
    private readonly byte[] _entries = new byte[128 * 128];

    public GuidPartitionsTests()
    {
        "EFI PART"u8.CopyTo(_header);
        Write32(_header, 8, 0x10000);
        Write32(_header, 12, 92);
        Write64(_header, 24, 1);
        Write64(_header, 32, DiskBlocks - 1);
        Write64(_header, 40, 34);
        Write64(_header, 48, DiskBlocks - 34);
        Write64(_header, 72, 2);
        Write32(_header, 80, 128);
        Write32(_header, 84, 128);
    }

    [Fact]
    public void Partitions_are_found_with_type_and_name()
    {
        Put(0, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 34, 99, "boot");
        Put(5, LinuxType, 100, DiskBlocks - 34, "root\x1b");
        Put(7, "00112233-4455-6677-8899-AABBCCDDEEFF", 0, 0, "");
        Clear(7);
        Assert.Equal("", Read(out GuidPartition[] found));
        Assert.Equal(2, found.Length);
        Assert.Equal((1, 34ul, 66ul, "EFI system", "boot"), (found[0].Number, found[0].First, found[0].Count, found[0].Type, found[0].Name));
        Assert.Equal((6, 100ul, DiskBlocks - 133, "Linux", "root?"), (found[1].Number, found[1].First, found[1].Count, found[1].Type, found[1].Name));
    }

    [Fact]
    public void A_type_without_a_name_is_shown_as_its_GUID()
    {
        Put(0, "00112233-4455-6677-8899-AABBCCDDEEFF", 34, 34, "");
        Assert.Equal("", Read(out GuidPartition[] found));
        Assert.Equal("00112233-4455-6677-8899-AABBCCDDEEFF", Assert.Single(found).Type);
    }

    [Theory]
    [InlineData(33ul, 40ul)]
    [InlineData(40ul, 39ul)]
    [InlineData(40ul, 9_967ul)]
    [InlineData(40ul, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, 0ul)]
    public void A_partition_outside_the_usable_blocks_makes_the_table_corrupt(ulong first, ulong last)
    {
        Put(0, LinuxType, first, last, "");
        Assert.Contains("outside the usable blocks", Read(out GuidPartition[] found));
        Assert.Empty(found);
    }

    [Fact]
    public void Partitions_that_overlap_make_the_table_corrupt()
    {
        Put(0, LinuxType, 100, 200, "");
        Put(1, LinuxType, 200, 300, "");
        Assert.Contains("overlap", Read(out _));
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
        Write64(_header, offset, value);
        Assert.Contains(message, Read(out _));
    }

    [Theory]
    [InlineData(0, "does not begin with EFI PART")]
    [InlineData(12, "checksum of its header")]
    [InlineData(60, "checksum of its header")]
    public void A_damaged_header_is_refused(int offset, string message)
    {
        Seal();
        _header[offset] ^= 0xFF;
        Assert.Contains(message, GuidPartitions.ReadHeader(_header, DiskBlocks, out _));
    }

    [Fact]
    public void Damaged_entries_are_refused()
    {
        Put(0, LinuxType, 100, 200, "");
        Seal();
        _entries[_entries.Length - 1] ^= 1;
        Assert.Equal("", GuidPartitions.ReadHeader(_header, DiskBlocks, out GuidTable table));
        Assert.Contains("checksum of its entries", GuidPartitions.ReadEntries(_entries, table, new GuidPartition[128], out int count));
        Assert.Equal(0, count);
    }

    private string Read(out GuidPartition[] found)
    {
        Seal();
        found = [];
        string wrong = GuidPartitions.ReadHeader(_header, DiskBlocks, out GuidTable table);
        if (wrong.Length != 0)
        {
            return wrong;
        }
        GuidPartition[] all = new GuidPartition[128];
        wrong = GuidPartitions.ReadEntries(_entries, table, all, out int count);
        found = all[..count];
        return wrong;
    }

    private void Put(int index, string type, ulong first, ulong last, string name)
    {
        Span<byte> entry = _entries.AsSpan(index * 128, 128);
        new Guid(type).TryWriteBytes(entry);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], first);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[40..], last);
        Encoding.Unicode.GetBytes(name).CopyTo(entry[56..]);
    }

    private void Clear(int index) => _entries.AsSpan(index * 128, 128).Clear();

    /// <summary>Writes the checksums as UEFI 5.3.2 says.</summary>
    private void Seal()
    {
        Write32(_header, 88, Checksum(_entries));
        Write32(_header, 16, 0);
        Write32(_header, 16, Checksum(_header.AsSpan(0, 92)));
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint state = uint.MaxValue;
        foreach (byte each in bytes)
        {
            uint low = (state ^ each) & 0xFF;
            for (int bit = 0; bit < 8; bit++)
            {
                low = (low & 1) != 0 ? low >> 1 ^ 0xEDB88320 : low >> 1;
            }
            state = state >> 8 ^ low;
        }
        return ~state;
    }

    private static void Write32(byte[] bytes, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

    private static void Write64(byte[] bytes, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);
}
