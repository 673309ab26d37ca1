// Finds every function on every bus, behind bridges too.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// A depth-first walk from the root buses of each segment (PCI 3.0, 6.1). A bridge is followed only to a bus above its own that was not
/// scanned yet, so that bridges that contradict each other can't make it go on for ever. Where no firmware did, bridges get bus numbers on
/// the way and windows at the end.
/// </summary>
public sealed class PciScan
{
    private const ulong LeastWindow = 2 << 20;

    private readonly PciHost _host;
    private readonly bool[] _scanned = new bool[256];
    private ScannedPciFunction[] _functions = new ScannedPciFunction[16];
    private PciBridge[] _bridges = new PciBridge[4];
    private int _count;
    private int _bridgeCount;
    private byte _lastBus;

    private PciScan(PciHost host) => _host = host;

    /// <summary>How many functions were found, bridges included.</summary>
    public int Count => _count;

    /// <summary>How many bridges to other buses were found.</summary>
    public int BridgeCount => _bridgeCount;

    /// <summary>A function found, 0 to <see cref="Count"/> - 1, in the order of discovery.</summary>
    public ScannedPciFunction this[int index]
    {
        get
        {
            Contract.Require((uint)index < (uint)_count, "no function has this index");
            return _functions[index];
        }
    }

    /// <summary>Scans all segments of a machine. Nothing is changed where firmware has set up buses and BARs.</summary>
    public static PciScan Run(PciHost host)
    {
        PciScan scan = new(host);
        for (int segment = 0; segment < host.SegmentCount; segment++)
        {
            scan._lastBus = 0;
            for (int bus = 0; bus < 256; bus++)
            {
                scan._scanned[bus] = false;
            }
            for (int bus = 0; bus < 256; bus++)
            {
                if (host.IsRootBus(segment, (byte)bus) && !scan._scanned[bus])
                {
                    scan.ScanBus((ushort)segment, (byte)bus, null);
                }
            }
        }
        if (host.NeedsAssignment)
        {
            scan.OpenWindows();
        }
        return scan;
    }

    /// <summary>The bridge at an address; null when no bridge is there.</summary>
    public PciBridge? FindBridge(PciAddress address)
    {
        for (int i = 0; i < _bridgeCount; i++)
        {
            if (_bridges[i].Address.Equals(address))
            {
                return _bridges[i];
            }
        }
        return null;
    }

    /// <summary>
    /// Looks at the bus behind a bridge again and enters what has come there; answers with the index of the first new function, which is
    /// <see cref="Count"/> when there is none. What was there before has to be forgotten first.
    /// </summary>
    public int ScanBehind(PciBridge bridge)
    {
        int first = _count;
        if (bridge.IsNumbered)
        {
            ScanBus(bridge.Address.Segment, bridge.Secondary, bridge);
        }
        return first;
    }

    /// <summary>Strikes out everything behind a bridge, and gives back the room of its BARs.</summary>
    public void Forget(PciBridge bridge)
    {
        int kept = 0;
        for (int i = 0; i < _count; i++)
        {
            if (IsBehind(_functions[i].Parent, bridge))
            {
                _functions[i].ReturnRoom();
            }
            else
            {
                _functions[kept++] = _functions[i];
            }
        }
        for (int i = kept; i < _count; i++)
        {
            _functions[i] = null!;
        }
        _count = kept;
        int bridges = 0;
        for (int i = 0; i < _bridgeCount; i++)
        {
            if (!IsBehind(_bridges[i].Parent, bridge))
            {
                _bridges[bridges++] = _bridges[i];
            }
        }
        _bridgeCount = bridges;
    }

    /// <summary>True when a function answers at an address at this moment.</summary>
    internal bool IsThere(PciAddress address) => IsPresent(_host.ReadConfig16(address, PciRegisters.VendorId));

    private static bool IsBehind(PciBridge? place, PciBridge bridge)
    {
        while (place is not null && place != bridge)
        {
            place = place.Parent;
        }
        return place is not null;
    }

