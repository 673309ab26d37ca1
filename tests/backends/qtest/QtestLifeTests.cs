// What happens to QEMU's devices and buses in service: MSI, large blocks, bridges, a disk that grows, cards that come and go.
using System.IO;
using System.Threading;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.System;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLifeTests
{
    [Fact]
    public void A_function_with_MSI_and_no_MSIX_interrupts_by_MSI()
    {
        using QtestMachine machine = new(QtestBinding.NewFolder(), "-device", "edu");
        PciScan scan = PciScan.Run(machine);
        ScannedPciFunction edu = Enumerable.Range(0, scan.Count).Select(i => scan[i]).Single(each => each.ReadConfig16(PciRegisters.DeviceId) == 0x11E8);
        Assert.True(edu.TryEnable());
        Assert.True(edu.TryMapBar(0, out IoRegion? registers));
        Assert.Equal(1, edu.PrepareInterrupts(2, out InterruptKind kind));
        Assert.Equal(InterruptKind.Msi, kind);
        Counter counter = new();
        Assert.True(edu.TryAttachInterrupt(0, counter));
        for (int i = 1; i <= 3; i++)
        {
            registers!.Write32(0x60, 1); // raises it
            Until(machine, () => counter.Count == i);
            registers.Write32(0x64, 1);
        }
        edu.ReleaseInterrupts();
        registers!.Write32(0x60, 1);
        Assert.False(machine.Clock.WaitForInterrupt(machine.Clock.Now + 1_000_000));
        Assert.Equal(3, counter.Count);
    }

    [Fact]
    public void Blocks_of_4096_bytes_are_read_and_written_whole()
    {
        using QtestBlockBackend backend = new(new BlockSetup(), ",logical_block_size=4096,physical_block_size=4096");
        BlockDevice disk = backend.Disk;
        Assert.Equal(4096u, disk.BlockSize);
        DmaBuffer buffer = backend.Allocate(4096);
        Assert.Equal(IoStatus.Misaligned, disk.Submit(TestRequest.For(BlockOperation.Read, 0, buffer.Slice(0, 512))));
        Assert.Equal(IoStatus.Misaligned, disk.Submit(TestRequest.For(BlockOperation.Read, 1, buffer)));
        new Random(4).NextBytes(buffer.Span);
        Finish(disk, backend.Clock, TestRequest.For(BlockOperation.Write, 8, buffer));
        Assert.Equal(buffer.Span.ToArray(), backend.ReadMedium(8, 8));
        disk.Remove();
        disk.Dma.Free(buffer);
    }

    [Theory]
    [InlineData("-device", "pcie-root-port,id=rp,chassis=1")]
    [InlineData("-device", "pxb-pcie,id=far,bus_nr=64,bus=pcie.0", "-device", "pcie-root-port,id=rp,bus=far,chassis=1")]
    [InlineData("-device", "pcie-root-port,id=up,chassis=1", "-device", "x3130-upstream,id=u,bus=up", "-device", "xio3130-downstream,id=rp,bus=u,chassis=2")]
    [InlineData("-device", "pci-bridge,id=rp,chassis_nr=1")]
    public void A_disk_behind_bridges_is_found_and_read(params string[] bridges)
    {
        string folder = QtestBinding.NewFolder();
        string image = NewImage(folder, out byte[] content);
        using QtestMachine machine = new(folder, [.. bridges, .. Drive(image), "-device", "virtio-blk-pci,drive=d,disable-legacy=on,bus=rp"]);
        machine.FurtherRootBus = 64;
        VirtioBlk disk = machine.AttachOne<VirtioBlk>();
        ReadsWhatIsThere(disk, machine, content);
        disk.Remove();
        Assert.Equal(0, machine.MemoryInUse);
    }

    [Theory]
    [InlineData("-device", "pcie-root-port,id=rp,chassis=1")]
    [InlineData("-device", "pcie-root-port,id=up,chassis=1", "-device", "x3130-upstream,id=u,bus=up", "-device", "xio3130-downstream,id=rp,bus=u,chassis=2")]
    public void Without_firmware_bridges_get_numbers_and_windows_and_disks_their_BARs(params string[] bridges)
    {
        string folder = QtestBinding.NewFolder();
        string image = NewImage(folder, out byte[] content);
        using QtestMachine machine = new(folder, isBare: true, [.. bridges, .. Drive(image), "-device", "virtio-blk-pci,drive=d,disable-legacy=on,bus=rp"]);
        VirtioBlk disk = machine.AttachOne<VirtioBlk>();
        ReadsWhatIsThere(disk, machine, content);
        disk.Remove();
        Assert.Equal(0, machine.MemoryInUse);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",vectors=1")]
    [InlineData(",vectors=0")]
    public void A_disk_that_grows_is_larger_at_once(string more)
    {
        string folder = QtestBinding.NewFolder();
        string socket = Path.Combine(folder, "qmp");
        using QtestMachine machine = new(
            folder, [.. Drive(NewImage(folder, out _)), "-device", "virtio-blk-pci,drive=d,disable-legacy=on" + more, .. Qmp.Options(socket)]);
        using Qmp qmp = new(socket);
        VirtioBlk disk = machine.AttachOne<VirtioBlk>();
        Assert.Equal(128ul, disk.SectorCount);
        qmp.Execute("block_resize", new Dictionary<string, object> { ["device"] = "d", ["size"] = 1 << 20 });
        Waiting.Until(disk, machine.Clock, () => disk.SectorCount == 2048, "the new capacity");
        Assert.Equal(1ul, disk.CapacityChanges);
        disk.Remove();
    }

    [Fact]
    public void A_disk_that_is_plugged_serves_and_unplugged_under_load_ends_every_request_once()
    {
        string folder = QtestBinding.NewFolder();
        string socket = Path.Combine(folder, "qmp");
        string image = NewImage(folder, out byte[] content);
        using QtestMachine machine = new(
            folder,
            [
                "-device", "pcie-root-port,id=rp,chassis=1,slot=1", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                "-blockdev", $"driver=file,node-name=d,filename={image},read-only=on", .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        DeviceTable devices = new();
        DriverRegistry registry = new(devices);
        registry.Add(new VirtioPciDriver(QtestBinding.Drivers()));
        PciScan scan = PciScan.Run(machine);
        ScannedPciFunction port = Enumerable.Range(0, scan.Count).Select(i => scan[i]).Single(each => scan.FindBridge(each.Address) is not null);
        Assert.True(PciHotplugSlot.TryCreate(port, scan.FindBridge(port.Address)!, scan, registry, devices, out PciHotplugSlot? slot));
        devices.Add(slot!);
        for (int cycle = 1; cycle <= 3; cycle++)
        {
            qmp.Execute("device_add", new Dictionary<string, object>
            {
                ["driver"] = "virtio-blk-pci",
                ["id"] = $"card{cycle}",
                ["drive"] = "d",
                ["bus"] = "rp",
            });
            Until(machine, devices, () => devices.Count == 2);
            VirtioBlk disk = Assert.IsType<VirtioBlk>(devices[1]);
            ReadsWhatIsThere(disk, machine, content);
            TestRequest[] requests = [.. Enumerable.Range(0, 8).Select(_ => new TestRequest { Then = again => disk.Submit(again) })];
            Assert.True(machine.Dma.TryAllocate(8 * 512, 512, out DmaBuffer buffer));
            for (uint i = 0; i < requests.Length; i++)
            {
                requests[i].Prepare(BlockOperation.Read, i, buffer.Slice(i * 512, 512));
                Assert.Equal(IoStatus.Ok, disk.Submit(requests[i]));
            }
            qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = $"card{cycle}" });
            Until(machine, devices, () =>
            {
                disk.Kick();
                return devices.Count == 1;
            });
            qmp.WaitForDeleted($"card{cycle}");
            Assert.All(requests, request => Assert.Equal(IoStatus.Removed, request.Status));
            Assert.Equal((cycle, cycle), (slot!.Arrivals, slot.Departures));
            machine.Dma.Free(buffer);
            Assert.Equal(0, machine.MemoryInUse);
        }
        slot!.Remove();
    }

    private static string[] Drive(string image) => ["-drive", $"if=none,id=d,file={image},format=raw"];

    private static string NewImage(string folder, out byte[] content)
    {
        content = new byte[65536];
        new Random(5).NextBytes(content);
        string image = Path.Combine(folder, "disk.img");
        File.WriteAllBytes(image, content);
        return image;
    }

    private static void ReadsWhatIsThere(VirtioBlk disk, QtestMachine machine, byte[] content)
    {
        Assert.True(machine.Dma.TryAllocate(8192, 4096, out DmaBuffer buffer));
        Finish(disk, machine.Clock, TestRequest.For(BlockOperation.Read, 16, buffer));
        Assert.Equal(content.AsSpan(8192, 8192).ToArray(), buffer.Span.ToArray());
        machine.Dma.Free(buffer);
    }

    private static void Finish(BlockDevice disk, Clock clock, TestRequest request)
    {
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Waiting.Until(disk, clock, () => request.Completions == 1, "a request");
        Assert.Equal(IoStatus.Ok, request.Status);
    }

    private static void Until(QtestMachine machine, Func<bool> done) => Until(machine, new DeviceTable(), done);

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

    private sealed class Counter : InterruptHandler
    {
        public int Count { get; private set; }

        public override bool OnInterrupt()
        {
            Count++;
            return true;
        }
    }
}
