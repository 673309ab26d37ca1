// Drivers that write down what they do with their devices: around the drivers for virtio's buses.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>Gives every device that is probed a trace of its own in one sink: <c>d0</c>, <c>d1</c> and so on.</summary>
public sealed class Tracer
{
    private readonly TraceSink _sink;
    private readonly VirtioDriverTable _drivers;
    private int _count;

    /// <summary>Traces go to <paramref name="sink"/>; <paramref name="drivers"/> name features.</summary>
    public Tracer(TraceSink sink, VirtioDriverTable drivers)
    {
        _sink = sink;
        _drivers = drivers;
    }

    /// <summary>Puts a trace around a function; <paramref name="deviceType"/> is that of virtio 5.</summary>
    public TracedFunction Around(PciFunction function, ushort deviceType) =>
        new(function, new DeviceTrace(_sink, function.Clock, NextName(), "pci", deviceType, _drivers.Find(deviceType)));

    /// <summary>Puts a trace around a virtio-mmio device, which says itself what it is.</summary>
    public PlatformDevice Around(PlatformDevice device)
    {
        IoRegion registers = device.Registers;
        bool isVirtio = registers.Length >= MmioRegisters.Config && registers.Read32(MmioRegisters.MagicValue) == MmioRegisters.Magic;
        uint type = isVirtio ? registers.Read32(MmioRegisters.DeviceId) : 0;
        return type is 0 or > ushort.MaxValue
            ? device
            : new TracedPlatformDevice(device, new DeviceTrace(_sink, device.Clock, NextName(), "mmio", (ushort)type, _drivers.Find((ushort)type)));
    }

    private string NextName() => "d" + (_count++).ToString();
}

/// <summary>The driver for virtio over PCI with a trace around each function.</summary>
public sealed class TracingPciDriver : PciDriver
{
    private readonly VirtioPciDriver _driver;
    private readonly Tracer _tracer;

    /// <summary>Puts traces of <paramref name="tracer"/> around what <paramref name="driver"/> takes into service.</summary>
    public TracingPciDriver(VirtioPciDriver driver, Tracer tracer)
    {
        _driver = driver;
        _tracer = tracer;
    }

    /// <inheritdoc/>
    public override string Name => _driver.Name;

    /// <inheritdoc/>
    public override bool Matches(PciFunction function) => _driver.Matches(function);

    /// <inheritdoc/>
    public override ProbeResult Probe(PciFunction function, DeviceTable devices) =>
        _driver.Probe(_tracer.Around(function, VirtioPciDriver.TypeOf(function)), devices);
}
