// A coverage-guided fuzzer in one process: inputs that reach new edges of the drivers are kept, and changed again.
// fuzz TARGET RUNS [SEED [CORPUS-FOLDER]]: ends with 0 when nothing was found; an input that went wrong is printed in base64, and the run ends with 1.
// fuzz reach CORPUS-FOLDER: which blocks of the drivers the corpus reaches.
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using VirtioSharp.Fuzz;

const int MostBytes = 400;
const int HangSeconds = 20;

if (args.Length < 2)
{
    Console.Error.WriteLine("fuzz TARGET RUNS [SEED [CORPUS-FOLDER]], or fuzz reach CORPUS-FOLDER");
    return 2;
}
if (args[0] == "reach")
{
    Reach.Print(AppContext.BaseDirectory, args[1]);
    return 0;
}
string name = args[0];
long runs = long.Parse(args[1]);
int seed = args.Length > 2 ? int.Parse(args[2]) : Environment.TickCount;
string? folder = args.Length > 3 ? args[3] : null;

Session session = new(AppContext.BaseDirectory, byBlock: false);
byte[] map = session.Map;
Action<byte[]> target = session.Targets[name];

Random random = new(seed);
byte[] virgin = new byte[Instrument.MapLength];
List<byte[]> corpus = [];
long done = 0;
int reached = 0;
int failures = 0;
byte[] current = [];
Stopwatch clock = Stopwatch.StartNew();
long lastChange = 0;

// One input that never ends is found by a second thread: it names the input, and ends the process.
Thread watch = new(() =>
{
    for (long before = -1; ; before = Volatile.Read(ref done))
    {
        Thread.Sleep(HangSeconds * 1000);
        if (Volatile.Read(ref done) == before)
        {
            Console.WriteLine($"{name}: HANGS in run {done + 1} with {Convert.ToBase64String(current)}");
            Environment.Exit(1);
        }
    }
}) { IsBackground = true };
watch.Start();

string? path = folder is null ? null : Path.Combine(folder, name + ".txt");
byte[][] known = path is not null && File.Exists(path) ? [.. File.ReadAllLines(path).Select(Convert.FromBase64String)] : [];
foreach (byte[] input in known.Append([]).Append(new byte[64]))
{
    Try(input);
}
int atFirst = reached;
while (done < runs && failures == 0)
{
    Try(Change(corpus.Count == 0 ? [] : corpus[random.Next(corpus.Count)]));
}
Console.WriteLine(
    $"{name}: {done} runs, seed {seed}, {reached} edges with their counts ({atFirst} by the corpus), {corpus.Count} inputs kept, {session.Owners.Count} blocks, " +
    $"last news at run {lastChange}, {done / Math.Max(1, clock.Elapsed.TotalSeconds):F0} runs/s, {failures} failures");
if (path is not null && failures == 0)
{
    Directory.CreateDirectory(folder!);
    File.WriteAllLines(path, Smallest().Select(Convert.ToBase64String));
}
return failures == 0 ? 0 : 1;

void Try(byte[] input)
{
    current = input;
    session.Clear();
    try
    {
        target(input);
    }
    catch (Exception wrong)
    {
        failures++;
        Console.WriteLine($"{name}: FAILS with {Convert.ToBase64String(input)}\n{wrong}");
    }
    Volatile.Write(ref done, done + 1);
    int news = News(virgin);
    if (news > 0)
    {
        reached += news;
        lastChange = done;
        corpus.Add(input);
    }
}

// How many counters are of another size than ever before (1, 2, 3, 4-7, 8-15 ... as AFL counts them); notes them.
int News(byte[] seen)
{
    int news = 0;
    ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(map);
    for (int word = 0; word < words.Length; word++)
    {
        if (words[word] == 0)
        {
            continue;
        }
        for (int i = word * 8; i < word * 8 + 8; i++)
        {
            byte count = map[i];
            byte size = count switch { 0 => 0, 1 => 1, 2 => 2, 3 => 4, < 8 => 8, < 16 => 16, < 32 => 32, < 128 => 64, _ => 128 };
            if ((seen[i] & size) != size)
            {
                seen[i] |= size;
                news++;
            }
        }
    }
    return news;
}

byte[] Change(byte[] from)
{
    List<byte> bytes = [.. from];
    for (int changes = 1 << random.Next(5); changes > 0; changes--)
    {
        int at = bytes.Count == 0 ? 0 : random.Next(bytes.Count);
        switch (random.Next(9))
        {
            case 0 when bytes.Count > 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1 when bytes.Count > 0:
                bytes[at] = (byte)random.Next(256);
                break;
            case 2 when bytes.Count > 0:
                bytes[at] += (byte)random.Next(-4, 5);
                break;
            case 3 when bytes.Count > 1:
                bytes.RemoveRange(at, Math.Min(bytes.Count - at, 1 << random.Next(4)));
                break;
            case 4:
                bytes.Insert(at, (byte)random.Next(256));
                break;
            case 5 when bytes.Count > 0:
                byte[] interesting = [0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0xFE, 9, 0x11];
                bytes[at] = interesting[random.Next(interesting.Length)];
                break;
            case 6 when bytes.Count > 1:
                bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(at, Math.Min(bytes.Count - at, 1 << random.Next(5))));
                break;
            case 7 when corpus.Count > 1:
                byte[] other = corpus[random.Next(corpus.Count)];
                int cut = other.Length == 0 ? 0 : random.Next(other.Length);
                bytes.RemoveRange(at, bytes.Count - at);
                bytes.AddRange(other[cut..]);
                break;
            default:
                byte[] more = new byte[random.Next(1, 12)];
                random.NextBytes(more);
                bytes.AddRange(more);
                break;
        }
        if (bytes.Count > MostBytes)
        {
            bytes.RemoveRange(MostBytes, bytes.Count - MostBytes);
        }
    }
    return [.. bytes];
}

// The inputs that reach all of it together, short ones first: what is kept in the tree.
IEnumerable<byte[]> Smallest()
{
    byte[] covered = new byte[Instrument.MapLength];
    foreach (byte[] input in corpus.OrderBy(each => each.Length).ToArray())
    {
        session.Clear();
        target(input);
        Volatile.Write(ref done, done + 1); // for the one who watches
        // Only whether an edge was taken: its counts would keep ten times as many.
        bool isNew = false;
        for (int i = 0; i < map.Length; i++)
        {
            isNew |= map[i] != 0 && covered[i] == 0;
            covered[i] |= map[i] != 0 ? (byte)1 : (byte)0;
        }
        if (isNew)
        {
            yield return input;
        }
    }
}
