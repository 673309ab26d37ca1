// The contract of entropy sources on QEMU's virtio-rng, over every bus and with every sort of ring and interrupt that it has.
using System.IO;
using System.Threading;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.System;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>QEMU's source as it comes.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend();
}

/// <summary>QEMU's source without MSI-X, EVENT_IDX and indirect descriptors.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPlainEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(",vectors=0,event_idx=off,indirect_desc=off");
}

/// <summary>QEMU's source with a packed ring.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPackedEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(",packed=on");
}

/// <summary>QEMU's source without any interrupt.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPolledEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(bus: QtestBus.PolledPci);
}

/// <summary>QEMU's source with the legacy PCI interface.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(QtestLegacy.Only);
}

/// <summary>A source of microvm, behind virtio-mmio.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestMmioEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(bus: QtestBus.Mmio);
}

/// <summary>A source of microvm with a packed ring.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPackedMmioEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(",packed=on", QtestBus.Mmio);
}

/// <summary>A source of microvm with registers of version 1.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyMmioEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new QtestEntropyBackend(bus: QtestBus.LegacyMmio);
}

/// <summary>What happens to QEMU's source in service.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestEntropyLifeTests
{
    private const int Cycles = 3;

    /// <summary>Split rings only: QEMU 7.2 looks at a broken packed ring for ever.</summary>
    [Theory]
    [InlineData("", QtestBus.Pci)]
    [InlineData(",vectors=0", QtestBus.Pci)]
    [InlineData("", QtestBus.Mmio)]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void A_source_that_needs_a_reset_is_begun_anew_and_requests_in_flight_end_well(string more, QtestBus bus)
    {
        using QtestEntropyBackend backend = new(more, bus);
        VirtioRng source = (VirtioRng)backend.Source;
        Assert.True(backend.Dma.TryAllocate(16, 16, out DmaBuffer anywhere));
        for (ulong round = 1; round <= 5; round++)
        {
            TestEntropyRequest request = new(24);
            Assert.Equal(IoStatus.Ok, source.Submit(request));
            Spoil(anywhere, source.Virtio);
            Waiting.Until(source, backend.Clock, () => source.Recoveries == round, "the recovery");
            byte[] given = [.. Enumerable.Range(0, 24).Select(i => (byte)(i * 7 + (int)round))];
            backend.HostGives(given);
            Waiting.Until(source, backend.Clock, () => request.Completions == 1, "the bytes");
            Assert.Equal(IoStatus.Ok, request.Status);
            Assert.Equal(given, request.Bytes);
        }
        backend.Dma.Free(anywhere);
        source.Remove();
    }

    [Fact]
    public void A_source_that_the_host_limits_gives_its_bytes_later_and_all_of_them()
    {
        using QtestEntropyBackend backend = new(",max-bytes=100,period=50");
        byte[] given = [.. Enumerable.Range(0, 350).Select(i => (byte)i)];
        backend.HostGives(given);
        TestEntropyRequest request = new(given.Length);
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        ulong before = backend.Clock.Now;
        Waiting.Until(backend.Source, backend.Clock, () => request.Completions == 1, "350 bytes at 100 in 50 ms");
        Assert.Equal(given, request.Bytes);
        Assert.True(backend.Clock.Now - before > 100_000_000, "the host did not limit anything");
        backend.Source.Remove();
    }

    /// <summary>A pipe for each card: QEMU 7.2 crashes when bytes come for requests of a card that is gone.</summary>
    [Fact]
    public void A_source_that_is_plugged_serves_and_unplugged_ends_every_request_once()
    {
        string folder = QtestBinding.NewFolder();
        string socket = Path.Combine(folder, "qmp");
        FileStream[] pipes = [.. Enumerable.Range(0, Cycles).Select(i => QtestEntropyBackend.OpenPipe(Path.Combine(folder, $"random{i}")))];
        using QtestMachine machine = new(
            folder,
            [
                "-device", "pcie-root-port,id=rp,chassis=1,slot=1", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                .. pipes.SelectMany((pipe, i) => new[] { "-object", $"rng-random,id=r{i},filename={pipe.Name}" }), .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        DeviceTable devices = new();
        DriverRegistry registry = new(devices);
        registry.Add(new VirtioPciDriver(QtestBinding.Drivers()));
        PciScan scan = PciScan.Run(machine);
        ScannedPciFunction port = Enumerable.Range(0, scan.Count).Select(i => scan[i]).Single(each => scan.FindBridge(each.Address) is not null);
        Assert.True(PciHotplugSlot.TryCreate(port, scan.FindBridge(port.Address)!, scan, registry, devices, out PciHotplugSlot? slot));
        devices.Add(slot!);
        for (int cycle = 0; cycle < Cycles; cycle++)
        {
            qmp.Execute("device_add", new Dictionary<string, object>
            {
                ["driver"] = "virtio-rng-pci",
                ["id"] = $"card{cycle}",
                ["rng"] = $"r{cycle}",
                ["bus"] = "rp",
            });
            Until(machine, devices, () => devices.Count == 2);
            VirtioRng source = Assert.IsType<VirtioRng>(devices[1]);
            TestEntropyRequest first = new(16);
            Assert.Equal(IoStatus.Ok, source.Submit(first));
            byte[] given = [.. Enumerable.Range(cycle, 16).Select(i => (byte)i)];
            pipes[cycle].Write(given);
            Until(machine, devices, () => first.Completions == 1);
            Assert.Equal(given, first.Bytes);
            TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => new TestEntropyRequest(64))];
            Assert.All(requests, request => Assert.Equal(IoStatus.Ok, source.Submit(request)));
            qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = $"card{cycle}" });
            Until(machine, devices, () => devices.Count == 1);
            qmp.WaitForDeleted($"card{cycle}");
            Assert.All(requests, request => Assert.Equal((IoStatus.Removed, 1), (request.Status, request.Completions)));
            Assert.Equal(0, machine.MemoryInUse);
        }
        slot!.Remove();
        Assert.All(pipes, pipe => pipe.Dispose());
    }

    /// <summary>Does what a run loop does, for half a minute at most.</summary>
    private static void Until(QtestMachine machine, DeviceTable devices, Func<bool> done)
    {
        ulong end = machine.Clock.Now + 30_000_000_000;
        while (!done())
        {
            ulong now = machine.Clock.Now;
            Assert.True(now < end, "it never happens");
            machine.Clock.WaitForInterrupt(now + 1_000_000);
            devices.OnDeadline(machine.Clock.Now);
            devices.Poll();
        }
    }

    /// <summary>Makes a buffer available that begins beyond the descriptors; <paramref name="anywhere"/> says where guest memory is.</summary>
    private static unsafe void Spoil(in DmaBuffer anywhere, VirtioDevice device)
    {
        ushort* available = (ushort*)(anywhere.Pointer - anywhere.DeviceAddress + device.Queue(0).Addresses.DriverArea);
        ushort index = available[1];
        available[2 + index % device.Queue(0).Size] = ushort.MaxValue;
        Volatile.Write(ref available[1], (ushort)(index + 1));
        device.Transport.Notify(0);
    }
}
