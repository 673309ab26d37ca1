// Where the traces in this folder come from: RECORD=1 in the environment writes them anew. Those of the fake machine have to come out the same each time.
using System.IO;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using VirtioSharp.Tests.Hostile;
using Xunit;

namespace VirtioSharp.Tests.Traces;

/// <summary>Keeps what was recorded, if it is asked to, and replays it in any case.</summary>
internal static class RecordedTraces
{
    private static readonly bool s_keeps = Environment.GetEnvironmentVariable("RECORD") == "1";

    /// <summary>Replays the trace of a device, and keeps it under a name.</summary>
    internal static Replay Check(IEnumerable<string> lines, string name, string story, string device = "d0")
    {
        string[] own = [.. lines.Where(line => line.Contains("@" + device + " ")).Select(line => line[line.IndexOf('@')..].TrimEnd())];
        if (s_keeps)
        {
            File.WriteAllLines(Path.Combine(TraceFile.Folder, name + ".trace"), ["# " + story, .. own]);
        }
        return Replay.Of(TraceFile.Read(own, device));
    }

    /// <summary>The same, where nothing is left to chance: each word of the trace is as it was kept.</summary>
    internal static Replay CheckWords(IEnumerable<string> lines, string name, string story)
    {
        Replay replay = Check(lines, name, story);
        string[] own = [.. lines.Where(line => line.Contains("@d0 ")).Select(line => line[line.IndexOf('@')..].TrimEnd())];
        Assert.Equal(File.ReadLines(Path.Combine(TraceFile.Folder, name + ".trace")).Skip(1), own);
        return replay;
    }
}

/// <summary>Traces of the fake machine.</summary>
public sealed class FakeRecordings
{
    [Theory]
    [InlineData("fake-blk-split", QueueFeatures.EventIndex | QueueFeatures.Indirect)]
    [InlineData("fake-blk-packed", QueueFeatures.Packed | QueueFeatures.EventIndex)]
    public void A_disk(string name, QueueFeatures features)
    {
        using TraceRecording recording = new();
        using (FakeBlockBackend backend = new(new BlockSetup(), arrange: device => RoundTripTests.Offer(device, features)))
        {
            Scenarios.UseDisk(backend);
        }
        Check(recording, name, "The fake machine's disk: reads, writes, a flush, several at once, scattered, one after the other; then removed.");
    }

    [Fact]
    public void A_console()
    {
        using TraceRecording recording = new();
        using (FakeConsoleBackend backend = new(ports: 2))
        {
            Scenarios.UseConsole(backend);
        }
        Check(recording, "fake-console", "The fake machine's console with two ports: text out and in, twice; then removed.");
    }

    /// <summary>Devices that break their ring with requests in flight: the driver resets them and repeats the requests.</summary>
    [Theory]
    [InlineData("U01", false)]
    [InlineData("U02", false)]
    [InlineData("U04", false)]
    [InlineData("U05", false)]
    [InlineData("U06", false)]
    [InlineData("U07", false)]
    [InlineData("U08", false)]
    [InlineData("U01", true)]
    [InlineData("U04", true)]
    [InlineData("U05", true)]
    public void A_device_that_breaks_its_ring(string id, bool packed)
    {
        HostileCase fault = HostileCases.Find(id);
        List<string> lines = Play(fault, new Place(Machines.ModernPci, packed ? Rings.PackedEvent : Rings.SplitEvent, Ways.MsiX));
        Assert.Contains(lines, line => line.Contains(" bad 0 "));
        string name = $"fake-hostile-{(packed ? "packed-" : "")}{id.ToLowerInvariant()}";
        Check(lines, name, $"Hostile case {id}: {fault.Story}. The driver resets the device and repeats.");
    }

    /// <summary>Plays a hostile case to its end and answers with the trace.</summary>
    internal static List<string> Play(HostileCase fault, Place place)
    {
        using TraceRecording recording = new();
        using HostileScene scene = new(place);
        scene.Arrange(fault);
        if (scene.Attach() is { IsBound: true })
        {
            DiskWork.Do(fault, fault.ExpectedAt(place), scene, MayRecover(fault, place));
        }
        scene.Machine.Violations.AssertEmpty();
        return recording.Lines;
    }

    /// <summary>True when the driver may begin anew with the device.</summary>
    internal static bool MayRecover(HostileCase fault, Place place) =>
        fault.ExpectedAt(place) is Outcome.Breaks or Outcome.TimesOut && !fault.IsGone;

    private static void Check(TraceRecording recording, string name, string story)
    {
        Replay replay = RecordedTraces.CheckWords(recording.Lines, name, story);
        Assert.Equal((0, 0, 0), (replay.LeftOut, replay.Added, replay.Raced));
    }

    private static void Check(List<string> lines, string name, string story)
    {
        Replay replay = RecordedTraces.Check(lines, name, story);
        Assert.Equal((0, 0, 0), (replay.LeftOut, replay.Added, replay.Raced));
    }
}
