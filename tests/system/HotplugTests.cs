// Disks that come and go while the kernel runs.
using System.IO;
using System.Linq;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class HotplugTests
{
    private const int Cycles = 3;

    /// <summary>Machines, and what makes their ports plug by themselves instead of by ACPI.</summary>
    public static TheoryData<string, string> Machines => new()
    {
        { "q35", "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off" },
        { "microvm,pcie=on", "" },
    };

    [Theory]
    [MemberData(nameof(Machines))]
    public void A_disk_that_is_plugged_works_and_unplugged_under_load_ends_every_read_once(string machine, string options)
    {
        using DiskImages images = new();
        string image = images.Random("disk.img", 1 << 20);
        string socket = images.PathOf("qmp");
        using KernelRun run = KernelRun.Start(
            machine,
            "",
            [
                "-device", "pcie-root-port,id=rp,chassis=1,slot=1",
                .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries),
                .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        run.Send($"hotplug {Cycles}\r");
        qmp.Execute("blockdev-add", new Dictionary<string, object>
        {
            ["driver"] = "file",
            ["node-name"] = "medium",
            ["filename"] = image,
            ["read-only"] = true,
        });
        for (int i = 0; i < Cycles; i++)
        {
            qmp.Execute("device_add", new Dictionary<string, object>
            {
                ["driver"] = "virtio-blk-pci",
                ["id"] = $"d{i}",
                ["drive"] = "medium",
                ["bus"] = "rp",
            });
            run.WaitFor($"reading disk{i}");
            qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = $"d{i}" });
            qmp.WaitForDeleted($"d{i}");
        }
        run.Send("mem\rhalt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(Cycles, result.Lines.Count(line => line == "reads ended well, 16 as removed, 0 otherwise, 0 never"));
        Assert.Equal(Cycles, result.Lines.Count(line => line == "its memory came back"));
        Assert.Equal(Cycles, result.Lines.Count(line => line.StartsWith("gone: ")));
        Assert.Contains("DMA: 0 KiB in use", result.Serial);
    }

    [Fact]
    public void A_disk_that_is_there_from_the_beginning_can_be_taken_away()
    {
        using DiskImages images = new();
        string socket = images.PathOf("qmp");
        using KernelRun run = KernelRun.Start(
            "q35",
            "",
            [
                "-device", "pcie-root-port,id=rp,chassis=1,slot=1",
                "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                "-drive", $"if=none,id=disk,file={images.Random("disk.img", 65536)},format=raw",
                "-device", "virtio-blk-pci,drive=disk,bus=rp,id=d",
                .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        run.Send("hotplug\r");
        run.WaitFor("reading disk0");
        qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = "d" });
        qmp.WaitForDeleted("d");
        run.Send("halt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("reads ended well, 16 as removed, 0 otherwise, 0 never", result.Serial);
    }

    [Fact]
    public void Functions_behind_a_second_host_bridge_are_found_and_driven()
    {
        using DiskImages images = new();
        string image = images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.Boot(
            "q35",
            "run=\"disk 0 sha256; selftest disk\"",
            [
                "-device", "pxb-pcie,id=far,bus_nr=64,bus=pcie.0", "-device", "pcie-root-port,id=rp,bus=far,chassis=1",
                "-drive", $"if=none,id=disk,file={image},format=raw", "-device", "virtio-blk-pci,drive=disk,bus=rp",
            ]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains(DiskImages.Hash(image), result.Serial);
        Assert.Contains("0000:40:00.0 1b36:000c", result.Serial);
    }

    [Fact]
    public void Without_firmware_bridges_behind_bridges_get_numbers_and_windows()
    {
        using DiskImages images = new();
        string image = images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.Boot(
            "microvm,pcie=on",
            "run=\"disk 0 sha256; selftest\"",
            [
                "-device", "pcie-root-port,id=a,chassis=1", "-device", "x3130-upstream,id=u,bus=a",
                "-device", "xio3130-downstream,id=b,bus=u,chassis=2", "-device", "xio3130-downstream,id=c,bus=u,chassis=3",
                "-drive", $"if=none,id=disk,file={image},format=raw", "-device", "virtio-blk-pci,drive=disk,bus=b",
                "-chardev", "null,id=console", "-device", "virtio-serial-pci,bus=c", "-device", "virtconsole,chardev=console",
            ]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains(DiskImages.Hash(image), result.Serial);
        Assert.Contains(":00.0 1af4:1043", result.Serial);
        Assert.Equal(2, result.Lines.Count(line => line.EndsWith(": hot-plug, MSI")));
    }
}
