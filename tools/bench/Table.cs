// Results as a table for people.
using System.Globalization;

namespace VirtioSharp.Bench;

/// <summary>Columns that line up; the first ones left, the rest right.</summary>
internal static class Table
{
    public static string Of(IEnumerable<JobResult> jobs)
    {
        List<string[]> rows =
        [
            ["job", "api", "mode", "ring", "I/Os per s", "MB/s", "p50 us", "p99 us", "p99.9 us", "instructions", "exits", "doorbells", "interrupts", "bytes"],
        ];
        foreach (JobResult job in jobs)
        {
            rows.Add([job.Job, job.Api, job.Mode, job.Ring, Text(job.RequestsPerSecond, "#,0"), Text(job.MegabytesPerSecond, "#,0.0"), Text(job.P50Microseconds, "0.0"),
                Text(job.P99Microseconds, "0.0"), Text(job.P999Microseconds, "0.0"), job.Instructions is { } n ? Text(n, "#,0.0") : "-",
                job.Exits is { } e ? Text(e, "0.000") : "-", Text(job.Notifications, "0.000"), Text(job.Interrupts, "0.000"), Text(job.AllocatedBytes, "0.###")]);
        }
        return Lines(rows, left: 4);
    }

    public static string Lines(IReadOnlyList<string[]> rows, int left)
    {
        int[] widths = [.. Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length))];
        return string.Concat(rows.Select(row => string.Join("  ", row.Select((cell, column) =>
            column < left ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd() + "\n"));
    }

    public static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
