// virtio over MMIO, version 1: the layout from before virtio 1.0 (virtio 4.2.4).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>A queue is one block of memory, given by its page number; there are 32 features, and no generation.</summary>
public sealed class LegacyMmioTransport : MmioTransport
{
    private const uint PageSize = 4096;

    internal LegacyMmioTransport(PlatformDevice device, in IoWindow registers, ushort type)
        : base(device, registers, type)
    {
    }

    /// <inheritdoc/>
    public override string Name => "legacy virtio-mmio";

    /// <inheritdoc/>
    public override bool IsLegacy => true;

    /// <inheritdoc/>
    public override ulong SupportedFeatures => uint.MaxValue;

    /// <inheritdoc/>
    public override uint RingAlignment => PageSize;

    /// <inheritdoc/>
    public override ulong ReadDeviceFeatures() => ReadFeatureWord(0);

    /// <inheritdoc/>
    public override void WriteDriverFeatures(ulong features) => WriteFeatureWord(0, (uint)features);

    /// <summary>There is none: 0.</summary>
    public override byte ReadConfigGeneration() => 0;

    /// <inheritdoc/>
    public override bool IsQueueEnabled(ushort queue)
    {
        Select(queue);
        return Registers.Read32(MmioRegisters.QueuePageNumber) != 0;
    }

    /// <summary>The order of 4.2.4, "Virtqueue Configuration"; failed for a ring beyond what a page number of 32 bits can say.</summary>
    public override ProbeResult EnableQueue(ushort queue, ushort size, in VirtqueueAddresses addresses)
    {
        if (!addresses.TryGetPageNumber(PageSize, out uint page))
        {
            return ProbeResult.Failed("a queue lies where the legacy interface can't name it", addresses.DescriptorArea);
        }
        Registers.Write32(MmioRegisters.GuestPageSize, PageSize);
        Select(queue);
        Registers.Write32(MmioRegisters.QueueSize, size);
        Registers.Write32(MmioRegisters.QueueAlign, PageSize);
        Registers.Write32(MmioRegisters.QueuePageNumber, page);
        return Registers.Read32(MmioRegisters.QueuePageNumber) == page ? ProbeResult.Bound : ProbeResult.Failed(QueueStaysOff, queue);
    }
}
