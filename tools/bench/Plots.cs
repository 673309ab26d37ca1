// The pictures of results: of one run, and of all that are kept.
namespace VirtioSharp.Bench;

/// <summary>Draws results.</summary>
internal static class Plots
{
    /// <summary>Speed, instructions and latencies of one run.</summary>
    public static void Draw(BenchResult result, string file)
    {
        List<JobResult> disk = [.. result.Jobs.Where(job => !job.Job.StartsWith("console", StringComparison.Ordinal))];
        string[] jobs = [.. disk.Select(job => job.Job).Distinct()];
        string[] ways = [.. disk.Select(Way).Distinct()];
        List<Series> Of(Func<JobResult, double> number) =>
            [.. ways.Select(way => new Series(way, [.. disk.Where(job => Way(job) == way).Select(job => ((double)Array.IndexOf(jobs, job.Job), number(job)))]))];
        List<JobResult> waiting = [.. disk.Where(job => Way(job) == ways[0])];
        List<Series> latencies =
        [
            .. new (string Name, Func<JobResult, double> Number)[] { ("p50", job => job.P50Microseconds), ("p99", job => job.P99Microseconds), ("p99.9", job => job.P999Microseconds) }
                .Select(each => new Series(each.Name, [.. waiting.Select((job, index) => ((double)index, each.Number(job)))])),
        ];
        new Svg()
            .Bars("Requests a second", $"{result.Date}, {result.Commit}, null-co on q35, TCG, both threads of QEMU on one processor", jobs, Of(job => job.RequestsPerSecond))
            .Bars("Guest instructions for each request", "counted; not counted with polling", jobs, [.. Of(job => job.Instructions ?? 0).Where(each => each.Points.Any(point => point.Y > 0))])
            .Bars($"Latency, {ways[0]}", "microseconds, logarithmic", jobs, latencies, logarithmic: true)
            .Write(file);
    }

    /// <summary>How some jobs' counts and speeds changed from kept result to kept result.</summary>
    public static void DrawHistory(IReadOnlyList<BenchResult> results, string file)
    {
        string[] shown = ["randread_4k_qd1", "randread_4k_qd32", "randread_4k_qd128", "read_128k_qd8", "randwrite_4k_qd32", "console_trip_1"];
        List<Series> Of(Func<JobResult, double> number) =>
        [
            .. shown.Select(name => new Series(name, [.. results.Select((result, index) => (Index: index + 1.0, Job: result.Jobs.FirstOrDefault(job =>
                    job.Job == name && job.Api == "await" && job.Mode == "interrupts" && job.Ring == "split")))
                .Where(each => each.Job is not null && number(each.Job) > 0).Select(each => (each.Index, number(each.Job!)))])).Where(series => series.Points.Count != 0),
        ];
        string Label(double index) => results[(int)index - 1].Commit;
        new Svg()
            .Lines("Guest instructions for each request, from result to result", "await, interrupts, split ring; logarithmic", "commit", Of(job => job.Instructions ?? 0), false, true, Label)
            .Lines("Requests a second", "the machines differ: only what is the same machine can be compared", "commit", Of(job => job.RequestsPerSecond), false, true, Label)
            .Write(file);
    }

    private static string Way(JobResult job) => $"{job.Api}, {job.Mode}{(job.Ring == "split" ? "" : ", " + job.Ring)}";
}
