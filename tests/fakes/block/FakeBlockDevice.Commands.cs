// A disk in memory behind virtio-blk: the commands besides read, write, flush and id (virtio 5.2.6).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Block;

public sealed partial class FakeBlockDevice
{
    private const int ConfigLength = 96;
    private const int WriteBackOffset = 32;
    private const int DiscardOffset = 36;
    private const int WriteZeroesOffset = 48;
    private const int SecureEraseOffset = 60;
    private const int RangeLength = 16;

    /// <summary>What a discarded sector reads as: something that nobody may rely on.</summary>
    public const byte Discarded = 0xD1;

    /// <summary>What a securely erased sector reads as.</summary>
    public const byte Erased = 0xE5;

    /// <summary>The answer to a question for the wear, 6 bytes.</summary>
    public byte[] Wear { get; set; } = [1, 0, 3, 0, 7, 0];

    /// <summary>The ranges of each discard, write zeroes or secure erase that was done: type, then sector and count of each segment.</summary>
    public List<(uint Type, (ulong Sector, uint Count, uint Flags)[] Ranges)> RangeCommands { get; } = [];

    /// <summary>The zones, if there are any.</summary>
    public FakeZones? Zones { get; private set; }

    /// <summary>What the switch of the write cache goes back to with a reset.</summary>
    public byte WriteBackAfterReset { get; set; } = 1;

    /// <summary>A fault: the switch of the write cache does not move.</summary>
    public bool IsWriteBackStuck { get; set; }

    /// <summary>True while a completed write may be lost without a flush.</summary>
    public bool HasCache => Has(ConfigWriteCache) ? Config[WriteBackOffset] != 0 : Has(Flush);

