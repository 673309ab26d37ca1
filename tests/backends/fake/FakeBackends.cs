// The contracts on the fake machine.
using System.Text;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>Takes the devices of a fake machine into service, as a kernel would.</summary>
public static class FakeBinding
{
    /// <summary>Scans, probes, and answers with the devices and how each virtio probe ended.</summary>
    public static DeviceTable Attach(FakeMachine machine, out List<ProbeResult> results)
    {
        DeviceTable devices = new();
        DriverRegistry registry = new(devices);
        VirtioDriverTable drivers = TestDrivers.All();
        registry.Add(TraceRecording.Around(new VirtioPciDriver(drivers), drivers));
        results = [];
        PciScan scan = PciScan.Run(machine);
        for (int i = 0; i < scan.Count; i++)
        {
            results.Add(registry.Attach(scan[i]));
        }
        return devices;
    }

    /// <summary>Puts a device behind virtio-mmio of a version, and takes it into service.</summary>
    public static T AttachMmio<T>(FakeMachine machine, FakeVirtioDevice device, uint version)
        where T : Device
    {
        VirtioDriverTable drivers = TestDrivers.All();
        PlatformDevice slot = TraceRecording.Around(machine.Plug(new FakeMmioDevice(machine, device, version)), drivers);
        ProbeResult result = new VirtioMmioDriver(drivers).Probe(slot, out Device? bound);
        Assert.True(result.IsBound, $"{result.Reason} (0x{result.Value:X})");
        return Assert.IsAssignableFrom<T>(bound);
    }

    /// <summary>Takes the only device into service; fails with the reason when that does not work.</summary>
    public static T AttachOne<T>(FakeMachine machine)
        where T : Device
    {
        DeviceTable devices = Attach(machine, out List<ProbeResult> results);
        Assert.True(devices.Count == 1, string.Join("; ", results.Select(result => $"{result.Reason} (0x{result.Value:X})")));
        return Assert.IsAssignableFrom<T>(devices[0]);
    }
}

/// <summary>A fake disk in service.</summary>
public sealed class FakeBlockBackend : BlockBackend
{
    private readonly FakeMachine _machine = new();

    /// <summary>
    /// Makes the machine and binds the driver; <paramref name="arrange"/> changes the device before, <paramref name="plugged"/> its function.
    /// </summary>
    public FakeBlockBackend(
        BlockSetup setup, ushort vectors = 4, Action<FakeBlockDevice>? arrange = null, Action<FakeVirtioPciDevice>? plugged = null)
        : this(setup, (machine, device) => AttachPci(machine, device, vectors, plugged), arrange)
    {
    }

    /// <summary>The same for a device that <paramref name="attach"/> puts on a bus of its choice and takes into service.</summary>
    public FakeBlockBackend(BlockSetup setup, Func<FakeMachine, FakeBlockDevice, BlockDevice> attach, Action<FakeBlockDevice>? arrange = null)
    {
        Device = new FakeBlockDevice(setup.Sectors) { Id = Encoding.ASCII.GetBytes(setup.Id) };
        Device.Limit(setup.SegMax, setup.SizeMax);
        Device.OfferedFeatures = setup.HasFlush ? Device.OfferedFeatures : Device.OfferedFeatures & ~FakeBlockDevice.Flush;
        if (setup.IsReadOnly)
        {
            Device.MakeReadOnly();
        }
        arrange?.Invoke(Device);
        Disk = attach(_machine, Device);
    }

    /// <summary>The device's side.</summary>
    public FakeBlockDevice Device { get; }

    /// <inheritdoc/>
    public override BlockDevice Disk { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override byte[] ReadMedium(ulong sector, int sectors) => Device.Durable.AsSpan((int)sector * 512, sectors * 512).ToArray();

    /// <inheritdoc/>
    public override void WriteMedium(ulong sector, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Device.Disk.AsSpan((int)sector * 512));
        bytes.CopyTo(Device.Durable.AsSpan((int)sector * 512));
    }

    /// <inheritdoc/>
    public override bool TryHoldBack() => Device.HoldsBack = true;

    /// <inheritdoc/>
    public override void LetGo()
    {
        Device.HoldsBack = false;
        Device.CompleteAll();
    }

    private static BlockDevice AttachPci(FakeMachine machine, FakeBlockDevice device, ushort vectors, Action<FakeVirtioPciDevice>? plugged)
    {
        FakeVirtioPciDevice function = machine.Plug(new FakeVirtioPciDevice(device, vectors), 0, 3);
        plugged?.Invoke(function);
        return FakeBinding.AttachOne<BlockDevice>(machine);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        try
        {
            _machine.Violations.AssertEmpty();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }
}

/// <summary>A fake console in service.</summary>
public sealed class FakeConsoleBackend : ConsoleBackend
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device;

    /// <summary>
    /// Makes the machine and binds the driver; <paramref name="arrange"/> changes the device before, <paramref name="plugged"/> its function. With
    /// <paramref name="ports"/> the device has several, of which the first is plugged in as a console.
    /// </summary>
    public FakeConsoleBackend(
        ushort vectors = 4, Action<FakeConsoleDevice>? arrange = null, Action<FakeVirtioPciDevice>? plugged = null, int ports = 0)
    {
        _device = new FakeConsoleDevice(ports: ports);
        if (ports != 0)
        {
            _device.Plug(0, isConsole: true);
        }
        arrange?.Invoke(_device);
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(_device, vectors), 0, 3);
        plugged?.Invoke(function);
        Device = FakeBinding.AttachOne<ConsoleDevice>(_machine);
        Port = FirstPort(Device, _machine.Clock);
    }

    /// <summary>The same for a device that <paramref name="attach"/> puts on a bus of its choice and takes into service.</summary>
    public FakeConsoleBackend(Func<FakeMachine, FakeConsoleDevice, ConsoleDevice> attach)
    {
        _device = new FakeConsoleDevice();
        Device = attach(_machine, _device);
        Port = FirstPort(Device, _machine.Clock);
    }

    /// <inheritdoc/>
    public override ConsoleDevice Device { get; }

    /// <inheritdoc/>
    public override ConsolePort Port { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override byte[] HostReceived() => _device.Output;

    /// <inheritdoc/>
    public override void HostSends(ReadOnlySpan<byte> bytes) => _device.Type(bytes);

    /// <inheritdoc/>
    public override bool TryStopHost(out string whyNot)
    {
        whyNot = "";
        _device.TransmitCredit = 0;
        return true;
    }

    /// <inheritdoc/>
    public override void ResumeHost() => _device.TransmitCredit = int.MaxValue;

    /// <inheritdoc/>
    public override void Dispose()
    {
        try
        {
            _machine.Violations.AssertEmpty();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }
}
