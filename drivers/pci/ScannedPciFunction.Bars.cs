// A scanned function: how large its BARs are, and where they are put when nobody did (PCI 3.0, 6.2.5).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

public sealed partial class ScannedPciFunction
{
    private bool _sized;
    private bool _assigned;
    private uint _identity;
    private ushort _enabled;

    /// <summary>True when another BAR of the function lies there too: nobody can tell which of them would answer.</summary>
    private bool OverlapsAnother(int index)
    {
        PciBar bar = _bars[index];
        for (int i = 0; i < BarCount; i++)
        {
            PciBar other = _bars[i];
            if (i != index && other.Address != 0 && other.IsPorts == bar.IsPorts && other.Address < bar.Address + bar.Length &&
                bar.Address < other.Address + other.Length)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>How much memory all memory BARs need together.</summary>
    internal ulong MemoryNeeded
    {
        get
        {
            MeasureBars();
            ulong sum = 0;
            for (int i = 0; i < BarCount; i++)
            {
                sum += _bars[i].IsPorts ? 0 : _bars[i].Length;
            }
            return sum;
        }
    }

    /// <summary>Gives back the room that was taken for BARs: the function has left its bus.</summary>
    internal void ReturnRoom()
    {
        for (int i = 0; i < BarCount; i++)
        {
            if (_bars[i].Address != 0 && !_bars[i].IsPorts)
            {
                Parent?.Room.Return(_bars[i].Address);
            }
        }
    }

    /// <summary>Notes who answers here, to tell it from what comes later.</summary>
    internal void Identify() => _identity = ReadConfig32(PciRegisters.VendorId);

    /// <summary>
    /// True when another function answers here, or one that was set up anew: its ids are others, or it may not reach memory although it was
    /// allowed to. A BAR that moved is no sign: what still reaches memory keeps what it was lent.
    /// </summary>
    private bool IsReplaced() => IsAnother() || (_enabled & PciRegisters.CommandBusMaster & ~ReadConfig16(PciRegisters.Command)) != 0;

    /// <summary>True when the ids are not those that the scan found here.</summary>
    private bool IsAnother() => _identity != 0 && ReadConfig32(PciRegisters.VendorId) != _identity;

    /// <summary>
    /// True when the function that was found still answers and is still set up: its ids, its BARs, and what it was allowed to do.
    /// </summary>
    internal bool IsAsBefore()
    {
        if (ReadConfig32(PciRegisters.VendorId) != _identity || (_enabled & ~ReadConfig16(PciRegisters.Command)) != 0)
        {
            return false;
        }
        for (int i = 0; i < BarCount; i++)
        {
            uint low = ReadConfig32((ushort)(PciRegisters.Bar0 + i * 4)) & (_bars[i].IsPorts ? ~3u : ~15u);
            if (_bars[i].Length != 0 && _bars[i].Address != 0 && low != (uint)_bars[i].Address)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>
    /// True when another function of the same device shows the same ids and the same addresses, of which there is one at least: no second
    /// function, but the same one again, of a device that does not look at the number.
    /// </summary>
    internal bool IsGhostOf(ScannedPciFunction first)
    {
        bool anywhere = false;
        for (ushort offset = PciRegisters.Bar0; offset < PciRegisters.Bar0 + 4 * BarCount; offset += 4)
        {
            uint bar = ReadConfig32(offset);
            if (bar != first.ReadConfig32(offset))
            {
                return false;
            }
            anywhere |= (bar & ~15u) != 0;
        }
        return anywhere && ReadConfig32(PciRegisters.VendorId) == first.ReadConfig32(PciRegisters.VendorId) &&
            ReadConfig32(PciRegisters.SubsystemVendorId) == first.ReadConfig32(PciRegisters.SubsystemVendorId);
    }

    private void SizeBars()
    {
        MeasureBars();
        if (_assigned)
        {
            return;
        }
        _assigned = true;
        ushort command = ReadConfig16(PciRegisters.Command);
        for (int i = 0; i < BarCount; i++)
        {
            PciBar bar = _bars[i];
            if (bar.Length == 0 || bar.IsPorts)
            {
                continue;
            }
            if (bar.Address != 0 && Parent is not null && !Parent.LetsThrough(bar.Address, bar.Length))
            {
                bar = new PciBar(0, bar.Length, false, bar.Is64Bit, bar.IsPrefetchable);
                _bars[i] = bar;
            }
            if (bar.Address != 0)
            {
                Parent?.Room.Note(bar.Address, bar.Length);
            }
            else if (PciBridge.TryTakeRoom(_host, Parent, bar.Length, out ulong room))
            {
                WriteConfig16(PciRegisters.Command, (ushort)(command & ~(PciRegisters.CommandMemory | PciRegisters.CommandPorts)));
                _bars[i] = new PciBar(Assign(i, room, bar.Is64Bit), bar.Length, false, bar.Is64Bit, bar.IsPrefetchable);
                WriteConfig16(PciRegisters.Command, command);
            }
            else if (Parent is not null || _host.NeedsAssignment)
            {
                Log.Write(LogLevel.Warning, "pci", "there is no room for a BAR, in bytes", bar.Length);
            }
        }
    }

    /// <summary>
    /// Sizes all BARs: decoding is off meanwhile, all ones are written, the mask is read, and everything is put back (PCI 3.0, 6.2.5.1).
    /// </summary>
    private void MeasureBars()
    {
        if (_sized)
        {
            return;
        }
        _sized = true;
        byte layout = (byte)(ReadConfig8(PciRegisters.HeaderType) & PciRegisters.HeaderLayoutMask);
        int count = layout == PciRegisters.HeaderNormal ? BarCount : layout == PciRegisters.HeaderBridge ? 2 : 0;
        ushort command = ReadConfig16(PciRegisters.Command);
        ushort quiet = (ushort)(command & ~(PciRegisters.CommandMemory | PciRegisters.CommandPorts));
        WriteConfig16(PciRegisters.Command, quiet);
        for (int i = 0; i < count; i++)
        {
            bool is64Bit = SizeBar(i, i + 1 < count);
            i += is64Bit ? 1 : 0;
        }
        WriteConfig16(PciRegisters.Command, command);
    }

    private bool SizeBar(int index, bool hasNext)
    {
        ushort offset = (ushort)(PciRegisters.Bar0 + index * 4);
        uint low = ReadConfig32(offset);
        uint lowMask = Probe(offset, low);
        if ((low & PciRegisters.BarPorts) != 0)
        {
            uint mask = lowMask & ~3u;
            uint length = (~mask + 1) & 0xFFFF;
            Set(index, low & ~3u, mask == 0 ? 0 : length, isPorts: true, is64Bit: false, isPrefetchable: false);
            return false;
        }
        uint type = low & PciRegisters.BarTypeMask;
        bool is64Bit = type == PciRegisters.BarType64Bit;
        if ((type != 0 && !is64Bit) || (is64Bit && !hasNext))
        {
            return false;
        }
        uint high = 0;
        uint highMask = uint.MaxValue;
        if (is64Bit)
        {
            high = ReadConfig32((ushort)(offset + 4));
            highMask = Probe((ushort)(offset + 4), high);
        }
        ulong sizeMask = (ulong)highMask << 32 | lowMask & ~15u;
        bool present = (lowMask & ~15u) != 0 || (is64Bit && highMask != 0);
        ulong address = (ulong)high << 32 | low & ~15u;
        Set(index, address, present ? ~sizeMask + 1 : 0, isPorts: false, is64Bit, (low & PciRegisters.BarPrefetchable) != 0);
        return is64Bit;
    }

    private uint Probe(ushort offset, uint original)
    {
        WriteConfig32(offset, uint.MaxValue);
        uint mask = ReadConfig32(offset);
        WriteConfig32(offset, original);
        return mask;
    }

    /// <summary>Notes a BAR that makes sense: its size a power of two and its address a multiple of it.</summary>
    private void Set(int index, ulong address, ulong length, bool isPorts, bool is64Bit, bool isPrefetchable)
    {
        if (length == 0 || length > MaxBarLength || (length & (length - 1)) != 0 || (address & (length - 1)) != 0)
        {
            return;
        }
        _bars[index] = new PciBar(address, length, isPorts, is64Bit, isPrefetchable);
    }

    /// <summary>Puts a BAR where there is room, while its decoding is off; answers with the address, 0 when it did not stick.</summary>
    private ulong Assign(int index, ulong address, bool is64Bit)
    {
        ushort offset = (ushort)(PciRegisters.Bar0 + index * 4);
        WriteConfig32(offset, (uint)address);
        ulong shown = ReadConfig32(offset) & ~15u;
        if (is64Bit)
        {
            WriteConfig32((ushort)(offset + 4), (uint)(address >> 32));
            shown |= (ulong)ReadConfig32((ushort)(offset + 4)) << 32;
        }
        return shown == address ? address : 0;
    }
}
