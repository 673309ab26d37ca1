// What the configuration of a virtio block device says, read and checked (virtio 5.2.4, 5.2.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Drivers.Block;

/// <summary>What one kind of range command may ask for (discard, write zeroes, secure erase).</summary>
internal struct VirtioBlkRangeLimits
{
    /// <summary>The most sectors of one command, whole blocks; 0 when the command can't be used.</summary>
    internal uint MaxSectors;

    /// <summary>A longer range is best cut at multiples of this many sectors; 0 for anywhere.</summary>
    internal uint Alignment;

    /// <summary>The specification does not say whether the limit is for a segment or for all: every command has one segment.</summary>
    internal static VirtioBlkRangeLimits Read(VirtioDevice virtio, ulong feature, ushort offset, bool hasAlignment, uint blockSectors)
    {
        VirtioBlkRangeLimits limits = default;
        if (!virtio.Has(feature))
        {
            return limits;
        }
        uint sectors = virtio.ReadConfig32(offset);
        limits.Alignment = hasAlignment ? virtio.ReadConfig32((ushort)(offset + 8)) : 0;
        if (virtio.ReadConfig32((ushort)(offset + 4)) != 0)
        {
            limits.MaxSectors = sectors & ~(blockSectors - 1);
        }
        if (limits.MaxSectors == 0)
        {
            Log.Write(LogLevel.Warning, "virtio-blk", "a command is not used: the device offers it, and allows it for not a single block", feature);
        }
        return limits;
    }

    internal readonly bool Suits(in VirtioBlkRangeLimits before) => MaxSectors >= before.MaxSectors;
}

/// <summary>The capacity and the limits of requests.</summary>
internal struct VirtioBlkLimits
{
    internal const ulong MaxSectorCount = ulong.MaxValue / BlockDevice.SectorSize;

    private const byte MaxExponent = 31;

    internal ulong SectorCount;
    internal uint BlockSize;
    internal uint SizeMax;
    internal uint SegmentMax;
    internal ushort QueueCount;
    internal bool IsReadOnly;
    internal bool HasFlush;
    internal bool HasLifetime;
    internal BlockTopology Topology;
    internal BlockGeometry Geometry;
    internal VirtioBlkRangeLimits Discard;
    internal VirtioBlkRangeLimits WriteZeroes;
    internal VirtioBlkRangeLimits SecureErase;
    internal ZoneLimits Zones;

    /// <summary>The block size in sectors.</summary>
    internal readonly uint BlockSectors => BlockSize / BlockDevice.SectorSize;

