// What a driver for one type of virtio device is.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio;

/// <summary>A driver for one device type; it does not know which bus its devices come from.</summary>
public abstract class VirtioDriver
{
    /// <summary>The type id it drives (virtio 5).</summary>
    public abstract ushort DeviceType { get; }

    /// <summary>What its devices are called, e.g. <c>virtio-blk</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The name of one of the device type's own feature bits in the specification's words; empty for one without a name.</summary>
    public virtual string NameOfFeature(int bit) => "";

    /// <summary>Takes a device into service: on success <paramref name="device"/> is what applications use.</summary>
    public abstract ProbeResult Probe(VirtioTransport transport, out Device? device);
}
