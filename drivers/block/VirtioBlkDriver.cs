// Takes virtio block devices into service (virtio 5.2.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Block;

/// <summary>The driver for device type 2.</summary>
public sealed class VirtioBlkDriver : VirtioDriver
{
    private const ulong Supported = VirtioFeature.Supported | VirtioBlkFormat.SizeMax | VirtioBlkFormat.SegMax | VirtioBlkFormat.ReadOnly |
        VirtioBlkFormat.BlockSize | VirtioBlkFormat.Flush;
    private const ushort MaxQueueSize = 1024;
    private const ulong MaxSectorCount = ulong.MaxValue / BlockDevice.SectorSize;

    private int _count;

    /// <inheritdoc/>
    public override ushort DeviceType => Virtio.DeviceType.Block;

    /// <inheritdoc/>
    public override ProbeResult Probe(VirtioTransport transport, out Device? device)
    {
        device = null;
        VirtioDevice virtio = new(transport);
        ProbeResult result = virtio.Negotiate(0, Supported);
        if (!result.IsBound)
        {
            return result;
        }
        if (!virtio.TryReadConfig64(VirtioBlkFormat.CapacityOffset, out ulong sectors))
        {
            return virtio.Fail("the capacity can't be read: the configuration is too short or never holds still", transport.ConfigLength);
        }
        if (sectors > MaxSectorCount)
        {
            return virtio.Fail("the capacity in bytes does not fit 64 bits", sectors);
        }
        VirtioBlkLimits limits = ReadLimits(virtio, sectors);
        if (limits.SegmentMax == 0 || limits.SizeMax < limits.BlockSize)
        {
            return virtio.Fail("seg_max or size_max leaves no room for a single block", limits.SizeMax);
        }
        result = virtio.PrepareInterrupts(1);
        if (!result.IsBound)
        {
            return result;
        }
        result = virtio.CreateQueue(0, MaxQueueSize, out Virtqueue? queue);
        if (!result.IsBound)
        {
            return result;
        }
        if (queue!.Size < 4)
        {
            return virtio.Fail("a queue of fewer than 4 descriptors can't hold a request", queue.Size);
        }
        if (!VirtioBlk.TryCreate(virtio, queue, limits, out VirtioBlk? disk))
        {
            return virtio.Fail("there is no memory for the requests", queue.Size);
        }
        disk!.Name = "disk" + (_count++).ToString();
        virtio.Start();
        device = disk;
        return ProbeResult.Bound;
    }

    private static VirtioBlkLimits ReadLimits(VirtioDevice virtio, ulong sectors)
    {
        uint blockSize = virtio.Has(VirtioBlkFormat.BlockSize) ? virtio.ReadConfig32(VirtioBlkFormat.BlockSizeOffset) : BlockDevice.SectorSize;
        if (blockSize is < BlockDevice.SectorSize or > 1 << 20 || (blockSize & (blockSize - 1)) != 0)
        {
            // It is advice only (5.2.5): nonsense is not used.
            Log.Write(LogLevel.Warning, "virtio-blk", "the block size is no power of two from 512 on; 512 is used", blockSize);
            blockSize = BlockDevice.SectorSize;
        }
        return new VirtioBlkLimits
        {
            SectorCount = sectors,
            BlockSize = blockSize,
            SizeMax = virtio.Has(VirtioBlkFormat.SizeMax) ? virtio.ReadConfig32(VirtioBlkFormat.SizeMaxOffset) : uint.MaxValue,
            SegmentMax = virtio.Has(VirtioBlkFormat.SegMax) ? virtio.ReadConfig32(VirtioBlkFormat.SegMaxOffset) : 1,
            IsReadOnly = virtio.Has(VirtioBlkFormat.ReadOnly),
            HasFlush = virtio.Has(VirtioBlkFormat.Flush),
        };
    }
}

/// <summary>What a block device's configuration says, checked.</summary>
internal struct VirtioBlkLimits
{
    internal ulong SectorCount;
    internal uint BlockSize;
    internal uint SizeMax;
    internal uint SegmentMax;
    internal bool IsReadOnly;
    internal bool HasFlush;
}
