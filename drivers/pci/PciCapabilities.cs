// The list of capabilities in config space, walked without trusting it.
namespace VirtioSharp.Drivers.Pci;

/// <summary>
/// Walks the capabilities of a function (PCI 3.0, 6.7): no further than 48 entries, never below 0x40, never past 0xFF.
/// A list that loops or points elsewhere simply ends there.
/// </summary>
public struct PciCapabilities
{
    private const int MaxCount = (PciRegisters.CapabilitiesEnd - PciRegisters.FirstCapability) / 4;

    private readonly PciFunction _function;
    private byte _next;
    private int _left;

    /// <summary>Prepares a walk from the beginning.</summary>
    public PciCapabilities(PciFunction function)
    {
        _function = function;
        Offset = 0;
        Id = 0;
        _left = MaxCount;
        bool any = (function.ReadConfig16(PciRegisters.Status) & PciRegisters.StatusCapabilities) != 0;
        _next = any ? function.ReadConfig8(PciRegisters.CapabilitiesPointer) : (byte)0;
    }

    /// <summary>The offset in config space of the capability found last, a multiple of 4 from 0x40 on.</summary>
    public byte Offset { readonly get; private set; }

    /// <summary>The id of the capability found last.</summary>
    public byte Id { readonly get; private set; }

    /// <summary>Goes to the next capability; false at the end.</summary>
    public bool MoveNext()
    {
        byte offset = (byte)(_next & 0xFC);
        if (offset < PciRegisters.FirstCapability || _left-- <= 0)
        {
            return false;
        }
        ushort header = _function.ReadConfig16(offset);
        if (header == 0xFFFF)
        {
            return false;
        }
        Offset = offset;
        Id = (byte)header;
        _next = (byte)(header >> 8);
        return true;
    }

    /// <summary>True when the capability found last has room for <paramref name="length"/> bytes before config space ends at 256.</summary>
    public readonly bool Fits(int length) => Offset + length <= PciRegisters.CapabilitiesEnd;

    /// <summary>Finds the first capability with an id; false when there is none.</summary>
    public static bool TryFind(PciFunction function, byte id, out byte offset)
    {
        PciCapabilities walk = new(function);
        while (walk.MoveNext())
        {
            if (walk.Id == id)
            {
                offset = walk.Offset;
                return true;
            }
        }
        offset = 0;
        return false;
    }
}
