// Random numbers in the booted kernel: who seeds the generator, what it says of itself, and sources that come and go.
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using VirtioSharp.Tests.Backends.Qtest;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed partial class RandomTests : IDisposable
{
    private const string Builtin = "rng-builtin,id=r";
    private const string Urandom = "rng-random,id=r,filename=/dev/urandom";
    private const string Modern = "virtio-rng-pci,rng=r,disable-legacy=on";
    private const string Legacy = "virtio-rng-pci,rng=r,disable-legacy=off,disable-modern=on";
    private const int Cycles = 3;

    private readonly DiskImages _files = new();

    public void Dispose() => _files.Dispose();

    [Theory]
    [InlineData("q35", Builtin, Modern, "modern PCI", "")]
    [InlineData("q35", Urandom, Modern, "modern PCI", "")]
    [InlineData("q35", Urandom, Modern + ",packed=on", "modern PCI", "")]
    [InlineData("q35", Builtin, Modern + ",vectors=0,event_idx=off,indirect_desc=off", "modern PCI", "")]
    [InlineData("q35", Builtin, Modern + ",packed=on", "modern PCI", "interrupts=none")]
    [InlineData("q35", Builtin, Modern, "modern PCI (through config space)", "pci-access=config")]
    [InlineData("q35", Builtin, Legacy, "legacy PCI", "")]
    [InlineData("pc", Builtin, "virtio-rng-pci,rng=r", "modern PCI", "")]
    [InlineData("pc", Urandom, Legacy + ",vectors=0", "legacy PCI", "")]
    [InlineData("microvm,pcie=on", Builtin, Modern, "modern PCI", "")]
    [InlineData("microvm -global virtio-mmio.force-legacy=false", Urandom, "virtio-rng-device,rng=r,packed=on", "virtio-mmio", "")]
    [InlineData("microvm -global virtio-mmio.force-legacy=true", Builtin, "virtio-rng-device,rng=r", "legacy virtio-mmio", "")]
    public void An_entropy_device_seeds_the_generator(string machine, string source, string device, string name, string append)
    {
        string[] words = machine.Split(' ');
        KernelResult result = KernelRun.Boot(
            words[0], $"run=\"random 64; random info; selftest random\" {append}", [.. words[1..], "-object", source, "-device", device]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains($"rng0: virtio-rng, {name}", result.Lines);
        Assert.Equal(2, result.Lines.Count(line => Bytes().IsMatch(line)));
        Assert.Contains("seeded: 512 bits; 0 seeds of the processor (no RDRAND), 1 of entropy devices, 0 not believed", result.Lines);
        Assert.Contains("PASS random-vector", result.Lines);
        Assert.Contains("PASS random-numbers", result.Lines);
    }

    [Fact]
    public void No_two_boots_give_the_same_bytes()
    {
        string[] boots = [.. Enumerable.Range(0, 3).Select(_ => KernelRun.Boot("q35", "run=\"random 32\"", ["-object", Builtin, "-device", Modern]).Lines[^1])];
        Assert.All(boots, line => Assert.Matches(Bytes(), line));
        Assert.Equal(3, boots.Distinct().Count());
    }

    [Fact]
    public void A_processor_that_can_seeds_the_generator_at_boot()
    {
        KernelResult result = KernelRun.Boot("q35", "run=\"random info; random; selftest random\"", ["-cpu", "max"]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains(result.Lines, line => line.StartsWith("seeded: 256 bits; 1 seeds of the processor (RD", StringComparison.Ordinal));
        Assert.Contains("PASS random-numbers", result.Lines);
    }

    [Fact]
    public void Without_any_source_the_kernel_says_so_and_shows_nothing_that_could_be_predicted()
    {
        KernelResult result = KernelRun.Boot("q35", "run=\"random; random info; selftest random\"");
        Assert.True(result.ExitCode == 35, result.Serial);
        Assert.Contains(result.Lines, line => line.StartsWith("nothing has seeded the generator", StringComparison.Ordinal));
        Assert.DoesNotContain(result.Lines, line => Bytes().IsMatch(line));
        Assert.Contains("not seeded: 0 bits; 0 seeds of the processor (no RDRAND), 0 of entropy devices, 0 not believed", result.Lines);
        Assert.Contains("SUMMARY: 1 passed, 0 failed", result.Lines);
    }

    [Theory]
    [InlineData("random 0")]
    [InlineData("random 4097")]
    [InlineData("random many")]
    public void A_length_that_makes_no_sense_is_refused(string command)
    {
        KernelResult result = KernelRun.Boot("q35", $"run=\"{command}\"", ["-device", "virtio-rng-pci"]);
        Assert.True(result.ExitCode == 35, result.Serial);
        Assert.Contains("random takes how many bytes, 1 to 4096", result.Lines);
    }

    [Fact]
    public void What_has_to_be_unpredictable_and_is_not_ends_in_a_panic()
    {
        KernelResult result = KernelRun.Boot("q35", "run=\"panic random\"");
        Assert.True(result.ExitCode == 37, result.Serial);
        Assert.Contains("PANIC: nothing has seeded the random number generator", result.Serial);
    }

    [Fact]
    public void A_host_that_gives_zeroes_is_not_believed()
    {
        KernelResult result = KernelRun.Boot("q35", "run=\"random; random info\"", ["-object", "rng-random,id=r,filename=/dev/zero", "-device", Modern]);
        Assert.True(result.ExitCode == 35, result.Serial);
        Assert.Contains("not seeded: 0 bits; 0 seeds of the processor (no RDRAND), 0 of entropy devices, 1 not believed", result.Lines);
    }

    [Fact]
    public void A_host_that_gives_nothing_keeps_nobody_waiting_for_ever()
    {
        using FileStream pipe = QtestEntropyBackend.OpenPipe(_files.PathOf("random"));
        KernelResult result = KernelRun.Boot("q35", "run=\"random; uptime\"", ["-object", $"rng-random,id=r,filename={pipe.Name}", "-device", Modern]);
        Assert.True(result.ExitCode == 35, result.Serial);
        Assert.Contains(result.Lines, line => line.StartsWith("nothing has seeded the generator", StringComparison.Ordinal));
        Assert.StartsWith("up ", result.Lines[^1]);
    }

    /// <summary>The hosts of the first cards say nothing: their requests are in flight when the cards leave.</summary>
    [Theory]
    [InlineData("q35", "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")]
    [InlineData("microvm,pcie=on", "")]
    public void A_source_that_is_unplugged_while_it_is_asked_gives_all_memory_back_and_the_next_one_seeds(string machine, string options)
    {
        string socket = _files.PathOf("qmp");
        FileStream[] pipes = [.. Enumerable.Range(0, Cycles).Select(i => QtestEntropyBackend.OpenPipe(_files.PathOf($"random{i}")))];
        using KernelRun run = KernelRun.Start(
            machine,
            "",
            [
                "-device", "pcie-root-port,id=rp,chassis=1,slot=1", .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries),
                .. pipes.SelectMany((pipe, i) => new[] { "-object", $"rng-random,id=r{i},filename={pipe.Name}" }), "-object", $"rng-builtin,id=r{Cycles}",
                .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        for (int i = 0; i <= Cycles; i++)
        {
            qmp.Execute("device_add", new Dictionary<string, object>
            {
                ["driver"] = "virtio-rng-pci",
                ["id"] = $"card{i}",
                ["rng"] = $"r{i}",
                ["bus"] = "rp",
            });
            run.WaitFor($"rng{i}: virtio-rng");
            if (i == Cycles)
            {
                run.Send("random 32\rselftest random\r");
                run.WaitFor("SUMMARY");
            }
            qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = $"card{i}" });
            qmp.WaitForDeleted($"card{i}");
        }
        run.Send("random info\rmem\rhalt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(Cycles + 1, result.Lines.Count(line => line.Contains("gone: what was")));
        Assert.Contains(result.Lines, line => Bytes().IsMatch(line));
        Assert.Contains("PASS random-numbers", result.Lines);
        Assert.Contains(result.Lines, line => line.StartsWith("seeded: 512 bits", StringComparison.Ordinal)); // it stays so
        Assert.Contains("DMA: 0 KiB in use", result.Serial);
        Assert.All(pipes, pipe => pipe.Dispose());
    }

    [GeneratedRegex("^[0-9a-f]{64}$")]
    private static partial Regex Bytes();
}
