// A base address register, as sized by the scan.
namespace VirtioSharp.Drivers.Pci;

/// <summary>One BAR of a function: where it is, how large, and of what sort (PCI 3.0, 6.2.5.1).</summary>
public readonly struct PciBar
{
    /// <summary>Describes a BAR.</summary>
    public PciBar(ulong address, ulong length, bool isPorts, bool is64Bit, bool isPrefetchable)
    {
        Address = address;
        Length = length;
        IsPorts = isPorts;
        Is64Bit = is64Bit;
        IsPrefetchable = isPrefetchable;
    }

    /// <summary>The address on the bus; 0 when nobody assigned one.</summary>
    public ulong Address { get; }

    /// <summary>The size in bytes, a power of two.</summary>
    public ulong Length { get; }

    /// <summary>True for I/O ports, false for memory.</summary>
    public bool IsPorts { get; }

    /// <summary>True when it takes two registers.</summary>
    public bool Is64Bit { get; }

    /// <summary>True when reads have no side effect.</summary>
    public bool IsPrefetchable { get; }
}
