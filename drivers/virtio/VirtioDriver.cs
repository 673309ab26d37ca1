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

    /// <summary>The clause about the device type, for those who write down what happens.</summary>
    public virtual string Clause => "5";

    /// <summary>The specification's name of the field at an offset of the device configuration; empty where there is none to say.</summary>
    public virtual string NameOfField(uint offset) => "";

    /// <summary>
    /// The specification's name for what a buffer asks for, by the bytes that the device reads first, and the number it is about (a sector, a
    /// port); empty where there is none to say.
    /// </summary>
    public virtual string NameOfRequest(ushort queue, ReadOnlySpan<byte> first, out ulong about)
    {
        about = 0;
        return "";
    }

    /// <summary>The same for what came back, by the bytes of the last piece that the device could write.</summary>
    public virtual string NameOfAnswer(ushort queue, ReadOnlySpan<byte> last, out ulong about)
    {
        about = 0;
        return "";
    }

    /// <summary>Takes a device into service: on success <paramref name="device"/> is what applications use.</summary>
    public abstract ProbeResult Probe(VirtioTransport transport, out Device? device);
}
