// MSI-X: a table of messages in one of the function's BARs (PCI 3.0, 6.8.2).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>The vectors of a function: masked until a handler is attached, masked again when released.</summary>
public sealed class MsixTable
{
    private const int EntryLength = 16;
    private const uint AddressLow = 0;
    private const uint AddressHigh = 4;
    private const uint MessageData = 8;
    private const uint VectorControl = 12;
    private const uint VectorMasked = 1;

    private readonly PciFunction _function;
    private readonly PciHost _host;
    private readonly byte _capability;
    private readonly IoWindow _table;
    private readonly MsiMessage[] _messages;
    private readonly bool[] _attached;

    private MsixTable(PciFunction function, PciHost host, byte capability, in IoWindow table, ushort size)
    {
        _function = function;
        _host = host;
        _capability = capability;
        _table = table;
        Size = size;
        _messages = new MsiMessage[size];
        _attached = new bool[size];
    }

    /// <summary>How many vectors there are, 1 to 2048.</summary>
    public ushort Size { get; }

    /// <summary>Finds and checks the table; false when there is none that lies within a memory BAR.</summary>
    public static bool TryCreate(PciFunction function, PciHost host, out MsixTable? table)
    {
        table = null;
        if (!PciCapabilities.TryFind(function, PciRegisters.CapabilityMsix, out byte capability) || capability + 12 > PciRegisters.CapabilitiesEnd)
        {
            return false;
        }
        ushort size = (ushort)((function.ReadConfig16((ushort)(capability + 2)) & PciRegisters.MsixSizeMask) + 1);
        uint place = function.ReadConfig32((ushort)(capability + 4));
        int bar = (int)(place & 7);
        if (!function.TryGetBar(bar, out PciBar description) || description.IsPorts || !function.TryMapBar(bar, out IoRegion? region) ||
            !IoWindow.TryCreate(region, place & ~7u, (ulong)size * EntryLength, out IoWindow window))
        {
            return false;
        }
        table = new MsixTable(function, host, capability, window, size);
        return true;
    }

    /// <summary>Turns MSI-X on with every vector masked on its own.</summary>
    public void Enable()
    {
        ushort control = (ushort)(_capability + 2);
        _function.WriteConfig16(control, (ushort)(_function.ReadConfig16(control) | PciRegisters.MsixEnable | PciRegisters.MsixMaskAll));
        for (uint i = 0; i < Size; i++)
        {
            _table.Write32(i * EntryLength + VectorControl, VectorMasked);
        }
        _function.WriteConfig16(control, (ushort)((_function.ReadConfig16(control) | PciRegisters.MsixEnable) & ~PciRegisters.MsixMaskAll));
    }

    /// <summary>Gives a vector a message that calls <paramref name="handler"/>, and unmasks it; false when there is none left.</summary>
    public bool TryAttach(ushort vector, InterruptHandler handler)
    {
        if (vector >= Size || _attached[vector] || !_host.TryAllocateMessage(handler, out MsiMessage message))
        {
            return false;
        }
        uint entry = (uint)vector * EntryLength;
        _table.Write32(entry + AddressLow, (uint)message.Address);
        _table.Write32(entry + AddressHigh, (uint)(message.Address >> 32));
        _table.Write32(entry + MessageData, message.Data);
        _table.Write32(entry + VectorControl, 0);
        _messages[vector] = message;
        _attached[vector] = true;
        return true;
    }

    /// <summary>Masks all vectors, gives their messages back and turns MSI-X off.</summary>
    public void Release()
    {
        for (uint i = 0; i < Size; i++)
        {
            if (_attached[i])
            {
                _table.Write32(i * EntryLength + VectorControl, VectorMasked);
                _host.ReleaseMessage(_messages[i]);
                _attached[i] = false;
            }
        }
        ushort control = (ushort)(_capability + 2);
        _function.WriteConfig16(control, (ushort)(_function.ReadConfig16(control) & ~PciRegisters.MsixEnable));
    }
}
