// What the configuration of a virtio block device says, read and checked (virtio 5.2.4, 5.2.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Drivers.Block;

/// <summary>The capacity and the limits of requests.</summary>
internal struct VirtioBlkLimits
{
    internal const ulong MaxSectorCount = ulong.MaxValue / BlockDevice.SectorSize;

    internal ulong SectorCount;
    internal uint BlockSize;
    internal uint SizeMax;
    internal uint SegmentMax;
    internal bool IsReadOnly;
    internal bool HasFlush;

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
        return limits.SegmentMax == 0 || limits.SizeMax < limits.BlockSize
            ? ProbeResult.Failed("seg_max or size_max leaves no room for a single block", limits.SizeMax)
            : ProbeResult.Bound;
    }

    /// <summary>True when requests made for <paramref name="before"/> are right for these limits too.</summary>
    internal readonly bool Suits(in VirtioBlkLimits before) =>
        BlockSize == before.BlockSize && SizeMax >= before.SizeMax && SegmentMax >= before.SegmentMax;
}
