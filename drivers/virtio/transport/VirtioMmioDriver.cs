// The one driver for all virtio-mmio devices: chooses the version, then the driver for the type.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Takes virtio-mmio devices into service whose type the table has a driver for.</summary>
public sealed class VirtioMmioDriver
{
    private readonly VirtioDriverTable _drivers;

    /// <summary>Makes a driver that binds with <paramref name="drivers"/>.</summary>
    public VirtioMmioDriver(VirtioDriverTable drivers) => _drivers = drivers;

    /// <summary>Takes the device into service; not mine for an empty slot or a type without a driver, failed with a reason else.</summary>
    public ProbeResult Probe(PlatformDevice slot, out Device? device)
    {
        device = null;
        ProbeResult result = MmioTransport.TryCreate(slot, out MmioTransport? transport);
        if (!result.IsBound)
        {
            return result;
        }
        VirtioDriver? driver = _drivers.Find(transport!.DeviceType);
        return driver is null ? ProbeResult.NotMine : driver.Probe(transport, out device);
    }
}
