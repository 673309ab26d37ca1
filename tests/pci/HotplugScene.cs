// A machine with a hot-plug port, and the loop that a kernel would run.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>Everything from the port to the device table; at the end nothing may be left over.</summary>
public sealed class HotplugScene : IDisposable
{
    private const ulong LongTime = 100_000_000_000;

    private readonly List<DmaBuffer> _buffers = [];

    /// <summary>Makes a machine with one port, numbered by firmware or by the scan.</summary>
    public HotplugScene(bool hasMsi = true, bool byFirmware = false)
    {
        Machine.HasRoomForBars = !byFirmware;
        Port = new FakeRootPort(hasMsi);
        if (byFirmware)
        {
            Port.Number(0, 1, 1);
        }
        Machine.Plug(Port, 0, 3);
        VirtioDriverTable virtio = new();
        virtio.Add(new VirtioBlkDriver());
        Registry = new DriverRegistry(Devices);
        Registry.Add(new VirtioPciDriver(virtio));
    }

    /// <summary>The machine.</summary>
    public FakeMachine Machine { get; } = new();

    /// <summary>The port.</summary>
    public FakeRootPort Port { get; }

    /// <summary>The devices in service, slots included.</summary>
    public DeviceTable Devices { get; } = new();

    /// <summary>The drivers.</summary>
    public DriverRegistry Registry { get; }

    /// <summary>What the scan knows.</summary>
    public PciScan Functions { get; private set; } = null!;

    /// <summary>The disks in service.</summary>
    public IEnumerable<VirtioBlk> Disks => Enumerable.Range(0, Devices.Count).Select(i => Devices[i]).OfType<VirtioBlk>();

    /// <summary>The only disk.</summary>
    public VirtioBlk TheDisk => Disks.Single();

    /// <summary>How many bytes the scene itself has allocated.</summary>
    public ulong BufferBytes => (ulong)_buffers.Sum(buffer => buffer.Length);

    /// <summary>True when a device may keep the memory that it was lent: it never came out of reset.</summary>
    public bool MayKeepMemory { get; set; }

    /// <summary>A card with a small disk.</summary>
    public static FakeVirtioPciDevice Disk(ulong sectors = 16) => new(new FakeBlockDevice(sectors));

    /// <summary>Scans, and takes into service what is there.</summary>
    public void Scan()
    {
        Functions = PciScan.Run(Machine);
        for (int i = 0; i < Functions.Count; i++)
        {
            Registry.Attach(Functions[i]);
        }
    }

    /// <summary>Scans when nobody has yet, and watches all slots; answers with that of <see cref="Port"/>.</summary>
    public PciHotplugSlot Watch()
    {
        if (Functions is null)
        {
            Functions = PciScan.Run(Machine);
            bool hasCard = Port.Card is { IsPowered: true };
            for (int i = 0; i < Functions.Count && hasCard; i++)
            {
                Registry.Attach(Functions[i]);
            }
        }
        PciHotplugSlot? first = null;
        for (int i = 0; i < Functions.Count; i++)
        {
            PciBridge? bridge = Functions.FindBridge(Functions[i].Address);
            if (bridge is not null && PciHotplugSlot.TryCreate(Functions[i], bridge, Functions, Registry, Devices, out PciHotplugSlot? slot))
            {
                Devices.Add(slot!);
                first ??= slot;
            }
        }
        return Assert.IsType<PciHotplugSlot>(first);
    }

    /// <summary>One turn of the run loop, without any time passing.</summary>
    public void Turn()
    {
        Machine.Run();
        Devices.Poll();
    }

    /// <summary>Runs the loop until something holds.</summary>
    public void RunUntil(Func<bool> holds)
    {
        ulong end = Machine.Clock.Now + LongTime;
        while (!holds())
        {
            Assert.True(Machine.Clock.Now < end, "it never came to that");
            Turn();
            if (!holds())
            {
                Machine.Clock.WaitForInterrupt(Math.Min(Devices.NextDeadline(), end));
                Devices.OnDeadline(Machine.Clock.Now);
            }
        }
    }

    /// <summary>Runs the loop for some time.</summary>
    public void Pass(ulong nanoseconds)
    {
        ulong end = Machine.Clock.Now + nanoseconds;
        RunUntil(() => Machine.Clock.Now >= end);
    }

    /// <summary>Submits a read of one sector.</summary>
    public TestRequest Submit(VirtioBlk disk, ulong sector)
    {
        Assert.True(TrySubmit(disk, sector, out TestRequest request));
        return request;
    }

    /// <summary>Submits a read of one sector; false when the disk does not take it.</summary>
    public bool TrySubmit(VirtioBlk disk, ulong sector, out TestRequest request)
    {
        Assert.True(Machine.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        _buffers.Add(buffer);
        request = TestRequest.For(BlockOperation.Read, sector, buffer);
        return disk.Submit(request) == IoStatus.Ok;
    }

    /// <summary>Reads a sector.</summary>
    public void Read(VirtioBlk disk)
    {
        TestRequest request = Submit(disk, 1);
        disk.Kick();
        RunUntil(() => request.Completions > 0);
        Assert.Equal(IoStatus.Ok, request.Status);
    }

    /// <summary>Ends all devices and looks for what is left over.</summary>
    public void Dispose()
    {
        try
        {
            for (int i = Devices.Count - 1; i >= 0; i--)
            {
                Devices[i].Remove();
            }
            _buffers.ForEach(buffer => Machine.Dma.Free(buffer));
            Assert.Equal(0, Machine.HandlerCount);
            if (!MayKeepMemory)
            {
                Machine.AssertNothingLeaked();
            }
        }
        finally
        {
            Machine.Dispose();
        }
    }
}
