// The drivers there are, asked in the order in which they were added.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>Binds functions to drivers: the first driver that matches probes, and its answer counts.</summary>
public sealed class DriverRegistry
{
    private readonly DeviceTable _devices;
    private PciDriver[] _drivers = new PciDriver[4];
    private int _count;

    /// <summary>Makes a registry whose drivers enter their devices into <paramref name="devices"/>.</summary>
    public DriverRegistry(DeviceTable devices) => _devices = devices;

    /// <summary>Adds a driver.</summary>
    public void Add(PciDriver driver)
    {
        if (_count == _drivers.Length)
        {
            Array.Resize(ref _drivers, _count * 2);
        }
        _drivers[_count++] = driver;
    }

    /// <summary>Offers a function to the drivers.</summary>
    public ProbeResult Attach(PciFunction function)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_drivers[i].Matches(function))
            {
                return _drivers[i].Probe(function, _devices);
            }
        }
        return ProbeResult.NotMine;
    }
}
