// Takes virtio block devices into service (virtio 5.2.5).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Block;

/// <summary>The driver for device type 2.</summary>
public sealed class VirtioBlkDriver : VirtioDriver
{
    private const ulong Supported = VirtioFeature.Supported | VirtioBlkFormat.SizeMax | VirtioBlkFormat.SegMax | VirtioBlkFormat.Geometry |
        VirtioBlkFormat.ReadOnly | VirtioBlkFormat.BlockSize | VirtioBlkFormat.Flush | VirtioBlkFormat.Topology | VirtioBlkFormat.ConfigWriteCache |
        VirtioBlkFormat.MultiQueue | VirtioBlkFormat.Discard | VirtioBlkFormat.WriteZeroes | VirtioBlkFormat.Lifetime | VirtioBlkFormat.SecureErase |
        VirtioBlkFormat.Zoned;

    private const ushort MaxQueueSize = 1024;

    private int _count;

    /// <summary>The most request queues to use of a device that has several, at least 1. More than one helps only where several processors submit.</summary>
    public ushort MaxQueues { get; set; } = 4;

    /// <inheritdoc/>
    public override ushort DeviceType => Virtio.DeviceType.Block;

    /// <inheritdoc/>
    public override string Name => "virtio-blk";

    /// <inheritdoc/>
    public override string NameOfFeature(int bit) => VirtioBlkFormat.NameOf(bit);

    /// <inheritdoc/>
    public override string Clause => "5.2";

    /// <inheritdoc/>
    public override string NameOfField(uint offset) => VirtioBlkWords.FieldAt(offset);

    /// <inheritdoc/>
    public override string NameOfRequest(ushort queue, ReadOnlySpan<byte> first, out ulong about) => VirtioBlkWords.RequestOf(first, out about);

    /// <inheritdoc/>
    public override string NameOfAnswer(ushort queue, ReadOnlySpan<byte> last, out ulong about)
    {
        about = 0;
        return VirtioBlkWords.AnswerOf(last);
    }

    /// <inheritdoc/>
    public override ProbeResult Probe(VirtioTransport transport, out Device? device)
    {
        device = null;
        VirtioDevice virtio = new(transport, this);
        ProbeResult result = virtio.Begin();
        if (!result.IsBound)
        {
            return result;
        }
        result = virtio.Agree(0, Supported & ~Excluded(virtio));
        if (!result.IsBound)
        {
            return result;
        }
        result = VirtioBlkLimits.Read(virtio, out VirtioBlkLimits limits);
        if (!result.IsBound)
        {
            return virtio.Fail(result.Reason, result.Value);
        }
        result = CreateQueues(virtio, Math.Min(limits.QueueCount, MaxQueues), out Virtqueue[] rings);
        if (!result.IsBound)
        {
            return result;
        }
        if (!VirtioBlk.TryCreate(virtio, rings, limits, out VirtioBlk? disk))
        {
            return virtio.Fail("there is no memory for the requests", rings[0].Size);
        }
        disk!.Name = "disk" + (_count++).ToString();
        virtio.Start();
        device = disk;
        return ProbeResult.Bound;
    }

    /// <summary>Features that may not be accepted together with others that are offered (5.2.5).</summary>
    private static ulong Excluded(VirtioDevice virtio)
    {
        ulong offered = virtio.OfferedFeatures;
        bool isManaged = (offered & VirtioBlkFormat.Zoned) != 0 && !virtio.Transport.IsLegacy &&
            VirtioBlkLimits.ReadZoneModel(virtio) == (byte)ZoneModel.HostManaged;
        return isManaged ? VirtioBlkFormat.Discard : 0;
    }

    private static ProbeResult CreateQueues(VirtioDevice virtio, ushort count, out Virtqueue[] rings)
    {
        rings = new Virtqueue[count];
        virtio.PrepareInterrupts(count);
        for (ushort i = 0; i < count; i++)
        {
            ProbeResult result = virtio.CreateQueue(i, MaxQueueSize, out Virtqueue? ring);
            if (!result.IsBound)
            {
                return result;
            }
            if (ring!.Size < 4)
            {
                return virtio.Fail("a queue of fewer than 4 descriptors can't hold a request", ring.Size);
            }
            rings[i] = ring;
        }
        return ProbeResult.Bound;
    }
}
