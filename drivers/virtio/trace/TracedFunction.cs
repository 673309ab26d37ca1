// Seam 2 with a trace: a PCI function whose every access is written down.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>A function as its driver sees it. What the machine does underneath, to MSI-X tables for example, is not seen here.</summary>
public sealed class TracedFunction : PciFunction
{
    private const int Bars = 6;
    private const int AccessBar = VirtioPciRegisters.CapabilityBarField;
    private const int AccessOffset = VirtioPciRegisters.CapabilityOffsetField;
    private const int AccessLength = VirtioPciRegisters.CapabilitySizeField;
    private const int AccessData = VirtioPciRegisters.AccessDataField;

    private readonly PciFunction _function;
    private readonly DeviceTrace _trace;
    private readonly TracedRegion?[] _regions = new TracedRegion?[Bars];
    private readonly ushort _access;
    private int _aimedBar;
    private uint _aimedOffset;

    /// <summary>Puts <paramref name="trace"/> around a function, and says there where the function keeps its structures.</summary>
    public TracedFunction(PciFunction function, DeviceTrace trace)
        : this(function, trace, findsWindows: true)
    {
    }

    /// <summary>The same; a function that is only played does not know its structures before it is asked for them.</summary>
    internal TracedFunction(PciFunction function, DeviceTrace trace, bool findsWindows, ushort access = 0)
    {
        _function = function;
        _trace = trace;
        Dma = new TracedDma(function.Dma, trace);
        _access = findsWindows ? trace.FindWindows(function) : access;
    }

    /// <inheritdoc/>
    public override PciAddress Address => _function.Address;

    /// <inheritdoc/>
    public override DmaSpace Dma { get; }

    /// <inheritdoc/>
    public override Clock Clock => _function.Clock;

    /// <inheritdoc/>
    public override bool IsPresent
    {
        get
        {
            _trace.Look();
            bool present = _function.IsPresent;
            Answer("present", present);
            _trace.EndRead();
            if (!present)
            {
                _trace.OnGone();
            }
            return present;
        }
    }

    /// <inheritdoc/>
    public override ushort ConfigSpaceLength => _function.ConfigSpaceLength;

    /// <inheritdoc/>
    public override byte ReadConfig8(ushort offset) => (byte)Read("cfg r8 ", offset, 1);

    /// <inheritdoc/>
    public override ushort ReadConfig16(ushort offset) => (ushort)Read("cfg r16 ", offset, 2);

    /// <inheritdoc/>
    public override uint ReadConfig32(ushort offset) => Read("cfg r32 ", offset, 4);

    /// <inheritdoc/>
    public override void WriteConfig8(ushort offset, byte value)
    {
        SayWrite("cfg w8 ", offset, 1, value);
        _function.WriteConfig8(offset, value);
    }

    /// <inheritdoc/>
    public override void WriteConfig16(ushort offset, ushort value)
    {
        SayWrite("cfg w16 ", offset, 2, value);
        _function.WriteConfig16(offset, value);
    }

    /// <inheritdoc/>
    public override void WriteConfig32(ushort offset, uint value)
    {
        SayWrite("cfg w32 ", offset, 4, value);
        _function.WriteConfig32(offset, value);
    }

    /// <inheritdoc/>
    public override bool TryGetBar(int index, out PciBar bar)
    {
        _trace.Look();
        bool found = _function.TryGetBar(index, out bar);
        TraceText text = _trace.Begin("bar ").Add((ulong)(uint)index).Add(" = ");
        if (found)
        {
            text.Add(bar.IsPorts ? "ports " : "memory ").Hex(bar.Length);
        }
        else
        {
            text.Add("no");
        }
        _trace.EndRead();
        return found;
    }

    /// <inheritdoc/>
    public override bool TryMapBar(int index, out IoRegion? region)
    {
        _trace.Look();
        bool mapped = _function.TryMapBar(index, out region);
        TraceText text = _trace.Begin("map ").Add((ulong)(uint)index).Add(" = ");
        if (mapped)
        {
            _regions[index] ??= new TracedRegion(region!, _trace, index);
            region = _regions[index];
            text.Hex(region!.Length);
        }
        else
        {
            text.Add("no");
        }
        _trace.EndRead();
        return mapped;
    }

    /// <inheritdoc/>
    public override bool TryEnable()
    {
        _trace.Look();
        bool enabled = _function.TryEnable();
        Answer("enable", enabled);
        _trace.End();
        return enabled;
    }

    /// <inheritdoc/>
    public override void Disable()
    {
        _trace.Look();
        _trace.Begin("disable");
        _trace.Note("PCI 6.2.2 no bus mastering");
        _trace.End();
        _function.Disable();
    }

    /// <inheritdoc/>
    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind)
    {
        _trace.Look();
        ushort granted = _function.PrepareInterrupts(wanted, out kind);
        TraceText text = _trace.Begin("interrupts ").Add(wanted).Add(" = ").Add(granted);
        text.Add(kind switch { InterruptKind.MsiX => " MSI-X", InterruptKind.Msi => " MSI", InterruptKind.Pin => " pin", _ => " none" });
        _trace.Note("4.1.5.1.2");
        _trace.End();
        _trace.NoteVectors(kind == InterruptKind.MsiX);
        return granted;
    }

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler)
    {
        _trace.Look();
        bool attached = _function.TryAttachInterrupt(vector, new TracedInterrupt(_trace, vector, handler));
        _trace.Begin("attach ").Add(vector).Add(attached ? " = yes" : " = no");
        _trace.End();
        return attached;
    }

    /// <inheritdoc/>
    public override void ReleaseInterrupts()
    {
        _trace.Look();
        _trace.Begin("release");
        _trace.End();
        _function.ReleaseInterrupts();
        _trace.NoteVectors(false);
    }

    /// <summary>True for the window through which a BAR is seen.</summary>
    private bool IsAimed(ushort offset) => _access != 0 && offset - _access is >= AccessData and < AccessData + 4;

    /// <summary>What comes through the window is a register.</summary>
    private uint Read(string what, ushort offset, uint width)
    {
        bool isAimed = IsAimed(offset);
        if (isAimed)
        {
            _trace.BeforeRead();
        }
        else
        {
            _trace.Look();
        }
        uint value = width switch
        {
            1 => _function.ReadConfig8(offset),
            2 => _function.ReadConfig16(offset),
            _ => _function.ReadConfig32(offset),
        };
        if (isAimed)
        {
            _trace.AfterRead(_aimedBar, _aimedOffset, width, value);
        }
        else
        {
            SayConfig(what, offset, value);
            _trace.EndRead();
        }
        return value;
    }

    /// <summary>What goes through the window is a register; aiming it says only which.</summary>
    private void SayWrite(string what, ushort offset, uint width, uint value)
    {
        int field = _access == 0 ? 0 : offset - _access;
        if (IsAimed(offset))
        {
            _trace.BeforeWrite(_aimedBar, _aimedOffset, width, value);
        }
        else if (field == AccessBar)
        {
            _aimedBar = (int)value;
        }
        else if (field == AccessOffset)
        {
            _aimedOffset = value;
        }
        else if (field != AccessLength)
        {
            _trace.Look();
            SayConfig(what, offset, value);
            _trace.End();
        }
    }

    private void SayConfig(string what, ushort offset, uint value)
    {
        _trace.Begin(what).Hex(offset).Add(" = ").Hex(value);
        _trace.Note(offset < PciRegisters.FirstCapability ? "PCI 6.1" : "PCI 6.7, 4.1.4");
    }

    private void Answer(string what, bool value) => _trace.Begin(what).Add(value ? " = yes" : " = no");
}
