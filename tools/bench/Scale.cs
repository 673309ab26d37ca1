// How cost grows: with depth, queue size, request size, disks, the size of a disk, memory. Counts, which are exact, and speeds beside them.
using System.Globalization;
using System.Text.Json;

namespace VirtioSharp.Bench;

/// <summary>One measured place: what was varied, and what it cost.</summary>
internal sealed record Point(string Sweep, string Line, double X, double Instructions, double Exits, double RequestsPerSecond, double MegabytesPerSecond);

/// <summary>Runs the sweeps, writes bench/results/scale.json, and draws docs/performance/scale.svg.</summary>
internal static class Scale
{
    private const string Data = "bench/results/scale.json";
    private const string Picture = "docs/performance/scale.svg";
    private const int Rounds = 3;
    private const ulong Gigabyte = 1ul << 30;

    private static readonly JsonSerializerOptions s_options = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static int Run(uint milliseconds)
    {
        List<Point> points = [];
        foreach (string ring in new[] { "split", "packed" })
        {
            string packed = ring == "packed" ? ",packed=on" : "";
            foreach (int depth in new[] { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512 })
            {
                points.Add(Measure("depth", ring, depth, $"await randread_4k_qd{depth}", Jobs.NullDisk("queue-size=1024" + packed), milliseconds));
            }
            foreach (int size in new[] { 4, 8, 16, 32, 64, 128, 256, 512, 1024 })
            {
                points.Add(Measure("queue size", ring, size, "await randread_4k_qd128", Jobs.NullDisk($"queue-size={size},seg-max-adjust=on{packed}"), milliseconds));
            }
        }
        foreach (int kilobytes in new[] { 4, 16, 64, 256, 1024, 4096 })
        {
            points.Add(Measure("request size", "depth 4", kilobytes, $"await read_{kilobytes}k_qd4", Jobs.NullDisk(), milliseconds));
        }
        foreach (int disks in new[] { 1, 2, 4, 8, 16 })
        {
            string[] devices = [.. Enumerable.Range(0, disks).SelectMany(disk => Jobs.NullDisk(number: disk))];
            points.Add(Measure("disks", "depth 8 each", disks, "await all randread_4k_qd8", devices, milliseconds));
            points.Add(Measure("disks", "depth 1 each", disks, "await all randread_4k_qd1", devices, milliseconds));
        }
        foreach (int queues in new[] { 1, 2, 4, 8 })
        {
            points.Add(Measure("queues", "depth 32", queues, "await randread_4k_qd32", Jobs.NullDisk($"num-queues={queues}"), milliseconds));
        }
        foreach (ulong length in new[] { Gigabyte / 1024, Gigabyte, 64 * Gigabyte, 1024 * Gigabyte, 16 * 1024 * Gigabyte })
        {
            points.Add(Measure("disk size", "depth 32", length / (double)Gigabyte, "await randread_4k_qd32", Jobs.NullDisk(length: length), milliseconds));
        }
        foreach (uint megabytes in new uint[] { 64, 128, 1024, 4096, 16384, 65536 })
        {
            points.Add(Boot(megabytes));
        }
        Directory.CreateDirectory("bench/results");
        File.WriteAllText(Data, "[\n" + string.Join(",\n", points.Select(point => "  " + JsonSerializer.Serialize(point, s_options))) + "\n]\n");
        Draw(points);
        Print(points);
        Console.WriteLine($"{Data}, {Picture}");
        return 0;
    }

