// The kernel with a disk of our own behind vhost-user, which does what it should: the ground that the hostile cases stand on.
using System.Security.Cryptography;
using VirtioSharp.Tests.System;
using Xunit;

namespace VirtioSharp.Tests.Vhost;

[Trait("Needs", "qemu")]
[Collection("qemu-vhost")]
public sealed class HonestVhostTests
{
    private const int Megabytes = 128;

    [Theory]
    [InlineData("q35", "", 1)]
    [InlineData("q35", ",packed=on", 1)]
    [InlineData("microvm,pcie=on", "", 1)]
    [InlineData("microvm,pcie=on", ",packed=on", 1)]
    [InlineData("microvm,pcie=on", ",packed=on,queue-size=100", 1)]
    [InlineData("microvm,pcie=on", ",event_idx=off,indirect_desc=off", 1)]
    [InlineData("microvm,pcie=on", ",event_idx=off,indirect_desc=off,packed=on", 1)]
    [InlineData("microvm,pcie=on", "", 4)]
    [InlineData("microvm,pcie=on", ",packed=on", 4)]
    [InlineData("pc", ",vectors=0", 1)]
    public void A_disk_in_this_process_serves_the_kernel(string machine, string device, int queues)
    {
        VhostDisk disk = new();
        using VhostBackend backend = new(disk, queues);
        KernelResult result = KernelRun.Boot(machine, "run=verdict", backend.Options(Megabytes, device));
        Assert.True(backend.Violations.Count == 0, string.Join('\n', backend.Violations) + result.Serial);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.True(result.Lines.Contains("VERDICT sum: ok 80, failed 0, late 0, refused 0, wrong 0"), result.Serial);
        Assert.Contains("VERDICT recoveries 0, repeats 0, ", result.Serial);
        Assert.Contains("VERDICT memory is back", result.Lines);
        Assert.Contains("id vhost", result.Serial);
    }

    [Theory]
    [InlineData("q35", "", 1)]
    [InlineData("q35", ",packed=on", 4)]
    public void What_the_kernel_wrote_at_random_is_on_the_disk(string machine, string device, int queues)
    {
        VhostDisk disk = new();
        Array.Clear(disk.Content);
        using VhostBackend backend = new(disk, queues);
        KernelResult result = KernelRun.Boot(machine, "run=\"selftest disk; disk stress 3000 16 7 overwrite; disk sha256\"", backend.Options(Megabytes, device));
        Assert.True(backend.Violations.Count == 0, string.Join('\n', backend.Violations) + result.Serial);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(disk.Content)) + "  disk0", result.Lines[^1]);
        Assert.True(disk.Flushes > 0);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",event_idx=off")]
    [InlineData(",packed=on")]
    public void The_indices_go_round_and_nothing_is_lost(string device)
    {
        const int Round = 65536;
        VhostDisk disk = new();
        Array.Clear(disk.Content);
        using VhostBackend backend = new(disk);
        KernelResult result = KernelRun.Boot("microvm,pcie=on", "run=\"disk stress 70000 32 3 overwrite\"", backend.Options(Megabytes, device));
        Assert.True(backend.Violations.Count == 0, string.Join('\n', backend.Violations) + result.Serial);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.True(disk.Taken > Round, $"{disk.Taken} requests");
    }

    [Theory]
    [InlineData("U01b", "")]
    [InlineData("U01b", ",packed=on")]
    [InlineData("U27b", "")]
    [InlineData("R12", ",packed=on")]
    public void A_disk_beside_one_that_was_given_up_serves_as_before(string id, string device)
    {
        VhostCase fault = HostileVhostTests.All.Single(each => each.Id == id);
        VhostDisk liar = new();
        fault.Arrange(liar);
        using VhostBackend first = new(liar);
        using VhostBackend second = new(new VhostDisk());
        string[] options = [.. first.Options(Megabytes, device), .. second.MoreOptions("other", device)];
        KernelResult result = KernelRun.Boot("q35", $"run=\"verdict {fault.Timeout} 0; verdict 10000 1; verdict {fault.Timeout} 0\"", options);
        Assert.True(second.Violations.Count == 0, string.Join('\n', second.Violations) + result.Serial);
        Assert.True(result.ExitCode == 33, result.Serial);
        string[] sums = [.. result.Lines.Where(line => line.StartsWith("VERDICT sum", StringComparison.Ordinal))];
        Assert.Equal(3, sums.Length);
        Assert.Equal("VERDICT sum: ok 80, failed 0, late 0, refused 0, wrong 0", sums[1]);
        Assert.Equal("VERDICT sum: ok 0, failed 0, late 0, refused 80, wrong 0", sums[2]);
    }
}
