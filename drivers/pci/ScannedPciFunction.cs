// A function found by a scan of a machine: BARs sized and mapped, interrupts of the best kind.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>A function of a <see cref="PciHost"/>.</summary>
public sealed partial class ScannedPciFunction : PciFunction
{
    private const int BarCount = 6;
    private const ulong MaxBarLength = 1ul << 40;

    private readonly PciHost _host;
    private readonly PciBar[] _bars = new PciBar[BarCount];
    private readonly IoRegion?[] _regions = new IoRegion?[BarCount];
    private MsixTable? _msix;
    private MsiCapability? _msi;
    private InterruptHandler? _pinHandler;
    private InterruptKind _kind;
    private bool _isGone;

    /// <summary>
    /// Describes the function at <paramref name="address"/>, behind <paramref name="parent"/> when it is not on a root bus; nothing is read yet.
    /// </summary>
    public ScannedPciFunction(PciHost host, PciAddress address, PciBridge? parent = null)
    {
        _host = host;
        Address = address;
        Parent = parent;
    }

    /// <summary>The bridge to its bus; null on a root bus.</summary>
    public PciBridge? Parent { get; }

    /// <inheritdoc/>
    public override PciAddress Address { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _host.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _host.Clock;

    /// <inheritdoc/>
    public override ushort ConfigSpaceLength => _host.ConfigSpaceLength;

    /// <summary>The function has left its bus: from here on it reads as all ones, whatever has come to its address.</summary>
    internal void Leave() => _isGone = true;

    /// <inheritdoc/>
    public override bool IsPresent => base.IsPresent && !IsReplaced();

    /// <inheritdoc/>
    public override byte ReadConfig8(ushort offset) => _isGone ? byte.MaxValue : _host.ReadConfig8(Address, offset);

    /// <inheritdoc/>
    public override ushort ReadConfig16(ushort offset) => _isGone ? ushort.MaxValue : _host.ReadConfig16(Address, offset);

    /// <inheritdoc/>
    public override uint ReadConfig32(ushort offset) => _isGone ? uint.MaxValue : _host.ReadConfig32(Address, offset);

    /// <inheritdoc/>
    public override void WriteConfig8(ushort offset, byte value)
    {
        if (!_isGone)
        {
            _host.WriteConfig8(Address, offset, value);
        }
    }

    /// <inheritdoc/>
    public override void WriteConfig16(ushort offset, ushort value)
    {
        if (!_isGone)
        {
            _host.WriteConfig16(Address, offset, value);
        }
    }

    /// <inheritdoc/>
    public override void WriteConfig32(ushort offset, uint value)
    {
        if (!_isGone)
        {
            _host.WriteConfig32(Address, offset, value);
        }
    }

    /// <inheritdoc/>
    public override bool TryGetBar(int index, out PciBar bar)
    {
        bar = default;
        if ((uint)index >= BarCount)
        {
            return false;
        }
        SizeBars();
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

    /// <inheritdoc/>
    public override bool TryEnable()
    {
        if (IsAnother())
        {
            return false; // whoever has come since the scan would be taken for gone as soon as somebody looks, and never be reset
        }
        SizeBars();
        ushort wanted = PciRegisters.CommandBusMaster;
        for (int i = 0; i < BarCount; i++)
        {
            if (_bars[i].Length != 0 && _bars[i].Address != 0)
            {
                wanted |= _bars[i].IsPorts ? PciRegisters.CommandPorts : PciRegisters.CommandMemory;
            }
        }
        WriteConfig16(PciRegisters.Command, (ushort)(ReadConfig16(PciRegisters.Command) | wanted));
        _enabled = wanted;
        return (ReadConfig16(PciRegisters.Command) & wanted) == wanted && (Parent is null || Parent.TryLetReachMemory());
    }

    /// <inheritdoc/>
    public override void Disable()
    {
        ushort command = ReadConfig16(PciRegisters.Command);
        _enabled = 0;
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
        if ((_enabled & PciRegisters.CommandBusMaster) == 0)
        {
            // A register that reads as ones must not give back what Disable took.
            value = (ushort)(value & ~PciRegisters.CommandBusMaster);
        }
        WriteConfig16(PciRegisters.Command, value);
    }
}
