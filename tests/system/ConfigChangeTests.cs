// A device whose configuration changes while the kernel runs.
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class ConfigChangeTests
{
    [Theory]
    [InlineData("q35", "virtio-blk-pci,disable-legacy=on", "")]
    [InlineData("q35", "virtio-blk-pci,disable-legacy=on,vectors=1", "")]
    [InlineData("q35", "virtio-blk-pci,disable-legacy=on,vectors=0", "")]
    [InlineData("pc", "virtio-blk-pci,disable-modern=on", "")]
    [InlineData("pc", "virtio-blk-pci,disable-modern=on,vectors=0", "")]
    [InlineData("microvm", "virtio-blk-device", "")]
    [InlineData("microvm", "virtio-blk-device", "-global virtio-mmio.force-legacy=false")]
    public void A_disk_that_grows_is_larger_at_once(string machine, string device, string more)
    {
        using DiskImages images = new();
        string socket = images.PathOf("qmp");
        using KernelRun run = KernelRun.Start(
            machine,
            "",
            [
                "-drive", $"if=none,id=disk,file={images.Random("disk.img", 1 << 20)},format=raw", "-device", $"{device},drive=disk",
                .. more.Split(' ', StringSplitOptions.RemoveEmptyEntries), .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        run.Send("disk 0 info\r");
        run.WaitFor("2048 sectors of 512");
        qmp.Execute("block_resize", new Dictionary<string, object> { ["device"] = "disk", ["size"] = 3 << 20 });
        run.WaitFor("the capacity is now");
        run.Send("disk 0 info\rdisk 0 read 6143\rhalt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("6144 sectors of 512", result.Serial);
        Assert.DoesNotContain("out of range", result.Serial);
    }
}
