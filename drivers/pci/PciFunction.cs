// Seam 2: one PCI function, wherever it came from.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// One PCI function: its config space, its BARs, its interrupts. Nothing above can tell a scanned function of a machine from one
/// that an operating system handed over.
/// </summary>
public abstract class PciFunction
{
    /// <summary>Where it is, for people and logs.</summary>
    public abstract PciAddress Address { get; }

    /// <summary>The memory this function can reach.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>The time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>False when it has left its bus, whatever answers at its address now: it will reach no memory any more.</summary>
    public virtual bool IsPresent => ReadConfig16(PciRegisters.VendorId) != PciRegisters.NoVendor;

    /// <summary>The size of the config space in bytes: 256 or 4096.</summary>
    public abstract ushort ConfigSpaceLength { get; }

    /// <summary>Reads a byte of config space.</summary>
    public abstract byte ReadConfig8(ushort offset);

    /// <summary>Reads 16 bits of config space at an even offset.</summary>
    public abstract ushort ReadConfig16(ushort offset);

    /// <summary>Reads 32 bits of config space at a multiple of 4.</summary>
    public abstract uint ReadConfig32(ushort offset);

    /// <summary>Writes a byte of config space.</summary>
    public abstract void WriteConfig8(ushort offset, byte value);

    /// <summary>Writes 16 bits of config space at an even offset.</summary>
    public abstract void WriteConfig16(ushort offset, ushort value);

    /// <summary>Writes 32 bits of config space at a multiple of 4.</summary>
    public abstract void WriteConfig32(ushort offset, uint value);

    /// <summary>What config space says of BAR <paramref name="index"/>; false for one that is absent or makes no sense.</summary>
    public abstract bool TryGetBar(int index, out PciBar bar);

    /// <summary>
    /// Maps BAR <paramref name="index"/>, 0 to 5; false when it is absent, unassigned or can't be mapped. Mapping the same BAR again
    /// gives the same region.
    /// </summary>
    public abstract bool TryMapBar(int index, out IoRegion? region);

    /// <summary>Turns decoding of memory and ports and bus mastering on; what does not stick is a failure.</summary>
    public abstract bool TryEnable();

    /// <summary>Turns bus mastering off: from here on the function reaches no memory.</summary>
    public abstract void Disable();

    /// <summary>
    /// Chooses the best kind of interrupt that function and machine have, in the order MSI-X, MSI, pin, none, and says how many
    /// vectors of <paramref name="wanted"/> there are (1 for a pin, 0 for none). Vectors stay masked until attached.
    /// </summary>
    public abstract ushort PrepareInterrupts(ushort wanted, out InterruptKind kind);

    /// <summary>Calls <paramref name="handler"/> on <paramref name="vector"/>, counted from 0; false when that can't be.</summary>
    public abstract bool TryAttachInterrupt(ushort vector, InterruptHandler handler);

    /// <summary>Masks and gives back all vectors; no handler is called afterwards.</summary>
    public abstract void ReleaseInterrupts();
}
