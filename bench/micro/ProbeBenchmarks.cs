// Finding a device and taking it into service, on the tests' fake machine: its checks are in the times, which compare only with each other.
using System;
using System.Collections.Generic;
using BenchmarkDotNet.Attributes;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;

namespace VirtioSharp.MicroBenchmarks;

/// <summary>The walk over the capabilities, the scan of a bus, and a probe from the scan to DRIVER_OK with the removal behind it.</summary>
public class ProbeBenchmarks
{
    private readonly FakeMachine _machine = new();
    private PciFunction _function = null!;

    [GlobalSetup]
    public void Begin()
    {
        _machine.Plug(new FakeBlockDevice(64));
        _function = PciScan.Run(_machine)[0];
    }

    [Benchmark(Description = "capability walk")]
    public int Capabilities()
    {
        int sum = 0;
        PciCapabilities walk = new(_function);
        while (walk.MoveNext())
        {
            sum += walk.Id;
        }
        return sum;
    }

    [Benchmark(Description = "scan of a machine with one device")]
    public int Scan() => PciScan.Run(_machine).Count;

    [Benchmark(Description = "probe and removal of a disk")]
    public int Probe()
    {
        using FakeMachine machine = new();
        machine.Plug(new FakeBlockDevice(64));
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        disk.Remove();
        return disk.QueueCount;
    }
}
