// Seam 1 on bare metal: a PC.
using System.Threading;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// The PC this kernel runs on: config space by ECAM where the firmware describes one, else by the ports 0xCF8 and 0xCFC; messages to
/// the local APIC; pins through the I/O APIC, by the interrupt line that the firmware wrote.
/// </summary>
internal sealed unsafe class BareMachine : PciHost
{
    private const ushort AddressPort = 0xCF8;
    private const ushort DataPort = 0xCFC;
    private const ushort InterruptLine = 0x3C;
    private const ushort InterruptPin = 0x3D;

    private readonly PageTables _pages;
    private readonly BareDmaSpace _dma;
    private readonly TscClock _clock;
    private readonly InterruptKind _best;
    private readonly ConfigSpaces _spaces = new();
    private readonly bool _hasEcam;
    private ulong _nextBar;

    internal BareMachine(BootInformation information, PhysicalMemory memory, InterruptKind bestInterrupts, bool wants8259)
    {
        Memory = memory;
        _best = bestInterrupts;
        _pages = new PageTables(memory);
        Acpi = Acpi.Read(information.AcpiRoot, _pages);
        bool mapped = _pages.TryMapDevice(LocalApic.Address, 4096);
        for (int i = 0; i < Acpi.IoApicCount; i++)
        {
            mapped &= _pages.TryMapDevice(Acpi.IoApic(i, out _), 4096);
        }
        if (!mapped)
        {
            Environment.FailFast("there is too little memory for the page tables; give the machine more (-m)");
        }
        Interrupts = new Interrupts(Acpi, wants8259);
        _clock = new TscClock(Interrupts);
        _dma = new BareDmaSpace(memory);
        for (int i = 0; i < Acpi.ConfigSpaces.Count; i++)
        {
            ConfigSpace space = Acpi.ConfigSpaces[i];
            if (_pages.TryMapDevice(space.Start, space.Length))
            {
                _spaces.TryAdd(space);
            }
        }
        _hasEcam = _spaces.TryGetBuses(0, out _, out _); // the ports reach segment 0 only, and in all of its buses
        _nextBar = Acpi.BarWindowStart;
        Serial = new SerialPort();
        if (Interrupts.Uses8259)
        {
            Interrupts.TryAttachLevel(SerialPort.InterruptLine, Serial);
        }
        else if (Interrupts.TryAllocateEdge(Serial, out byte vector))
        {
            Interrupts.TryRouteEdge(Acpi.GlobalInterrupt(SerialPort.InterruptLine), vector);
        }
        Serial.EnableInterrupts();
    }

    internal PhysicalMemory Memory { get; }

    internal Acpi Acpi { get; }

    internal Interrupts Interrupts { get; }

    internal SerialPort Serial { get; }

    internal TscClock TscClock => _clock;

    internal BareDmaSpace DmaMemory => _dma;

    /// <summary>How config space is reached, for people.</summary>
    internal string ConfigAccess => _hasEcam ? "ECAM" : "ports";

