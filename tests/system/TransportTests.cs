// The ways in which the booted kernel reaches a modern device: mapped registers, config space, doorbells in ports.
using System.Linq;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class TransportTests : IDisposable
{
    private const string PortDoorbells = ",modern-pio-notify=on";

    private readonly DiskImages _images = new();

    public void Dispose() => _images.Dispose();

    [Theory]
    [InlineData("q35", "pci-access=config", "", "modern PCI (through config space)")] // config space is memory
    [InlineData("pc", "pci-access=config", "", "modern PCI (through config space)")] // config space is two ports
    [InlineData("microvm,pcie=on", "pci-access=config", "", "modern PCI (through config space)")]
    [InlineData("q35", "pci-access=config", PortDoorbells, "modern PCI (through config space)")]
    [InlineData("q35", "", PortDoorbells, "modern PCI (notified by a port)")]
    [InlineData("pc", "", PortDoorbells, "modern PCI (notified by a port)")]
    [InlineData("q35", "", PortDoorbells + ",vectors=0", "modern PCI (notified by a port)")]
    [InlineData("microvm,pcie=on", "", PortDoorbells, "modern PCI,")] // nobody gave the ports an address: the doorbells in memory are used
    [InlineData("q35", "pci-access=memory", ",page-per-vq=on", "modern PCI,")]
    public void A_disk_and_a_console_work_whichever_way_they_are_reached(string machine, string access, string more, string name)
    {
        string disk = _images.Random("disk.img", 4 << 20);
        string[] console = ["-device", "virtio-serial-pci,disable-legacy=on" + more, "-chardev", "null,id=c", "-device", "virtconsole,chardev=c"];
        KernelResult result = KernelRun.Boot(
            machine, $"run=\"selftest disk; selftest console; disk sha256\" {access}", [.. KernelRun.Disk(disk, more: more), .. console]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains(result.Lines, line => line.StartsWith("disk0: virtio-blk, " + name));
        Assert.Equal(name.TrimEnd(','), result.Lines.Single(line => line.StartsWith("console0:")).Split(", ")[1]);
        Assert.Contains("PASS disk-queue-reset", result.Serial);
        Assert.Contains("PASS console-queue-reset", result.Serial);
        Assert.Equal(DiskImages.Hash(disk) + "  disk0", result.Lines[^1]);
    }

    [Fact]
    public void A_quiet_boot_tells_of_the_device_that_is_refused_and_of_no_other()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        const string Legacy = "virtio-serial-pci,disable-legacy=off,disable-modern=on";
        KernelResult result = KernelRun.Boot("microvm,pcie=on", "quiet run=\"disk sha256\"", ["-device", Legacy, .. KernelRun.Disk(disk)]);
        Assert.True(result.ExitCode == 33, result.Serial);
        string[] lines = [.. result.Lines.SkipWhile(line => !line.Contains("VirtioSharp"))];
        Assert.Equal(4, lines.Length);
        Assert.Contains(" 1af4:1003 class 0780 ", lines[1]);
        Assert.StartsWith("  not usable: BAR 0", lines[2]);
        Assert.Equal(DiskImages.Hash(disk) + "  disk0", lines[3]);
    }

    [Fact]
    public void A_legacy_device_whose_ports_nobody_assigned_is_refused_and_the_next_one_serves()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        const string Legacy = "virtio-serial-pci,disable-legacy=off,disable-modern=on";
        KernelResult result = KernelRun.Boot("microvm,pcie=on", "run=\"disk sha256\"", ["-device", Legacy, .. KernelRun.Disk(disk)]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("  not usable: BAR 0 does not hold the registers of the legacy interface, or nobody assigned it (0x0)", result.Lines);
        Assert.Equal(DiskImages.Hash(disk) + "  disk0", result.Lines[^1]);
    }

    [Fact]
    public void Without_RING_RESET_its_tests_are_skipped()
    {
        KernelResult result = KernelRun.Boot("q35", "run=selftest", KernelRun.Disk(_images.Random("disk.img", 1 << 20), more: ",queue_reset=off"));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("SKIP disk-queue-reset: the disk has no RING_RESET", result.Serial);
    }
}
