// What a benchmark found, job by job, and as JSON.
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace VirtioSharp.Bench;

/// <summary>A job, measured in a way: its numbers are medians of all rounds; counts are for each request.</summary>
internal sealed record JobResult
{
    public required string Job { get; init; }

    /// <summary><c>await</c> or <c>direct</c>: Submit and Poll.</summary>
    public required string Api { get; init; }

    /// <summary><c>interrupts</c> or <c>polling</c>.</summary>
    public required string Mode { get; init; }

    /// <summary><c>split</c> or <c>packed</c>.</summary>
    public string Ring { get; init; } = "split";

    public double RequestsPerSecond { get; init; }

    public double MegabytesPerSecond { get; init; }

    public double P50Microseconds { get; init; }

    public double P99Microseconds { get; init; }

    public double P999Microseconds { get; init; }

    public double? Instructions { get; init; }

    public double? Exits { get; init; }

    public double Notifications { get; init; }

    public double Interrupts { get; init; }

    public double AllocatedBytes { get; init; }

    public ulong Errors { get; init; }

    public ulong LostDoorbells { get; init; }

    [JsonIgnore]
    public string Key => $"{Job} {Api} {Mode} {Ring}";

    /// <summary>How many requests the line is about.</summary>
    [JsonIgnore]
    public ulong Requests { get; init; }

    /// <summary>Reads the kernel's line of a job; null when it is another line.</summary>
    public static JobResult? Parse(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < 3 || words[0] != "JOB")
        {
            return null;
        }
        Dictionary<string, string> values = words.Skip(2).Select(word => word.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        double Number(string name) => values.TryGetValue(name, out string? value) ? double.Parse(value, CultureInfo.InvariantCulture) : 0;
        return new JobResult
        {
            Job = words[1],
            Api = values["api"],
            Mode = values["mode"],
            RequestsPerSecond = Number("iops"),
            MegabytesPerSecond = Number("kb_per_s") / 1000,
            P50Microseconds = Number("p50_ns") / 1000,
            P99Microseconds = Number("p99_ns") / 1000,
            P999Microseconds = Number("p999_ns") / 1000,
            Notifications = Number("kicks_per_io"),
            Interrupts = Number("irqs_per_io"),
            AllocatedBytes = Number("alloc_bytes_per_io"),
            Errors = (ulong)Number("errs"),
            LostDoorbells = (ulong)Number("lost_doorbells"),
            Requests = (ulong)Number("ios"),
        };
    }

    /// <summary>The jobs of a run, with what was counted for each.</summary>
    public static List<JobResult> Read(MachineRun run, string ring)
    {
        if (run.Lines.FirstOrDefault(line => line.Text.StartsWith("SKIP ", StringComparison.Ordinal)).Text is { } skipped)
        {
            throw new InvalidOperationException(skipped);
        }
        List<JobResult> jobs = [.. run.Lines.Select(line => Parse(line.Text)).OfType<JobResult>().Select(job => job with { Ring = ring })];
        if (run.Spans.Count == 0)
        {
            return jobs;
        }
        if (run.Spans.Count != jobs.Count)
        {
            throw new InvalidOperationException($"{run.Spans.Count} spans were counted for {jobs.Count} jobs");
        }
        return [.. jobs.Zip(run.Spans, (job, span) => job with
        {
            Instructions = (double)span.Instructions / job.Requests,
            Exits = (double)span.Exits / job.Requests,
            Notifications = (double)span.Doorbells / job.Requests,
        })];
    }

    /// <summary>The medians of several rounds of a job; counts are taken from <paramref name="counted"/>.</summary>
    public static JobResult Median(IReadOnlyCollection<JobResult> rounds, JobResult? counted)
    {
        double Middle(Func<JobResult, double> number) => rounds.Select(number).Order().ElementAt(rounds.Count / 2);
        return rounds.First() with
        {
            RequestsPerSecond = Middle(r => r.RequestsPerSecond),
            MegabytesPerSecond = Middle(r => r.MegabytesPerSecond),
            P50Microseconds = Middle(r => r.P50Microseconds),
            P99Microseconds = Middle(r => r.P99Microseconds),
            P999Microseconds = Middle(r => r.P999Microseconds),
            Instructions = counted?.Instructions,
            Exits = counted?.Exits,
            Notifications = counted?.Notifications ?? Middle(r => r.Notifications),
            Interrupts = counted?.Interrupts ?? Middle(r => r.Interrupts),
            AllocatedBytes = rounds.Max(r => r.AllocatedBytes),
            Errors = (ulong)rounds.Sum(r => (long)r.Errors),
            LostDoorbells = (ulong)rounds.Sum(r => (long)r.LostDoorbells),
        };
    }
}

/// <summary>All results of one run, and of what.</summary>
internal sealed record BenchResult
{
    public required string Date { get; init; }

    public required string Commit { get; init; }

    public required string Qemu { get; init; }

    public required string Processor { get; init; }

    public required List<JobResult> Jobs { get; init; }

    private static readonly JsonSerializerOptions s_options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public void Write(string file)
    {
        BenchResult rounded = this with { Jobs = [.. Jobs.Select(Round)] };
        File.WriteAllText(file, JsonSerializer.Serialize(rounded, s_options) + "\n");
    }

    public static BenchResult Read(string file) => JsonSerializer.Deserialize<BenchResult>(File.ReadAllText(file), s_options)!;

    private static JobResult Round(JobResult job) => job with
    {
        RequestsPerSecond = Math.Round(job.RequestsPerSecond),
        MegabytesPerSecond = Math.Round(job.MegabytesPerSecond, 1),
        Instructions = job.Instructions is { } instructions ? Math.Round(instructions, 2) : null,
        Exits = job.Exits is { } exits ? Math.Round(exits, 4) : null,
        Notifications = Math.Round(job.Notifications, 4),
    };
}
