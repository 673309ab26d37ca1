// The boot: how long until the first line and the first read, how many instructions, and every access of a device register.
using System.Globalization;

namespace VirtioSharp.Bench;

/// <summary><c>bench boot</c>.</summary>
internal static class Boots
{
    private const string FirstLine = "VirtioSharp ";
    private const string FirstByte = "00000000  ";

    /// <summary>From the kernel's first instruction to its application.</summary>
    public static (string Begin, string End) Marks => ("kernel_main", "VirtioSharp_Kernel_VirtioSharp_Kernel_Kernel__RunAsync");

    /// <summary>The machines on which the boot is looked at.</summary>
    private static IEnumerable<(string Name, string[] Model, string[] Devices)> Machines() =>
    [
        ("q35", ["-M", "q35"], Jobs.NullDisk()),
        ("microvm", ["-M", "microvm,pcie=on"], Jobs.NullDisk()),
    ];

    /// <summary>The boots as jobs, for the baseline.</summary>
    public static List<JobResult> Count() =>
    [
        .. Machines().Select(machine => (machine.Name, Span: CountOf(machine.Model, machine.Devices))).Select(each => new JobResult
        {
            Job = "boot_" + each.Name, Api = "-", Mode = "-", Ring = "-", Instructions = each.Span.Instructions, Exits = each.Span.Exits,
        }),
    ];

    public static int Run(int rounds)
    {
        List<string[]> rows = [["machine", "first line ms", "first read ms", "end ms", "instructions", "port reads", "port writes", "register reads", "register writes"]];
        foreach ((string name, string[] model, string[] devices) in Machines())
        {
            Span span = CountOf(model, devices);
            List<MachineRun> runs = [.. Enumerable.Range(0, rounds).Select(_ => MachineRun.Run(new MachineSetup("run=\"disk read 0 1\"", devices) { Model = model }))];
            string Median(Func<MachineRun, double> seconds) => Table.Text(runs.Select(seconds).Order().ElementAt(rounds / 2) * 1000, "0.0");
            rows.Add([name, Median(run => At(run, FirstLine)), Median(run => At(run, FirstByte)), Median(run => run.Lines[^1].Seconds),
                Table.Text(span.Instructions, "#,0"), Text(span.PortReads), Text(span.PortWrites), Text(span.RegisterReads), Text(span.RegisterWrites)]);
            Console.WriteLine($"{name}: accesses of device registers from the kernel's first instruction to its application");
            Console.Write(Table.Lines([["region", "", "registers", "accesses", "most often"], .. Regions(span)], left: 2));
            Console.WriteLine();
        }
        Console.Write(Table.Lines(rows, left: 1));
        return 0;
    }

    private static IEnumerable<string[]> Regions(Span span) => span.Accesses.GroupBy(access => (access.Region, access.IsWrite)).OrderBy(group => group.Key).Select(group =>
    {
        // The base of a region is not known here: registers are named by their place in their page.
        IEnumerable<string> most = group.OrderByDescending(access => access.Count).ThenBy(access => access.Address).Take(6)
            .Select(access => $"{access.Address & 0xFFF:x3}:{access.Count}");
        string region = group.Key.Region.StartsWith("anon", StringComparison.Ordinal) ? "(without a name: MSI-X tables)" : group.Key.Region;
        return new[] { region, group.Key.IsWrite ? "write" : "read", Text((ulong)group.Count()), Text((ulong)group.Sum(access => (long)access.Count)), string.Join(' ', most) };
    });

    private static Span CountOf(string[] model, string[] devices) =>
        MachineRun.Run(new MachineSetup("run=mem", devices) { Model = model, IsCounted = true, Marks = Marks }).Spans.Single();

    private static double At(MachineRun run, string text) => run.Lines.First(line => line.Text.StartsWith(text, StringComparison.Ordinal)).Seconds;

    private static string Text(ulong value) => value.ToString("#,0", CultureInfo.InvariantCulture);
}
