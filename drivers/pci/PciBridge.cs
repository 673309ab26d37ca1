// A bridge to another bus: its bus numbers, and the window of memory that it lets through (PCI-to-PCI bridge specification 3.2.5).
namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// What lies behind a bridge. Its bus numbers and its window are the firmware's; where no firmware set them, the scan does. There is one
/// window, for all memory; ports are not let through.
/// </summary>
public sealed class PciBridge
{
    private const ulong WindowUnit = 1 << 20;
    private const uint ClosedWindow = 0x0000_FFF0; // base above limit

    private readonly PciHost _host;
    private ulong _prefetchableStart;
    private ulong _prefetchableEnd;

    internal PciBridge(PciHost host, PciAddress address, PciBridge? parent)
    {
        _host = host;
        Address = address;
        Parent = parent;
        Secondary = host.ReadConfig8(address, PciRegisters.SecondaryBus);
        Subordinate = host.ReadConfig8(address, PciRegisters.SubordinateBus);
        ReadWindow();
    }

    /// <summary>Where the bridge is.</summary>
    public PciAddress Address { get; }

    /// <summary>The bridge in front of it; null on a root bus.</summary>
    public PciBridge? Parent { get; }

    /// <summary>The bus behind it; 0 when it was not numbered.</summary>
    public byte Secondary { get; private set; }

    /// <summary>The last bus behind it.</summary>
    public byte Subordinate { get; private set; }

    /// <summary>True when firmware or the scan has given it bus numbers.</summary>
    public bool IsNumbered => Secondary != 0;

    /// <summary>What is free of its window.</summary>
    internal PciRoom Room { get; } = new();

    /// <summary>True when its numbers are still those that were set.</summary>
    internal bool IsAsBefore => _host.ReadConfig8(Address, PciRegisters.SecondaryBus) == Secondary;

    /// <summary>Sets the bus numbers; false when they don't stick: nothing behind it can be reached then.</summary>
    internal bool Number(byte secondary, byte subordinate)
    {
        _host.WriteConfig8(Address, PciRegisters.PrimaryBus, Address.Bus);
        _host.WriteConfig8(Address, PciRegisters.SecondaryBus, secondary);
        _host.WriteConfig8(Address, PciRegisters.SubordinateBus, subordinate);
        bool sticks = _host.ReadConfig8(Address, PciRegisters.SecondaryBus) == secondary &&
            _host.ReadConfig8(Address, PciRegisters.SubordinateBus) == subordinate;
        Secondary = sticks ? secondary : (byte)0;
        Subordinate = sticks ? subordinate : (byte)0;
        return sticks;
    }

    /// <summary>
    /// Opens a window of <paramref name="length"/> bytes, a power of two from 1 MiB on, at a multiple of it below 4 GiB, and lets accesses
    /// through in both directions. False when the bridge does not take it.
    /// </summary>
    internal bool Open(ulong start, ulong length)
    {
        uint window = (uint)(start >> 16 & 0xFFF0) | (uint)(start + length - 1 & 0xFFF0_0000);
        _host.WriteConfig32(Address, PciRegisters.MemoryBase, window);
        _host.WriteConfig32(Address, PciRegisters.PrefetchableBase, ClosedWindow);
        if ((_host.ReadConfig32(Address, PciRegisters.MemoryBase) & 0xFFF0_FFF0) != window ||
            !TryAllow(PciRegisters.CommandMemory | PciRegisters.CommandBusMaster))
        {
            return false;
        }
        Room.Open(start, start + length);
        _prefetchableStart = _prefetchableEnd = 0;
        return true;
    }

    /// <summary>
    /// True when a range of memory lies in one of its windows, and in those of the bridges in front of it. An access to another place goes elsewhere:
    /// a function behind it that says it is there names what belongs to somebody else.
    /// </summary>
    internal bool LetsThrough(ulong start, ulong length) =>
        (IsIn(start, length, Room.Start, Room.Start + Room.Length) || IsIn(start, length, _prefetchableStart, _prefetchableEnd)) &&
        (Parent is null || Parent.LetsThrough(start, length));

    private static bool IsIn(ulong start, ulong length, ulong from, ulong end) => from != 0 && start >= from && start < end && length <= end - start;

    /// <summary>Takes room on a bus: of the window of the bridge to it, or of the machine's on a root bus; false when there is none left.</summary>
    internal static bool TryTakeRoom(PciHost host, PciBridge? parent, ulong length, out ulong address) =>
        parent is null ? host.TryAssignMemory(length, out address) : parent.Room.TryTake(length, out address);

    /// <summary>Lets functions behind the bridge reach memory, as far as it and those in front of it are concerned; false when that does not stick.</summary>
    internal bool TryLetReachMemory() => TryAllow(PciRegisters.CommandBusMaster) && (Parent is null || Parent.TryLetReachMemory());

    private bool TryAllow(ushort wanted)
    {
        ushort command = _host.ReadConfig16(Address, PciRegisters.Command);
        if ((command & wanted) != wanted)
        {
            _host.WriteConfig16(Address, PciRegisters.Command, (ushort)(command | wanted));
            command = _host.ReadConfig16(Address, PciRegisters.Command);
        }
        return (command & wanted) == wanted;
    }

    private void ReadWindow()
    {
        ulong start = (ulong)(_host.ReadConfig16(Address, PciRegisters.MemoryBase) & 0xFFF0) << 16;
        ulong end = ((ulong)(_host.ReadConfig16(Address, PciRegisters.MemoryLimit) & 0xFFF0) << 16) + WindowUnit;
        if (IsNumbered && start != 0 && start < end)
        {
            Room.Open(start, end);
        }
        uint bounds = _host.ReadConfig32(Address, PciRegisters.PrefetchableBase);
        bool isLong = (bounds & PciRegisters.PrefetchableIs64Bit) != 0;
        ulong high = isLong ? _host.ReadConfig32(Address, PciRegisters.PrefetchableBaseUpper) : 0;
        ulong highLimit = isLong ? _host.ReadConfig32(Address, PciRegisters.PrefetchableLimitUpper) : 0;
        _prefetchableStart = high << 32 | (bounds & 0xFFF0) << 16;
        _prefetchableEnd = (highLimit << 32 | bounds & 0xFFF0_0000) + WindowUnit;
    }
}
