// What the kernel writes down with trace=on is replayed on the host.
using VirtioSharp.Tests.Traces;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class TraceTests
{
    private const string Run = "trace=on run=\"disk read 0; disk write 8 hello; disk flush; disk id; disk zero 16 8; console hello\"";

    [Theory]
    [InlineData("kernel-blk-split", "kernel-console", "")]
    [InlineData("kernel-blk-packed", "kernel-console-packed", ",packed=on")]
    public void A_log_with_a_trace_is_replayed(string disk, string console, string more)
    {
        using DiskImages images = new();
        KernelResult result = KernelRun.Boot("q35", Run,
        [
            .. KernelRun.Disk(images.Random("disk.img", 1 << 20), more: more), "-device", "virtio-serial-pci,disable-legacy=on,max_ports=2" + more,
            "-chardev", "null,id=c", "-device", "virtconsole,chardev=c",
        ]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(["d0", "d1"], TraceFile.Devices(result.Lines));
        RecordedTraces.Check(result.Lines, disk, "The booted kernel with a disk of QEMU 7.2: " + Run);
        RecordedTraces.Check(result.Lines, console, "The booted kernel with a console of QEMU 7.2: " + Run, "d1");
    }

    /// <summary>Many requests at once on a device that works while the driver does: the trace is never quite in step with it.</summary>
    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    [InlineData(",event_idx=off,num-queues=2")]
    public void A_log_of_a_busy_disk_is_replayed(string more)
    {
        using DiskImages images = new();
        string image = images.PathOf("disk.img");
        global::System.IO.File.WriteAllBytes(image, new byte[4 << 20]);
        KernelResult result = KernelRun.Boot("q35", "trace=on run=\"disk stress 200 16 1 overwrite\"", KernelRun.Disk(image, more: more));
        Assert.True(result.ExitCode == 33, result.Serial[^2000..]);
        Assert.True(Replay.Of(TraceFile.Read(result.Lines, "d0")).Compared > 400);
    }

    [Fact]
    public void Without_trace_on_nothing_is_written_down()
    {
        KernelResult result = KernelRun.Boot("q35", "run=mem", "-device", "virtio-serial-pci,disable-legacy=on");
        Assert.Empty(TraceFile.Devices(result.Lines));
    }

    /// <summary>A panic is said on a console as well, by registers that are traced: it must not end in itself.</summary>
    [Fact]
    public void A_panic_ends_the_trace()
    {
        KernelResult result = KernelRun.Boot("q35", "trace=on run=panic",
            "-device", "virtio-serial-pci,disable-legacy=on,max_ports=2", "-chardev", "null,id=c", "-device", "virtconsole,chardev=c");
        Assert.Equal(37, result.ExitCode);
        string[] after = [.. result.Lines.SkipWhile(line => !line.Contains("PANIC: "))];
        Assert.Contains(after, line => line.Contains("Backtrace:"));
        Assert.Empty(TraceFile.Devices(after));
    }

    /// <summary>The self-test with everything that it does to devices, under a trace: slower, with the same verdict.</summary>
    [Theory]
    [InlineData("q35", "disable-legacy=on")]
    [InlineData("pc", "disable-modern=on")]
    public void The_self_test_passes_while_it_is_traced(string machine, string more)
    {
        using DiskImages images = new();
        string disk = images.Random("disk.img", 1 << 20);
        KernelResult result = KernelRun.Boot(machine, "trace=on run=selftest",
        [
            "-drive", $"if=none,id=disk,file={disk},format=raw", "-device", $"virtio-blk-pci,drive=disk,{more}",
            "-device", $"virtio-serial-pci,{more},max_ports=2", "-chardev", "null,id=c", "-device", "virtconsole,chardev=c",
        ]);
        Assert.True(result.ExitCode == 33, result.Serial[^4000..]);
        Assert.Contains(result.Lines, line => line.Contains("0 failed"));
    }
}
