// Seam 1: a whole machine, as far as PCI needs one.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// A machine with PCI buses: config space, mapping of addresses, interrupts. Bare metal, the fake bus and QEMU over its test
/// socket each derive from it.
/// </summary>
public abstract class PciHost
{
    /// <summary>The memory that devices of this machine can reach.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>The machine's time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>The number of the highest segment group and one more: at least 1. Numbers in between may belong to none.</summary>
    public virtual int SegmentCount => 1;

    /// <summary>The last bus of a segment that config space reaches.</summary>
    public virtual byte LastBus(int segment) => 255;

    /// <summary>The size of a function's config space in bytes: 256 through the ports, 4096 through ECAM.</summary>
    public abstract ushort ConfigSpaceLength { get; }

    /// <summary>Reads a byte of config space; all ones where nothing answers. <paramref name="offset"/> is below <see cref="ConfigSpaceLength"/>.</summary>
    public abstract byte ReadConfig8(PciAddress function, ushort offset);

    /// <summary>Reads 16 bits of config space at an even offset.</summary>
    public abstract ushort ReadConfig16(PciAddress function, ushort offset);

    /// <summary>Reads 32 bits of config space at a multiple of 4.</summary>
    public abstract uint ReadConfig32(PciAddress function, ushort offset);

    /// <summary>Writes a byte of config space and leaves its neighbours alone.</summary>
    public abstract void WriteConfig8(PciAddress function, ushort offset, byte value);

    /// <summary>Writes 16 bits of config space at an even offset and leaves the neighbours alone.</summary>
    public abstract void WriteConfig16(PciAddress function, ushort offset, ushort value);

    /// <summary>Writes 32 bits of config space at a multiple of 4.</summary>
    public abstract void WriteConfig32(PciAddress function, ushort offset, uint value);

    /// <summary>
    /// True on machines where no firmware numbered buses and assigned BARs: the scan does, with the room that <see cref="TryAssignMemory"/> gives.
    /// </summary>
    public virtual bool NeedsAssignment => false;

    /// <summary>
    /// True for a bus that is not behind a bridge: bus 0, and the first bus of each further host bridge. False for all buses of a segment
    /// that is not there.
    /// </summary>
    public virtual bool IsRootBus(int segment, byte bus) => bus == 0;

    /// <summary>
    /// Finds room for a memory BAR of <paramref name="length"/> bytes, a power of two, that no firmware assigned: below 4 GiB, at a multiple
    /// of the length, given out once. False when the machine does not know of any, as where firmware assigns them all.
    /// </summary>
    public virtual bool TryAssignMemory(ulong length, out ulong address)
    {
        address = 0;
        return false;
    }

    /// <summary>
    /// Maps device memory; false when the range overlaps RAM or the machine's own registers, wraps around, or lies above what the
    /// processor can address.
    /// </summary>
    public abstract bool TryMapMemory(ulong address, ulong length, out IoRegion? region);

    /// <summary>Maps I/O ports; false when the range does not lie within 64 KiB or the machine has none.</summary>
    public abstract bool TryMapPorts(ulong address, ulong length, out IoRegion? region);

    /// <summary>The best kind of interrupt that functions of this machine may use; the kinds below it may be used as well.</summary>
    public virtual InterruptKind BestInterruptKind => InterruptKind.MsiX;

    /// <summary>How many messages <see cref="TryAllocateMessage"/> can still hand out.</summary>
    public abstract int MessagesLeft { get; }

    /// <summary>Hands out a message that calls <paramref name="handler"/>; false when there are none left.</summary>
    public abstract bool TryAllocateMessage(InterruptHandler handler, out MsiMessage message);

    /// <summary>Takes a message back; its handler is not called any more.</summary>
    public abstract void ReleaseMessage(in MsiMessage message);

    /// <summary>Calls <paramref name="handler"/> for the function's interrupt pin; false when the pin leads nowhere.</summary>
    public abstract bool TryAttachPin(PciAddress function, InterruptHandler handler);

    /// <summary>Ends what <see cref="TryAttachPin"/> began.</summary>
    public abstract void DetachPin(PciAddress function, InterruptHandler handler);
}
