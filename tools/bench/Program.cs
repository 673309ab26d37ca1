// bench run|keep|check|baseline|boot|scale: the kernel's benchmark in QEMU. Results are in build/bench; bench/ keeps the baseline and the history.
// Variables of `run`: ROUNDS=3, MS=400 (of each job and round), KEEP=1 (adds the result to bench/results and draws the history anew), and for a
// kernel that was built elsewhere KERNEL=file and COMMIT=name.
using System.Diagnostics;
using System.Globalization;
using VirtioSharp.Bench;

const string Baseline = "bench/baseline.json";

string command = args.Length > 0 ? args[0] : "run";
try
{
    return command switch
    {
        "run" => Run(),
        "check" => Judge(),
        "baseline" => WriteBaseline(),
        "keep" => Keep(),
        "boot" => Boots.Run(Number("ROUNDS", 9)),
        "scale" => Scale.Run((uint)Number("MS", 150)),
        _ => Usage(),
    };
}
catch (InvalidOperationException wrong)
{
    Console.Error.WriteLine(wrong.Message);
    return 1;
}

static int Usage()
{
    Console.Error.WriteLine("bench run|keep|check|baseline|boot|scale");
    return 2;
}

static int Run()
{
    int rounds = Number("ROUNDS", 3);
    uint milliseconds = (uint)Number("MS", 400);
    Console.WriteLine("Counting ...");
    Dictionary<string, JobResult> counts = Jobs.Count().ToDictionary(job => job.Key);
    List<JobResult> timed = [];
    for (int i = 0; i < rounds; i++)
    {
        Console.WriteLine($"Measuring, round {i + 1} of {rounds} ...");
        timed.AddRange(Jobs.Time(milliseconds));
    }
    BenchResult result = Describe([.. timed.GroupBy(job => job.Key).Select(group => JobResult.Median([.. group], counts.GetValueOrDefault(group.Key)))]);
    string json = Path.Combine(MachineRun.Folder, "results.json");
    string plot = Path.Combine(MachineRun.Folder, "results.svg");
    result.Write(json);
    Plots.Draw(result, plot);
    Console.WriteLine();
    Console.Write(Table.Of(result.Jobs));
    Console.WriteLine();
    Console.WriteLine($"{json}, {plot}");
    if (Environment.GetEnvironmentVariable("KEEP") is { Length: > 0 })
    {
        Console.WriteLine(History.Keep(result));
    }
    return result.Jobs.Any(job => job.Errors != 0) ? 1 : 0;
}

// The last result once more, for who has seen it before he decided.
static int Keep()
{
    BenchResult result = BenchResult.Read(Path.Combine(MachineRun.Folder, "results.json"));
    Console.WriteLine(History.Keep(Environment.GetEnvironmentVariable("COMMIT") is { Length: > 0 } commit ? result with { Commit = commit } : result));
    return 0;
}

static int Judge()
{
    if (!File.Exists(Baseline))
    {
        Console.Error.WriteLine($"there is no {Baseline}; make bench-baseline writes it");
        return 1;
    }
    List<JobResult> before = BenchResult.Read(Baseline).Jobs;
    List<JobResult> now = Jobs.Count();
    List<string> worse = Check.Compare(before, now);
    // Others on this processor can disturb the turns of QEMU's threads: what is worse is so each time.
    for (int again = 0; again < 3 && worse.Count != 0; again++)
    {
        now = Check.Merge([now, Jobs.Count()], counts => counts.Min());
        worse = Check.Compare(before, now);
    }
    foreach (string line in worse)
    {
        Console.WriteLine(line);
    }
    int better = Check.CountBetter(before, now);
    if (worse.Count == 0 && better != 0)
    {
        Console.WriteLine($"{better} jobs need over 5 % less than the baseline says; make bench-baseline keeps that");
    }
    Console.WriteLine(worse.Count == 0
        ? $"bench-check: {now.Count} jobs cost what they did"
        : $"bench-check: {worse.Count} counts are worse; if that is meant so, make bench-baseline");
    return worse.Count == 0 ? 0 : 1;
}

static int WriteBaseline()
{
    Directory.CreateDirectory("bench");
    // Only counts are kept, which are the same on any machine.
    List<JobResult> jobs = [.. Check.Merge([Jobs.Count(), Jobs.Count(), Jobs.Count()], counts => counts.Order().ElementAt(1)).Select(job => new JobResult
    {
        Job = job.Job, Api = job.Api, Mode = job.Mode, Ring = job.Ring, Instructions = job.Instructions, Exits = job.Exits,
        Notifications = job.Notifications, Interrupts = job.Interrupts, AllocatedBytes = job.AllocatedBytes,
    })];
    Describe(jobs).Write(Baseline);
    Console.Write(Table.Of(jobs));
    Console.WriteLine(Baseline);
    return 0;
}

static BenchResult Describe(List<JobResult> jobs) => new()
{
    Date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture),
    Commit = Environment.GetEnvironmentVariable("COMMIT") is { Length: > 0 } commit
        ? commit
        : Said("git", "rev-parse", "--short", "HEAD") + (Said("git", "status", "--porcelain").Length == 0 ? "" : "+"),
    Qemu = Said("qemu-system-x86_64", "--version").Split('\n')[0],
    Processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[1] ?? "unknown",
    Jobs = jobs,
};

static string Said(string program, params string[] arguments)
{
    using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
    string said = process.StandardOutput.ReadToEnd();
    process.WaitForExit();
    return said.Trim();
}

static int Number(string name, int otherwise) =>
    int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value > 0 ? value : otherwise;
