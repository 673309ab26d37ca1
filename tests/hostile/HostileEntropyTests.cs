// Faults against the entropy driver, over every transport: a device that lies about how much is random, breaks, or says nothing.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Entropy;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Nothing that the device did not write is ever given out as random, and every request ends once.</summary>
public sealed class HostileEntropyTests
{
    /// <summary>Each transport with each ring, with each way to interrupt, and without an IOMMU.</summary>
    public static TheoryData<string> Everywhere => Place.Everywhere;

    /// <summary>With how many bytes at a time the device is content.</summary>
    public static TheoryData<string, uint> Portions => Place.EverywhereWith(1, 3);

    /// <summary>With lengths beyond the buffer.</summary>
    public static TheoryData<string, uint> Lengths => Place.EverywhereWith(65, uint.MaxValue);

    /// <summary>With how many bytes of 64 are really written.</summary>
    public static TheoryData<string, uint> Written => Place.EverywhereWith(0, 8, 13, 40);

    /// <summary>With ids that no buffer has; 16 bits are all that a packed ring can hold.</summary>
    public static TheoryData<string, uint> Ids => Place.EverywhereWith(8, 0x10008, uint.MaxValue);

    /// <summary>Where a card can be pulled.</summary>
    public static TheoryData<string> OverPci => Place.Where(place => Machines.Pci.HasFlag(place.Machine));

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void Some_empty_answers_are_borne(string place)
    {
        using EntropyStory story = new(place);
        story.Device.EmptyAnswers = 8;
        story.Works();
        Assert.Equal(8ul, story.Source.EmptyAnswers);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void Empty_answers_without_end_end_the_request_and_not_the_device(string place)
    {
        using EntropyStory story = new(place);
        story.Device.EmptyAnswers = int.MaxValue;
        TestEntropyRequest request = story.Submit(16);
        story.Finish(request, IoStatus.DeviceError);
        Assert.Equal((9, 0), (story.Device.Answers, request.Received));
        story.Device.EmptyAnswers = 0;
        story.Works();
        Assert.Equal(0ul, story.Source.Recoveries);
    }

    [Theory]
    [MemberData(nameof(Portions))]
    public void A_few_bytes_at_a_time_are_enough(string place, uint most)
    {
        using EntropyStory story = new(place);
        story.Device.MostAtOnce = (int)most;
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Lengths))]
    [Trait("Requirement", "RNG-2")]
    [Trait("Requirement", "SPLIT-USED-1")]
    public void A_length_beyond_the_buffer_gives_no_more_than_the_buffer(string place, uint claimed)
    {
        using EntropyStory story = new(place);
        story.Device.OnAnswer = _ => claimed;
        byte[] given = EntropyScene.Bytes(64);
        story.Device.Give(given);
        TestEntropyRequest request = story.Submit(64);
        story.Finish(request);
        Assert.Equal(given, request.Bytes);
        story.Device.OnAnswer = null;
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Written))]
    [Trait("Requirement", "RNG-2")]
    public void Bytes_that_were_claimed_and_not_written_are_asked_for_again(string place, uint written)
    {
        using EntropyStory story = new(place);
        story.Device.OnWrite = length => Math.Min(length, (int)written);
        story.Device.Give(EntropyScene.Bytes(64));
        TestEntropyRequest request = story.Submit(64);
        story.Until(() => story.Source.UnwrittenAnswers == 1, "the lie to be noticed");
        int kept = request.Received;
        Assert.InRange(kept, 0, (int)written);
        story.Device.OnWrite = null;
        story.Device.Give(EntropyScene.Bytes(64, seed: 2));
        story.Finish(request);
        Assert.Equal(EntropyScene.Bytes(64)[..kept].Concat(EntropyScene.Bytes(64, seed: 2)[..(64 - kept)]), request.Bytes);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void Bytes_of_an_earlier_request_are_never_given_out_again(string place)
    {
        using EntropyStory story = new(place);
        story.Device.Give(EntropyScene.Bytes(512));
        story.Finish(story.Submit(512));
        story.Device.OnWrite = _ => 0;
        story.Device.Give(EntropyScene.Bytes(10_000, seed: 3));
        TestEntropyRequest request = story.Submit(512);
        story.Finish(request, IoStatus.DeviceError);
        Assert.Equal(0, request.Received);
        Assert.Equal(9ul, story.Source.UnwrittenAnswers);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void A_device_that_never_answers_is_reset_at_each_deadline_and_may_still_come_to_it(string place)
    {
        using EntropyStory story = new(place);
        story.Source.RequestTimeout = 50 * Story.Millisecond;
        for (int i = 0; i < 10; i++)
        {
            ulong before = story.Machine.Clock.Now;
            story.Finish(story.Submit(16), IoStatus.TimedOut);
            Assert.InRange(story.Machine.Clock.Now - before, 50 * Story.Millisecond, 80 * Story.Millisecond);
        }
        Assert.Equal(10ul, story.Source.Recoveries);
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Ids))]
    public void A_used_id_that_was_never_given_is_answered_by_a_reset_and_nothing_is_taken_from_it(string place, uint id)
    {
        using EntropyStory story = new(place);
        story.Source.RequestTimeout = 60_000 * Story.Millisecond;
        TestEntropyRequest request = story.Submit(16);
        story.Machine.Run();
        story.Queue.PushUsed(id, 16);
        story.Source.Poll();
        Assert.Equal((1ul, 0), (story.Source.Recoveries, request.Received));
        story.Device.Give(EntropyScene.Bytes(16));
        story.Finish(request);
        Assert.Equal(EntropyScene.Bytes(16), request.Bytes);
    }

    /// <summary>Seeded nonsense. A failure names its seed, and the same seed fails again.</summary>
    [Fact]
    public void Whatever_a_device_answers_each_request_ends_once_and_nothing_unwritten_is_given_out()
    {
        string[] places = [.. Place.Everywhere];
        ulong received = 0;
        for (int seed = 0; seed < 600; seed++)
        {
            Random random = new(seed);
            using EntropyStory story = new(places[seed % places.Length]);
            story.Device.IsTamperingAllowed = true;
            story.Source.RequestTimeout = 200 * Story.Millisecond;
            story.Device.OnAnswer = length => random.Next(4) switch { 0 => length, 1 => 0, 2 => uint.MaxValue, _ => (uint)random.Next(1024) };
            story.Device.OnWrite = length => random.Next(3) == 0 ? random.Next(length + 1) & ~7 : length;
            TestEntropyRequest[] requests = [.. Enumerable.Range(0, 12).Select(_ => story.Submit(8 * random.Next(1, 150)))];
            for (int step = 0; step < 40; step++)
            {
                TakeStep(story, random, seed * 100 + step);
            }
            story.Source.Remove();
            Assert.True(requests.All(request => request.Completions == 1 && request.KeptToItsRoom), $"seed {seed}");
            // What was lent twice unwritten would show as the same eight bytes again.
            byte[][] words = [.. requests.SelectMany(request => request.Bytes.Chunk(8)).Where(word => word.Length == 8)];
            Assert.True(words.Select(word => BitConverter.ToUInt64(word)).Distinct().Count() == words.Length, $"seed {seed}: the same bytes were given out twice");
            received += (ulong)words.Length;
        }
        Assert.True(received > 1000, "hardly anything was ever received: the test proves little");
    }

    [Theory]
    [MemberData(nameof(OverPci))]
    public void A_source_that_is_pulled_ends_every_request_once(string place)
    {
        using EntropyStory story = new(place);
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => story.Submit(16))];
        story.Machine.Run();
        story.Scene.Pull();
        story.Until(() => requests.All(request => request.Completions == 1), "the end of the requests");
        Assert.All(requests, request => Assert.Equal(IoStatus.DeviceError, request.Status));
        Assert.Equal(IoStatus.DeviceError, story.Source.Submit(new TestEntropyRequest(1)));
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void A_source_without_its_queue_is_refused(string place)
    {
        using HostileScene scene = new(Place.Named(place), Subject.Entropy);
        scene.Queue.Size = scene.Queue.MaxSize = 0;
        ProbeResult? result = scene.Attach();
        Assert.Null(scene.InService);
        Assert.Contains("lacks a queue", result!.Value.Reason);
        Assert.True(scene.Device.WasGivenUp);
        scene.Machine.AssertNothingLeaked();
    }

    private static void TakeStep(EntropyStory story, Random random, int seed)
    {
        switch (random.Next(6))
        {
            case 0 when story.Queue.DeviceArea != 0:
                story.Queue.PushUsed((uint)random.Next(8, 1000), (uint)random.Next(600));
                story.Source.Poll();
                break;
            case 1:
                story.Device.AskForReset();
                break;
            default:
                story.Device.Give(EntropyScene.Bytes(8 * random.Next(200), seed));
                break;
        }
        story.Machine.Run();
        story.Source.Poll();
        if (story.Source.NextDeadline <= story.Machine.Clock.Now)
        {
            story.Source.OnDeadline(story.Machine.Clock.Now);
        }
    }
}
