// A function found by a scan of a machine: BARs sized and mapped, interrupts of the best kind.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>A function of a <see cref="PciHost"/>.</summary>
public sealed class ScannedPciFunction : PciFunction
{
    private const int BarCount = 6;
    private const ulong MaxBarLength = 1ul << 40;

    private readonly PciHost _host;
    private readonly PciBar[] _bars = new PciBar[BarCount];
    private readonly IoRegion?[] _regions = new IoRegion?[BarCount];
    private bool _sized;
    private MsixTable? _msix;
    private MsiCapability? _msi;
    private InterruptHandler? _pinHandler;
    private InterruptKind _kind;

    /// <summary>Describes the function at <paramref name="address"/>; nothing is read yet.</summary>
    public ScannedPciFunction(PciHost host, PciAddress address)
    {
        _host = host;
        Address = address;
    }

    /// <inheritdoc/>
    public override PciAddress Address { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _host.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _host.Clock;

    /// <inheritdoc/>
    public override ushort ConfigSpaceLength => _host.ConfigSpaceLength;

    /// <inheritdoc/>
    public override byte ReadConfig8(ushort offset) => _host.ReadConfig8(Address, offset);

    /// <inheritdoc/>
    public override ushort ReadConfig16(ushort offset) => _host.ReadConfig16(Address, offset);

    /// <inheritdoc/>
    public override uint ReadConfig32(ushort offset) => _host.ReadConfig32(Address, offset);

    /// <inheritdoc/>
    public override void WriteConfig8(ushort offset, byte value) => _host.WriteConfig8(Address, offset, value);

    /// <inheritdoc/>
    public override void WriteConfig16(ushort offset, ushort value) => _host.WriteConfig16(Address, offset, value);

    /// <inheritdoc/>
    public override void WriteConfig32(ushort offset, uint value) => _host.WriteConfig32(Address, offset, value);

    /// <inheritdoc/>
    public override bool TryGetBar(int index, out PciBar bar)
    {
        bar = default;
        if ((uint)index >= BarCount)
        {
            return false;
        }
        if (!_sized)
        {
            SizeBars();
        }
        bar = _bars[index];
        return bar.Length != 0;
    }

    /// <inheritdoc/>
    public override bool TryMapBar(int index, out IoRegion? region)
    {
        region = null;
        if (!TryGetBar(index, out PciBar bar) || bar.Address == 0 || OverlapsAnother(index))
        {
            return false;
        }
        region = _regions[index];
        if (region is not null)
        {
            return true;
        }
        bool mapped = bar.IsPorts ? _host.TryMapPorts(bar.Address, bar.Length, out region) : _host.TryMapMemory(bar.Address, bar.Length, out region);
        _regions[index] = region;
        return mapped && region is not null;
    }

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

    /// <inheritdoc/>
    public override bool TryEnable()
    {
        if (!_sized)
        {
            SizeBars();
        }
        ushort wanted = PciRegisters.CommandBusMaster;
        for (int i = 0; i < BarCount; i++)
        {
            if (_bars[i].Length != 0 && _bars[i].Address != 0)
            {
                wanted |= _bars[i].IsPorts ? PciRegisters.CommandPorts : PciRegisters.CommandMemory;
            }
        }
        WriteConfig16(PciRegisters.Command, (ushort)(ReadConfig16(PciRegisters.Command) | wanted));
        return (ReadConfig16(PciRegisters.Command) & wanted) == wanted;
    }

    /// <inheritdoc/>
    public override void Disable()
    {
        ushort command = ReadConfig16(PciRegisters.Command);
        WriteConfig16(PciRegisters.Command, (ushort)(command & ~PciRegisters.CommandBusMaster));
    }

    /// <inheritdoc/>
    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind)
    {
        ReleaseInterrupts();
        kind = InterruptKind.None;
        int messages = Math.Min(wanted, _host.MessagesLeft);
        if (messages > 0 && _host.BestInterruptKind >= InterruptKind.MsiX && MsixTable.TryCreate(this, _host, out _msix))
        {
            _msix!.Enable();
            SetPinDisabled(true);
            kind = InterruptKind.MsiX;
            messages = Math.Min(messages, _msix.Size);
        }
        else if (messages > 0 && _host.BestInterruptKind >= InterruptKind.Msi && MsiCapability.TryFind(this, _host, out _msi))
        {
            kind = InterruptKind.Msi;
            messages = 1;
        }
        else if (wanted > 0 && _host.BestInterruptKind >= InterruptKind.Pin && ReadConfig8(PciRegisters.InterruptPin) is >= 1 and <= 4)
        {
            kind = InterruptKind.Pin;
            messages = 1;
        }
        _kind = kind;
        return (ushort)(kind == InterruptKind.None ? 0 : messages);
    }

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler)
    {
        switch (_kind)
        {
            case InterruptKind.MsiX:
                return _msix!.TryAttach(vector, handler);
            case InterruptKind.Msi:
                bool attached = vector == 0 && _msi!.TryAttach(handler);
                SetPinDisabled(attached);
                return attached;
            case InterruptKind.Pin when vector == 0 && _pinHandler is null && _host.TryAttachPin(Address, handler):
                _pinHandler = handler;
                SetPinDisabled(false);
                return true;
            default:
                return false;
        }
    }

    /// <inheritdoc/>
    public override void ReleaseInterrupts()
    {
        _msix?.Release();
        _msix = null;
        _msi?.Release();
        _msi = null;
        if (_pinHandler is not null)
        {
            SetPinDisabled(true);
            _host.DetachPin(Address, _pinHandler);
            _pinHandler = null;
        }
        _kind = InterruptKind.None;
    }

    private void SetPinDisabled(bool disabled)
    {
        ushort command = ReadConfig16(PciRegisters.Command);
        ushort value = (ushort)(disabled ? command | PciRegisters.CommandInterruptDisable : command & ~PciRegisters.CommandInterruptDisable);
        WriteConfig16(PciRegisters.Command, value);
    }

    /// <summary>
    /// Sizes all BARs: decoding is off meanwhile, all ones are written, the mask is read, and everything is put back (PCI 3.0, 6.2.5.1).
    /// What nobody assigned is assigned where the machine has room.
    /// </summary>
    private void SizeBars()
    {
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
        if (address == 0 && !isPorts && _host.TryAssignMemory(length, out ulong room))
        {
            address = Assign(index, room, is64Bit);
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
