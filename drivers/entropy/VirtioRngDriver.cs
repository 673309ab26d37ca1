// Takes virtio entropy devices into service (virtio 5.4).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Entropy;

/// <summary>The driver for device type 4. The device has no features and no configuration of its own (5.4.3, 5.4.4).</summary>
public sealed class VirtioRngDriver : VirtioDriver
{
    private const ushort EntropyDevice = 4; // 5.4.1
    private const ushort RequestQueue = 0; // 5.4.2: requestq

    private int _count;

    /// <inheritdoc/>
    public override ushort DeviceType => EntropyDevice;

    /// <inheritdoc/>
    public override string Name => "virtio-rng";

    /// <inheritdoc/>
    public override string Clause => "5.4";

    /// <inheritdoc/>
    public override ProbeResult Probe(VirtioTransport transport, out Device? device)
    {
        device = null;
        VirtioDevice virtio = new(transport, this);
        ProbeResult result = virtio.Negotiate(0, VirtioFeature.Supported);
        if (!result.IsBound)
        {
            return result;
        }
        virtio.PrepareInterrupts(1);
        result = virtio.CreateQueue(RequestQueue, VirtioRng.MaxSlots, out Virtqueue? queue);
        if (!result.IsBound)
        {
            return result;
        }
        if (!VirtioRng.TryCreate(virtio, queue!, out VirtioRng? source))
        {
            return virtio.Fail("there is no memory for the random bytes", 0);
        }
        source!.Name = "rng" + (_count++).ToString();
        virtio.Start();
        device = source;
        return ProbeResult.Bound;
    }
}
