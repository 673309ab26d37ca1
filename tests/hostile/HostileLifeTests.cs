// Faults that take a story: completions at the wrong time, late and twice, and resets that follow each other, over every transport.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>U, I and R: what is no single deviation of a register or a ring. Each request ends once, and none of them well with wrong data.</summary>
public sealed class HostileLifeTests
{
    /// <summary>Each transport with each ring, with each way to interrupt, and without an IOMMU.</summary>
    public static TheoryData<string> Everywhere => Place.Everywhere;

    /// <summary>Where memory is lent.</summary>
    public static TheoryData<string> WhereMemoryIsLent => Place.Where(place => place.Memory == Memories.Lent);

    /// <summary>Where it is not.</summary>
    public static TheoryData<string> WithoutLending => Place.Where(place => place.Memory == Memories.Bare);

    /// <summary>Packed rings on each transport; of split ones, which take 65536 requests to go round, one of each layout.</summary>
    public static TheoryData<string> EachRing => Place.Where(place => place is { HasUsualWay: true, Memory: Memories.Lent } && (place.IsPacked ||
        place is { Machine: Machines.ModernPci or Machines.LegacyPci, HasEvent: true } or { Machine: Machines.LegacyMmio, HasEvent: false }));

    /// <summary>The same with EVENT_IDX, where one doorbell and one interrupt for each batch can be counted.</summary>
    public static TheoryData<string> WithEventIndex => Place.Where(place =>
        place is { HasUsualWay: true, HasEvent: true, Memory: Memories.Lent } && (place.IsPacked || place.Machine == Machines.Mmio));

    [Theory]
    [MemberData(nameof(EachRing))]
    public void U09_indices_that_go_round_lose_nothing(string place)
    {
        using DiskStory story = new(place);
        GoRound(story, 60);
    }

