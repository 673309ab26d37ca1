// When a disk is looked at, and when a request has taken too long: to the tick, about a millisecond.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A device that holds back what it gets, and a clock that the test sets. Time is counted in 2^20 ns.</summary>
public sealed class VirtioBlkDeadlineTests() : DiskScene(new FakeBlockDevice(8192, queueSize: 8))
{
    private const ulong Interval = 10_000_000;
    private const ulong LongTime = 30_000_000_000;
    private const uint LongTicks = 28_611;
    private const ulong ShortTime = 50_000_000;
    private const uint ShortTicks = 48;

    private ulong _start;

    [Theory]
    [InlineData(LongTime, LongTicks)]
    [InlineData(ShortTime, ShortTicks)]
    [InlineData(1ul << 20, 2)]
    [InlineData(1, 1)]
    [InlineData(0, 1)]
    [InlineData(ulong.MaxValue, int.MaxValue)]
    public void A_part_is_given_up_at_the_first_look_after_its_time_and_not_before(ulong timeout, uint ticks)
    {
        Begin();
        Disk.RequestTimeout = timeout;
        TestRequest request = Give(BlockOperation.Read, 0, 1);
        Look(ticks - 1);
        Assert.Equal((IoStatus.InFlight, 0ul), (request.Status, Disk.Recoveries));
        Look(ticks);
        Assert.Equal((IoStatus.TimedOut, 1, 1ul), (request.Status, request.Completions, Disk.Recoveries));
    }

    [Theory]
    [InlineData((1ul << 32) - 100, 0u)]
    [InlineData((1ul << 32) - 1, 0u)]
    [InlineData(1ul << 32, 1u)]
    [InlineData((1ul << 32) + 1, 0u)]
    public void Time_goes_round_and_no_request_is_given_up_early_or_forgotten(ulong begin, uint late)
    {
        // No part is issued at tick 0, which means none: one that is belongs to the next.
        Begin(begin);
        TestRequest request = Give(BlockOperation.Read, 0, 1);
        Look(LongTicks + late - 1);
        Assert.Equal(IoStatus.InFlight, request.Status);
        Look(LongTicks + late);
        Assert.Equal(IoStatus.TimedOut, request.Status);
    }

    [Fact]
    public void The_time_of_its_own_is_counted_from_its_submit_and_not_from_that_of_an_older_one()
    {
        Begin();
        TestRequest old = Give(BlockOperation.Read, 0, 1);
        Look(40);
        TestRequest hasty = Give(BlockOperation.Read, 1, 1, ShortTime);
        TestRequest patient = Give(BlockOperation.Read, 2, 1, 10 * ShortTime);
        Look(40 + ShortTicks - 1);
        Assert.Equal((IoStatus.InFlight, 0ul), (hasty.Status, Disk.Recoveries));
        Look(40 + ShortTicks);
        Assert.Equal((IoStatus.TimedOut, 1ul), (hasty.Status, Disk.Recoveries));
        Assert.Equal((IoStatus.InFlight, IoStatus.InFlight), (old.Status, patient.Status));
    }

    [Fact]
    public void Without_a_time_of_its_own_that_of_the_device_holds_and_a_longer_one_of_its_own_does_not_prolong_it()
    {
        Begin();
        Disk.RequestTimeout = ShortTime;
        TestRequest had = new() { Timeout = 1 };
        had.Timeout = 0;
        had.Prepare(BlockOperation.Read, 0, Allocate(512));
        Give(had);
        TestRequest longer = Give(BlockOperation.Read, 1, 1, LongTime);
        Look(ShortTicks - 1);
        Assert.Equal((IoStatus.InFlight, IoStatus.InFlight), (had.Status, longer.Status));
        Look(ShortTicks);
        Assert.Equal((IoStatus.TimedOut, IoStatus.TimedOut), (had.Status, longer.Status));
    }

    [Theory]
    [InlineData(LongTicks, false)]
    [InlineData(LongTicks + 21_000, true)]
    public void The_older_ones_are_gone_and_the_time_of_the_younger_is_still_its_own(uint between, bool isMissed)
    {
        Begin();
        TestRequest old = Give(BlockOperation.Read, 0, 1);
        Look(10_000);
        TestRequest young = Give(BlockOperation.Read, 1, 1);
        Look(20_000);
        Device.Complete(0);
        Look(20_001);
        Assert.Equal(IoStatus.Ok, old.Status);
        // Here the slots are looked at, since the oldest might have been there still; nothing is overdue.
        Look(LongTicks);
        Assert.Equal((IoStatus.InFlight, 0ul), (young.Status, Disk.Recoveries));
        if (!isMissed)
        {
            Look(10_000 + LongTicks - 1);
            Assert.Equal(IoStatus.InFlight, young.Status);
            between = 10_000 + LongTicks;
        }
        Look(between);
        Assert.Equal((IoStatus.TimedOut, 1ul), (young.Status, Disk.Recoveries));
    }

