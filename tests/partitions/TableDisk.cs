// Disks with partition tables, made byte by byte, and their reading to the end.
using System.Buffers.Binary;
using System.Text;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Partitions;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Partitions;

/// <summary>A disk in memory of which tables are written.</summary>
public sealed class TableDisk : IDisposable
{
    /// <summary>A type that has a name.</summary>
    public const string LinuxType = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

    private readonly uint _block;
    private readonly uint _entryCount;

    /// <summary>Makes a disk of zeroes.</summary>
    public TableDisk(ulong blocks = 10_000, uint blockSize = 512, uint entryCount = 128)
    {
        _block = blockSize;
        _entryCount = entryCount;
        Disk = new MemoryDisk(blocks * blockSize / 512, blockSize);
    }

    /// <summary>The disk.</summary>
    public MemoryDisk Disk { get; }

    /// <summary>For those who make many: gives its memory back.</summary>
    public void Dispose() => Disk.Dispose();

    /// <summary>The number of blocks.</summary>
    public ulong Blocks => Disk.SectorCount * 512 / _block;

    /// <summary>The bytes of a block.</summary>
    public Span<byte> Block(ulong number) => Disk.Bytes.AsSpan((int)(number * _block), (int)_block);

    /// <summary>Writes a table of the old format.</summary>
    public TableDisk Mbr(ulong at, params (int Index, byte Type, uint First, uint Count)[] entries)
    {
        Span<byte> block = Block(at);
        block[510] = 0x55;
        block[511] = 0xAA;
        foreach ((int index, byte type, uint first, uint count) in entries)
        {
            Span<byte> entry = block.Slice(446 + index * 16, 16);
            entry[4] = type;
            BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], first);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], count);
        }
        return this;
    }

    /// <summary>Writes a GUID table and its copy, without partitions.</summary>
    public TableDisk Guid()
    {
        Mbr(0, (0, 0xEE, 1, uint.MaxValue));
        ulong entries = EntriesLength / _block;
        WriteHeader(1, 2, Blocks - 1);
        WriteHeader(Blocks - 1, Blocks - 1 - entries, 1);
        return Seal();
    }

    /// <summary>Enters a partition into both tables.</summary>
    public TableDisk Put(int index, string type, ulong first, ulong last, string name = "")
    {
        foreach (bool copy in new[] { false, true })
        {
            Span<byte> entry = Entries(copy).Slice(index * 128, 128);
            new Guid(type).TryWriteBytes(entry);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], first);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[40..], last);
            Encoding.Unicode.GetBytes(name).CopyTo(entry[56..]);
        }
        return Seal();
    }

    /// <summary>The header, or its copy.</summary>
    public Span<byte> Header(bool copy = false) => Block(copy ? Blocks - 1 : 1)[..92];

    /// <summary>The entries, or their copy.</summary>
    public Span<byte> Entries(bool copy = false) =>
        Disk.Bytes.AsSpan((int)((copy ? Blocks - 1 - EntriesLength / _block : 2) * _block), (int)EntriesLength);

    /// <summary>Writes the checksums as UEFI 5.3.2 says.</summary>
    public TableDisk Seal()
    {
        foreach (bool copy in new[] { false, true })
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Header(copy)[88..], Checksum(Entries(copy)));
            SealHeader(copy);
        }
        return this;
    }

    /// <summary>Writes the checksum of a header only, whose length may be up to a block.</summary>
    public TableDisk SealHeader(bool copy = false, int length = 92)
    {
        Span<byte> header = Block(copy ? Blocks - 1 : 1)[..length];
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], Checksum(header));
        return this;
    }

    /// <summary>Reads the table to the end; the scan has ended once, and gave its memory back.</summary>
    public TestScan Scan()
    {
        ulong before = Disk.MemoryInUse;
        TestScan scan = new(Disk);
        scan.Start();
        for (int i = 0; i < 1000 && scan.Finishes == 0; i++)
        {
            Disk.Poll();
        }
        Assert.Equal((1, before, 0), (scan.Finishes, Disk.MemoryInUse, Disk.Breaches));
        return scan;
    }

    private uint EntriesLength => Math.Max(_entryCount * 128, _block);

    private void WriteHeader(ulong at, ulong entriesAt, ulong other)
    {
        Span<byte> header = Block(at);
        "EFI PART"u8.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], 0x10000);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], 92);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], at);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], other);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], 34);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], Blocks - 34);
        BinaryPrimitives.WriteUInt64LittleEndian(header[72..], entriesAt);
        BinaryPrimitives.WriteUInt32LittleEndian(header[80..], EntriesLength / 128);
        BinaryPrimitives.WriteUInt32LittleEndian(header[84..], 128);
    }

    /// <summary>CRC-32 as of Ethernet.</summary>
    public static uint Checksum(ReadOnlySpan<byte> bytes)
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
}

/// <summary>A scan that counts how often it ended.</summary>
public sealed class TestScan(BlockDevice disk) : PartitionScan(disk)
{
    /// <summary>How often it ended.</summary>
    public int Finishes { get; private set; }

    /// <summary>What was found.</summary>
    public Partition[] All => [.. Enumerable.Range(0, Found.Count).Select(i => Found[i])];

    /// <inheritdoc/>
    protected override void OnFinished() => Finishes++;
}
