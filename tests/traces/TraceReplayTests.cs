// Every file in tests/traces is a test: the driver does what it did when the trace was recorded.
using System.IO;
using Xunit;

namespace VirtioSharp.Tests.Traces;

public sealed class TraceReplayTests
{
    /// <summary>All traces there are, one for each device in a file; with <c>TRACE=file</c> in the environment those of that file only.</summary>
    public static TheoryData<string, string> Traces
    {
        get
        {
            TheoryData<string, string> data = [];
            string? only = Environment.GetEnvironmentVariable("TRACE");
            string[] paths = only is null ? Directory.GetFiles(TraceFile.Folder, "*.trace") : [Path.GetFullPath(only)];
            foreach (string path in paths.Order(StringComparer.Ordinal))
            {
                foreach (string device in TraceFile.Devices(File.ReadLines(path)))
                {
                    data.Add(Path.GetRelativePath(TraceFile.Folder, path), device);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Traces))]
    public void The_driver_does_what_the_trace_says(string file, string device)
    {
        TraceEvent[] events = TraceFile.Read(File.ReadLines(Path.Combine(TraceFile.Folder, file)), device);
        Assert.True(Replay.Of(events).Compared > 10, "nearly nothing was compared");
    }

    /// <summary>There are traces of each sort of machine, and of a device that lies.</summary>
    [Theory]
    [InlineData("fake-blk-split")]
    [InlineData("fake-blk-packed")]
    [InlineData("fake-console")]
    [InlineData("fake-hostile-")]
    [InlineData("qemu-blk-split")]
    [InlineData("qemu-blk-packed")]
    [InlineData("qemu-console")]
    [InlineData("kernel-blk-split")]
    [InlineData("kernel-blk-packed")]
    [InlineData("kernel-console")]
    public void There_are_traces_of(string name) => Assert.Contains(
        Directory.EnumerateFiles(TraceFile.Folder, "*.trace"), path => Path.GetFileName(path).StartsWith(name, StringComparison.Ordinal));

    /// <summary>Each line of the driver counts: another value there fails, and the message names the line.</summary>
    [Theory]
    [MemberData(nameof(Traces))]
    public void A_value_that_the_driver_did_not_write_fails_at_its_line(string file, string device)
    {
        string[] lines = File.ReadAllLines(Path.Combine(TraceFile.Folder, file));
        TraceEvent[] events = TraceFile.Read(lines, device);
        int tried = 0;
        for (int i = 1; i < events.Length; i++)
        {
            bool isText = file.Contains("console") && events[i].Text.StartsWith("avail 1 ", StringComparison.Ordinal); // the application's, not the driver's
            if (events[i].Kind != TraceKind.Driver || isText || Damaged(events[i].Text) is not string damaged || (tried++ % 7 != 0 && events.Length > 400))
            {
                continue;
            }
            TraceEvent[] copy = [.. events];
            copy[i] = new TraceEvent(damaged, events[i].Note, events[i].Line, events[i].Time);
            Exception? thrown = Record.Exception(() => Replay.Of(copy));
            Assert.True(thrown is ReplayMismatchException, $"`{events[i].Text}` in line {events[i].Line} became `{damaged}`: {thrown}");
            ReplayMismatchException wrong = (ReplayMismatchException)thrown;
            Assert.True(wrong.Line == events[i].Line, $"`{events[i].Text}` in line {events[i].Line} became `{damaged}`: {wrong.Message}");
            Assert.Contains(events[i].Note, wrong.Message);
        }
        Assert.True(tried > 5, "nearly nothing was tried");
    }

    /// <summary>What the driver is told counts as well: a device that takes less back than it was given is another device.</summary>
    [Fact]
    public void Another_answer_of_the_device_leads_elsewhere()
    {
        TraceEvent[] events = TraceFile.Read(File.ReadLines(Path.Combine(TraceFile.Folder, "fake-blk-split.trace")), "d0");
        int size = Array.FindIndex(events, line => line.Key == "r16 queue_size[0]");
        events[size] = new TraceEvent("r16 queue_size[0] = 0x20", events[size].Note, events[size].Line, events[size].Time);
        ReplayMismatchException wrong = Assert.Throws<ReplayMismatchException>(() => Replay.Of(events));
        Assert.Contains("queue_size", wrong.Message);
        Assert.Contains("0x20", wrong.Message);
    }

    [Fact]
    public void A_trace_may_stand_in_the_middle_of_a_log()
    {
        string[] lines = File.ReadAllLines(Path.Combine(TraceFile.Folder, "fake-blk-split.trace"));
        string[] log = [.. lines.SelectMany((line, i) => new[] { i % 5 == 0 ? "[    0.1] unrelated" : "", "serial: " + line + "\r" })];
        Assert.Equal(TraceFile.Read(lines, "d0").Length, TraceFile.Read(log, "d0").Length);
        Replay.Of(TraceFile.Read(log, "d0"));
    }

    /// <summary>A driver that asks less or more than the recorded one is still the same driver, as long as it does the same.</summary>
    [Fact]
    public void Questions_may_be_left_out_or_asked_again()
    {
        TraceEvent[] events = TraceFile.Read(File.ReadLines(Path.Combine(TraceFile.Folder, "fake-blk-split.trace")), "d0");
        int capacity = Array.FindIndex(events, line => line.Key == "r32 config+0x0");
        TraceEvent[] more = [.. events[..capacity], new TraceEvent("r16 config+0x30 = 0x5"), .. events[capacity..]];
        Assert.Equal(1, Replay.Of(more).LeftOut);
        int again = Array.FindLastIndex(events, line => line.Key == "r8 config_generation");
        Assert.True(again > capacity);
        TraceEvent[] less = [.. events[..again], .. events[(again + 1)..]];
        Assert.Equal(1, Replay.Of(less).Added);
    }

    [Theory]
    [InlineData("")]
    [InlineData("@d0 0 0 trace 2 pci type 2")]
    [InlineData("@d0 0 0 w8 device_status = 0x0")]
    public void What_is_no_trace_of_this_version_is_refused(string line) =>
        Assert.Throws<ReplayMismatchException>(() => Replay.Of(TraceFile.Read([line], "d0")));

    /// <summary>The same line with one number changed; null where nothing is compared.</summary>
    private static string? Damaged(string text)
    {
        int equals = text.IndexOf(" = 0x", StringComparison.Ordinal);
        if (equals >= 0)
        {
            ulong value = TraceEvent.Number(text[(equals + 3)..]);
            return $"{text[..equals]} = 0x{value ^ (text.Contains("otify") ? 0x100ul : 1):x}"; // the doorbell of no queue
        }
        string[] words = text.Split(' ');
        int content = Array.FindIndex(words, word => word.Length > 1 && word[0] == '=');
        switch (words[0])
        {
            case "avail" when content > 0:
                words[content] = "=" + (words[content][1] == '0' ? '1' : '0') + words[content][2..];
                break;
            case "avail":
                words[^1] += "0"; // ten times as long
                break;
            case "wish":
                words[2] = $"0x{TraceEvent.Number(words[2]) ^ 1:x}";
                break;
            case "queue":
                words[3] = (TraceEvent.Number(words[3]) * 2).ToString();
                break;
            default:
                return null;
        }
        return string.Join(' ', words);
    }
}
