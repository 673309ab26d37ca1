// Finds every function on every bus, behind bridges too.
namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// A depth-first walk from bus 0 of each segment (PCI 3.0, 6.1). A bridge is followed only to a bus above its own that was not
/// scanned yet, so that bridges that contradict each other can't make it go on for ever.
/// </summary>
public sealed class PciScan
{
    private readonly PciHost _host;
    private readonly bool[] _scanned = new bool[256];
    private ScannedPciFunction[] _functions = new ScannedPciFunction[16];
    private int _count;

    private PciScan(PciHost host) => _host = host;

    /// <summary>How many functions were found, bridges included.</summary>
    public int Count => _count;

    /// <summary>A function found, 0 to <see cref="Count"/> - 1, in the order of discovery.</summary>
    public ScannedPciFunction this[int index]
    {
        get
        {
            Platform.Contract.Require((uint)index < (uint)_count, "no function has this index");
            return _functions[index];
        }
    }

    /// <summary>Scans all segments of a machine. Nothing is changed.</summary>
    public static PciScan Run(PciHost host)
    {
        PciScan scan = new(host);
        for (int segment = 0; segment < host.SegmentCount; segment++)
        {
            for (int bus = 0; bus < 256; bus++)
            {
                scan._scanned[bus] = false;
            }
            scan.ScanBus((ushort)segment, 0);
        }
        return scan;
    }

    private void ScanBus(ushort segment, byte bus)
    {
        _scanned[bus] = true;
        for (byte device = 0; device < 32; device++)
        {
            ScanDevice(segment, bus, device);
        }
    }

    private void ScanDevice(ushort segment, byte bus, byte device)
    {
        PciAddress first = new(segment, bus, device, 0);
        if (!IsPresent(_host.ReadConfig16(first, PciRegisters.VendorId)))
        {
            return;
        }
        byte header = _host.ReadConfig8(first, PciRegisters.HeaderType);
        Add(first, header);
        if ((header & PciRegisters.HeaderMultifunction) == 0)
        {
            return;
        }
        for (byte function = 1; function < 8; function++)
        {
            PciAddress address = new(segment, bus, device, function);
            if (IsPresent(_host.ReadConfig16(address, PciRegisters.VendorId)))
            {
                Add(address, _host.ReadConfig8(address, PciRegisters.HeaderType));
            }
        }
    }

    private static bool IsPresent(ushort vendor) => vendor is not PciRegisters.NoVendor and not 0;

    private void Add(PciAddress address, byte header)
    {
        if (_count == _functions.Length)
        {
            Array.Resize(ref _functions, _count * 2);
        }
        _functions[_count++] = new ScannedPciFunction(_host, address);
        if ((header & PciRegisters.HeaderLayoutMask) == PciRegisters.HeaderBridge)
        {
            byte secondary = _host.ReadConfig8(address, PciRegisters.SecondaryBus);
            if (secondary > address.Bus && secondary <= _host.ReadConfig8(address, PciRegisters.SubordinateBus) && !_scanned[secondary])
            {
                ScanBus(address.Segment, secondary);
            }
        }
    }
}
