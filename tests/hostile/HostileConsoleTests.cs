// Faults against the console driver that take a story, over every transport: late answers, resets that follow each other, a host that never ceases.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Bytes arrive once and in their order, or are said to be in doubt; a console that breaks works again or says that it failed.</summary>
public sealed class HostileConsoleTests
{
    private const int Most = 20_000;

    /// <summary>Each transport with each ring, with each way to interrupt, and without an IOMMU.</summary>
    public static TheoryData<string> Everywhere => Place.Everywhere;

    /// <summary>The same, with the receive queue and the transmit queue.</summary>
    public static TheoryData<string, uint> Queues => Place.EverywhereWith(0, 1);

    /// <summary>Where memory is lent.</summary>
    public static TheoryData<string> WhereMemoryIsLent => Place.Where(place => place.Memory == Memories.Lent);

    /// <summary>Packed rings on each transport; of split ones, which take 65536 buffers to go round, one of each layout.</summary>
    public static TheoryData<string> EachRing => Place.Where(place => place is { HasUsualWay: true, Memory: Memories.Lent } && (place.IsPacked ||
        place is { Machine: Machines.ModernPci, Ring: Rings.SplitInOrder } or { Machine: Machines.LegacyMmio, HasEvent: false }));

    [Theory]
    [MemberData(nameof(Queues))]
    public void U04_a_used_id_that_was_never_given_fails_the_port_and_its_listener_hears(string place, uint queue)
    {
        using ConsoleStory story = new(place);
        story.Console.MaxRecoveries = 0;
        story.Machine.Run();
        Ear ear = new();
        story.Port.Listener = ear;
        story.Device.Queues[(int)queue].PushUsed(60_000, 1);
        story.Console.Poll();
        Assert.True(ear.Calls > 0);
        story.IsGivenUp();
    }

    [Theory]
    [MemberData(nameof(Queues))]
    public void U05_a_buffer_that_is_used_twice_resets_the_console_and_nothing_is_read_or_sent_twice(string place, uint queue)
    {
        using ConsoleStory story = new(place);
        story.WriteHeld("once"u8);
        ushort head = queue == 0 ? story.Device.Ports[0].Receive.Peek().Head : story.Device.Ports[0].Transmit.Peek().Head;
        story.Device.Type("typed"u8);
        story.Device.TransmitCredit = int.MaxValue;
        story.Machine.Run();
        story.Device.Queues[(int)queue].PushUsed(head, 5);
        story.Console.Poll();
        Assert.Equal(1ul, story.Console.Recoveries);
        byte[] into = new byte[100];
        Assert.Equal("typed"u8.ToArray(), into[..(int)story.Port.Read(into)]);
        story.Settle();
        Assert.Equal("once"u8.ToArray(), story.Device.Output);
        Assert.Equal(0u, story.Port.Read(into));
        story.Works();
    }

