// Seam 1 over QEMU's test socket: the devices are QEMU's own.
using System.Threading;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>
/// A <see cref="PciHost"/> whose registers are reached by commands to QEMU. Interrupt messages are aimed at words in RAM: one that is not
/// zero any more is an interrupt that came.
/// </summary>
internal sealed unsafe class QtestMachine : PciHost, IQtestMachine
{
    private const ushort AddressPort = 0xCF8;
    private const ushort DataPort = 0xCFC;
    private const ulong MessageStart = 8 << 20;
    private const ulong DmaStart = 16 << 20;
    private const ulong DmaEnd = 56 << 20;
    private const ulong RamEnd = 64 << 20;
    private const ulong PhysicalEnd = 1ul << 40;
    private const ulong Ecam = 0xE000_0000; // of a microvm, like the room for BARs below it
    private const ulong RoomStart = 0xC000_0000;
    private const ulong RoomEnd = Ecam;

    private readonly bool _isBare;
    private readonly QtestProcess _process;
    private readonly List<InterruptHandler?> _handlers = [];
    private readonly QtestClock _clock;
    private readonly QtestDma _dma;
    private readonly List<(uint Line, InterruptHandler Handler)> _pins = [];
    private bool _follows;
    private ulong _nextRoom = RoomStart;

    /// <summary>A q35 that its firmware has set up.</summary>
    internal QtestMachine(string folder, params string[] options)
        : this(folder, isBare: false, options)
    {
    }

    /// <summary>The same, or a microvm whose buses and BARs nobody has set up.</summary>
    internal QtestMachine(string folder, bool isBare, string[] options)
    {
        _isBare = isBare;
        _process = new QtestProcess(folder, isBare ? "microvm,pcie=on" : "q35", options);
        _clock = new QtestClock(Dispatch);
        _dma = new QtestDma(_process.Memory, DmaStart, DmaEnd);
    }

    /// <summary>True when no memory of devices can be mapped.</summary>
    internal bool RefusesMemory { get; init; }

    /// <summary>False when no function may interrupt.</summary>
    internal bool HasInterrupts { get; init; } = true;

    /// <inheritdoc/>
    public override InterruptKind BestInterruptKind => HasInterrupts ? InterruptKind.MsiX : InterruptKind.None;

    /// <summary>The first bus of a further host bridge; 0 when there is none.</summary>
    internal byte FurtherRootBus { get; set; }

    /// <inheritdoc/>
    public override bool IsRootBus(int segment, byte bus) => bus == 0 || bus == FurtherRootBus;

    /// <inheritdoc/>
    public int MemoryInUse => _dma.InUse;

    /// <inheritdoc/>
    public override DmaSpace Dma => _dma;

    /// <inheritdoc/>
    public override Clock Clock => _clock;

    /// <inheritdoc/>
    public override ushort ConfigSpaceLength => (ushort)(_isBare ? 4096 : 256);

    /// <inheritdoc/>
    public override bool NeedsAssignment => _isBare;

    /// <inheritdoc/>
    public override byte ReadConfig8(PciAddress function, ushort offset) => (byte)_process.Read(Place(function, offset, "readb", "inb", out ulong place), place);

    /// <inheritdoc/>
    public override ushort ReadConfig16(PciAddress function, ushort offset) =>
        (ushort)_process.Read(Place(function, offset, "readw", "inw", out ulong place), place);

    /// <inheritdoc/>
    public override uint ReadConfig32(PciAddress function, ushort offset) => _process.Read(Place(function, offset, "readl", "inl", out ulong place), place);

    /// <inheritdoc/>
    public override void WriteConfig8(PciAddress function, ushort offset, byte value) =>
        _process.Write(Place(function, offset, "writeb", "outb", out ulong place), place, value);

    /// <inheritdoc/>
    public override void WriteConfig16(PciAddress function, ushort offset, ushort value) =>
        _process.Write(Place(function, offset, "writew", "outw", out ulong place), place, value);

    /// <inheritdoc/>
    public override void WriteConfig32(PciAddress function, ushort offset, uint value) =>
        _process.Write(Place(function, offset, "writel", "outl", out ulong place), place, value);

