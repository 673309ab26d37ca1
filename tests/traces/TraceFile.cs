// A trace as text: the lines of one device, found in a file or in any log.
using System.Globalization;
using System.IO;
using System.Text.RegularExpressions;

namespace VirtioSharp.Tests.Traces;

/// <summary>What a line is to the one who replays it.</summary>
public enum TraceKind
{
    /// <summary>For people, or for the beginning.</summary>
    Information,

    /// <summary>Says which register is meant next; names of registers say it too.</summary>
    Selector,

    /// <summary>The driver asked, the device answered.</summary>
    Question,

    /// <summary>The same, with an effect of its own: it can't be left out.</summary>
    Request,

    /// <summary>The driver did something.</summary>
    Driver,

    /// <summary>The driver took a buffer that the device used.</summary>
    Used,

    /// <summary>The device wishes to hear of something.</summary>
    Want,

    /// <summary>The device interrupted.</summary>
    Interrupt,

    /// <summary>The device broke the ring.</summary>
    Wrong,
}

/// <summary>One line.</summary>
public sealed class TraceEvent
{
    /// <summary>Reads the part of a line that stands before the clause.</summary>
    public TraceEvent(string text, string note = "", int line = 0, ulong time = 0)
    {
        Text = text;
        Note = note;
        Line = line;
        Time = time;
        Words = text.Split(' ');
        int equals = text.IndexOf(" = ", StringComparison.Ordinal);
        Key = equals < 0 ? text : text[..equals];
        Value = equals < 0 ? "" : text[(equals + 3)..];
        Kind = KindOf();
    }

    /// <summary>Everything up to the clause.</summary>
    public string Text { get; }

    /// <summary>The clause, and what it says to people.</summary>
    public string Note { get; }

    /// <summary>The number of the line in its file, from 1.</summary>
    public int Line { get; }

    /// <summary>Nanoseconds since the beginning.</summary>
    public ulong Time { get; }

    /// <summary>The text, apart.</summary>
    public string[] Words { get; }

    /// <summary>What was accessed.</summary>
    public string Key { get; }

    /// <summary>What was read or written, or answered.</summary>
    public string Value { get; }

    /// <summary>What it is.</summary>
    public TraceKind Kind { get; }

    /// <summary>The number that a word is, decimal or hexadecimal.</summary>
    public static ulong Number(string word) => word.StartsWith("0x", StringComparison.Ordinal)
        ? ulong.Parse(word.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
        : ulong.Parse(word, CultureInfo.InvariantCulture);

    /// <summary>The number of a buffer: <c>c5</c>.</summary>
    public static uint Chain(string word) => uint.Parse(word.AsSpan(1), CultureInfo.InvariantCulture);

    private TraceKind KindOf() => Words[0] switch
    {
        "bar" or "map" or "present" or "r8" or "r16" or "r32" => TraceKind.Question,
        "enable" or "interrupts" or "attach" => TraceKind.Request,
        "cfg" => Words[1][0] == 'r' ? TraceKind.Question : TraceKind.Driver,
        "w8" or "w16" or "w32" =>
            Words[1].EndsWith("_select", StringComparison.Ordinal) || Words[1].EndsWith("Sel", StringComparison.Ordinal) ? TraceKind.Selector : TraceKind.Driver,
        "avail" or "wish" or "queue" or "disable" or "release" => TraceKind.Driver,
        "used" => TraceKind.Used,
        "want" => TraceKind.Want,
        "irq" => TraceKind.Interrupt,
        "bad" => TraceKind.Wrong,
        _ => TraceKind.Information,
    };
}

/// <summary>The traces of a text, one for each device.</summary>
public static partial class TraceFile
{
    /// <summary>The folder whose files are tests.</summary>
    public static string Folder { get; } = Path.Combine(Architecture.SourceTree.Root, "tests", "traces");

    /// <summary>The devices that a text has traces of, in the order of their first lines.</summary>
    public static string[] Devices(IEnumerable<string> lines) =>
        [.. lines.Select(line => Mark().Match(line)).Where(match => match.Success).Select(match => match.Groups[1].Value).Distinct()];

    /// <summary>The lines of one device; whatever else is in the text is passed over.</summary>
    public static TraceEvent[] Read(IEnumerable<string> lines, string device)
    {
        List<TraceEvent> events = [];
        int number = 0;
        foreach (string line in lines)
        {
            number++;
            Match match = Mark().Match(line);
            if (match.Success && match.Groups[1].Value == device)
            {
                string[] parts = match.Groups[4].Value.TrimEnd().Split(" ; ", 2);
                events.Add(new TraceEvent(parts[0], parts.Length > 1 ? parts[1] : "", number, ulong.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture)));
            }
        }
        return [.. events];
    }

    [GeneratedRegex("@(d[0-9]+) ([0-9]+) ([0-9]+) (\\S.*)$")]
    private static partial Regex Mark();
}
