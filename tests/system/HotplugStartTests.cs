// Disks that are plugged before anybody watches their slot, and cards of several functions.
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class HotplugStartTests
{
    /// <summary>Ports that keep a new card without power, and ports whose card is found by the scan, with its events still standing.</summary>
    [Theory]
    [InlineData("q35", "on")]
    [InlineData("q35", "off")]
    [InlineData("microvm,pcie=on", "on")]
    [InlineData("microvm,pcie=on", "off")]
    public void A_disk_that_is_plugged_before_the_kernel_watches_its_slot_stays(string machine, string powerController)
    {
        using DiskImages images = new();
        string image = images.Random("disk.img", 1 << 20);
        string socket = images.PathOf("qmp");
        using KernelRun run = Start(machine, powerController, socket, "-S");
        using Qmp qmp = new(socket);
        Medium(qmp, "medium", image);
        Plug(qmp, "d", "medium", "00.0");
        qmp.Execute("cont");
        run.WaitFor("disk0: virtio-blk");
        run.WaitFor("Type help");
        run.Send("disk 0 sha256\r");
        run.WaitFor(DiskImages.Hash(image));
        run.Send("halt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.DoesNotContain("gone: ", result.Serial);
        Assert.DoesNotContain("removed", result.Serial);
    }

    [Theory]
    [InlineData("q35")]
    [InlineData("microvm,pcie=on")]
    public void A_card_with_two_disks_comes_and_goes_as_one(string machine)
    {
        using DiskImages images = new();
        string first = images.Random("first.img", 1 << 20);
        string second = images.Random("second.img", 1 << 20);
        string socket = images.PathOf("qmp");
        using KernelRun run = Start(machine, "on", socket);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        Medium(qmp, "m0", first);
        Medium(qmp, "m1", second);
        Plug(qmp, "d1", "m1", "00.1"); // function 0 last: it makes the card present
        Plug(qmp, "d0", "m0", "00.0");
        run.WaitFor("disk1: virtio-blk");
        run.Send("disk 0 sha256; disk 1 sha256\r");
        run.WaitFor(DiskImages.Hash(first));
        run.WaitFor(DiskImages.Hash(second));
        qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = "d0" });
        run.WaitFor("gone: ");
        run.Send("mem\rhalt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("DMA: 0 KiB in use", result.Serial);
    }

    private static KernelRun Start(string machine, string powerController, string socket, params string[] more) => KernelRun.Start(
        machine,
        "",
        [
            "-device", $"pcie-root-port,id=rp,chassis=1,slot=1,power_controller_present={powerController}",
            .. machine == "q35" ? (string[])["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"] : [],
            .. Qmp.Options(socket),
            .. more,
        ]);

    private static void Medium(Qmp qmp, string name, string image) => qmp.Execute("blockdev-add", new Dictionary<string, object>
    {
        ["driver"] = "file",
        ["node-name"] = name,
        ["filename"] = image,
        ["read-only"] = true,
    });

    private static void Plug(Qmp qmp, string id, string medium, string address) => qmp.Execute("device_add", new Dictionary<string, object>
    {
        ["driver"] = "virtio-blk-pci",
        ["id"] = id,
        ["drive"] = medium,
        ["bus"] = "rp",
        ["addr"] = address,
        ["multifunction"] = true,
    });
}