    /// <inheritdoc/>
    public override bool TryAssignMemory(ulong length, out ulong address)
    {
        address = _nextRoom + length - 1 & ~(length - 1);
        bool fits = _isBare && address + length <= RoomEnd;
        _nextRoom = fits ? address + length : _nextRoom;
        return fits;
    }

    /// <inheritdoc/>
    public override bool TryMapMemory(ulong address, ulong length, out IoRegion? region)
    {
        bool fits = !RefusesMemory && length != 0 && address + length >= address && address + length <= PhysicalEnd && address >= RamEnd;
        region = fits ? new QtestIoRegion(_process, address, length, "read", "write") : null;
        return fits;
    }

    /// <inheritdoc/>
    public override bool TryMapPorts(ulong address, ulong length, out IoRegion? region)
    {
        bool fits = length != 0 && address < 0x10000 && length <= 0x10000 - address;
        region = fits ? new QtestIoRegion(_process, address, length, "in", "out") : null;
        return fits;
    }

    /// <inheritdoc/>
    public override int MessagesLeft => 64;

    /// <inheritdoc/>
    public override bool TryAllocateMessage(InterruptHandler handler, out MsiMessage message)
    {
        int index = _handlers.IndexOf(null);
        if (index < 0)
        {
            index = _handlers.Count;
            _handlers.Add(null);
        }
        _handlers[index] = handler;
        Volatile.Write(ref *Word(index), 0);
        message = new MsiMessage(MessageStart + (ulong)index * 16, (uint)index + 1);
        return true;
    }

    /// <inheritdoc/>
    public override void ReleaseMessage(in MsiMessage message) => _handlers[(int)message.Data - 1] = null;

    /// <summary>The line that firmware wrote is an input of the I/O APIC, which is followed from the first pin on.</summary>
    public override bool TryAttachPin(PciAddress function, InterruptHandler handler)
    {
        byte line = ReadConfig8(function, PciRegisters.InterruptLine);
        if (line is 0 or >= 24)
        {
            return false;
        }
        if (!_follows)
        {
            _follows = true;
            _process.InterceptLines();
        }
        _pins.Add((line, handler));
        return true;
    }

    /// <inheritdoc/>
    public override void DetachPin(PciAddress function, InterruptHandler handler) => _pins.RemoveAll(pin => pin.Handler == handler);

    /// <inheritdoc/>
    public T AttachOne<T>()
        where T : Device
    {
        DeviceTable devices = new();
        DriverRegistry registry = new(devices);
        VirtioDriverTable drivers = QtestBinding.Drivers();
        registry.Add(TraceRecording.Around(new VirtioPciDriver(drivers), drivers));
        PciScan scan = PciScan.Run(this);
        for (int i = 0; i < scan.Count; i++)
        {
            ProbeResult result = registry.Attach(scan[i]);
            Assert.True(result.Status != ProbeStatus.Failed, $"{result.Reason} (0x{result.Value:X})");
        }
        Assert.Equal(1, devices.Count);
        return Assert.IsAssignableFrom<T>(devices[0]);
    }

    /// <inheritdoc/>
    public void Dispose() => _process.Dispose();

    /// <summary>Calls the handlers whose message arrived.</summary>
    internal bool Dispatch()
    {
        bool any = false;
        for (int i = 0; i < _handlers.Count; i++)
        {
            if (Volatile.Read(ref *Word(i)) != 0)
            {
                Volatile.Write(ref *Word(i), 0);
                _handlers[i]?.OnInterrupt();
                any = true;
            }
        }
        foreach ((uint line, InterruptHandler handler) in _pins.ToArray())
        {
            if (_process.IsLineUp(line))
            {
                any |= handler.OnInterrupt();
            }
        }
        return any;
    }

    private uint* Word(int index) => (uint*)(_process.Memory + MessageStart + (ulong)index * 16);

    /// <summary>Where a config register is, and the command for it: in ECAM, or at the data port after it was selected.</summary>
    private string Place(PciAddress function, ushort offset, string memoryCommand, string portCommand, out ulong place)
    {
        if (_isBare)
        {
            place = Ecam + ((ulong)function.BusDeviceFunction << 12) + offset;
            return memoryCommand;
        }
        place = (ulong)(DataPort + (offset & 3));
        _process.Write("outl", AddressPort, 0x80000000u | (uint)function.BusDeviceFunction << 8 | (uint)offset & 0xFC);
        return portCommand;
    }
}
