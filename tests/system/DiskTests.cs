// Real disks in front of the booted kernel.
using System.IO;
using System.Security.Cryptography;
using System.Text;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class DiskTests : IDisposable
{
    private readonly DiskImages _images = new();

    public void Dispose() => _images.Dispose();

    [Theory]
    [InlineData("pc", "")]
    [InlineData("microvm,pcie=on", "")]
    [InlineData("q35", "")]
    [InlineData("q35", ",event_idx=off")]
    [InlineData("q35", ",indirect_desc=off")]
    [InlineData("q35", ",event_idx=off,indirect_desc=off,queue-size=16,seg-max-adjust=on")]
    [InlineData("q35", ",vectors=1")]
    [InlineData("q35", ",vectors=0")]
    [InlineData("pc", ",vectors=0")]
    [InlineData("q35", ",queue-size=1024")]
    [InlineData("q35", ",logical_block_size=4096,physical_block_size=4096")]
    [InlineData("q35", ",iommu_platform=on")]
    [InlineData("q35", ",disable-legacy=off")]
    [InlineData("q35", ",num-queues=4")]
    [InlineData("q35", ",num-queues=4,packed=on,queue-size=16")]
    [InlineData("q35", ",num-queues=8,vectors=2")]
    [InlineData("microvm,pcie=on", ",num-queues=2,vectors=0")]
    [InlineData("q35", ",discard=off,write-zeroes=off,config-wce=off")]
    public void The_hash_of_a_disk_is_what_the_host_computes(string machine, string more)
    {
        string disk = _images.Random("disk.img", 4 << 20);
        KernelResult result = KernelRun.Boot(machine, "run=\"selftest disk; disk sha256\"", KernelRun.Disk(disk, more: more));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(DiskImages.Hash(disk) + "  disk0", result.Lines[^1]);
    }

    [Fact]
    public void A_qcow2_image_reads_as_its_raw_original()
    {
        string raw = _images.Random("raw.img", 4 << 20);
        string image = _images.Qcow2(raw, "copy.qcow2");
        KernelResult result = KernelRun.Boot("q35", "run=\"disk sha256\"", KernelRun.Disk(image, "qcow2"));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(DiskImages.Hash(raw) + "  disk0", result.Lines[^1]);
    }

    [Fact]
    public void A_disk_behind_a_PCIe_root_port_is_found()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.Boot("q35", "run=\"disk sha256\"",
            ["-device", "pcie-root-port,id=rp1,bus=pcie.0,chassis=1", .. KernelRun.Disk(disk, more: ",bus=rp1")]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(DiskImages.Hash(disk) + "  disk0", result.Lines[^1]);
    }

    [Fact]
    public void Two_disks_are_two_disks()
    {
        string first = _images.Random("first.img", 1 << 20, seed: 1);
        string second = _images.Random("second.img", 2 << 20, seed: 2);
        KernelResult result = KernelRun.Boot("q35", "run=\"disk 0 sha256; disk 1 sha256\"", [.. KernelRun.Disk(first), .. KernelRun.Disk(second)]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(DiskImages.Hash(first) + "  disk0", result.Lines[^2]);
        Assert.Equal(DiskImages.Hash(second) + "  disk1", result.Lines[^1]);
    }

    [Fact]
    public void What_the_kernel_writes_the_host_reads()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        byte[] expected = File.ReadAllBytes(disk);
        KernelResult result = KernelRun.Boot("q35", "run=\"disk write 7 written by the kernel; disk flush\"", KernelRun.Disk(disk));
        Assert.True(result.ExitCode == 33, result.Serial);
        Array.Clear(expected, 7 * 512, 512);
        Encoding.ASCII.GetBytes("written by the kernel").CopyTo(expected, 7 * 512);
        Assert.Equal(expected, File.ReadAllBytes(disk));
    }

    [Fact]
    public void A_disk_made_by_ordinary_tools_shows_its_partitions()
    {
        string disk = _images.Demo("demo.img");
        KernelResult result = KernelRun.Boot("q35", "run=\"disk parts; disk sha256\"", KernelRun.Disk(disk));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal("disk0p1: sectors 2048 to 63487, type 06 FAT16, label DEMO", result.Lines[^3]);
        Assert.Equal("disk0p2: sectors 63488 to 65535, type 83 Linux", result.Lines[^2]);
        Assert.Equal(DiskImages.Hash(disk) + "  disk0", result.Lines[^1]);
    }

    [Fact]
    public void A_disk_with_a_GUID_table_shows_its_partitions()
    {
        KernelResult result = KernelRun.Boot("q35", "run=\"disk parts\"", KernelRun.Disk(_images.WithGuidTable("disk.img")));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal("disk0p1: sectors 2048 to 10239, EFI system, name boot here", result.Lines[^2]);
        Assert.Equal("disk0p2: sectors 10240 to 14335, Linux", result.Lines[^1]);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",logical_block_size=4096,physical_block_size=4096")]
    public void A_partition_is_a_disk_of_its_own(string more)
    {
        // The table counts in blocks: made for 512 bytes, read with 4096 it would name other places, so one is made by hand.
        string disk = _images.Random("disk.img", 4 << 20);
        byte[] image = File.ReadAllBytes(disk);
        int block = more.Length == 0 ? 512 : 4096;
        Array.Clear(image, 440, 70);
        image[446 + 4] = 0x83;
        image[446 + 8] = 16;
        image[446 + 12] = 100;
        image[510] = 0x55;
        image[511] = 0xAA;
        Encoding.ASCII.GetBytes("in the middle of it").CopyTo(image, 16 * block + 5000);
        File.WriteAllBytes(disk, image);
        KernelResult result = KernelRun.Boot(
            "q35",
            "run=\"disk 0p1 sha256; disk disk0p1 bytes 5000 19; disk 0p1 poke 4095 over a border; disk 0p1 read 8 8\"",
            KernelRun.Disk(disk, more: more));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData(image.AsSpan(16 * block, 100 * block))) + "  disk0p1", result.Serial);
        Assert.Contains("  in the middle of", result.Serial);
        Encoding.ASCII.GetBytes("over a border").CopyTo(image, 16 * block + 4095);
        Assert.Equal(image, File.ReadAllBytes(disk));
    }

    [Theory]
    [InlineData("disk 0p2 info", "disk0 has no partition 2")]
    [InlineData("disk 0p1 read 100", "the range lies beyond the end of the disk")]
    [InlineData("disk 0p1 bytes 51200 1", "the range lies beyond the end of the disk")]
    [InlineData("disk 0p1 bytes 18446744073709551615 2", "the range lies beyond the end of the disk")]
    [InlineData("disk 0p1 bytes 0 4097", "bytes shows up to 4096 bytes")]
    [InlineData("disk 0p1 poke 0", "the text to write is missing")]
    public void What_a_partition_does_not_have_is_said(string command, string message)
    {
        string disk = _images.PathOf("disk.img");
        byte[] image = new byte[1 << 20];
        image[446 + 4] = 0x83;
        image[446 + 8] = 16;
        image[446 + 12] = 100;
        image[510] = 0x55;
        image[511] = 0xAA;
        File.WriteAllBytes(disk, image);
        KernelResult result = KernelRun.Boot("q35", $"run=\"{command}\"", KernelRun.Disk(disk));
        Assert.Equal(35, result.ExitCode);
        Assert.Contains(message, result.Serial);
    }

    [Fact]
    public void A_damaged_GUID_table_is_read_from_its_copy()
    {
        string disk = _images.WithGuidTable("disk.img");
        byte[] image = File.ReadAllBytes(disk);
        image[512 + 60] ^= 1;
        File.WriteAllBytes(disk, image);
        KernelResult result = KernelRun.Boot("q35", "run=\"disk parts\"", KernelRun.Disk(disk));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("the checksum of its header is wrong; the copy at the end of the disk is used", result.Serial);
        Assert.Equal("disk0p1: sectors 2048 to 10239, EFI system, name boot here", result.Lines[^2]);
    }

    [Fact]
    public void A_read_only_disk_refuses_writes_before_the_device_sees_them()
    {
        string disk = _images.Random("disk.img", 1 << 20);
        string[] options = ["-drive", $"if=none,id=d,file={disk},format=raw,readonly=on", "-device", "virtio-blk-pci,drive=d,disable-legacy=on"];
        KernelResult result = KernelRun.Boot("q35", "run=\"disk write 0 x; selftest disk-write\"", options);
        Assert.Equal(35, result.ExitCode);
        Assert.Contains("write: the disk is read-only", result.Serial);
        Assert.Contains("PASS disk-write-compare", result.Serial);
    }

    [Theory]
    [InlineData("disk read 2048", "the range lies beyond the end of the disk")]
    [InlineData("disk read 18446744073709551615", "the range lies beyond the end of the disk")]
    [InlineData("disk read 18446744073709551616", "not a number: 18446744073709551616")]
    [InlineData("disk read -1", "not a number: -1")]
    [InlineData("disk read", "a number is missing: the sector")]
    [InlineData("disk read 0 0", "read shows 1 to 64 sectors")]
    [InlineData("disk write 0", "the text to write is missing")]
    [InlineData("disk shred", "disk does not know shred")]
    [InlineData("disk parts", "there is no partition table")]
    public void Bad_input_is_answered_with_what_to_do_and_changes_nothing(string command, string message)
    {
        string disk = _images.Random("disk.img", 1 << 20);
        string before = DiskImages.Hash(disk);
        KernelResult result = KernelRun.Boot("q35", $"run=\"{command}; disk info\"", KernelRun.Disk(disk));
        Assert.Equal(35, result.ExitCode);
        Assert.Contains(message, result.Serial);
        Assert.StartsWith("disk0: 2048 sectors", result.Lines[^3]);
        Assert.Equal(before, DiskImages.Hash(disk));
    }

    [Fact]
    public void A_corrupt_partition_table_is_an_error_and_no_more()
    {
        string disk = _images.PathOf("disk.img");
        byte[] image = new byte[1 << 20];
        image[510] = 0x55;
        image[511] = 0xAA;
        image[446 + 4] = 0x83;
        image.AsSpan(446 + 8, 8).Fill(0xFF);
        File.WriteAllBytes(disk, image);
        KernelResult result = KernelRun.Boot("q35", "run=\"disk parts; disk info\"", KernelRun.Disk(disk));
        Assert.Equal(35, result.ExitCode);
        Assert.Contains("the partition table is corrupt", result.Serial);
        Assert.StartsWith("disk0: 2048 sectors", result.Lines[^3]);
    }

    [Fact]
    public void The_benchmark_prints_a_line_for_each_job_and_allocates_nothing()
    {
        string[] options = ["-blockdev", "driver=null-co,node-name=n0,size=1073741824,read-zeroes=on", "-device", "virtio-blk-pci,drive=n0,disable-legacy=on"];
        KernelResult result = KernelRun.Boot("q35", "run=bench ms=50", options);
        Assert.True(result.ExitCode == 33, result.Serial);
        string[] jobs = result.Lines.Where(line => line.StartsWith("JOB ")).ToArray();
        Assert.Equal(9, jobs.Length);
        Assert.All(jobs, job => Assert.Matches(@"^JOB \w+ iops=[1-9]\d* errs=0 kicks_per_io=\d+\.\d+ irqs_per_io=\d+\.\d+ alloc_bytes_per_io=0\.000 ", job));
    }
}
