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
        result = VirtioBlkLimits.Read(virtio, out VirtioBlkLimits limits);
        if (!result.IsBound)
        {
            return virtio.Fail(result.Reason, result.Value);
        }
        virtio.PrepareInterrupts(1);
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
}
