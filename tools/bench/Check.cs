// Compares counts with those that are kept: instructions, exits, allocations. Times are not judged.
namespace VirtioSharp.Bench;

/// <summary>The judgement of <c>make bench-check</c>.</summary>
internal static class Check
{
    private const double Most = 1.05;

    // What is below these differences is the beginning and the end of a run, not its requests.
    private const double LeastInstructions = 1.0;
    private const double LeastExits = 0.004;
    private const double LeastBytes = 0.05;

    /// <summary>What became worse, a line for each; empty when nothing did.</summary>
    public static List<string> Compare(IReadOnlyList<JobResult> before, IReadOnlyList<JobResult> now)
    {
        List<string> worse = [];
        foreach (JobResult old in before)
        {
            JobResult? job = now.FirstOrDefault(job => job.Key == old.Key);
            if (job is null)
            {
                worse.Add($"{old.Key}: was not run");
                continue;
            }
            Judge(worse, job.Key, "instructions", old.Instructions ?? 0, job.Instructions ?? 0, LeastInstructions);
            Judge(worse, job.Key, "exits", old.Exits ?? 0, job.Exits ?? 0, LeastExits);
            Judge(worse, job.Key, "allocated bytes", old.AllocatedBytes, job.AllocatedBytes, LeastBytes);
            if (job.Errors != 0)
            {
                worse.Add($"{job.Key}: {job.Errors} errors");
            }
        }
        worse.AddRange(now.Where(job => before.All(old => old.Key != job.Key)).Select(job => $"{job.Key}: not in the baseline; make bench-baseline adds it"));
        return worse;
    }

    /// <summary>How many jobs need more than 5 % less than the baseline says: it should be written anew.</summary>
    public static int CountBetter(IReadOnlyList<JobResult> before, IReadOnlyList<JobResult> now) => now.Count(job =>
        before.FirstOrDefault(old => old.Key == job.Key) is { } old && (job.Instructions * Most < old.Instructions || job.Exits * Most < old.Exits));

    /// <summary>Several runs as one.</summary>
    public static List<JobResult> Merge(List<JobResult>[] runs, Func<IEnumerable<double>, double> choose) =>
    [
        .. runs[0].Select(job =>
        {
            JobResult[] all = [.. runs.Select(run => run.First(other => other.Key == job.Key))];
            return job with
            {
                Instructions = choose(all.Select(each => each.Instructions ?? 0)),
                Exits = choose(all.Select(each => each.Exits ?? 0)),
                Notifications = choose(all.Select(each => each.Notifications)),
                Interrupts = choose(all.Select(each => each.Interrupts)),
                AllocatedBytes = choose(all.Select(each => each.AllocatedBytes)),
            };
        }),
    ];

    private static void Judge(List<string> worse, string key, string what, double old, double now, double least)
    {
        if (now > old * Most && now - old > least)
        {
            worse.Add($"{key}: {Table.Text(now, "0.###")} {what} for each request; the baseline has {Table.Text(old, "0.###")}" +
                (old > 0 ? $" (+{Table.Text((now / old - 1) * 100, "0")} %)" : ""));
        }
    }
}
