// Finds every function on every bus, behind bridges too.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// A depth-first walk from the root buses of each segment (PCI 3.0, 6.1). A bridge is followed only to a bus above its own to which no other
/// bridge leads, so that bridges that contradict each other can't make it go on for ever. Where no firmware did, bridges get bus numbers on
/// the way and windows at the end; and so do bridges that are plugged in while the machine runs.
/// </summary>
public sealed class PciScan
{
    private const ulong LeastWindow = 1 << 20;
    private const ulong HotplugWindow = 8 << 20;
    private const int SpareBuses = 4;

    private readonly PciHost _host;
    private ScannedPciFunction[] _functions = new ScannedPciFunction[16];
    private PciBridge[] _bridges = new PciBridge[4];
    private int _count;
    private int _bridgeCount;
    private bool _numbers;
    private bool _spares;
    private bool _ranOut;

    private PciScan(PciHost host, bool spares)
    {
        _host = host;
        _numbers = host.NeedsAssignment;
        _spares = spares;
    }

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
        PciScan scan = new(host, spares: host.NeedsAssignment);
        scan.ScanAll();
        if (scan._ranOut && scan._spares)
        {
            // Numbers that nobody needs yet were given at the cost of some that are needed. Those behind come first: they are reached by them.
            for (int i = scan._bridgeCount - 1; i >= 0; i--)
            {
                scan._bridges[i].Number(0, 0);
            }
            scan = new PciScan(host, spares: false);
            scan.ScanAll();
        }
        if (host.NeedsAssignment)
        {
            scan.OpenWindows(0, HotplugWindow);
        }
        scan._numbers = true;
        scan._spares = false;
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
        int firstBridge = _bridgeCount;
        if (bridge.IsNumbered)
        {
            ScanBus(bridge.Address.Segment, bridge.Secondary, bridge);
            OpenWindows(firstBridge, LeastWindow);
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
            else if (_bridges[i].Room.Length != 0)
            {
                _bridges[i].Parent!.Room.Return(_bridges[i].Room.Start);
            }
        }
        for (int i = bridges; i < _bridgeCount; i++)
        {
            _bridges[i] = null!;
        }
        _bridgeCount = bridges;
    }

    /// <summary>Notes that the functions behind a bridge have left, before their drivers end: those see nobody at their addresses.</summary>
    internal void Leave(PciBridge bridge)
    {
        for (int i = 0; i < _count; i++)
        {
            if (IsBehind(_functions[i].Parent, bridge))
            {
                _functions[i].Leave();
            }
        }
    }

    /// <summary>True when functions are known right behind a bridge.</summary>
    internal bool KnowsBehind(PciBridge bridge)
    {
        bool any = false;
        for (int i = 0; i < _count; i++)
        {
            any |= _functions[i].Parent == bridge;
        }
        return any;
    }

    /// <summary>True when the functions known right behind a bridge still answer and are still set up.</summary>
    internal bool IsAsBefore(PciBridge bridge)
    {
        bool same = true;
        for (int i = 0; i < _count && same; i++)
        {
            same = _functions[i].Parent != bridge || _functions[i].IsAsBefore();
        }
        for (int i = 0; i < _bridgeCount && same; i++)
        {
            same = _bridges[i].Parent != bridge || _bridges[i].IsAsBefore;
        }
        return same;
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

    private void ScanAll()
    {
        for (int segment = 0; segment < _host.SegmentCount; segment++)
        {
            for (int bus = 0; bus <= _host.LastBus(segment); bus++)
            {
                if (_host.IsRootBus(segment, (byte)bus) && !IsReached((ushort)segment, (byte)bus))
                {
                    ScanBus((ushort)segment, (byte)bus, null);
                }
            }
        }
    }

    private void ScanBus(ushort segment, byte bus, PciBridge? parent)
    {
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
        ScannedPciFunction zero = Add(first, header, parent);
        if ((header & PciRegisters.HeaderMultifunction) == 0)
        {
            return;
        }
        for (byte function = 1; function < 8; function++)
        {
            PciAddress address = new(segment, bus, device, function);
            if (!IsPresent(_host.ReadConfig16(address, PciRegisters.VendorId)))
            {
                continue;
            }
            if (new ScannedPciFunction(_host, address, parent).IsGhostOf(zero))
            {
                Log.Write(LogLevel.Warning, "pci", "a device answers for functions that it does not have, function", function);
            }
            else
            {
                Add(address, _host.ReadConfig8(address, PciRegisters.HeaderType), parent);
            }
        }
    }

    private static bool IsPresent(ushort vendor) => vendor is not PciRegisters.NoVendor and not 0;

    private ScannedPciFunction Add(PciAddress address, byte header, PciBridge? parent)
    {
        if (_count == _functions.Length)
        {
            Array.Resize(ref _functions, _count * 2);
        }
        ScannedPciFunction function = new(_host, address, parent);
        function.Identify();
        _functions[_count++] = function;
        if ((header & PciRegisters.HeaderLayoutMask) == PciRegisters.HeaderBridge)
        {
            Follow(function, new PciBridge(_host, address, parent));
        }
        return function;
    }

    private void Follow(ScannedPciFunction function, PciBridge bridge)
    {
        if (bridge.IsNumbered || !_numbers)
        {
            if (LeadsOn(bridge) && !IsReached(bridge.Address.Segment, bridge.Secondary))
            {
                Enter(bridge);
                ScanBus(bridge.Address.Segment, bridge.Secondary, bridge);
            }
            return;
        }
        byte last = LastUsed(bridge.Address, bridge.Parent);
        byte limit = bridge.Parent?.Subordinate ?? RootLimit(bridge.Address);
        // Everything above is the bridge's until it is known how much it needs.
        if (last >= limit || !bridge.Number((byte)(last + 1), limit))
        {
            _ranOut |= last >= limit;
            Log.Write(LogLevel.Warning, "pci", "a bridge can't be given bus numbers; it is on bus", bridge.Address.Bus);
            return;
        }
        Enter(bridge);
        ScanBus(bridge.Address.Segment, bridge.Secondary, bridge);
        last = LastUsed(new PciAddress(bridge.Address.Segment, bridge.Secondary, 0, 0), bridge);
        // A switch may come.
        bool spares = _spares && last + SpareBuses <= limit && PciHotplugSlot.IsHotplugPort(function, out _);
        bridge.Number(bridge.Secondary, (byte)(spares ? last + SpareBuses : last));
    }

    /// <summary>
    /// True when the numbers of a bridge are above its own bus and within those of the bridge in front of it: a cycle for another bus goes
    /// elsewhere, and what answers there belongs to somebody else.
    /// </summary>
    private bool LeadsOn(PciBridge bridge) =>
        bridge.Secondary > bridge.Address.Bus && bridge.Secondary <= bridge.Subordinate && bridge.Subordinate <= (bridge.Parent?.Subordinate ?? byte.MaxValue) &&
        !_host.IsRootBus(bridge.Address.Segment, bridge.Secondary);

    /// <summary>True when a bridge leads to a bus.</summary>
    private bool IsReached(ushort segment, byte bus)
    {
        bool reached = false;
        for (int i = 0; i < _bridgeCount; i++)
        {
            reached |= _bridges[i].Address.Segment == segment && _bridges[i].Secondary == bus;
        }
        return reached;
    }

    /// <summary>The last bus number in use behind the bridges of one bus, which is its own when there are none.</summary>
    private byte LastUsed(PciAddress place, PciBridge? parent)
    {
        byte last = place.Bus;
        for (int i = 0; i < _bridgeCount; i++)
        {
            PciBridge other = _bridges[i];
            bool isBeside = other.Parent == parent && other.Address.Segment == place.Segment && other.Address.Bus == place.Bus;
            last = isBeside && other.Subordinate > last ? other.Subordinate : last;
        }
        return last;
    }

    /// <summary>The last bus number of a root bus: what lies above is another host bridge's, or out of reach.</summary>
    private byte RootLimit(PciAddress place)
    {
        byte limit = place.Bus;
        while (limit < _host.LastBus(place.Segment) && !_host.IsRootBus(place.Segment, (byte)(limit + 1)))
        {
            limit++;
        }
        return limit;
    }

    private void Enter(PciBridge bridge)
    {
        if (_bridgeCount == _bridges.Length)
        {
            Array.Resize(ref _bridges, _bridgeCount * 2);
        }
        _bridges[_bridgeCount++] = bridge;
        if (bridge.Room.Length != 0)
        {
            bridge.Parent?.Room.Note(bridge.Room.Start, bridge.Room.Length);
        }
    }

    /// <summary>
    /// Gives the bridges from <paramref name="first"/> on that have none a window for what is behind them; those in front come first in the list.
    /// Those with a slot get room for what may come. What is too much is tried again with half of it: a part of the functions is better than none.
    /// </summary>
    private void OpenWindows(int first, ulong behindPorts)
    {
        for (int i = first; i < _bridgeCount; i++)
        {
            PciBridge bridge = _bridges[i];
            if (bridge.Room.Length != 0)
            {
                continue;
            }
            ulong wanted = WindowOf(bridge, behindPorts);
            ulong length = wanted;
            ulong start;
            while (!TryTakeRoom(bridge.Parent, length, out start) && length > LeastWindow)
            {
                length /= 2;
            }
            if (start == 0)
            {
                Log.Write(LogLevel.Warning, "pci", "there is no room for the window of a bridge, in bytes", wanted);
            }
            else if (!bridge.Open(start, length))
            {
                bridge.Parent?.Room.Return(start);
                Log.Write(LogLevel.Warning, "pci", "a bridge does not open its window; it leads to bus", bridge.Secondary);
            }
        }
    }

    private bool TryTakeRoom(PciBridge? parent, ulong length, out ulong start)
    {
        bool found = PciBridge.TryTakeRoom(_host, parent, length, out start);
        start = found ? start : 0;
        return found;
    }

    /// <summary>What a bridge needs: the BARs and the windows behind it, as a power of two.</summary>
    private ulong WindowOf(PciBridge bridge, ulong behindPorts)
    {
        ulong sum = 0;
        ulong length = LeastWindow;
        for (int i = 0; i < _count; i++)
        {
            sum += _functions[i].Parent == bridge ? _functions[i].MemoryNeeded : 0;
            bool isPort = _functions[i].Address.Equals(bridge.Address) && PciHotplugSlot.IsHotplugPort(_functions[i], out _);
            length = isPort ? behindPorts : length;
        }
        for (int i = 0; i < _bridgeCount; i++)
        {
            sum += _bridges[i].Parent == bridge ? WindowOf(_bridges[i], behindPorts) : 0;
        }
        while (length < sum)
        {
            length *= 2;
        }
        return length;
    }
}
