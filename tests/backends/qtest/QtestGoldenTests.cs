// The fake bus carrying the config space of a device of QEMU says what the device says.
using System.IO;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Golden;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>Also the way to capture anew: the folder in VIRTIOSHARP_CAPTURE gets the files of tests/golden.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestGoldenTests
{
    [Theory]
    [InlineData("blk-modern", 0x1042, "virtio-blk-pci,drive=null,disable-legacy=on")]
    [InlineData("blk-transitional", 0x1001, "virtio-blk-pci,drive=null,disable-legacy=off,disable-modern=off")]
    [InlineData("blk-legacy", 0x1001, "virtio-blk-pci,drive=null,disable-legacy=off,disable-modern=on")]
    [InlineData("blk-without-vectors", 0x1042, "virtio-blk-pci,drive=null,disable-legacy=on,vectors=0")]
    [InlineData("blk-root-port", 0x1042, "pcie-root-port,id=rp,bus=pcie.0", "virtio-blk-pci,drive=null,bus=rp")]
    [InlineData("console-modern", 0x1043, "virtio-serial-pci,disable-legacy=on")]
    public void A_device_of_QEMU_reads_the_same_when_the_fake_bus_replays_its_config_space(string name, int id, params string[] devices)
    {
        string[] options = [.. devices.SelectMany(device => (string[])["-device", device])];
        using QtestMachine machine = new(QtestBinding.NewFolder(), ["-blockdev", "driver=null-co,node-name=null,size=1048576", .. options]);
        PciScan scan = PciScan.Run(machine);
        PciFunction real = Enumerable.Range(0, scan.Count).Select(i => scan[i]).Single(each => each.ReadConfig16(0) == 0x1AF4 && each.ReadConfig16(2) == id);
        GoldenConfig config = GoldenConfig.Capture(machine, real.Address);
        if (Environment.GetEnvironmentVariable("VIRTIOSHARP_CAPTURE") is { Length: > 0 } folder)
        {
            config.Save(Path.Combine(folder, name + ".txt"), $"The q35 of this QEMU after SeaBIOS, -device {string.Join(" -device ", devices)}");
        }
        string[] expected = GoldenConfig.Describe(real);
        using FakeMachine fake = new();
        config.Plug(fake);
        Assert.Equal(expected, GoldenConfig.Describe(PciScan.Run(fake)[0]));
        Assert.Equal(config.Bytes, GoldenConfig.Capture(machine, real.Address).Bytes); // sizing put everything back
    }
}
