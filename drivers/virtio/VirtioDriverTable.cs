// The drivers for types of virtio devices, whatever bus they are on.
namespace VirtioSharp.Drivers.Virtio;

/// <summary>Finds the driver for a device type. The same table serves all buses, so that devices are numbered in one row.</summary>
public sealed class VirtioDriverTable
{
    private VirtioDriver[] _drivers = new VirtioDriver[4];
    private int _count;

    /// <summary>Adds a driver.</summary>
    public void Add(VirtioDriver driver)
    {
        if (_count == _drivers.Length)
        {
            Array.Resize(ref _drivers, _count * 2);
        }
        _drivers[_count++] = driver;
    }

    /// <summary>The driver that was added first for a device type (virtio 5); null when there is none.</summary>
    public VirtioDriver? Find(ushort deviceType)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_drivers[i].DeviceType == deviceType)
            {
                return _drivers[i];
            }
        }
        return null;
    }
}
