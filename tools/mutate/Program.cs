// Runs tests against mutants without a new process for each: Stryker made one assembly with all mutants in it, and a number says which is active.
// mutate BIN map FILE: which test reaches which mutant. mutate BIN run MAP-FILE ID...: one line for each mutant, "ID killed TEST" or "ID survived".
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.Loader;
using System.Threading;
using VirtioSharp.Mutate;

// A mutant that loops for ever is killed by the watchdog, and with it this process: the script goes on behind it.
const int MostSecondsForOne = 20;
double budget = double.Parse(Environment.GetEnvironmentVariable("MUTANT_SECONDS") ?? "6");

string bin = Path.GetFullPath(args[0]);
AssemblyLoadContext.Default.Resolving += (context, wanted) =>
{
    string path = Path.Combine(bin, wanted.Name + ".dll");
    return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
};
Assembly drivers = AssemblyLoadContext.Default.LoadFromAssemblyPath(Path.Combine(bin, "VirtioSharp.Drivers.dll"));
Assembly tests = AssemblyLoadContext.Default.LoadFromAssemblyPath(Path.Combine(bin, "VirtioSharp.Tests.dll"));
MutantSwitch mutants = new(drivers);
TextWriter output = Console.Out;
Console.SetOut(TextWriter.Null);
List<TestCase> cases = TestCase.Find(tests);
long started = long.MaxValue;
new Thread(() =>
{
    while (true)
    {
        Thread.Sleep(1000);
        if (Stopwatch.GetElapsedTime(Volatile.Read(ref started)).TotalSeconds > MostSecondsForOne && Volatile.Read(ref started) != long.MaxValue)
        {
            Environment.Exit(99);
        }
    }
}) { IsBackground = true }.Start();

if (args[1] == "map")
{
    using StreamWriter map = new(args[2]);
    int failed = 0;
    for (int i = 0; i < cases.Count; i++)
    {
        mutants.BeginCoverage();
        long begin = Stopwatch.GetTimestamp();
        Exception? wrong = cases[i].Run();
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        if (wrong is not null)
        {
            failed++;
            output.WriteLine($"left out, since it fails without any mutant: {cases[i].Name}: {wrong.Message.Split('\n')[0]}");
            mutants.EndCoverage();
            continue;
        }
        map.WriteLine($"{i}\t{seconds:F5}\t{string.Join(',', mutants.EndCoverage())}");
    }
    output.WriteLine($"{cases.Count} tests, {failed} left out");
    return 0;
}

Dictionary<int, List<(int Test, double Seconds)>> reaching = [];
foreach (string line in File.ReadLines(args[2]))
{
    string[] parts = line.Split('\t');
    foreach (string id in parts[2].Split(',', StringSplitOptions.RemoveEmptyEntries))
    {
        if (!reaching.TryGetValue(int.Parse(id), out var list))
        {
            reaching.Add(int.Parse(id), list = []);
        }
        list.Add((int.Parse(parts[0]), double.Parse(parts[1])));
    }
}
Dictionary<int, int> kills = [];
foreach (string arg in args.Skip(3).SelectMany(arg => arg.StartsWith('@') ? File.ReadAllLines(arg[1..]) : [arg]))
{
    int id = int.Parse(arg);
    if (!reaching.TryGetValue(id, out var covering))
    {
        output.WriteLine($"{id} uncovered");
        continue;
    }
    output.WriteLine($"{id} begun");
    output.Flush();
    Volatile.Write(ref started, Stopwatch.GetTimestamp());
    string verdict = "survived";
    mutants.Activate(id);
    long begin = Stopwatch.GetTimestamp();
    int ran = 0;
    // Those first that killed many before, then short ones.
    foreach ((int test, _) in covering.OrderByDescending(each => kills.GetValueOrDefault(each.Test) / (0.002 + each.Seconds)).ThenBy(each => each.Seconds))
    {
        ran++;
        if (cases[test].Run() is Exception wrong)
        {
            kills[test] = kills.GetValueOrDefault(test) + 1;
            verdict = $"killed {cases[test].Name}";
            break;
        }
        if (Stopwatch.GetElapsedTime(begin).TotalSeconds > budget && ran < covering.Count)
        {
            verdict = $"survived {ran} of {covering.Count} tests";
            break;
        }
    }
    mutants.Activate(-1);
    Volatile.Write(ref started, long.MaxValue);
    output.WriteLine($"{id} {verdict}");
    output.Flush();
}
return 0;
