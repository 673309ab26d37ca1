// Faults in control messages that take a story, over every transport: talk without an end, no memory, and any bytes at all.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>S: virtio-console, MULTIPORT. After each fault the port that was there still works.</summary>
public sealed class HostilePortTests
{
    private const ushort Add = 1;
    private const ushort Remove = 2;
    private const ushort Ready = 3;
    private const ushort None = 8;
    private const int Most = 100_000;

    /// <summary>Each transport with each ring, with each way to interrupt, and without an IOMMU.</summary>
    public static TheoryData<string> Everywhere => Place.Everywhere;

    /// <summary>Where memory is lent.</summary>
    public static TheoryData<string> WhereMemoryIsLent => Place.Where(place => place.Memory == Memories.Lent);

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void S12_thousands_of_messages_are_all_read_and_the_port_works(string place)
    {
        const int Count = 3000;
        using ConsoleStory story = new(place, hasPorts: true);
        story.Settle();
        for (int i = 0; i < Count; i++)
        {
            story.Device.Say(1, None, 0);
        }
        story.Settle();
        Assert.Equal((0, (ulong)Count), (story.Device.MessagesLeft, story.Console.IgnoredMessages));
        story.Works();
    }

    /// <summary>The device goes on while its messages are read: it would never be done.</summary>
    [Theory]
    [MemberData(nameof(WhereMemoryIsLent))]
    public void S12_a_device_that_never_ceases_to_talk_leaves_others_their_turn(string place)
    {
        using ConsoleStory story = new(place, hasPorts: true);
        story.Settle();
        story.Device.Queues[2].IsPolled = true; // it takes at once what it is lent
        int said = 0;
        story.Machine.FakeDma.AfterUnshare = () =>
        {
            if (said++ < Most)
            {
                story.Device.Say(1, None, 0);
                story.Machine.Run();
            }
        };
        story.Device.Say(1, None, 0);
        story.Machine.Run();
        story.Console.Poll();
        story.Machine.FakeDma.AfterUnshare = null;
        Assert.InRange(said, 2, Most / 10);
        story.Works();
    }

    /// <summary>A port comes, is opened, sends, receives, and goes, many times: nothing is left of the ones before, and no memory is used for each.</summary>
    [Theory]
    [MemberData(nameof(Everywhere))]
    public void S11_a_port_that_comes_and_goes_with_bytes_on_their_way_leaves_nothing_behind(string place)
    {
        using ConsoleStory story = new(place, hasPorts: true);
        story.Settle();
        int allocations = 0;
        for (int i = 0; i < 20; i++)
        {
            story.Device.Plug(2, $"guest {i}");
            story.Settle();
            Assert.Equal(2, story.Console.PortCount);
            ConsolePort port = story.Console.Port(1);
            port.Open();
            story.Device.Ports[2].TransmitCredit = 0;
            Assert.Equal(7u, port.Write("for one"u8));
            story.Device.Type("for nobody"u8, 2);
            story.Machine.Run();
            Assert.Equal(0u, port.Read([]));
            story.Device.Unplug(2);
            story.Device.Ports[2].Input.Clear();
            story.Settle();
            Assert.Equal((1, true, 0u), (story.Console.PortCount, port.IsFailed, port.Write("x"u8)));
            allocations = i == 0 ? story.Machine.FakeDma.AllocationCount : allocations;
        }
        Assert.Equal((allocations, 0ul), (story.Machine.FakeDma.AllocationCount, story.Console.Recoveries));
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R09_without_memory_at_any_allocation_nothing_leaks_and_the_port_is_refused(string place)
    {
        int steps = 0;
        for (bool works = false; !works && steps < 100; steps++)
        {
            using HostileScene scene = new(Place.Named(place), Subject.Ports);
            scene.Machine.FakeDma.FailAllocation(steps + 1);
            ProbeResult? result = scene.Attach();
            Assert.True(scene.InService is not null || result?.Status == ProbeStatus.Failed);
            if (scene.InService is VirtioConsole console)
            {
                ConsoleWork.Settle(scene);
                works = console.PortCount == 1;
                Assert.True(works || scene.Console.Messages.Contains((1, Ready, 0)));
                console.Remove();
            }
            scene.Machine.Violations.AssertEmpty();
            scene.Machine.AssertNothingLeaked();
        }
        Assert.InRange(steps, 5, 99);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void Random_messages_do_no_harm(string place)
    {
        for (int seed = 0; seed < 4; seed++)
        {
            using ConsoleStory story = new(place, hasPorts: true);
            Random random = new(seed);
            story.Settle();
            story.Device.IsTamperingAllowed = true; // it announces and removes what it likes
            for (int round = 0; round < 64; round++)
            {
                byte[] message = new byte[random.Next(0, 300)];
                random.NextBytes(message);
                if (message.Length >= 8 && random.Next(4) != 0)
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)random.Next(0, 5));
                    BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), (ushort)random.Next(0, 10));
                }
                story.Device.SayRaw(message);
                if (round % 16 == 15)
                {
                    story.Settle();
                }
            }
            Assert.InRange(story.Console.PortCount, 0, 4);
            Assert.Equal((false, 0ul), (story.Console.IsFailed, story.Console.Recoveries));
            // Whatever became of the first port, it can be taken away and come again.
            story.Device.Say(1, Remove, 0);
            story.Device.Say(1, Add, 0);
            story.Settle();
            ConsolePort[] ports = [.. Enumerable.Range(0, story.Console.PortCount).Select(story.Console.Port)];
            ConsolePort port = Assert.Single(ports, each => each.Number == 1);
            port.Open();
            story.Device.SetHostOpen(1, true);
            story.Settle();
            int before = story.Device.Ports[1].Output.Count;
            Assert.Equal(5u, port.Write("works"u8));
            story.Settle();
            Assert.Equal("works"u8.ToArray(), story.Device.Ports[1].Output.Skip(before));
        }
    }

    /// <summary>A used id that was never given, in each queue of ports and of control messages, by a console that may not be reset.</summary>
    [Theory]
    [MemberData(nameof(Everywhere))]
    public void U04_a_broken_queue_of_any_kind_fails_every_port(string place)
    {
        for (int queue = 2; queue < 6; queue++)
        {
            using ConsoleStory story = new(place, hasPorts: true);
            story.Console.MaxRecoveries = 0;
            FakeVirtqueue broken = story.Device.Queues[queue];
            broken.PushUsed(60_000, 1);
            story.Console.Poll();
            story.IsGivenUp();
        }
    }
}
