// The kernel on every combination of machine, transport, ring, interrupts and features that the file names.
using System.Linq;
using Xunit;

namespace VirtioSharp.Tests.System;

/// <summary>Each boots, tests itself, and reads a disk to its end.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-system")]
[Trait("Requirement", "CORE-RSVD-5")]
public sealed class CombinationTests
{
    private const int ImageLength = 1 << 20;

    /// <summary>The lines of the file.</summary>
    public static TheoryData<string> Lines
    {
        get
        {
            TheoryData<string> data = [];
            foreach (Combination combination in Combination.All)
            {
                data.Add(combination.ToString());
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Lines))]
    public void The_kernel_tests_itself_and_reads_the_disk(string line)
    {
        Combination combination = Combination.All.Single(each => each.ToString() == line);
        using DiskImages images = new();
        string image = images.Random("disk.img", ImageLength);
        string hash = DiskImages.Hash(image);
        KernelResult result = KernelRun.Boot(
            combination.Machine, combination.CommandLine("disk 0 sha256; selftest; selftest recovery; disk 0 sha256"), combination.Options(image));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains(hash, result.Serial);
        Assert.DoesNotContain("FAIL", result.Serial);
        Assert.Equal(combination.Ring == "split", result.Lines.Contains("PASS recovery-disk"));
        Assert.Equal(combination.Ring == "split" && !combination.IsLegacy, result.Lines.Contains("PASS recovery-console"));
        // QEMU's virtio-mmio offers 1024 descriptors whatever the device has.
        Story(result, "disk0: virtio-blk", combination, wantedVectors: 2, combination.IsMmio ? "0:1024" : $"0:{combination.QueueSize}");
        // A legacy device alone says how large its queues are.
        Story(result, "console0: virtio-console", combination, wantedVectors: 4, combination.TransportName == "legacy PCI" ? "0:128 1:128" : "0:16 1:16");
        bool canReset = combination.QueueReset == "on";
        Assert.Equal(canReset && combination.TransportName == "modern PCI", result.Lines.Contains("PASS disk-queue-reset"));
    }

    [Fact]
    public void There_are_at_least_40_and_every_pair_of_values_that_can_be_is_among_them()
    {
        Combination[] all = [.. Combination.All];
        Assert.True(all.Length >= 40, $"{all.Length} combinations");
        Assert.Equal(all.Length, all.Distinct().Count());
        string[][] rows = [.. all.Select(each => each.Values)];
        List<string> missing = [];
        for (int first = 0; first < rows[0].Length; first++)
        {
            for (int second = first + 1; second < rows[0].Length; second++)
            {
                foreach (string a in rows.Select(row => row[first]).Distinct())
                {
                    foreach (string b in rows.Select(row => row[second]).Distinct())
                    {
                        if (CanBe(a, b) && !rows.Any(row => row[first] == a && row[second] == b))
                        {
                            missing.Add($"{a} with {b}");
                        }
                    }
                }
            }
        }
        Assert.True(missing.Count == 0, string.Join(", ", missing.Distinct()));
    }

    /// <summary>
    /// What excludes each other: the legacy interface and what needs feature bits beyond 31, MMIO and config access and vectors. QEMU refuses
    /// ACCESS_PLATFORM for transitional devices. (The value on is one of several columns, and not looked for where one of them can't have it.)
    /// </summary>
    private static bool CanBe(string a, string b)
    {
        bool isLegacy = a.EndsWith("-legacy");
        bool hasNoVectors = a.Contains("-mmio") || a.EndsWith("config-access");
        return !(isLegacy && (b is "packed" or "on")) && !(a.EndsWith("-transitional") && b == "on") && !(hasNoVectors && (b is "msix" or "1" or "2"));
    }

    private static void Story(KernelResult result, string device, Combination combination, int wantedVectors, string queue)
    {
        int at = Array.FindIndex(result.Lines, each => each.StartsWith(device));
        Assert.True(at >= 0, result.Serial);
        Assert.StartsWith($"{device}, {combination.TransportName}", result.Lines[at]);
        string[] features = result.Lines[at + 1].Split(' ');
        Assert.Equal(combination.Ring == "packed", features.Contains("RING_PACKED"));
        Assert.Equal(combination.EventIndex == "on", features.Contains("EVENT_IDX"));
        Assert.Equal(combination.Indirect == "on", features.Contains("INDIRECT_DESC"));
        Assert.Equal(combination.AccessPlatform == "on", features.Contains("ACCESS_PLATFORM"));
        Assert.Equal(combination.QueueReset == "on" && !combination.IsLegacy, features.Contains("RING_RESET"));
        string queues = result.Lines.Skip(at).First(each => each.StartsWith("  queues"));
        Assert.Contains(queue, queues);
        Assert.EndsWith(combination.InterruptStory(wantedVectors), queues);
    }
}
