// The kernel on the machines it is for: it boots, says who it is, and ends as it should.
using Xunit;
namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class BootTests
{
    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    [InlineData("microvm")]
    public void The_first_line_says_who_it_is_and_an_empty_run_succeeds(string machine)
    {
        KernelResult result = KernelRun.Boot(machine, "run=mem");
        Assert.Equal(33, result.ExitCode);
        string first = Assert.Single(result.Lines, line => line.Contains("VirtioSharp"));
        Assert.StartsWith("VirtioSharp ", first);
    }

    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    [InlineData("microvm,pcie=on")]
    public void The_self_test_passes_with_a_disk_and_a_console(string machine)
    {
        using DiskImages images = new();
        string disk = images.Random("disk.img", 1 << 20);
        string before = DiskImages.Hash(disk);
        KernelResult result = KernelRun.Boot(machine, "run=selftest",
            [.. KernelRun.Disk(disk), "-device", "virtio-serial-pci,disable-legacy=on", "-chardev", "null,id=c", "-device", "virtconsole,chardev=c"]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("PASS disk-write-compare", result.Serial);
        Assert.Contains("PASS disk-no-allocation", result.Serial);
        Assert.Contains("PASS console-write", result.Serial);
        Assert.DoesNotContain("SKIP", result.Serial);
        Assert.Matches("^SUMMARY: [1-9][0-9]* passed, 0 failed$", result.Lines[^1]);
        Assert.Equal(before, DiskImages.Hash(disk));
    }

    [Fact]
    public void The_self_test_passes_on_microvm_without_devices()
    {
        KernelResult result = KernelRun.Boot("microvm", "run=selftest");
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("SKIP disk: no disk", result.Serial);
    }

    [Theory]
    [InlineData("run=panic", "asked for by the command panic")]
    public void A_panic_says_what_happened_and_how_it_got_there(string append, string message)
    {
        KernelResult result = KernelRun.Boot("q35", append);
        Assert.Equal(37, result.ExitCode);
        Assert.Contains("PANIC: " + message, result.Serial);
        Assert.Matches(@"Backtrace:\r?\n(  0x[0-9a-f]{16} \S*FatalError\.End\S+\r?\n)?  0x[0-9a-f]{16} \S*FatalError\.Stop\+0x[0-9a-f]+", result.Serial);
        Assert.Matches(@"0x[0-9a-f]{16} \S*Kernel\S*Main\+0x[0-9a-f]+", result.Serial);
    }

    [Theory]
    [InlineData("null", "page fault while reading 0x0000000000000008 (a null reference)", "PanicCommand.ReadNull")]
    [InlineData("stack", "(the stack overflowed)", "PanicCommand.Recurse")]
    [InlineData("index", "an index was outside the bounds of its array or span", "PanicCommand.Index")]
    [InlineData("cast", "an object was cast to a type that it does not have", "PanicCommand.Cast")]
    [InlineData("divide", "division error", "PanicCommand.Divide")]
    [InlineData("code", "page fault while writing 0x0000000000100000", "PanicCommand.Run")]
    [InlineData("execute", "page fault while executing 0x", "PanicCommand.Run")]
    public void Whatever_goes_wrong_ends_in_a_panic_that_says_what_and_where(string way, string message, string function)
    {
        KernelResult result = KernelRun.Boot("q35", $"run=\"panic {way}\"");
        Assert.True(result.ExitCode == 37, result.Serial);
        Assert.Contains(message, result.Serial);
        Assert.Contains(function, result.Serial);
    }

    [Theory]
    [InlineData("q35")]
    [InlineData("microvm")]
    public void The_kernel_boots_by_PVH_as_well_as_by_multiboot(string machine)
    {
        using DiskImages images = new();
        byte[] kernel = global::System.IO.File.ReadAllBytes(KernelRun.KernelPath);
        // Without the multiboot header QEMU goes by the PVH note.
        int header = kernel.AsSpan(0, 16384).IndexOf<byte>([0x02, 0xB0, 0xAD, 0x1B]);
        Assert.True(header > 0);
        kernel[header] = 0;
        string copy = images.PathOf("pvh.elf");
        global::System.IO.File.WriteAllBytes(copy, kernel);
        KernelResult result = KernelRun.BootOther(copy, machine, "run=selftest");
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("boot by PVH", result.Serial);
    }

    [Theory]
    [InlineData("run=\"mem; uptime", "a quote is never closed")]
    [InlineData("ms=none run=mem", "ms= takes a number")]
    public void A_bad_command_line_ends_with_an_error(string append, string message)
    {
        KernelResult result = KernelRun.Boot("q35", append);
        Assert.Equal(35, result.ExitCode);
        Assert.Contains(message, result.Serial);
    }

    [Fact]
    public void An_unknown_option_is_a_warning_and_nothing_worse()
    {
        KernelResult result = KernelRun.Boot("q35", "colour=blue run=mem");
        Assert.Equal(33, result.ExitCode);
        Assert.Contains("warning: unknown option on the command line: colour=blue", result.Serial);
    }

    [Theory]
    [InlineData("frobnicate", "unknown command: frobnicate")]
    [InlineData("disk info", "no disk 0")]
    [InlineData("disk 7 info", "no disk 7")]
    [InlineData("console hello", "no virtio console")]
    [InlineData("bench", "no disk to measure")]
    public void A_command_that_cannot_be_done_says_so_and_the_next_one_runs(string command, string message)
    {
        KernelResult result = KernelRun.Boot("q35", $"run=\"{command}; uptime\"");
        Assert.Equal(35, result.ExitCode);
        Assert.Contains(message, result.Serial);
        Assert.StartsWith("up ", result.Lines[^1]);
    }
}
