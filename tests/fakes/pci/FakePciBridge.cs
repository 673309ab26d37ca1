// A bridge to another bus, as strict as the real ones about its numbers and its windows.
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>
/// A PCI-to-PCI bridge. What is plugged in behind it is reached only by its bus numbers, its windows and its command register; it has one
/// window for memory, a second for prefetchable memory below 4 GiB, and none for ports.
/// </summary>
public class FakePciBridge : FakePciFunction
{
    private const ulong WindowLength = 8 << 20;
    private const ulong WindowUnit = 1 << 20;

    private ulong _free;
    private ulong _end;

    /// <summary>Makes a bridge that nobody gave numbers.</summary>
    public FakePciBridge(ushort vendor = 0x1B36, ushort device = 0x0001)
        : base(vendor, device)
    {
        Set16(PciRegisters.ClassCode, 0x0604);
        Set8(PciRegisters.HeaderType, PciRegisters.HeaderBridge);
        Allow(PciRegisters.PrimaryBus, 3, 0xFFFFFF);
        Allow(PciRegisters.MemoryBase, 4, 0xFFF0_FFF0);
        Allow(PciRegisters.PrefetchableBase, 4, 0xFFF0_FFF0);
    }

    /// <summary>Makes a bridge from <paramref name="primary"/> to <paramref name="secondary"/>, as firmware has numbered it.</summary>
    public FakePciBridge(byte primary, byte secondary, byte subordinate)
        : this()
    {
        Number(primary, secondary, subordinate);
    }

    /// <summary>The bus behind it.</summary>
    public byte Secondary => Get8(PciRegisters.SecondaryBus);

    /// <summary>The last bus behind it.</summary>
    public byte Subordinate => Get8(PciRegisters.SubordinateBus);

    /// <summary>The first address of its window.</summary>
    public ulong WindowStart => (ulong)(Get16(PciRegisters.MemoryBase) & 0xFFF0) << 16;

    /// <summary>The first address behind its window.</summary>
    public ulong WindowEnd => ((ulong)(Get16(PciRegisters.MemoryLimit) & 0xFFF0) << 16) + WindowUnit;

    /// <summary>Sets the bus numbers, as firmware does.</summary>
    public void Number(byte primary, byte secondary, byte subordinate)
    {
        Set8(PciRegisters.PrimaryBus, primary);
        Set8(PciRegisters.SecondaryBus, secondary);
        Set8(PciRegisters.SubordinateBus, subordinate);
    }

    /// <summary>True when a config cycle for a bus gets through to the bus behind the bridge.</summary>
    public bool PassesBus(byte bus) => Answers && Secondary != 0 && bus >= Secondary && bus <= Subordinate && (Behind?.PassesBus(bus) ?? true);

    /// <summary>True when an access to an address gets through.</summary>
    public bool PassesAddress(ulong address, bool isPorts)
    {
        bool decodes = (Get16(PciRegisters.Command) & PciRegisters.CommandMemory) != 0;
        ulong second = (ulong)(Get16(PciRegisters.PrefetchableBase) & 0xFFF0) << 16;
        ulong secondEnd = ((ulong)(Get16(PciRegisters.PrefetchableBase + 2) & 0xFFF0) << 16) + WindowUnit;
        bool inside = (address >= WindowStart && address < WindowEnd) || (address >= second && address < secondEnd);
        return Answers && !isPorts && decodes && inside && (Behind?.PassesAddress(address, isPorts) ?? true);
    }

    /// <summary>Gives out a part of the window, as firmware does.</summary>
    internal ulong Take(ulong length)
    {
        ulong address = (_free + length - 1) & ~(length - 1);
        Machine.Violations.Require(address + length <= _end, "the firmware of this test has no more room behind the bridge");
        _free = address + length;
        return address;
    }

    /// <inheritdoc/>
    protected override void OnPlugged(bool byFirmware)
    {
        if (!byFirmware || Secondary == 0)
        {
            return;
        }
        ulong length = Behind is null ? WindowLength : WindowLength / 4;
        _free = Behind?.Take(length) ?? Machine.AssignMemory(length, high: false);
        _end = _free + length;
        Set16(PciRegisters.MemoryBase, (ushort)(_free >> 16));
        Set16(PciRegisters.MemoryLimit, (ushort)(_end - 1 >> 16 & 0xFFF0));
        Set32(PciRegisters.PrefetchableBase, 0x0000_FFF0);
        Set16(PciRegisters.Command, PciRegisters.CommandMemory | PciRegisters.CommandBusMaster);
    }

    /// <inheritdoc/>
    protected override void OnPowerLost()
    {
        base.OnPowerLost();
        Set32(PciRegisters.PrimaryBus, 0);
        Set32(PciRegisters.MemoryBase, 0);
        Set32(PciRegisters.PrefetchableBase, 0);
    }
}
