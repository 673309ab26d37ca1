// The drivers there are, asked in the order in which they were added.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>Binds functions to drivers: the first driver that matches probes, and its answer counts.</summary>
public sealed class DriverRegistry
{
    private readonly DeviceTable _devices;
    private PciDriver[] _drivers = new PciDriver[4];
    private Binding[] _bindings = new Binding[8];
    private int _count;
    private int _bindingCount;

    /// <summary>A device, and the function it was made of.</summary>
    private struct Binding
    {
        internal PciAddress Address;
        internal Device Device;
    }

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
                int before = _devices.Count;
                ProbeResult result = _drivers[i].Probe(function, _devices);
                for (int j = before; j < _devices.Count; j++)
                {
                    Note(function.Address, _devices[j]);
                }
                return result;
            }
        }
        return ProbeResult.NotMine;
    }

    /// <summary>
    /// Ends the devices of all functions on the buses from <paramref name="firstBus"/> to <paramref name="lastBus"/>, and strikes them out of
    /// the table. Says how many there were.
    /// </summary>
    public int Detach(ushort segment, byte firstBus, byte lastBus)
    {
        int detached = 0;
        int i = 0;
        while (i < _bindingCount)
        {
            Binding binding = _bindings[i];
            if (binding.Address.Segment != segment || binding.Address.Bus < firstBus || binding.Address.Bus > lastBus)
            {
                i++;
                continue;
            }
            // Out of the lists first: those who hear of the end may look for devices.
            _bindingCount--;
            for (int j = i; j < _bindingCount; j++)
            {
                _bindings[j] = _bindings[j + 1];
            }
            _bindings[_bindingCount] = default;
            _devices.Remove(binding.Device);
            binding.Device.Remove();
            detached++;
        }
        return detached;
    }

    /// <summary>Lets a device end with the function that it was made of, when that leaves its bus.</summary>
    internal void Note(PciAddress address, Device device)
    {
        if (_bindingCount == _bindings.Length)
        {
            Array.Resize(ref _bindings, _bindingCount * 2);
        }
        _bindings[_bindingCount].Address = address;
        _bindings[_bindingCount++].Device = device;
    }
}
