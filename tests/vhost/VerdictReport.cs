// What the kernel said of a disk, read from its serial line.
using System.Text.RegularExpressions;

namespace VirtioSharp.Tests.Vhost;

/// <summary>How requests ended.</summary>
internal readonly record struct VerdictTally(int Ok, int Failed, int Late, int Refused, int Wrong)
{
    /// <summary>All of them.</summary>
    internal int All => Ok + Failed + Late + Refused;
}

/// <summary>The lines of the kernel's verdict.</summary>
internal sealed partial class VerdictReport
{
    private readonly Dictionary<string, VerdictTally> _steps = [];

    internal VerdictReport(string serial)
    {
        foreach (Match match in Step().Matches(serial))
        {
            int[] numbers = [.. match.Groups.Values.Skip(2).Select(group => int.Parse(group.Value))];
            _steps[match.Groups[1].Value] = new VerdictTally(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
        }
        Match life = Life().Match(serial);
        Recoveries = life.Success ? int.Parse(life.Groups[1].Value) : 0;
        Cut = life.Success ? int.Parse(life.Groups[2].Value) : 0;
        HasDisk = !serial.Contains("VERDICT no disk");
        IsGivenUp = serial.Contains("virtio-blk: the device is given up");
        IsTooSmall = serial.Contains("VERDICT too small");
        IsMemoryBack = serial.Contains("VERDICT memory is back");
    }

    /// <summary>True when a driver took the disk.</summary>
    internal bool HasDisk { get; }

    /// <summary>True when the driver said that it can do no more with the disk.</summary>
    internal bool IsGivenUp { get; }

    /// <summary>True when nothing was done, since there was no room.</summary>
    internal bool IsTooSmall { get; }

    /// <summary>True when the driver did not keep memory that it should have given back.</summary>
    internal bool IsMemoryBack { get; }

    /// <summary>How often the device was begun anew.</summary>
    internal int Recoveries { get; }

    /// <summary>How many used lengths were cut.</summary>
    internal int Cut { get; }

    /// <summary>All requests; null when the kernel did not get so far.</summary>
    internal VerdictTally? Sum => _steps.TryGetValue("sum", out VerdictTally sum) ? sum : null;

    /// <summary>The reads at the end, after a pause.</summary>
    internal VerdictTally End => _steps["all"];

    [GeneratedRegex("VERDICT ([a-z]+): ok ([0-9]+), failed ([0-9]+), late ([0-9]+), refused ([0-9]+), wrong ([0-9]+)")]
    private static partial Regex Step();

    [GeneratedRegex("VERDICT recoveries ([0-9]+), .* lengths cut ([0-9]+)")]
    private static partial Regex Life();
}
