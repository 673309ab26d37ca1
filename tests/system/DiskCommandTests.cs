// Discard, zeroes, the write cache and the topology of a real disk in front of the booted kernel.
using System.IO;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class DiskCommandTests : IDisposable
{
    private readonly DiskImages _images = new();

    public void Dispose() => _images.Dispose();

    [Theory]
    [InlineData("", "")]
    [InlineData(",packed=on", " unmap")]
    [InlineData(",num-queues=4,max-write-zeroes-sectors=16", " unmap")]
    public void What_the_kernel_zeroes_is_zero_in_the_image_and_nothing_else(string more, string unmap)
    {
        string disk = _images.Random("disk.img", 1 << 20);
        byte[] expected = File.ReadAllBytes(disk);
        KernelResult result = KernelRun.Boot("q35", $"run=\"disk zero 100 500{unmap}; disk flush\"", Disk(disk, more));
        Assert.True(result.ExitCode == 33, result.Serial);
        Array.Clear(expected, 100 * 512, 500 * 512);
        Assert.Equal(expected, File.ReadAllBytes(disk));
    }

    [Fact]
    public void What_the_kernel_discards_is_a_hole_and_the_rest_stays()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        byte[] expected = File.ReadAllBytes(disk);
        KernelResult result = KernelRun.Boot("q35", "run=\"disk discard 1024 512; disk flush\"", Disk(disk, ",max-discard-sectors=64"));
        Assert.True(result.ExitCode == 33, result.Serial);
        byte[] found = File.ReadAllBytes(disk);
        Assert.Equal(new byte[512 * 512], found.AsSpan(1024 * 512, 512 * 512).ToArray());
        found.AsSpan(1024 * 512, 512 * 512).CopyTo(expected.AsSpan(1024 * 512));
        Assert.Equal(expected, found);
    }

    [Fact]
    public void The_cache_is_switched_and_the_medium_is_described()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.Boot(
            "q35",
            "run=\"disk info; disk cache; disk cache off; disk info; disk cache on\"",
            Disk(disk, ",physical_block_size=4096,min_io_size=4096,opt_io_size=131072,cyls=33,heads=5,secs=7"));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("physical blocks of 4096, the first at 0, transfers of at least 4096, best of 131072 bytes", result.Serial);
        Assert.Contains("geometry 33/5/7, request queues 1, commands: read write flush id discard zero", result.Serial);
        Assert.Contains("with a cache that is switched off", result.Serial);
        Assert.EndsWith("the write cache is on: flush makes what was written durable", result.Lines[^1]);
    }

    [Theory]
    [InlineData("disk erase 0 8", "erase: the device does not support it")]
    [InlineData("disk lifetime", "lifetime: the device does not support it")]
    [InlineData("disk zones", "zones: the device does not support it")]
    [InlineData("disk zone reset 0", "reset: the device does not support it")]
    [InlineData("disk zone", "zone open|close|finish|reset SECTOR")]
    [InlineData("disk zero 2048 1", "zero: the range lies beyond the end of the disk")]
    [InlineData("disk zero 0 18446744073709551615", "zero: the range lies beyond the end of the disk")]
    [InlineData("disk discard 0", "a number is missing: the count")]
    [InlineData("disk discard 0 0", "discard: not a whole number of blocks")]
    [InlineData("disk cache maybe", "cache: the device can't switch it so")]
    public void What_can_not_be_done_is_said_and_changes_nothing(string command, string message)
    {
        string disk = _images.Random("disk.img", 1 << 20);
        string before = DiskImages.Hash(disk);
        KernelResult result = KernelRun.Boot("q35", $"run=\"{command}\"", Disk(disk));
        Assert.Equal(35, result.ExitCode);
        Assert.Contains(message, result.Serial);
        Assert.Equal(before, DiskImages.Hash(disk));
    }

    private static string[] Disk(string image, string more = "") =>
    [
        "-drive", $"if=none,id=d,file={image},format=raw,discard=unmap", "-device", $"virtio-blk-pci,drive=d,disable-legacy=on{more}",
    ];
}