    private void ScanBus(ushort segment, byte bus, PciBridge? parent)
    {
        _scanned[bus] = true;
        _lastBus = bus > _lastBus ? bus : _lastBus;
        for (byte device = 0; device < 32; device++)
        {
            ScanDevice(segment, bus, device, parent);
        }
    }

    private void ScanDevice(ushort segment, byte bus, byte device, PciBridge? parent)
    {
        PciAddress first = new(segment, bus, device, 0);
        if (!IsPresent(_host.ReadConfig16(first, PciRegisters.VendorId)))
        {
            return;
        }
        byte header = _host.ReadConfig8(first, PciRegisters.HeaderType);
        Add(first, header, parent);
        if ((header & PciRegisters.HeaderMultifunction) == 0)
        {
            return;
        }
        for (byte function = 1; function < 8; function++)
        {
            PciAddress address = new(segment, bus, device, function);
            if (IsPresent(_host.ReadConfig16(address, PciRegisters.VendorId)))
            {
                Add(address, _host.ReadConfig8(address, PciRegisters.HeaderType), parent);
            }
        }
    }

    private static bool IsPresent(ushort vendor) => vendor is not PciRegisters.NoVendor and not 0;

    private void Add(PciAddress address, byte header, PciBridge? parent)
    {
        if (_count == _functions.Length)
        {
            Array.Resize(ref _functions, _count * 2);
        }
        _functions[_count++] = new ScannedPciFunction(_host, address, parent);
        if ((header & PciRegisters.HeaderLayoutMask) == PciRegisters.HeaderBridge)
        {
            Follow(new PciBridge(_host, address, parent), parent);
        }
    }

    private void Follow(PciBridge bridge, PciBridge? parent)
    {
        byte bus = bridge.Address.Bus;
        if (!bridge.IsNumbered && _host.NeedsAssignment && _lastBus < 255 && (parent is null || parent.Subordinate > _lastBus))
        {
            // Everything above is the bridge's until it is known how much it needs.
            bridge.Number((byte)(_lastBus + 1), parent?.Subordinate ?? 255);
            Enter(bridge);
            ScanBus(bridge.Address.Segment, bridge.Secondary, bridge);
            bridge.Number(bridge.Secondary, _lastBus);
            return;
        }
        if (bridge.Secondary > bus && bridge.Secondary <= bridge.Subordinate && !_scanned[bridge.Secondary])
        {
            Enter(bridge);
            ScanBus(bridge.Address.Segment, bridge.Secondary, bridge);
        }
    }

    private void Enter(PciBridge bridge)
    {
        if (_bridgeCount == _bridges.Length)
        {
            Array.Resize(ref _bridges, _bridgeCount * 2);
        }
        _bridges[_bridgeCount++] = bridge;
    }

    /// <summary>Gives every bridge a window for what is behind it, and some room for what may come; those in front come first in the list.</summary>
    private void OpenWindows()
    {
        for (int i = 0; i < _bridgeCount; i++)
        {
            PciBridge bridge = _bridges[i];
            ulong length = WindowOf(bridge);
            ulong start = 0;
            bool found = bridge.Parent is null ? _host.TryAssignMemory(length, out start) : bridge.Parent.Room.TryTake(length, out start);
            if (found)
            {
                bridge.Open(start, length);
            }
            else
            {
                Log.Write(LogLevel.Warning, "pci", "there is no room for the window of a bridge, in bytes", length);
            }
        }
    }

    /// <summary>What a bridge needs: the BARs and the windows behind it, as a power of two.</summary>
    private ulong WindowOf(PciBridge bridge)
    {
        ulong sum = 0;
        for (int i = 0; i < _count; i++)
        {
            sum += _functions[i].Parent == bridge ? _functions[i].MemoryNeeded : 0;
        }
        for (int i = 0; i < _bridgeCount; i++)
        {
            sum += _bridges[i].Parent == bridge ? WindowOf(_bridges[i]) : 0;
        }
        ulong length = LeastWindow;
        while (length < sum)
        {
            length *= 2;
        }
        return length;
    }
}