    /// <summary>The limits of a range command.</summary>
    internal readonly VirtioBlkRangeLimits RangeOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Discard => Discard,
        BlockOperation.WriteZeroes => WriteZeroes,
        _ => SecureErase,
    };

    /// <summary>
    /// The model in the configuration of a device that offers ZONED, which may be read before features are agreed on: a driver must not
    /// accept DISCARD from a host-managed disk (5.2.5).
    /// </summary>
    internal static byte ReadZoneModel(VirtioDevice virtio) => virtio.ReadConfig8(VirtioBlkFormat.ZoneModelOffset);

    /// <summary>Reads the configuration of a device whose features are agreed on; failed with a reason when it makes no sense.</summary>
    internal static ProbeResult Read(VirtioDevice virtio, out VirtioBlkLimits limits)
    {
        limits = default;
        if (!virtio.TryReadConfig64(VirtioBlkFormat.CapacityOffset, out ulong sectors))
        {
            return ProbeResult.Failed("the capacity can't be read: the configuration is too short or never holds still", virtio.Transport.ConfigLength);
        }
        if (sectors > MaxSectorCount)
        {
            return ProbeResult.Failed("the capacity in bytes does not fit 64 bits", sectors);
        }
        uint blockSize = virtio.Has(VirtioBlkFormat.BlockSize) ? virtio.ReadConfig32(VirtioBlkFormat.BlockSizeOffset) : BlockDevice.SectorSize;
        if (blockSize is < BlockDevice.SectorSize or > 1 << 20 || (blockSize & (blockSize - 1)) != 0)
        {
            // It is advice only (5.2.5): nonsense is not used.
            Log.Write(LogLevel.Warning, "virtio-blk", "the block size is no power of two from 512 on; 512 is used", blockSize);
            blockSize = BlockDevice.SectorSize;
        }
        limits.SectorCount = sectors;
        limits.BlockSize = blockSize;
        limits.SizeMax = virtio.Has(VirtioBlkFormat.SizeMax) ? virtio.ReadConfig32(VirtioBlkFormat.SizeMaxOffset) : uint.MaxValue;
        limits.SegmentMax = virtio.Has(VirtioBlkFormat.SegMax) ? virtio.ReadConfig32(VirtioBlkFormat.SegMaxOffset) : 1;
        limits.IsReadOnly = virtio.Has(VirtioBlkFormat.ReadOnly);
        limits.HasFlush = virtio.Has(VirtioBlkFormat.Flush);
        limits.HasLifetime = virtio.Has(VirtioBlkFormat.Lifetime);
        limits.QueueCount = virtio.Has(VirtioBlkFormat.MultiQueue) ? virtio.ReadConfig16(VirtioBlkFormat.NumQueuesOffset) : (ushort)1;
        if (limits.SegmentMax == 0 || limits.SizeMax < limits.BlockSize)
        {
            return ProbeResult.Failed("seg_max or size_max leaves no room for a single block", limits.SizeMax);
        }
        if (limits.QueueCount == 0)
        {
            Log.Write(LogLevel.Warning, "virtio-blk", "the device offers several queues and says it has none; one is used", 0);
            limits.QueueCount = 1;
        }
        uint block = limits.BlockSectors;
        limits.Discard = VirtioBlkRangeLimits.Read(virtio, VirtioBlkFormat.Discard, VirtioBlkFormat.DiscardOffset, true, block);
        limits.WriteZeroes = VirtioBlkRangeLimits.Read(virtio, VirtioBlkFormat.WriteZeroes, VirtioBlkFormat.WriteZeroesOffset, false, block);
        limits.SecureErase = VirtioBlkRangeLimits.Read(virtio, VirtioBlkFormat.SecureErase, VirtioBlkFormat.SecureEraseOffset, true, block);
        limits.ReadTopology(virtio);
        return limits.ReadZones(virtio);
    }

    /// <summary>True when requests made for <paramref name="before"/> are right for these limits too.</summary>
    internal readonly bool Suits(in VirtioBlkLimits before) =>
        BlockSize == before.BlockSize && SizeMax >= before.SizeMax && SegmentMax >= before.SegmentMax && QueueCount >= before.QueueCount &&
        Discard.Suits(before.Discard) && WriteZeroes.Suits(before.WriteZeroes) && SecureErase.Suits(before.SecureErase) &&
        Zones.Model == before.Zones.Model && Zones.ZoneSectors == before.Zones.ZoneSectors &&
        Zones.WriteGranularity == before.Zones.WriteGranularity && Zones.MaxAppendSectors >= before.Zones.MaxAppendSectors;

    /// <summary>Advice: what makes no sense is left out.</summary>
    private void ReadTopology(VirtioDevice virtio)
    {
        Topology = BlockTopology.Plain(BlockSize);
        if (virtio.Has(VirtioBlkFormat.Topology))
        {
            byte exponent = virtio.ReadConfig8(VirtioBlkFormat.PhysicalBlockExponentOffset);
            if (exponent > MaxExponent)
            {
                Log.Write(LogLevel.Warning, "virtio-blk", "the physical block size makes no sense and is not used; 2 to the power of", exponent);
                exponent = 0;
            }
            Topology = new BlockTopology(
                (ulong)BlockSize << exponent,
                (ulong)virtio.ReadConfig8(VirtioBlkFormat.AlignmentOffsetOffset) * BlockSize,
                (ulong)virtio.ReadConfig16(VirtioBlkFormat.MinIoSizeOffset) * BlockSize,
                (ulong)virtio.ReadConfig32(VirtioBlkFormat.OptIoSizeOffset) * BlockSize);
        }
        if (virtio.Has(VirtioBlkFormat.Geometry))
        {
            Geometry = new BlockGeometry(
                virtio.ReadConfig16(VirtioBlkFormat.CylindersOffset),
                virtio.ReadConfig8(VirtioBlkFormat.HeadsOffset),
                virtio.ReadConfig8(VirtioBlkFormat.SectorsOffset));
        }
    }

    private ProbeResult ReadZones(VirtioDevice virtio)
    {
        if (!virtio.Has(VirtioBlkFormat.Zoned))
        {
            return ProbeResult.Bound;
        }
        ZoneModel model = (ZoneModel)ReadZoneModel(virtio);
        if (model == ZoneModel.None)
        {
            return ProbeResult.Bound; // the other fields mean nothing
        }
        if (model > ZoneModel.HostAware)
        {
            return ProbeResult.Failed("the zone model is none that the specification knows", (ulong)model);
        }
        Zones = new ZoneLimits(
            model,
            virtio.ReadConfig32(VirtioBlkFormat.ZoneSectorsOffset),
            virtio.ReadConfig32(VirtioBlkFormat.MaxOpenZonesOffset),
            virtio.ReadConfig32(VirtioBlkFormat.MaxActiveZonesOffset),
            virtio.ReadConfig32(VirtioBlkFormat.MaxAppendSectorsOffset),
            virtio.ReadConfig32(VirtioBlkFormat.WriteGranularityOffset));
        uint granularity = Zones.WriteGranularity;
        if (Zones.ZoneSectors == 0 || Zones.ZoneSectors % BlockSectors != 0)
        {
            return ProbeResult.Failed("the zones have no whole number of blocks", Zones.ZoneSectors);
        }
        if (granularity > SizeMax)
        {
            return ProbeResult.Failed("size_max leaves no room for the write granularity", granularity);
        }
        if (granularity != 0 && Math.Max(granularity, BlockSize) % Math.Min(granularity, BlockSize) != 0)
        {
            return ProbeResult.Failed("the write granularity and the block size do not fit together", granularity);
        }
        return granularity == 0 || granularity % BlockDevice.SectorSize != 0 || (ulong)Zones.ZoneSectors * BlockDevice.SectorSize % granularity != 0
            ? ProbeResult.Failed("the write granularity does not divide the zones", granularity)
            : ProbeResult.Bound;
    }
}
