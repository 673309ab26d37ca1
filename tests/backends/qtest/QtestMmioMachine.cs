// QEMU's microvm over its test socket: virtio-mmio with interrupt lines that really go up and down.
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>
/// A machine without PCI. Where a device is, the machine itself says: it appends <c>virtio_mmio.device=512@0xfeb00e00:12</c> to the kernel's
/// command line, which is read from its firmware configuration. The lines of the I/O APIC end in this process.
/// </summary>
internal sealed unsafe partial class QtestMmioMachine : IQtestMachine
{
    private const ulong FirstSlot = 0xFEB0_0000;
    private const uint SlotLength = 512;
    private const int SlotCount = 8;
    private const ulong DmaStart = 16 << 20;
    private const ulong DmaEnd = 56 << 20;

    private readonly QtestProcess _process;
    private readonly QtestClock _clock;
    private readonly QtestDma _dma;
    private readonly Dictionary<uint, InterruptHandler> _handlers = [];

    internal QtestMmioMachine(string folder, bool isLegacy, params string[] options)
    {
        _process = new QtestProcess(folder, "microvm,acpi=off", ["-global", $"virtio-mmio.force-legacy={(isLegacy ? "on" : "off")}", .. options]);
        _clock = new QtestClock(Dispatch);
        _dma = new QtestDma(_process.Memory, DmaStart, DmaEnd);
        Match place = Place().Match(ReadCommandLine());
        Assert.True(place.Success, "the machine does not say where its device is");
        Assert.Equal(SlotLength, uint.Parse(place.Groups[1].Value, CultureInfo.InvariantCulture));
        Address = ulong.Parse(place.Groups[2].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        Line = uint.Parse(place.Groups[3].Value, CultureInfo.InvariantCulture);
        _process.InterceptLines();
    }

    /// <summary>Where the machine says that its device is.</summary>
    internal ulong Address { get; }

    /// <summary>The interrupt line that the machine says its device has.</summary>
    internal uint Line { get; }

    /// <summary>How often a line that was up was handed to its handler.</summary>
    internal int Interrupts { get; private set; }

    /// <summary>True while the device asks for its line.</summary>
    internal bool IsLineUp => _process.IsLineUp(Line);

    /// <inheritdoc/>
    public Clock Clock => _clock;

    /// <inheritdoc/>
    public int MemoryInUse => _dma.InUse;

    /// <summary>Probes every place for a device that the machine has; only one is no placeholder.</summary>
    public T AttachOne<T>()
        where T : Device
    {
        VirtioDriverTable drivers = QtestBinding.Drivers();
        VirtioMmioDriver driver = new(drivers);
        List<Device> devices = [];
        for (uint i = 0; i < SlotCount; i++)
        {
            Slot slot = new(this, FirstSlot + i * SlotLength);
            ProbeResult result = driver.Probe(TraceRecording.Around(slot, drivers), out Device? device);
            Assert.True(result.Status == (slot.Address == Address ? ProbeStatus.Bound : ProbeStatus.NotMine), $"slot {i}: {result.Reason}");
            if (device is not null)
            {
                devices.Add(device);
            }
        }
        return Assert.IsAssignableFrom<T>(Assert.Single(devices));
    }

    /// <inheritdoc/>
    public void Dispose() => _process.Dispose();

    [GeneratedRegex("virtio_mmio\\.device=(\\d+)@0x([0-9a-f]+):(\\d+)")]
    private static partial Regex Place();

    /// <summary>Calls the handler of each line that is up, once: a line that its handler leaves up is an interrupt again.</summary>
    private bool Dispatch()
    {
        bool any = false;
        foreach ((uint line, InterruptHandler handler) in _handlers.ToArray())
        {
            if (_process.IsLineUp(line))
            {
                Interrupts++;
                any = true;
                handler.OnInterrupt();
            }
        }
        return any;
    }

    private string ReadCommandLine()
    {
        const ulong SelectorPort = 0x510;
        const ulong DataPort = 0x511;
        const uint CommandLineLength = 0x14;
        const uint CommandLineData = 0x15;
        _process.Write("outw", SelectorPort, CommandLineLength);
        uint length = 0;
        for (int i = 0; i < 4; i++)
        {
            length |= _process.Read("inb", DataPort) << (8 * i);
        }
        Assert.InRange(length, 0u, 4096u);
        _process.Write("outw", SelectorPort, CommandLineData);
        StringBuilder line = new();
        for (uint i = 0; i < length; i++)
        {
            line.Append((char)_process.Read("inb", DataPort));
        }
        return line.ToString();
    }

    private sealed class Slot(QtestMmioMachine machine, ulong address) : PlatformDevice
    {
        public override ulong Address => address;

        public override IoRegion Registers { get; } = new QtestIoRegion(machine._process, address, SlotLength, "read", "write");

        public override DmaSpace Dma => machine._dma;

        public override Clock Clock => machine._clock;

        public override bool TryAttachInterrupt(InterruptHandler handler) => machine._handlers.TryAdd(machine.Line, handler);

        public override void DetachInterrupt(InterruptHandler handler) => Assert.True(machine._handlers.Remove(machine.Line), "no handler was attached");
    }
}
