// What is recorded on the fake machine can be replayed at once, line by line.
using System.Diagnostics;
using System.IO;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Backends;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Traces;

public sealed class RoundTripTests
{
    private const ulong Chosen = VirtioFeature.IndirectDescriptors | VirtioFeature.EventIndex | VirtioFeature.RingPacked | VirtioFeature.InOrder |
        VirtioFeature.NotificationData;

    /// <summary>How a device is reached.</summary>
    public enum Bus
    {
        MsiX,
        OneVector,
        Pin,
        Legacy,
        LegacyPin,
        Mmio,
        LegacyMmio,
    }

    public static TheoryData<Bus, QueueFeatures> Everything
    {
        get
        {
            TheoryData<Bus, QueueFeatures> data = [];
            for (int features = 0; features < 32; features++)
            {
                data.Add(Bus.MsiX, (QueueFeatures)features);
            }
            foreach (Bus bus in Enum.GetValues<Bus>().Where(bus => bus != Bus.MsiX))
            {
                data.Add(bus, QueueFeatures.EventIndex | QueueFeatures.Indirect);
                data.Add(bus, QueueFeatures.Split);
                if (bus is not (Bus.Legacy or Bus.LegacyPin or Bus.LegacyMmio))
                {
                    data.Add(bus, QueueFeatures.Packed | QueueFeatures.EventIndex);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Everything))]
    public void A_trace_of_a_disk_is_replayed_line_by_line(Bus bus, QueueFeatures features)
    {
        using TraceRecording recording = new();
        using (FakeBlockBackend backend = new(new BlockSetup(), (machine, device) => Attach<BlockDevice>(machine, device, bus), device => Offer(device, features)))
        {
            Scenarios.UseDisk(backend);
        }
        ReplayStrictly(recording.Lines);
    }

    [Theory]
    [MemberData(nameof(Everything))]
    public void A_trace_of_a_console_is_replayed_line_by_line(Bus bus, QueueFeatures features)
    {
        using TraceRecording recording = new();
        using (FakeConsoleBackend backend = new((machine, device) =>
        {
            Offer(device, features);
            return Attach<ConsoleDevice>(machine, device, bus);
        }))
        {
            Scenarios.UseConsole(backend);
        }
        ReplayStrictly(recording.Lines);
    }

    [Theory]
    [InlineData(QueueFeatures.Split)]
    [InlineData(QueueFeatures.Packed | QueueFeatures.EventIndex)]
    public void A_trace_of_a_console_with_several_ports_is_replayed_line_by_line(QueueFeatures features)
    {
        using TraceRecording recording = new();
        using (FakeConsoleBackend backend = new(arrange: device => Offer(device, features), ports: 3))
        {
            Scenarios.UseConsole(backend);
        }
        ReplayStrictly(recording.Lines);
    }

    [Theory]
    [InlineData(QueueFeatures.Split)]
    [InlineData(QueueFeatures.Packed | QueueFeatures.EventIndex)]
    public void A_trace_of_a_source_of_random_bytes_is_replayed_line_by_line(QueueFeatures features)
    {
        using TraceRecording recording = new();
        using FakeMachine machine = new();
        FakeEntropyDevice device = new();
        byte[] bytes = new byte[96];
        new Random(1).NextBytes(bytes);
        device.Give(bytes);
        Offer(device, features);
        machine.Plug(device);
        EntropySource source = FakeBinding.AttachOne<EntropySource>(machine);
        for (int i = 1; i <= 3; i++)
        {
            Asked asked = new();
            asked.Prepare(new byte[64], 0, 16 * i);
            Assert.Equal(IoStatus.Ok, source.Submit(asked));
            Waiting.Until(source, machine.Clock, () => asked.Status == IoStatus.Ok, "random bytes");
        }
        source.Remove();
        ReplayStrictly(recording.Lines);
    }

    [Fact]
    public void The_tool_finds_the_lines_of_a_device_in_a_log()
    {
        string log = Path.GetTempFileName();
        File.WriteAllText(log, "a boot\r\n@d0 0 1 trace 1 pci type 2\r\n> @d1 0 2 trace 1 pci type 3\r\nnot @d0 this\r\n@d0 1 3 enable = yes ; PCI\r\n");
        using Process tool = Process.Start(new ProcessStartInfo(Path.Combine(Architecture.SourceTree.Root, "tools", "trace-from-log"), [log, "d0"])
        {
            RedirectStandardOutput = true,
        })!;
        string found = tool.StandardOutput.ReadToEnd();
        tool.WaitForExit();
        File.Delete(log);
        Assert.Equal("@d0 0 1 trace 1 pci type 2\n@d0 1 3 enable = yes ; PCI\n", found);
        Assert.Equal(["d0", "d1"], TraceFile.Devices(["@d0 0 1 trace", "> @d1 0 2 trace", "not @d0 this"]));
    }

    /// <summary>Replays what this driver did just before: nothing may be missing, nothing added, and nobody was too fast.</summary>
    internal static Replay ReplayStrictly(List<string> lines)
    {
        Replay replay = Replay.Of(TraceFile.Read(lines, "d0"));
        Assert.True(replay.Compared > 20);
        Assert.Equal((0, 0, 0), (replay.LeftOut, replay.Added, replay.Raced));
        return replay;
    }

    private sealed class Asked : EntropyRequest
    {
        protected override void OnCompleted()
        {
        }
    }

    internal static void Offer(FakeVirtioDevice device, QueueFeatures features) =>
        device.OfferedFeatures = device.OfferedFeatures & ~Chosen | features.Bits();

    private static T Attach<T>(FakeMachine machine, FakeVirtioDevice device, Bus bus)
        where T : Device
    {
        switch (bus)
        {
            case Bus.Mmio or Bus.LegacyMmio:
                return FakeBinding.AttachMmio<T>(machine, device, bus == Bus.Mmio ? 2u : 1u);
            case Bus.Legacy or Bus.LegacyPin:
                machine.Plug(new FakeLegacyPciDevice(device, bus == Bus.Legacy ? (ushort)4 : (ushort)0), 0, 3);
                break;
            default:
                machine.Plug(new FakeVirtioPciDevice(device, bus == Bus.MsiX ? (ushort)4 : bus == Bus.OneVector ? (ushort)1 : (ushort)0), 0, 3);
                break;
        }
        return FakeBinding.AttachOne<T>(machine);
    }
}