    /// <summary>True when memory BARs are not to be mapped: virtio functions are reached through config space then.</summary>
    internal bool RefusesBars { get; set; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _dma;

    /// <inheritdoc/>
    public override Clock Clock => _clock;

    /// <inheritdoc/>
    public override ushort ConfigSpaceLength => (ushort)(_hasEcam ? 4096 : 256);

    /// <inheritdoc/>
    public override byte ReadConfig8(PciAddress function, ushort offset)
    {
        if (_hasEcam)
        {
            return TryGetConfig(function, offset, out byte* register) ? Volatile.Read(ref *register) : byte.MaxValue;
        }
        return TrySelect(function, offset) ? Cpu.In8((ushort)(DataPort + (offset & 3))) : byte.MaxValue;
    }

    /// <inheritdoc/>
    public override ushort ReadConfig16(PciAddress function, ushort offset)
    {
        if (_hasEcam)
        {
            return TryGetConfig(function, offset, out byte* register) ? Volatile.Read(ref *(ushort*)register) : ushort.MaxValue;
        }
        return TrySelect(function, offset) ? Cpu.In16((ushort)(DataPort + (offset & 2))) : ushort.MaxValue;
    }

    /// <inheritdoc/>
    public override uint ReadConfig32(PciAddress function, ushort offset)
    {
        if (_hasEcam)
        {
            return TryGetConfig(function, offset, out byte* register) ? Volatile.Read(ref *(uint*)register) : uint.MaxValue;
        }
        return TrySelect(function, offset) ? Cpu.In32(DataPort) : uint.MaxValue;
    }

    /// <inheritdoc/>
    public override void WriteConfig8(PciAddress function, ushort offset, byte value)
    {
        if (_hasEcam)
        {
            if (TryGetConfig(function, offset, out byte* register))
            {
                Volatile.Write(ref *register, value);
            }
        }
        else if (TrySelect(function, offset))
        {
            Cpu.Out8((ushort)(DataPort + (offset & 3)), value);
        }
    }

    /// <inheritdoc/>
    public override void WriteConfig16(PciAddress function, ushort offset, ushort value)
    {
        if (_hasEcam)
        {
            if (TryGetConfig(function, offset, out byte* register))
            {
                Volatile.Write(ref *(ushort*)register, value);
            }
        }
        else if (TrySelect(function, offset))
        {
            Cpu.Out16((ushort)(DataPort + (offset & 2)), value);
        }
    }

    /// <inheritdoc/>
    public override void WriteConfig32(PciAddress function, ushort offset, uint value)
    {
        if (_hasEcam)
        {
            if (TryGetConfig(function, offset, out byte* register))
            {
                Volatile.Write(ref *(uint*)register, value);
            }
        }
        else if (TrySelect(function, offset))
        {
            Cpu.Out32(DataPort, value);
        }
    }

    /// <inheritdoc/>
    public override bool NeedsAssignment => Acpi.BarWindowStart != 0;

    /// <inheritdoc/>
    public override int SegmentCount => _hasEcam ? _spaces.SegmentCount : 1;

    /// <inheritdoc/>
    public override byte LastBus(int segment) => !_hasEcam ? byte.MaxValue : _spaces.TryGetBuses(segment, out _, out byte last) ? last : (byte)0;

    /// <inheritdoc/>
    public override bool IsRootBus(int segment, byte bus) =>
        segment == 0 ? bus == 0 || Acpi.IsRootBus(bus) : _hasEcam && _spaces.TryGetBuses(segment, out byte first, out _) && bus == first;

    /// <inheritdoc/>
    public override bool TryAssignMemory(ulong length, out ulong address)
    {
        address = _nextBar + length - 1 & ~(length - 1);
        if (_nextBar == 0 || address < _nextBar || address >= Acpi.BarWindowEnd || length > Acpi.BarWindowEnd - address)
        {
            return false;
        }
        _nextBar = address + length;
        return true;
    }

    /// <inheritdoc/>
    public override bool TryMapMemory(ulong address, ulong length, out IoRegion? region)
    {
        region = null;
        return !RefusesBars && TryMapRegisters(address, length, out region);
    }

    /// <summary>Maps device memory, in a BAR or not; false as <see cref="TryMapMemory"/> says.</summary>
    internal bool TryMapRegisters(ulong address, ulong length, out IoRegion? region)
    {
        region = null;
        ulong end = address + length;
        if (length == 0 || end < address || Memory.IsRam(address, end) || address < 0x100000 ||
            Overlaps(address, end, LocalApic.Address, 4096) || OverlapsIoApic(address, end) ||
            _spaces.Overlaps(address, end) || !_pages.TryMapDevice(address, length))
        {
            return false;
        }
        region = new MemoryIoRegion(address, length);
        return true;
    }

    /// <inheritdoc/>
    public override bool TryMapPorts(ulong address, ulong length, out IoRegion? region)
    {
        region = null;
        if (length == 0 || address >= 0x10000 || length > 0x10000 - address)
        {
            return false;
        }
        region = new PortIoRegion((ushort)address, length);
        return true;
    }

    /// <inheritdoc/>
    public override InterruptKind BestInterruptKind => _best;

    /// <inheritdoc/>
    public override int MessagesLeft => Interrupts.FreeEdges;

    /// <inheritdoc/>
    public override bool TryAllocateMessage(InterruptHandler handler, out MsiMessage message)
    {
        message = default;
        if (!Interrupts.TryAllocateEdge(handler, out byte vector))
        {
            return false;
        }
        message = Interrupts.MessageOf(vector);
        return true;
    }

    /// <inheritdoc/>
    public override void ReleaseMessage(in MsiMessage message) => Interrupts.ReleaseEdge((byte)message.Data);

    /// <inheritdoc/>
    public override bool TryAttachPin(PciAddress function, InterruptHandler handler) =>
        TryFindPin(function, out uint interrupt) && Interrupts.TryAttachLevel(interrupt, handler);

    /// <inheritdoc/>
    public override void DetachPin(PciAddress function, InterruptHandler handler)
    {
        if (TryFindPin(function, out uint interrupt))
        {
            Interrupts.DetachLevel(interrupt, handler);
        }
    }

    /// <summary>
    /// Where a function's pin arrives: at the line that firmware wrote; without firmware at the links of the host bridge, one after the
    /// other by device and pin, as the _PRT of QEMU's generic bridge spells it out.
    /// </summary>
    private bool TryFindPin(PciAddress function, out uint interrupt)
    {
        byte line = ReadConfig8(function, InterruptLine);
        byte pin = ReadConfig8(function, InterruptPin);
        if (Acpi.FirstLink != 0)
        {
            interrupt = Acpi.FirstLink + (uint)(function.Device + pin - 1) % 4;
            return function.Bus == 0 && pin is >= 1 and <= 4;
        }
        interrupt = Interrupts.Uses8259 ? line : Acpi.GlobalInterrupt(line);
        return line is not 0 and < 240;
    }

    private bool OverlapsIoApic(ulong start, ulong end)
    {
        for (int i = 0; i < Acpi.IoApicCount; i++)
        {
            if (Overlaps(start, end, Acpi.IoApic(i, out _), 4096))
            {
                return true;
            }
        }
        return false;
    }

    private static bool Overlaps(ulong start, ulong end, ulong other, ulong length) => length != 0 && start < other + length && other < end;

    private bool TryGetConfig(PciAddress function, ushort offset, out byte* register)
    {
        bool found = _spaces.TryFind(function, offset, out ulong address);
        register = (byte*)address;
        return found;
    }

    private static bool TrySelect(PciAddress function, ushort offset)
    {
        if (function.Segment != 0 || offset >= 256)
        {
            return false;
        }
        Cpu.Out32(AddressPort, 0x80000000u | (uint)function.BusDeviceFunction << 8 | (uint)offset & 0xFC);
        return true;
    }
}