    private static Point Measure(string sweep, string line, double x, string job, string[] devices, uint milliseconds)
    {
        MachineSetup setup = new($"run=\"bench {job}\" ios=4000", devices) { IsCounted = true, Memory = ["-m", "512"] };
        MachineSetup clock = setup with { CommandLine = $"run=\"bench {job}\" ms={milliseconds}", IsCounted = false, TakesTurns = true };
        // What others do on this machine disturbs: the middle of three counts, the best of three speeds.
        JobResult Once(MachineSetup which) => JobResult.Read(MachineRun.Run(which), "split").Single();
        JobResult counted = Enumerable.Range(0, Rounds).Select(_ => Once(setup)).OrderBy(job => job.Exits).ElementAt(Rounds / 2);
        JobResult timed = Enumerable.Range(0, Rounds).Select(_ => Once(clock)).MaxBy(job => job.RequestsPerSecond)!;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{sweep} {x:0.###}, {line}: {counted.Instructions:0.0} instructions, {counted.Exits:0.000} exits, {timed.RequestsPerSecond:0} I/Os a second"));
        return new Point(sweep, line, x, Math.Round(counted.Instructions ?? 0, 1), Math.Round(counted.Exits ?? 0, 4), timed.RequestsPerSecond, timed.MegabytesPerSecond);
    }

    /// <summary>
    /// From the kernel's first instruction to its application, with so much memory. It is not touched, and not reserved: more than the host has will do.
    /// </summary>
    private static Point Boot(uint megabytes)
    {
        MachineSetup setup = new("run=mem", Jobs.NullDisk())
        {
            IsCounted = true,
            Marks = Boots.Marks,
            Memory = ["-object", string.Create(CultureInfo.InvariantCulture, $"memory-backend-ram,id=ram,size={megabytes}M,reserve=off"),
                "-m", string.Create(CultureInfo.InvariantCulture, $"{megabytes}M"), "-machine", "memory-backend=ram"],
        };
        Span span = MachineRun.Run(setup).Spans.Single();
        double seconds = MachineRun.Run(setup with { IsCounted = false, TakesTurns = true }).Lines.First(line => line.Text.StartsWith("memory ", StringComparison.Ordinal)).Seconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"memory {megabytes} MiB: {span.Instructions} instructions to the application, second line after {seconds * 1000:0} ms"));
        return new Point("memory", "boot", megabytes / 1024.0, span.Instructions, span.Exits, 0, 0);
    }

    private static void Draw(List<Point> points)
    {
        List<Series> Of(string sweep, Func<Point, double> number, string suffix = "") =>
            [.. points.Where(point => point.Sweep == sweep).GroupBy(point => point.Line)
                .Select(group => new Series(group.Key + suffix, [.. group.Select(point => (point.X, number(point)))]))];
        static string Size(double gigabytes) => gigabytes < 1 ? $"{gigabytes * 1024:0} MiB" : gigabytes < 1024 ? $"{gigabytes:0} GiB" : $"{gigabytes / 1024:0} TiB";
        static string Length(double kilobytes) => kilobytes < 1024 ? $"{kilobytes:0}k" : $"{kilobytes / 1024:0}m";
        const string Instructions = "guest instructions for each request";
        new Svg()
            .Lines("Depth: reads of 4 KiB, a queue of 1024", Instructions, "requests at once", Of("depth", p => p.Instructions), true, false)
            .Lines("Depth: speed", "requests a second", "requests at once", Of("depth", p => p.RequestsPerSecond), true, false)
            .Lines("Queue size: reads of 4 KiB, 128 at once", Instructions, "descriptors", Of("queue size", p => p.Instructions), true, false)
            .Lines("Request size: reads, 4 at once", Instructions, "length of a request", Of("request size", p => p.Instructions), true, false, Length)
            .Lines("Disks at once: reads of 4 KiB", Instructions, "disks", Of("disks", p => p.Instructions), true, false)
            .Lines("Disks at once: speed of all", "requests a second", "disks", Of("disks", p => p.RequestsPerSecond), true, false)
            .Lines("Queues of one disk: reads of 4 KiB, 32 at once", Instructions, "queues, on one processor", Of("queues", p => p.Instructions), true, false)
            .Lines("Size of the disk: reads of 4 KiB, 32 at once", Instructions, "disk", Of("disk size", p => p.Instructions), true, false, Size)
            .Lines("Memory: from the kernel's first instruction to its application", "guest instructions", "memory", Of("memory", p => p.Instructions), true, false, Size)
            .Write(Picture);
    }

    private static void Print(List<Point> points)
    {
        List<string[]> rows = [["sweep", "line", "at", "instructions", "exits", "I/Os per s", "MB/s"]];
        rows.AddRange(points.Select(p => new[] { p.Sweep, p.Line, Table.Text(p.X, "#,0.###"), Table.Text(p.Instructions, "#,0.0"), Table.Text(p.Exits, "0.000"),
            Table.Text(p.RequestsPerSecond, "#,0"), Table.Text(p.MegabytesPerSecond, "#,0.0") }));
        Console.Write(Table.Lines(rows, left: 2));
    }
}
