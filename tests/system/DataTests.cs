// Data on real disks: random requests compared with a model and with the image; power cuts; errors on demand.
using System.IO;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using System.Threading;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed partial class DataTests(ITestOutputHelper output) : IDisposable
{
    private const int Region = 8 << 20;

    private readonly DiskImages _images = new();

    public void Dispose() => _images.Dispose();

    [Theory]
    [InlineData("", 32)]
    [InlineData(",packed=on", 32)]
    [InlineData(",queue-size=16,num-queues=3", 100)]
    [InlineData(",queue-size=8,packed=on,event_idx=off,indirect_desc=off", 7)]
    public void Two_hundred_thousand_random_requests_leave_the_image_as_the_model_says(string more, int depth)
    {
        string disk = _images.PathOf("disk.img");
        File.WriteAllBytes(disk, new byte[2 * Region]);
        KernelResult result = KernelRun.Boot("q35", $"run=\"disk stress 200000 {depth} 42 overwrite\"", Raw(disk, more));
        Assert.True(result.ExitCode == 33, result.Serial);
        byte[] image = File.ReadAllBytes(disk);
        string hash = Convert.ToHexStringLower(SHA256.HashData(image.AsSpan(0, Region)));
        Assert.EndsWith($"16384 blocks as expected, hash {hash}", result.Lines[^1]);
        Assert.Equal(new byte[Region], image[Region..]);
    }

    [Fact]
    public void Sixteen_disks_are_stressed_one_after_the_other_by_one_kernel()
    {
        List<string> options = [];
        for (int i = 0; i < 16; i++)
        {
            string disk = _images.PathOf($"d{i}.img");
            File.WriteAllBytes(disk, new byte[1 << 20]);
            options.AddRange(KernelRun.Disk(disk));
        }
        string commands = string.Join(';', Enumerable.Range(0, 16).Select(i => $"disk {i} stress 2000 16 {i} overwrite"));
        KernelResult result = KernelRun.Boot("q35", $"run=\"{commands}\"", [.. options]);
        Assert.True(result.ExitCode == 33, result.Serial);
        string[] said = [.. result.Lines.Where(line => line.StartsWith("stress: 2000 requests", StringComparison.Ordinal))];
        Assert.Equal(16, said.Length);
        for (int i = 0; i < 16; i++)
        {
            Assert.EndsWith("hash " + DiskImages.Hash(_images.PathOf($"d{i}.img")), said[i]);
        }
    }

    [Fact]
    public void Every_record_that_a_flush_acknowledged_survives_twenty_power_cuts()
    {
        Random random = new(20);
        ulong sum = 0;
        for (int i = 0; i < 20; i++)
        {
            (ulong acknowledged, ulong found) = CutPower("write", random.Next(5, 300), i % 2 == 0 ? "" : ",packed=on");
            Assert.True(found >= acknowledged, $"cut {i}: record {acknowledged} was acknowledged, and only {found} are there");
            sum += acknowledged;
        }
        output.WriteLine($"{sum} records were acknowledged");
        Assert.True(sum > 20);
    }

    [Fact]
    public void Without_the_flush_records_are_lost()
    {
        Random random = new(21);
        int lost = 0;
        for (int i = 0; i < 5; i++)
        {
            (ulong written, ulong found) = CutPower("careless", random.Next(50, 300), "");
            lost += found < written ? 1 : 0;
        }
        output.WriteLine($"5 power cuts, records lost in {lost}");
        Assert.True(lost > 0, "nothing was ever lost: the power cuts prove nothing");
    }

    [Theory]
    [InlineData("read", "disk read 100", "disk read 100; disk read 101", "read: the device reported an error")]
    [InlineData("write", "disk write 100 lost", "disk read 100; disk write 101 kept; disk flush", "write: the device reported an error")]
    [InlineData("flush", "disk write 101 kept; disk flush", "disk flush", "flush: the device reported an error")]
    public void An_error_of_the_medium_is_the_error_of_its_request_and_the_next_ones_work(string type, string fails, string works, string message)
    {
        string disk = _images.Random("disk.img", 1 << 20);
        byte[] before = File.ReadAllBytes(disk);
        KernelResult result = KernelRun.Boot("q35", $"run=\"{fails}; {works}; selftest disk-many\"", Failing(disk, type, once: true));
        Assert.Equal(35, result.ExitCode);
        Assert.Single(result.Lines, line => line.StartsWith(message, StringComparison.Ordinal));
        Assert.DoesNotContain("FAIL", result.Serial);
        Assert.Contains("PASS disk-many-in-flight", result.Serial);
        byte[] after = File.ReadAllBytes(disk);
        Assert.Equal(before.AsSpan(100 * 512, 512).ToArray(), after.AsSpan(100 * 512, 512).ToArray());
        Assert.Equal(type == "read" ? before[101 * 512] : (byte)'k', after[101 * 512]);
    }

    [Theory]
    [InlineData("read")]
    [InlineData("write")]
    public void A_medium_that_always_fails_at_a_place_fails_each_request_there_and_no_other(string type)
    {
        string disk = _images.Random("disk.img", 1 << 20);
        string verb = type == "read" ? "read" : "write";
        string commands = string.Join("; ", Enumerable.Range(98, 5).Select(i => type == "read" ? $"disk read {i}" : $"disk write {i} x"));
        KernelResult result = KernelRun.Boot("q35", $"run=\"{commands}; {commands}\"", Failing(disk, type, once: false));
        Assert.Equal(35, result.ExitCode);
        Assert.Equal(2, result.Lines.Count(line => line.StartsWith($"{verb}: the device reported an error", StringComparison.Ordinal)));
    }

    /// <summary>Writes records, kills QEMU some time after the first, and says what was acknowledged and what a second kernel found.</summary>
    private (ulong Acknowledged, ulong Found) CutPower(string how, int milliseconds, string more)
    {
        string image = _images.NewQcow2($"disk{Guid.NewGuid():N}.qcow2", 1L << 30);
        ulong acknowledged;
        using (KernelRun run = KernelRun.Start("q35", $"run=\"disk journal {how}\"", KernelRun.Disk(image, "qcow2", more: more)))
        {
            run.WaitFor("record 1\r\n");
            Thread.Sleep(milliseconds);
            acknowledged = Last(run.Kill());
        }
        KernelResult result = KernelRun.Boot("q35", "run=\"disk journal check\"", KernelRun.Disk(image, "qcow2"));
        Assert.True(result.ExitCode == 33, result.Serial);
        File.Delete(image);
        return (acknowledged, ulong.Parse(Whole().Match(result.Serial).Groups[1].Value));
    }

    /// <summary>The last record of which the line came whole.</summary>
    private static ulong Last(string serial) => ulong.Parse(Record().Matches(serial)[^1].Groups[1].Value);

    private static string[] Raw(string image, string more) =>
        ["-drive", $"if=none,id=d,file={image},format=raw,discard=unmap", "-device", $"virtio-blk-pci,drive=d,disable-legacy=on{more}"];

    /// <summary>A disk of which sector 100 can't be read or written, or that can't be flushed.</summary>
    private static string[] Failing(string image, string type, bool once)
    {
        string place = type == "flush" ? "" : ",\"sector\":100";
        string rule = $"{{\"event\":\"none\",\"iotype\":\"{type}\",\"errno\":5,\"once\":{(once ? "true" : "false")}{place}}}";
        string medium = $"{{\"driver\":\"blkdebug\",\"node-name\":\"b\",\"image\":{{\"driver\":\"file\",\"filename\":\"{image}\"}},\"inject-error\":[{rule}]}}";
        return
        [
            "-blockdev", medium, "-blockdev", "driver=raw,node-name=d,file=b",
            "-device", "virtio-blk-pci,drive=d,disable-legacy=on,rerror=report,werror=report",
        ];
    }

    [GeneratedRegex("record (\\d+)\r\n")]
    private static partial Regex Record();

    [GeneratedRegex("whole up to record (\\d+)")]
    private static partial Regex Whole();
}