    [Fact]
    public void What_only_waits_ends_past_its_time_without_a_reset_and_what_waits_behind_it_does_not()
    {
        Device.OfferedFeatures &= ~FakeBlockDevice.IndirectDescriptors;
        Begin();
        TestRequest[] held = [Give(BlockOperation.Read, 0, 1), Give(BlockOperation.Read, 1, 1)];
        TestRequest hasty = Give(BlockOperation.Read, 2, 1, ShortTime);
        TestRequest calm = Give(BlockOperation.Read, 3, 1);
        TestRequest second = Give(BlockOperation.Read, 4, 1, ShortTime);
        Look(ShortTicks - 1);
        Assert.Equal((0, 0), (hasty.Completions, second.Completions));
        Look(ShortTicks);
        Assert.Equal((IoStatus.TimedOut, IoStatus.TimedOut, 0ul), (hasty.Status, second.Status, Disk.Recoveries));
        Device.HoldsBack = false;
        Device.CompleteAll();
        Finish([.. held, calm]);
        Assert.All([.. held, calm], request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal(3, Device.Requests);
    }

    [Fact]
    public void What_waits_with_a_part_at_the_device_is_taken_back_before_it_ends()
    {
        Device.OfferedFeatures &= ~FakeBlockDevice.IndirectDescriptors;
        Device.Limit(segMax: 1, sizeMax: 512);
        Begin();
        TestRequest cut = Give(BlockOperation.Read, 0, 20, ShortTime);
        Assert.Equal(2, Device.HeldBack.Count);
        Look(ShortTicks);
        Assert.Equal((IoStatus.TimedOut, 1, 1ul), (cut.Status, cut.Completions, Disk.Recoveries));
        Assert.Empty(Device.HeldBack);
    }

    [Fact]
    public void A_disk_is_looked_at_every_ten_milliseconds_while_something_is_under_way_and_never_at_rest()
    {
        Begin();
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(ulong.MaxValue, Disk.NextDeadline);
            ulong before = Machine.Clock.Now;
            TestRequest request = Give(BlockOperation.Read, 0, 1);
            Assert.InRange(Disk.NextDeadline, before + Interval, Machine.Clock.Now + Interval);
            for (int i = 0; i < 3; i++)
            {
                ulong now = Disk.NextDeadline;
                Disk.OnDeadline(now);
                Assert.Equal(now + Interval, Disk.NextDeadline);
            }
            Device.CompleteAll();
            Disk.Poll();
            Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
            Assert.True(Disk.NextDeadline > Machine.Clock.Now);
            Disk.OnDeadline(Disk.NextDeadline);
        }
        Assert.Equal(ulong.MaxValue, Disk.NextDeadline);
    }

    [Fact]
    public void A_device_that_says_nothing_is_told_once_more_and_then_no_more_until_something_moved()
    {
        Device.Limit(segMax: 1, sizeMax: 512);
        Begin();
        TestRequest whole = Give(BlockOperation.Read, 0, 1);
        TestRequest cut = Give(BlockOperation.Read, 1, 2);
        int told = Device.Queues[0].Notifications;
        for (uint look = 10; look < 60; look += 10)
        {
            Look(look);
            Assert.Equal((1ul, told + 1), (Disk.LostDoorbells, Device.Queues[0].Notifications));
        }
        // A whole request and a part of another: something moved, and the doorbell may be lost anew.
        Device.Complete(0);
        Device.Complete(0);
        Look(60);
        Assert.Equal((IoStatus.Ok, IoStatus.InFlight, 1ul), (whole.Status, cut.Status, Disk.LostDoorbells));
        Look(70);
        Assert.Equal(2ul, Disk.LostDoorbells);
        Look(80);
        Assert.Equal(2ul, Disk.LostDoorbells);
    }

    [Fact]
    public void Only_queues_that_hold_something_are_told_once_more()
    {
        using TwoQueues other = new();
        other.OnlyTheFirstIsToldAgain();
    }

    private sealed class TwoQueues() : DiskScene(new FakeBlockDevice(64, queues: 2))
    {
        public void OnlyTheFirstIsToldAgain()
        {
            Device.HoldsBack = true;
            Submit(BlockOperation.Read, 0, 1);
            Disk.Kick();
            Machine.Run();
            int[] before = [.. Device.Queues.Select(queue => queue.Notifications)];
            Disk.OnDeadline(Machine.Clock.Now);
            Assert.Equal([before[0] + 1, before[1]], Device.Queues.Select(queue => queue.Notifications));
        }
    }

    /// <summary>Sets the clock to the beginning of a tick, far from its end.</summary>
    private void Begin(ulong tick = 0)
    {
        _ = Disk;
        Device.HoldsBack = true;
        ulong now = Machine.Clock.Now;
        _start = Math.Max(tick, (now >> 20) + 1);
        Machine.FakeClock.Advance((_start << 20) - now);
    }

    /// <summary>Submits a request, which the device sees at once.</summary>
    private TestRequest Give(BlockOperation operation, ulong sector, uint sectors, ulong timeout = 0)
    {
        TestRequest request = new() { Timeout = timeout };
        request.Prepare(operation, sector, Allocate(sectors * 512));
        return Give(request);
    }

    private TestRequest Give(TestRequest request)
    {
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        Machine.Run();
        return request;
    }

    private void Look(ulong ticks) => Disk.OnDeadline((_start + ticks) << 20);
}
