// Runs tests against mutants without a new process for each: Stryker made one assembly with all mutants in it, and a number says which is active.
// mutate BIN map FILE: adds to the file which test reaches which mutant, for tests that are not in it yet.
// mutate BIN run MAP-FILE ID...: one line for each mutant: "ID killed TEST", "ID survived", "ID survived N of M tests", "ID uncovered", "ID spoiled TEST".
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.Loader;
using System.Threading;
using VirtioSharp.Mutate;

// What takes longer alone would take most of the time in all.
const double MostSeconds = 3;

// Tests from this line of the map on are run first: what was added after a mutant survived.
int newest = int.Parse(Environment.GetEnvironmentVariable("MUTANT_NEWEST") ?? "0");
double budget = double.Parse(Environment.GetEnvironmentVariable("MUTANT_SECONDS") ?? "6");

string bin = Path.GetFullPath(args[0]);
AssemblyLoadContext.Default.Resolving += (context, wanted) =>
{
    string path = Path.Combine(bin, wanted.Name + ".dll");
    return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
};
MutantSwitch mutants = new(Path.Combine(bin, "VirtioSharp.Drivers.dll"));
Assembly tests = AssemblyLoadContext.Default.LoadFromAssemblyPath(Path.Combine(bin, "VirtioSharp.Tests.dll"));
TextWriter output = Console.Out;
Console.SetOut(TextWriter.Null);
Dictionary<string, TestCase> cases = [];
foreach (TestCase test in TestCase.Find(tests))
{
    for (int i = 1; !cases.TryAdd(i == 1 ? test.Name : $"{test.Name} {i}", test); i++)
    {
    }
}

if (args[1] == "map")
{
    HashSet<string> known = File.Exists(args[2]) ? [.. File.ReadLines(args[2]).Select(line => line.Split('\t')[0])] : [];
    using StreamWriter map = new(args[2], append: true) { AutoFlush = true };
    int failed = 0;
    foreach ((string name, TestCase test) in cases.Where(each => !known.Contains(each.Key.Replace('\t', ' '))))
    {
        mutants.BeginCoverage();
        long begin = Stopwatch.GetTimestamp();
        Exception? wrong = test.Run();
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        int[] reached = mutants.EndCoverage();
        if (wrong is not null)
        {
            failed++;
            output.WriteLine($"left out, since it fails without any mutant: {name}: {wrong.Message.Split('\n')[0]}");
            continue;
        }
        map.WriteLine($"{name.Replace('\t', ' ')}\t{seconds:F5}\t{string.Join(',', reached)}");
    }
    output.WriteLine($"{cases.Count} tests, {failed} left out");
    return 0;
}

Dictionary<int, List<(string Test, double Seconds, int Reach)>> reaching = [];
HashSet<string> added = [];
int lines = 0;
string[] wanted = [.. args.Skip(3).SelectMany(arg => arg.StartsWith('@') ? File.ReadAllLines(arg[1..]) : [arg])];
foreach (string id in wanted)
{
    reaching.Add(int.Parse(id), []);
}
foreach (string line in File.ReadLines(args[2]))
{
    int first = line.IndexOf('\t');
    int second = line.IndexOf('\t', first + 1);
    string test = line[..first];
    if (newest > 0 && lines++ >= newest)
    {
        added.Add(test);
    }
    double seconds = double.Parse(line.AsSpan(first + 1, second - first - 1));
    if (!cases.ContainsKey(test) || seconds > MostSeconds)
    {
        continue;
    }
    int reach = line.AsSpan(second).Count(',');
    // The map is long, and read by each process.
    for (int at = second + 1, id = 0; at <= line.Length; at++)
    {
        if (at < line.Length && line[at] != ',')
        {
            id = id * 10 + line[at] - '0';
            continue;
        }
        if (reaching.TryGetValue(id, out var list))
        {
            list.Add((test, seconds, reach));
        }
        id = 0;
    }
}
Dictionary<string, int> kills = [];
Queue<string> recent = [];
TestThread thread = new();
bool fresh = true;
foreach (string arg in wanted)
{
    int id = int.Parse(arg);
    List<(string Test, double Seconds, int Reach)> covering = reaching[id];
    if (covering.Count == 0)
    {
        output.WriteLine($"{id} uncovered");
        continue;
    }
    output.WriteLine($"{id} begun");
    output.Flush();
    string verdict = "survived";
    double begin = TestThread.UsedSeconds;
    int ran = 0;
    // New ones first, then those that killed its neighbours, then those that killed many before, then short ones that have little else to do.
    foreach ((string test, double usual, _) in covering.OrderByDescending(each => added.Contains(each.Test))
        .ThenByDescending(each => recent.Contains(each.Test))
        .ThenByDescending(each => kills.GetValueOrDefault(each.Test) / (0.002 + each.Seconds))
        .ThenBy(each => (0.002 + each.Seconds) * (200 + each.Reach)))
    {
        ran++;
        mutants.Activate(id);
        if (!thread.TryRun(cases[test], 3 + 4 * usual, out Exception? wrong))
        {
            // It may have looped in the mutant, and end now.
            mutants.Activate(-1);
            verdict = $"killed by the time that {test} took";
            if (!thread.TryEnd(3))
            {
                output.WriteLine($"{id} {verdict}");
                output.Flush();
                Environment.Exit(99);
            }
            break;
        }
        mutants.Activate(-1);
        if (wrong is not null)
        {
            // What a mutant left behind, in something static, must not kill the next ones.
            if (!thread.TryRun(cases[test], 3 + 4 * usual, out wrong) || wrong is not null)
            {
                output.WriteLine(fresh ? $"{id} killed {test}, and spoiled it" : $"{id} spoiled {test}");
                output.Flush();
                Environment.Exit(99);
            }
            kills[test] = kills.GetValueOrDefault(test) + 1;
            if (!recent.Contains(test))
            {
                recent.Enqueue(test);
                if (recent.Count > 12)
                {
                    recent.Dequeue();
                }
            }
            verdict = $"killed {test}";
            break;
        }
        if (TestThread.UsedSeconds - begin > budget && ran < covering.Count)
        {
            verdict = $"survived {ran} of {covering.Count} tests";
            break;
        }
    }
    fresh = false;
    output.WriteLine($"{id} {verdict}");
    output.Flush();
}
return 0;
