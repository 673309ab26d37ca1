// The packed image: it boots as the kernel does.
using System.IO;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class PackedTests
{
    private const int MostBytes = 200_000;

    private static string ImagePath { get; } = Path.Combine(KernelRun.Root, "build", "packed.elf");

    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    [InlineData("microvm,pcie=on")]
    public void The_packed_image_unpacks_itself_tests_itself_and_reads_a_disk(string machine)
    {
        using DiskImages images = new();
        string disk = images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.BootOther(ImagePath, machine, "run=\"selftest; disk sha256\"", KernelRun.Disk(disk));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.StartsWith("VirtioSharp ", result.Lines.First(line => line.Contains("VirtioSharp")));
        Assert.Contains("boot by multiboot", result.Serial);
        Assert.Contains("PASS disk-write-compare", result.Serial);
        Assert.Contains(DiskImages.Hash(disk), result.Serial);
    }

    [Fact]
    public void The_packed_image_boots_by_PVH_as_well()
    {
        using DiskImages images = new();
        byte[] image = File.ReadAllBytes(ImagePath);
        // Without the multiboot header QEMU goes by the PVH note.
        int header = image.AsSpan(0, 8192).IndexOf<byte>([0x02, 0xB0, 0xAD, 0x1B]);
        Assert.True(header > 0);
        image[header] = 0;
        string copy = images.PathOf("pvh.elf");
        File.WriteAllBytes(copy, image);
        KernelResult result = KernelRun.BootOther(copy, "microvm", "run=selftest");
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("boot by PVH", result.Serial);
    }

    [Fact]
    public void A_panic_of_the_packed_image_names_functions()
    {
        KernelResult result = KernelRun.BootOther(ImagePath, "q35", "run=\"panic null\"");
        Assert.Equal(37, result.ExitCode);
        Assert.Contains("PanicCommand.ReadNull", result.Serial);
    }

    [Fact]
    public void The_packed_image_is_small()
    {
        long length = new FileInfo(ImagePath).Length;
        Assert.True(length < MostBytes, $"{length} bytes; make size says what they are");
    }
}