    /// <summary>Exactly one doorbell and one signal for each batch, also where the index of the event goes round.</summary>
    [Theory]
    [MemberData(nameof(WithEventIndex))]
    [Trait("Requirement", "SPLIT-AVAILNOTIF-3")]
    public void U22_doorbells_and_signals_are_as_many_when_the_event_index_goes_round(string place)
    {
        using DiskStory story = new(place);
        int batches = GoRound(story, 20);
        Assert.Equal(batches, story.Queue.Notifications);
        Assert.InRange(story.Queue.Signals, batches, batches + 1);
        Assert.Equal(0, story.Queue.UnwantedNotifications);
        Assert.Equal(0ul, story.Disk.LostDoorbells); // none of them came late
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void U24_a_request_that_is_used_before_the_device_was_told_of_it_ends_once_and_not_well(string place)
    {
        using DiskStory story = new(place);
        story.Device.IsTamperingAllowed = true;
        story.Disk.RequestTimeout = 100 * Story.Millisecond;
        TestRequest request = story.Read(0);
        story.Queue.PushUsed(0, 513); // the first buffer of a new ring has the id 0 in both formats
        story.Disk.Poll();
        Assert.True(story.Disk.Recoveries == 1 || request.Status == IoStatus.DeviceError, "the answer was believed");
        TestRequest second = story.Read(1);
        story.Finish(request, second);
        story.EndedOnceAndNotWrong(request, second);
        story.Works();
    }

    [Theory]
    [MemberData(nameof(WhereMemoryIsLent))]
    public void U19_indirect_tables_that_the_device_rewrites_are_not_read_again(string place)
    {
        using DiskStory story = new(place);
        story.Device.IsTamperingAllowed = true;
        TestRequest[] requests = story.ReadHeld(0, 25);
        FakePiece[] tables = [.. story.Queue.Ring.HeldTables];
        Assert.NotEmpty(tables);
        foreach (FakePiece table in tables)
        {
            story.Machine.FakeDma.Raw(table.Address, (int)table.Length).Fill(0xFF);
        }
        story.Device.HoldsBack = false;
        story.Device.CompleteAll();
        story.Finish(requests);
        story.EndedWell(requests);
        story.Works();
    }

    /// <summary>Without an IOMMU the driver keeps descriptors from request to request; what a device made of them ends with its next reset.</summary>
    [Theory]
    [MemberData(nameof(WithoutLending))]
    public void U17_descriptors_that_the_driver_keeps_and_the_device_rewrote_are_written_anew_after_a_reset(string place)
    {
        using DiskStory story = new(place);
        TestRequest[] requests = story.ReadHeld(0, 25);
        foreach (FakePiece table in story.Queue.Ring.HeldTables)
        {
            story.Machine.FakeDma.Raw(table.Address, (int)table.Length).Fill(0xFF);
        }
        story.Machine.FakeDma.Raw(story.Queue.DescriptorArea, 16 * story.Queue.Size).Fill(0xFF);
        story.AskForReset();
        story.Device.HoldsBack = false;
        story.Finish(requests);
        story.EndedWell(requests);
        for (int round = 0; round < 3; round++)
        {
            requests = story.Read(0, 60);
            story.Finish(requests);
            story.EndedWell(requests);
        }
    }

    [Theory]
    [MemberData(nameof(WhereMemoryIsLent))]
    public void U26_what_a_device_writes_after_its_reset_reaches_nobody(string place)
    {
        using DiskStory story = new(place);
        TestRequest request = story.ReadHeld(0, 1)[0];
        FakePiece data = story.Device.HeldBack[0].Writable[0];
        story.Disk.Remove();
        Assert.Equal((IoStatus.Removed, 1), (request.Status, request.Completions));
        Assert.False(story.Machine.FakeDma.TryDeviceWrite(data.Address, new byte[512]));
        Assert.Equal(1, story.Machine.FakeDma.BlockedAccesses);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void U28_an_answer_to_a_request_that_timed_out_is_nobodys(string place)
    {
        using DiskStory story = new(place);
        story.Device.IsTamperingAllowed = true;
        story.Disk.RequestTimeout = 100 * Story.Millisecond;
        TestRequest request = story.ReadHeld(0, 1)[0];
        ushort head = story.Device.HeldBack[0].Head;
        story.Finish(request);
        Assert.Equal((IoStatus.TimedOut, 1ul), (request.Status, story.Disk.Recoveries));
        story.Device.HoldsBack = false;
        story.Queue.PushUsed(head, 513);
        story.Queue.Signal();
        story.Disk.Poll();
        TestRequest next = story.Read(1);
        story.Finish(next);
        Assert.Equal(1, request.Completions);
        story.EndedOnceAndNotWrong(next);
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void I13_interrupts_and_new_work_in_the_middle_of_a_drain_lose_nothing_and_end_nothing_twice(string place)
    {
        const int Rounds = 5;
        using DiskStory story = new(place);
        int completions = 0;
        TestRequest[] requests = new TestRequest[100];
        for (int i = 0; i < requests.Length; i++)
        {
            requests[i] = new TestRequest
            {
                Then = ended =>
                {
                    // The device goes on and interrupts while the driver is taking what it used before.
                    completions++;
                    story.Disk.Kick();
                    story.Machine.Run();
                    story.Scene.Interrupt();
                    if (ended.Completions < Rounds)
                    {
                        Assert.Equal(IoStatus.Ok, story.Disk.Submit(ended));
                    }
                },
            };
            requests[i].Prepare(BlockOperation.Read, (ulong)i, story.Allocate(512));
            Assert.Equal(IoStatus.Ok, story.Disk.Submit(requests[i]));
        }
        story.Disk.Kick();
        story.Until(() => completions == Rounds * requests.Length, "all rounds");
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, Rounds), (request.Status, request.Completions)));
        story.Disk.Poll();
        Assert.Equal(Rounds * requests.Length, completions);
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R04_a_reset_with_requests_in_flight_and_an_answer_that_comes_too_late(string place)
    {
        using DiskStory story = new(place);
        TestRequest[] requests = story.ReadHeld(0, 8);
        ushort[] heads = [.. story.Device.HeldBack.Select(chain => chain.Head)];
        story.AskForReset();
        // The device has forgotten them, and answers nevertheless; one of them is with it again.
        foreach (ushort head in heads)
        {
            story.Queue.PushUsed(head, 513);
        }
        story.Device.HoldsBack = false;
        story.Finish(requests);
        story.EndedOnceAndNotWrong(requests);
        Assert.Contains(requests, request => request.Status == IoStatus.Ok);
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R05_a_device_that_asks_for_a_reset_again_before_it_did_anything_is_reset_again(string place)
    {
        using DiskStory story = new(place);
        TestRequest[] requests = story.ReadHeld(0, 2);
        story.AskForReset();
        story.Machine.Run();
        story.AskForReset();
        story.Device.HoldsBack = false;
        story.Finish(requests);
        story.EndedOnceAndNotWrong(requests);
        // The one that was with the device both times, alone, is not given to it a third time.
        Assert.Equal((2ul, IoStatus.DeviceError, IoStatus.Ok), (story.Disk.Recoveries, requests[0].Status, requests[1].Status));
        story.Works();
        story.Disk.Remove();
        story.Disk.Remove();
        Assert.All(requests, request => Assert.Equal(1, request.Completions));
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R05_a_device_that_asks_for_a_reset_in_the_middle_of_one_is_given_up(string place)
    {
        using DiskStory story = new(place);
        TestRequest[] requests = story.ReadHeld(0, 2);
        story.Device.HoldsBack = false;
        story.Device.OnReadStatus = status => story.Device.Resets > 1 && (status & DeviceStatus.FeaturesOk) != 0 ? (byte)(status | 64) : status;
        story.Device.AskForReset();
        story.Finish(requests);
        story.EndedOnceAndNotWrong(requests);
        if (story.Scene.Place.IsLegacy)
        {
            story.EndedWell(requests); // there is no FEATURES_OK, and nothing in the middle
            return;
        }
        Assert.All(requests, request => Assert.Equal(IoStatus.DeviceError, request.Status));
        Assert.Equal(IoStatus.DeviceError, story.Disk.Submit(TestRequest.For(BlockOperation.Read, 0, story.Allocate(512))));
        Assert.Equal(0, story.Machine.HandlerCount);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void R06_a_device_that_needs_a_reset_gets_it_and_works(string place)
    {
        using DiskStory story = new(place);
        TestRequest request = story.ReadHeld(0, 1)[0];
        story.AskForReset();
        story.Device.HoldsBack = false;
        story.Finish(request);
        story.EndedWell(request);
        Assert.Equal(1ul, story.Disk.Recoveries);
        story.Works();
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R07_resets_with_work_done_in_between_are_borne_a_hundred_times_and_four_without_are_not(string place)
    {
        using DiskStory story = new(place);
        Assert.Equal(0ul, story.Disk.Recoveries);
        for (int i = 0; i < 100; i++)
        {
            TestRequest request = story.ReadHeld((ulong)i, 1)[0];
            story.AskForReset();
            story.Device.HoldsBack = false;
            story.Finish(request);
            story.EndedWell(request);
        }
        Assert.Equal(100ul, story.Disk.Recoveries);
        TestRequest[] lost = new TestRequest[4];
        story.Device.HoldsBack = true;
        for (int i = 0; i < lost.Length; i++)
        {
            lost[i] = story.Read((ulong)i);
            story.Disk.Kick();
            story.Machine.Run();
            story.Device.AskForReset();
            story.Until(() => story.Disk.Recoveries == 101 + (ulong)i || lost[i].Completions > 0, "the reset");
        }
        Assert.Equal(103ul, story.Disk.Recoveries);
        Assert.All(lost, request => Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions)));
        Assert.Equal(IoStatus.DeviceError, story.Disk.Submit(TestRequest.For(BlockOperation.Read, 0, story.Allocate(512))));
        Assert.Equal(0, story.Machine.HandlerCount);
    }

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void U30_an_answer_in_one_queue_to_what_is_in_another_breaks_it_and_ends_nothing_twice(string place)
    {
        using DiskStory story = new(place, queues: 2);
        TestRequest first = story.ReadHeld(3, 1)[0];
        FakeVirtqueue other = story.Device.Queues[story.Queue.Held == 1 ? 1 : 0];
        Assert.Equal(0, other.Held);
        other.PushUsed(story.Device.HeldBack[0].Head, 513);
        story.Disk.Poll();
        Assert.Equal((1ul, 0), (story.Disk.Recoveries, first.Completions));
        story.Device.HoldsBack = false;
        story.Finish(first);
        story.EndedWell(first);
        story.Works();
    }

    /// <summary>Reads until every index of the ring has gone round: at 65536 in a split ring, at its size in a packed one.</summary>
    private static int GoRound(DiskStory story, int batchSize)
    {
        int batches = (story.Scene.Place.IsPacked ? 40 * story.Device.Queues[0].MaxSize : 65536 + 3000) / batchSize;
        int sectors = story.Device.Disk.Length / 512;
        TestRequest[] requests = new TestRequest[batchSize];
        DmaBuffer buffer = story.Allocate((uint)batchSize * 512);
        for (int batch = 0; batch < batches; batch++)
        {
            buffer.Span.Clear();
            bool isWell = true;
            for (int i = 0; i < batchSize; i++)
            {
                requests[i] = TestRequest.For(BlockOperation.Read, (ulong)((batch + i) % sectors), buffer.Slice((uint)i * 512, 512));
                isWell &= story.Disk.Submit(requests[i]) == IoStatus.Ok;
            }
            story.Finish(requests);
            for (int i = 0; i < batchSize; i++)
            {
                isWell &= requests[i] is { Status: IoStatus.Ok, Completions: 1 } &&
                    requests[i].Buffers[0].Span.SequenceEqual(story.Device.Disk.AsSpan((int)requests[i].Sector * 512, 512));
            }
            Assert.True(isWell, $"a request of batch {batch} was not taken, or did not end once and well");
        }
        return batches;
    }
}
