// The booted kernel in front of a device that lies, breaks or leaves: each case of the tables, on split and packed rings.
using VirtioSharp.Tests.System;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Vhost;

/// <summary>One boot for each case and ring format. The two formats run side by side.</summary>
public abstract class HostileVhostTests(bool packed, ITestOutputHelper output)
{
    private const int Megabytes = 128;
    private const int AllEnd = 40;
    private const int MostRefused = 1; // the flush, behind a reset

    private static readonly VhostCase[] s_tables =
        [.. VhostUsedCases.All, .. VhostPackedCases.All, .. VhostRequestCases.All, .. VhostConfigCases.All, .. VhostLifeCases.All, .. VhostRandomCases.All];

    internal static IReadOnlyList<VhostCase> All { get; } = [.. s_tables, .. VhostRandomCases.Otherwise(s_tables)];

    private protected static TheoryData<string, string, Verdict> Of(VhostRings rings)
    {
        TheoryData<string, string, Verdict> data = [];
        foreach (VhostCase each in All.Where(each => each.Rings == VhostRings.Both || each.Rings == rings))
        {
            data.Add(each.Id, each.Story, each.Expected);
        }
        return data;
    }

    private protected void Run(string id)
    {
        VhostCase fault = All.Single(each => each.Id == id);
        VhostDisk disk = new();
        fault.Arrange(disk);
        using VhostBackend backend = new(disk, fault.Queues);
        string device = packed ? ",packed=on" : "";
        string[] options = backend.Options(Megabytes, device + fault.Device, fault.Socket);
        KernelResult result = KernelRun.Boot(fault.Machine, $"run=\"verdict {fault.Timeout}\" {fault.Append}", options);
        string story = $"{fault.Id}, {fault.Story}\n{string.Join('\n', backend.Violations)}\n{result.Serial}";
        output.WriteLine(story);
        Assert.True(backend.Violations.Count == 0, story);
        Assert.True(result.ExitCode == (fault.Expected == Verdict.Deceives ? 35 : 33), $"exit code {result.ExitCode}: {story}");
        Assert.True(disk.Deeds != 0, $"the device did not do it: {story}");
        Assert.True(result.Serial.Contains(fault.Says), $"the kernel did not say why: {story}");
        Assert.True(result.Serial.All(character => character is '\r' or '\n' or (>= ' ' and <= '~')), $"what is no text went through: {story}");
        Judge(fault, new VerdictReport(result.Serial), story);
    }

    private static void Judge(VhostCase fault, VerdictReport report, string story)
    {
        if (fault.Expected is Verdict.Refused or Verdict.Empty)
        {
            Assert.True(fault.Expected == Verdict.Refused ? !report.HasDisk : report.IsTooSmall, story);
            return;
        }
        Assert.True(report.Sum is not null, story);
        VerdictTally sum = report.Sum.Value;
        Assert.True(report.IsMemoryBack, story);
        Assert.True(sum.All == fault.Requests, $"{sum.All} requests, not {fault.Requests}: {story}");
        Assert.True(sum.Wrong == 0 || fault.Expected == Verdict.Deceives, story);
        Assert.True(fault.Failed is null || sum.Failed == fault.Failed, story);
        Assert.True(fault.Refused is null || sum.Refused == fault.Refused, story);
        Assert.True(!fault.EndsWell || report.End.Ok == AllEnd, $"nothing is well at the end: {story}");
        Assert.True(!fault.Cuts || report.Cut > 0, story);
        bool isOut = report.IsGivenUp || report.End.Refused == AllEnd;
        Assert.True(sum.Refused <= MostRefused || fault.Refused is not null || isOut, $"refused by a disk that was not given up: {story}");
        Assert.True(sum.Late == 0 || (!fault.IsNeverLate && (report.Recoveries > 0 || isOut)), $"late, and the device was not reset: {story}");
        Verdict[] named = [fault.Expected, .. fault.Or];
        Assert.True(named.Any(verdict => Is(verdict, fault, report, sum)), $"not {string.Join(" or ", named)}: {story}");
    }

    private static bool Is(Verdict verdict, VhostCase fault, VerdictReport report, VerdictTally sum)
    {
        bool isTaken = sum.Refused <= (fault.Refused ?? (fault.MayRefuseFlush ? MostRefused : 0));
        bool isWell = sum.Failed == 0 && sum.Late == 0 && isTaken;
        bool endsWell = report.Recoveries > 0 && report.End.Ok == AllEnd;
        return verdict switch
        {
            Verdict.Works => isWell && report.Recoveries == 0,
            Verdict.Recovers => isWell && report.Recoveries > 0,
            Verdict.Fails => sum.Failed > 0 && sum.Late == 0 && report.Recoveries == 0,
            Verdict.FailsAndRecovers => sum.Failed > 0 && sum.Late == 0 && isTaken && endsWell,
            Verdict.TimesOut => sum.Late > 0 && isTaken && endsWell,
            Verdict.TimesOutAndBreaks => sum.Late > 0 && sum.Refused <= MostRefused && report.Recoveries > 1 && endsWell,
            Verdict.Limps => sum.Failed + sum.Late > 0 && sum.Refused <= MostRefused && report.Recoveries > 0 && report.End.Ok is > 0 and < AllEnd,
            // Where it depends on the moment the moment may be as late as one likes.
            Verdict.GivenUp => fault.Or.Length != 0 ? report.IsGivenUp : report.End.Refused == AllEnd,
            _ => isWell && report.Recoveries == 0 && sum.Wrong > 0,
        };
    }
}

[Trait("Needs", "qemu")]
[Collection("qemu-vhost")]
public sealed class HostileSplitVhostTests(ITestOutputHelper output) : HostileVhostTests(packed: false, output)
{
    public static TheoryData<string, string, Verdict> Cases => Of(VhostRings.Split);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_kernel_stands_a_device_with_split_rings(string id, string story, Verdict expected)
    {
        _ = (story, expected);
        Run(id);
    }

}

[Trait("Needs", "qemu")]
[Collection("qemu-vhost-packed")]
public sealed class HostilePackedVhostTests(ITestOutputHelper output) : HostileVhostTests(packed: true, output)
{
    public static TheoryData<string, string, Verdict> Cases => Of(VhostRings.Packed);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_kernel_stands_a_device_with_packed_rings(string id, string story, Verdict expected)
    {
        _ = (story, expected);
        Run(id);
    }
}
