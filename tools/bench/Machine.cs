// A QEMU whose kernel runs benchmark jobs, on one processor, so that its threads take turns.
using System.Diagnostics;
using System.Globalization;

namespace VirtioSharp.Bench;

/// <summary>How a machine is to be started.</summary>
/// <param name="CommandLine">The kernel's command line.</param>
/// <param name="Devices">QEMU's options for the devices.</param>
internal sealed record MachineSetup(string CommandLine, string[] Devices)
{
    public string[] Memory { get; init; } = ["-m", "128"];

    public string[] Model { get; init; } = ["-M", "q35"];

    /// <summary>True when guest instructions and accesses are to be counted, from one mark of the kernel to the next.</summary>
    public bool IsCounted { get; init; }

    /// <summary>True when the threads of QEMU are to take turns, and nobody else is to come between, where that is allowed. Not with polling.</summary>
    public bool TakesTurns { get; init; }

    /// <summary>The symbols at which counting begins and ends.</summary>
    public (string Begin, string End) Marks { get; init; } = ("cpu_mark_begin", "cpu_mark_end");

    /// <summary>How long it may take.</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromSeconds(120);
}

/// <summary>What a machine said, and what was counted.</summary>
internal sealed class MachineRun
{
    private static readonly Dictionary<string, string> s_symbols = [];

    // Who may have it, root mostly, gets a class in which nobody else on the machine comes between.
    private static readonly Lazy<string[]> s_turns = new(() => Succeeds("chrt", "--rr", "1", "true") ? ["chrt", "--rr", "1"] : ["chrt", "--batch", "0"]);

    private MachineRun(List<(double Seconds, string Text)> lines, List<Span> spans, int exitCode)
    {
        Lines = lines;
        Spans = spans;
        ExitCode = exitCode;
    }

    /// <summary>The lines, with the seconds from QEMU's start.</summary>
    public List<(double Seconds, string Text)> Lines { get; }

    public List<Span> Spans { get; }

    public int ExitCode { get; }

    /// <summary>The kernel that is run; KERNEL names another one.</summary>
    public static string Kernel { get; } = Environment.GetEnvironmentVariable("KERNEL") is { Length: > 0 } other ? other : "build/kernel.elf";

    public static string Counter => "build/bench/count.so";

    public static string Folder => "build/bench";

    /// <summary>
    /// Runs a machine to its end. When counting, the scheduler must not let one thread of QEMU interrupt the other as soon as it is woken: the
    /// guest then always runs until it sleeps, and then the device works off all it was given. Counts become the same each time so.
    /// </summary>
    public static MachineRun Run(MachineSetup setup)
    {
        Directory.CreateDirectory(Folder);
        string counts = Path.Combine(Folder, "counts.txt");
        List<string> command = [];
        if (HasProgram("taskset"))
        {
            command.AddRange(["taskset", "-c", (Environment.ProcessorCount - 1).ToString(CultureInfo.InvariantCulture)]);
        }
        if (setup.IsCounted || setup.TakesTurns)
        {
            command.AddRange(s_turns.Value);
        }
        File.Delete(counts);
        command.Add(Environment.GetEnvironmentVariable("QEMU") is { Length: > 0 } qemu ? qemu : "qemu-system-x86_64");
        command.AddRange(setup.Model);
        command.AddRange(setup.Memory);
        // What is tried out by the clock can't be counted.
        string appended = setup.CommandLine + (setup.IsCounted ? " halt-poll=off" : "");
        command.AddRange(["-nodefaults", "-display", "none", "-no-reboot", "-kernel", Kernel, "-append", appended, "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        command.AddRange(setup.Devices);
        if (setup.IsCounted)
        {
            command.AddRange(["-plugin", $"{Counter},out={counts},begin={Symbol(setup.Marks.Begin)},end={Symbol(setup.Marks.End)},access=on"]);
        }

        ProcessStartInfo start = new(command[0]) { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (string word in command.Skip(1))
        {
            start.ArgumentList.Add(word);
        }
        List<(double, string)> lines = [];
        Stopwatch clock = Stopwatch.StartNew();
        using Process process = Process.Start(start)!;
        using Timer killer = new(_ => process.Kill(), null, setup.Limit, Timeout.InfiniteTimeSpan);
        process.StandardInput.Close();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            lines.Add((clock.Elapsed.TotalSeconds, line.TrimEnd('\r')));
        }
        process.WaitForExit();
        if (process.ExitCode is not 33)
        {
            string said = string.Join('\n', lines.TakeLast(12).Select(line => line.Item2));
            throw new InvalidOperationException($"QEMU ended with {process.ExitCode}, not 33:\n{string.Join(' ', command)}\n{said}");
        }
        return new MachineRun(lines, setup.IsCounted ? Span.Read(counts) : [], process.ExitCode);
    }

    private static string Symbol(string name)
    {
        if (s_symbols.TryGetValue(name, out string? known))
        {
            return known;
        }
        using Process nm = Process.Start(new ProcessStartInfo("nm", ["--defined-only", Kernel]) { RedirectStandardOutput = true })!;
        foreach (string line in nm.StandardOutput.ReadToEnd().Split('\n'))
        {
            string[] words = line.Split(' ');
            if (words.Length == 3)
            {
                s_symbols[words[2]] = words[0];
            }
        }
        return s_symbols.TryGetValue(name, out string? address) ? address : throw new InvalidOperationException($"{Kernel} has no symbol {name}");
    }

    private static bool Succeeds(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    private static bool HasProgram(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, name)));
}

/// <summary>What was executed from one mark to the next.</summary>
internal sealed record Span(ulong Instructions, ulong PortReads, ulong PortWrites, ulong Halts, ulong RegisterReads, ulong RegisterWrites)
{
    /// <summary>Accesses of device registers: who, read or write, the physical address, how often.</summary>
    public List<(string Region, bool IsWrite, ulong Address, ulong Count)> Accesses { get; } = [];

    /// <summary>What leaves the guest: on a machine with hardware virtualization each of these is an exit.</summary>
    public ulong Exits => PortReads + PortWrites + Halts + RegisterReads + RegisterWrites;

    /// <summary>Writes of doorbells.</summary>
    public ulong Doorbells => (ulong)Accesses.Where(a => a.IsWrite && a.Region.Contains("notify", StringComparison.Ordinal)).Sum(a => (long)a.Count);

    public static List<Span> Read(string file)
    {
        List<Span> spans = [];
        foreach (string line in File.ReadLines(file))
        {
            string[] words = line.Split(' ');
            switch (words[0])
            {
                case "span":
                    Dictionary<string, ulong> values = words.Skip(2).Select(word => word.Split('=')).ToDictionary(pair => pair[0], pair => ulong.Parse(pair[1]));
                    spans.Add(new Span(values["insns"], values["ins"], values["outs"], values["halts"], values["reads"], values["writes"]));
                    break;
                case "io":
                    spans[^1].Accesses.Add((words[2], words[1] == "w", Convert.ToUInt64(words[3], 16), ulong.Parse(words[4])));
                    break;
                default:
                    break;
            }
        }
        return spans;
    }
}