    /// <summary>Offers a command for ranges, with its limits.</summary>
    public FakeBlockDevice Allow(ulong feature, uint maxSectors, uint maxSegments = 1, uint alignment = 1)
    {
        int offset = OffsetOf(feature);
        OfferedFeatures |= feature;
        BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(offset), maxSectors);
        BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(offset + 4), maxSegments);
        if (feature != WriteZeroes)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(offset + 8), alignment);
        }
        return this;
    }

    /// <summary>Offers the switch of the write cache.</summary>
    public FakeBlockDevice AllowSwitch()
    {
        OfferedFeatures |= ConfigWriteCache;
        Config[WriteBackOffset] = WriteBackAfterReset;
        return this;
    }

    /// <summary>Divides the disk into zones.</summary>
    public FakeBlockDevice DivideInto(FakeZones zones)
    {
        Zones = zones;
        OfferedFeatures |= Zoned;
        zones.Describe(Config.AsSpan(72));
        RefusesFeatures = features => (features & Version1) == 0 || (zones.Model == 1 && (features & Zoned) == 0);
        return this;
    }

    /// <inheritdoc/>
    protected override void CheckConfigAccess(int offset, bool isWrite)
    {
        Machine.Violations.Require(
            offset != WriteBackOffset || Bus.IsLegacy || (Status & DeviceStatus.FeaturesOk) != 0,
            "writeback was accessed before FEATURES_OK (5.2.5.2)");
        Machine.Violations.Require(!isWrite || Has(ConfigWriteCache), "writeback was written, but CONFIG_WCE was not agreed on (5.2.5)");
    }

    /// <inheritdoc/>
    protected override void OnConfigWritten(int offset, uint value)
    {
        Machine.Violations.Require(value <= 1, $"writeback was set to {value} (5.2.5)");
        if (IsWriteBackStuck)
        {
            Config[WriteBackOffset] = WriteBackAfterReset;
        }
    }

    /// <inheritdoc/>
    protected override void OnFeaturesAgreed()
    {
        // A switch without a flush begins at "through" (5.2.5.1).
        if (Has(ConfigWriteCache) && !Has(Flush))
        {
            Config[WriteBackOffset] = 0;
        }
    }

    private static int OffsetOf(ulong feature) =>
        feature == Discard ? DiscardOffset : feature == WriteZeroes ? WriteZeroesOffset : SecureEraseOffset;

    private void Store(ulong sector, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Disk.AsSpan((int)sector * SectorSize));
        if (!HasCache)
        {
            bytes.CopyTo(Durable.AsSpan((int)sector * SectorSize));
        }
    }

    private byte DoMore(uint type, ulong sector, FakeChain chain, ref uint written)
    {
        uint toRead = chain.WritableLength - 1;
        uint toWrite = chain.ReadableLength - HeaderLength;
        ViolationLog violations = Machine.Violations;
        if (type == 10)
        {
            violations.Require(Has(Lifetime), "a question for the lifetime, which was not agreed on (5.2.6)");
            violations.Require(toRead == 6 && toWrite == 0 && sector == 0, $"a question for the lifetime with {toRead} bytes of room (5.2.6)");
            chain.Write(0, Wear);
            written = 6;
            return StatusOk;
        }
        if (type is 11 or 13 or 14)
        {
            return DoRanges(type, sector, chain);
        }
        bool isZoneCommand = type is 15 or 16 or 18 or 20 or 22 or 24 or 26;
        Judge(isZoneCommand, $"a request of type {type}, which does not exist (5.2.6)");
        Judge(!isZoneCommand || Has(Zoned), $"a request of type {type}, but ZONED was not agreed on (5.2.6)");
        if (!isZoneCommand || Zones is null || !Has(Zoned))
        {
            return StatusUnsupported;
        }
        violations.Require(type is 15 or 16 || (toRead == 0 && toWrite == 0), $"a zone command with {toRead} bytes of room and {toWrite} of data (5.2.6)");
        violations.Require(sector < Sectors, $"a zone command for sector {sector} of {Sectors} (5.2.6)");
        violations.Require((OfferedFeatures & ReadOnly) == 0 || type == 16, "a zone command changes a read-only disk (5.2.6.1)");
        if (type == 16)
        {
            violations.Require(toRead >= 128 && toWrite == 0, $"a report of zones with {toRead} bytes of room (5.2.6)");
            byte[] report = Zones.Report(sector, (int)toRead);
            chain.Write(0, report);
            written = (uint)report.Length;
            return StatusOk;
        }
        if (type != 15)
        {
            return Zones.Manage(type, sector, violations);
        }
        violations.Require(toRead == 8 && toWrite > 0 && toWrite % SectorSize == 0, $"an append of {toWrite} bytes with {toRead} of room (5.2.6)");
        byte status = Zones.Append(sector, toWrite, violations, IsLenient, out ulong at);
        if (status == StatusOk)
        {
            Store(at, chain.Read(HeaderLength));
            byte[] place = BitConverter.GetBytes(Zones.LieAboutAppend ?? at);
            chain.Write(0, place);
            written = 8;
        }
        return status;
    }

    private byte DoRanges(uint type, ulong sector, FakeChain chain)
    {
        ulong feature = type == 11 ? Discard : type == 13 ? WriteZeroes : SecureErase;
        ViolationLog violations = Machine.Violations;
        byte[] data = chain.Read(HeaderLength);
        violations.Require(Has(feature), $"a request of type {type}, whose feature was not agreed on (5.2.6)");
        Judge((OfferedFeatures & ReadOnly) == 0, $"a request of type {type} to a read-only disk (5.2.6.1)");
        violations.Require(sector == 0 && chain.WritableLength == 1, $"a request of type {type} with a sector, or with room for an answer (5.2.6)");
        violations.Require(data.Length > 0 && data.Length % RangeLength == 0, $"ranges of {data.Length} bytes (5.2.6.1)");
        uint maxSectors = BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(OffsetOf(feature)));
        uint maxSegments = BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(OffsetOf(feature) + 4));
        violations.Require(data.Length / RangeLength <= maxSegments, $"{data.Length / RangeLength} ranges, but only {maxSegments} are allowed (5.2.6.1)");
        List<(ulong Sector, uint Count, uint Flags)> ranges = [];
        ulong sum = 0;
        for (int i = 0; i + RangeLength <= data.Length; i += RangeLength)
        {
            ulong first = BitConverter.ToUInt64(data, i);
            uint count = BitConverter.ToUInt32(data, i + 8);
            uint flags = BitConverter.ToUInt32(data, i + 12);
            sum += count;
            ranges.Add((first, count, flags));
            Judge(flags == 0 || (type == 13 && flags == 1), $"a range of a request of type {type} with flags 0x{flags:X} (5.2.6.1)");
            violations.Require(
                type != 14 || Zones is null || Zones.Model == 0 || count % Zones.ZoneSectors == 0, $"{count} sectors are no whole zones to erase (5.2.6.2)");
            if (flags > 1 || (type != 13 && flags != 0))
            {
                return StatusUnsupported;
            }
            if (!IsInRange(first, (ulong)count * SectorSize))
            {
                return StatusError;
            }
        }
        violations.Require(sum <= maxSectors, $"{sum} sectors in a request of type {type}, but only {maxSectors} are allowed (5.2.5)");
        if ((OfferedFeatures & ReadOnly) != 0)
        {
            return StatusError;
        }
        RangeCommands.Add((type, [.. ranges]));
        if (ranges.Any(range => HasBadSector(range.Sector, (ulong)range.Count * SectorSize)))
        {
            return StatusError;
        }
        foreach ((ulong first, uint count, uint _) in ranges)
        {
            byte[] bytes = new byte[count * SectorSize];
            Array.Fill(bytes, type == 11 ? Discarded : type == 13 ? (byte)0 : Erased);
            Store(first, bytes);
        }
        return StatusOk;
    }
}