    [Theory]
    [MemberData(nameof(EachRing))]
    public void U09_indices_that_go_round_lose_no_byte(string place)
    {
        using ConsoleStory story = new(place);
        int rounds = story.Scene.Place.IsPacked ? 40 * story.Queue.MaxSize : 65536 + 300;
        byte[] into = new byte[16];
        bool isWell = true;
        for (int i = 0; i < rounds && isWell; i++)
        {
            byte value = (byte)(i * 7);
            isWell = story.Port.Write([value]) == 1;
            story.Device.Type([(byte)~value]);
            story.Machine.Run();
            story.Console.Poll();
            List<byte> output = story.Device.Ports[0].Output;
            isWell &= output.Count == 1 && output[0] == value && story.Port.Read(into) == 1 && into[0] == (byte)~value;
            output.Clear();
            Assert.True(isWell, $"the bytes of round {i} did not arrive");
        }
        Assert.Equal((0ul, 0ul), (story.Console.Recoveries, story.Console.LostDoorbells));
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void U24_an_answer_for_a_buffer_that_still_waits_in_the_driver_resets_the_console_and_the_buffer_is_sent_then(string place)
    {
        using ConsoleStory story = new(place);
        story.WriteHeld("kept"u8);
        Assert.Equal(6u, story.Port.Write("behind"u8)); // waits: there is one on its way
        story.Device.Queues[1].PushUsed(1, 6); // the second buffer of a new ring has the id 1 in both formats
        story.Console.Poll();
        Assert.Equal((1ul, 4ul), (story.Console.Recoveries, story.Port.BytesInDoubt));
        story.Works();
        Assert.Equal("behindworks"u8.ToArray(), story.Device.Output);
    }

    [Theory]
    [MemberData(nameof(WhereMemoryIsLent))]
    public void U26_what_a_device_writes_after_its_reset_reaches_nobody(string place)
    {
        using ConsoleStory story = new(place);
        story.WriteHeld("x"u8);
        FakePort host = story.Device.Ports[0];
        (ulong received, ulong sent) = (host.Receive.Peek().Writable[0].Address, host.Transmit.Peek().Readable[0].Address);
        story.Console.Remove();
        Assert.False(story.Machine.FakeDma.TryDeviceWrite(received, new byte[16]));
        Assert.False(story.Machine.FakeDma.TryDeviceWrite(sent, new byte[1]));
        Assert.Equal(2, story.Machine.FakeDma.BlockedAccesses);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R04_a_reset_with_bytes_on_their_way_and_an_answer_that_comes_too_late(string place)
    {
        using ConsoleStory story = new(place);
        story.WriteHeld("first"u8);
        ushort head = story.Device.Ports[0].Transmit.Peek().Head;
        story.AskForReset();
        Assert.Equal(5ul, story.Port.BytesInDoubt);
        // The device has forgotten it, and answers nevertheless: nothing is on its way out.
        story.Device.Queues[1].PushUsed(head, 0);
        story.Console.Poll();
        Assert.Equal(2ul, story.Console.Recoveries);
        story.Works();
        Assert.Equal(5ul, story.Port.BytesInDoubt);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R05_a_console_that_asks_for_a_reset_again_before_it_did_anything_is_reset_again(string place)
    {
        using ConsoleStory story = new(place);
        story.WriteHeld("first"u8);
        Assert.Equal(6u, story.Port.Write("second"u8));
        story.AskForReset();
        story.Machine.Run(); // the second is on its way now
        story.AskForReset();
        Assert.Equal((2ul, 11ul), (story.Console.Recoveries, story.Port.BytesInDoubt));
        story.Works();
        Assert.Equal("works"u8.ToArray(), story.Device.Output); // what is in doubt is not sent again
        story.Console.Remove();
        story.Console.Remove();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R05_a_console_that_asks_for_a_reset_in_the_middle_of_one_is_given_up(string place)
    {
        using ConsoleStory story = new(place);
        story.WriteHeld("x"u8);
        story.Device.OnReadStatus = status => story.Device.Resets > 1 && (status & DeviceStatus.FeaturesOk) != 0 ? (byte)(status | 64) : status;
        story.Device.AskForReset();
        story.Until(() => story.Console.Recoveries == 1, "the reset");
        if (story.Scene.Place.IsLegacy)
        {
            story.Works(); // there is no FEATURES_OK, and nothing in the middle
            return;
        }
        story.IsGivenUp();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void R07_resets_with_bytes_in_between_are_borne_a_hundred_times_and_four_without_are_not(string place)
    {
        using ConsoleStory story = new(place);
        for (int i = 0; i < 100; i++)
        {
            story.AskForReset();
            Assert.Equal(1u, story.Port.Write("x"u8));
            story.Until(() => !story.Port.HasUnsent, "the output");
        }
        Assert.Equal((100ul, 100, 0ul), (story.Console.Recoveries, story.Device.Output.Length, story.Port.BytesInDoubt));
        for (int i = 0; i < 4; i++)
        {
            Assert.False(story.Console.IsFailed);
            story.Device.AskForReset();
            story.Until(() => story.Console.Recoveries == 101 + (ulong)i || story.Console.IsFailed, "the reset");
        }
        Assert.Equal(103ul, story.Console.Recoveries);
        story.IsGivenUp();
    }

    /// <summary>The device goes on while its buffers are taken: it would never be done.</summary>
    [Theory]
    [MemberData(nameof(WhereMemoryIsLent))]
    public void S02_empty_buffers_that_come_without_an_end_leave_others_their_turn(string place)
    {
        using ConsoleStory story = new(place);
        story.Settle();
        story.Queue.IsPolled = true; // it takes at once what it is lent
        story.Device.OnReceived = _ => 0;
        int answers = 0;
        story.Machine.FakeDma.AfterUnshare = () =>
        {
            if (answers++ < Most)
            {
                story.Device.Type("x"u8);
                story.Machine.Run();
            }
        };
        story.Device.Type("x"u8);
        story.Machine.Run();
        story.Console.Poll();
        story.Machine.FakeDma.AfterUnshare = null;
        story.Device.OnReceived = null;
        story.Device.Ports[0].Input.Clear();
        Assert.InRange(answers, 2, Most / 10);
        story.Works();
    }

    /// <summary>Seeded nonsense in any ring. A failure names its seed, and the same seed fails again.</summary>
    [Theory]
    [MemberData(nameof(Everywhere))]
    public void Whatever_its_rings_say_a_console_comes_to_an_end_and_can_be_used_again(string place)
    {
        for (int seed = 0; seed < 8; seed++)
        {
            Random random = new(seed);
            using ConsoleStory story = new(place, hasPorts: seed % 2 != 0);
            story.Device.IsTamperingAllowed = true;
            story.Device.AfterReset += () => story.Device.IsHeld = false;
            _ = story.Console;
            for (int step = 0; step < 60 && !story.Console.IsFailed; step++)
            {
                Lie(story, random);
                Assert.True(story.Console.PortCount <= story.Console.MaxPorts, $"seed {seed}");
                for (int i = 0; i < story.Console.PortCount; i++)
                {
                    Assert.True(story.Console.Port(i).Read(new byte[5000]) <= 5000 && story.Console.Port(i).Write("some bytes"u8) <= 10, $"seed {seed}");
                }
            }
            story.Console.Remove();
            Assert.True(story.Machine.HandlerCount == 0, $"seed {seed}");
            story.Scene.Behave();
            story.Device.IsTamperingAllowed = false;
            Array.ForEach(story.Device.Ports, port => port.Input.Clear());
            story.Works();
        }
    }

    private static void Lie(ConsoleStory story, Random random)
    {
        FakeVirtqueue queue = story.Device.Queues[random.Next(story.Device.Queues.Length)];
        switch (random.Next(6))
        {
            case 0 when queue.IsEnabled:
                story.Device.IsHeld = true; // until it is reset: the fake and the driver disagree on the ring now
                queue.PushUsed((uint)random.Next(70), (uint)random.Next(6000));
                break;
            case 1 when queue.IsEnabled && queue.Ring is FakeSplitRing split:
                story.Device.IsHeld = true;
                split.WriteUsedIndex((ushort)(split.UsedIndex + random.Next(-2, 4)));
                break;
            case 1 when queue.IsEnabled:
                story.Device.IsHeld = true;
                queue.Packed.WriteFlags(queue.Packed.UsedOffset, (ushort)random.Next(0x10000));
                break;
            case 2:
                story.Scene.Interrupt((ushort)random.Next(4));
                break;
            case 3 when random.Next(8) == 0:
                story.Device.AskForReset();
                break;
            default:
                story.Device.Type("typed"u8, random.Next(story.Device.Ports.Length));
                story.Machine.Run();
                break;
        }
        story.Console.Poll();
        if (random.Next(4) == 0)
        {
            story.Scene.Pass(20 * Story.Millisecond);
        }
    }

    private sealed class Ear : ConsoleListener
    {
        public int Calls { get; private set; }

        public override void OnReadable() => Calls++;

        public override void OnWritable() => Calls++;
    }
}
