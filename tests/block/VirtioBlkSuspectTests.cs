// Which request broke the device: after a reset those that it had are repeated one by one, and nobody else suffers (decision 18).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A device that breaks at one sector, and one that breaks when it wants to.</summary>
public sealed class VirtioBlkSuspectTests() : DiskScene(new FakeBlockDevice(64))
{
    private const ulong Poisoned = 13;

    [Fact]
    public void A_request_that_breaks_the_device_ends_with_an_error_also_when_it_is_the_only_one()
    {
        Device.BreaksAtSector = Poisoned;
        for (ulong round = 1; round <= 5; round++)
        {
            TestRequest poison = TestRequest.For(BlockOperation.Read, Poisoned, Allocate(512));
            Assert.Equal((IoStatus.DeviceError, 1), (Do(poison), poison.Completions));
            Assert.Equal(2 * round, Disk.Recoveries);
            Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.Read, 1, Allocate(512))));
        }
    }

    [Fact]
    public void What_comes_while_the_last_suspect_is_with_the_device_waits_and_is_not_suspected_with_it()
    {
        TestRequest suspect = Hold(0);
        Reset();
        TestRequest[] late = [Hold(1), Hold(2)];
        Assert.Equal((1, 1), (Disk.PartsInFlight, Device.HeldBack.Count));
        Reset();
        Assert.Equal((IoStatus.DeviceError, 1), (suspect.Status, suspect.Completions));
        Assert.Equal((2, 1ul), (Device.HeldBack.Count, Disk.Repeats));
        // These were with it for the first time when it breaks now.
        Reset();
        Assert.Equal((1, 3ul), (Device.HeldBack.Count, Disk.Repeats));
        LetGo();
        Finish(late);
        Assert.All(late, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
    }

    [Fact]
    public void Each_of_several_that_break_the_device_is_found_and_the_others_go_on()
    {
        Device.HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 6).Select(i => Hold((ulong)i))];
        Disk.MaxRecoveries = 10;
        Reset();
        foreach (int culprit in new[] { 0, 1, 2 })
        {
            Assert.Single(Device.HeldBack);
            Reset();
            Assert.Equal(IoStatus.DeviceError, requests[culprit].Status);
            Assert.Equal(3 - culprit + 2, requests.Count(request => request.Status == IoStatus.InFlight));
        }
        LetGo();
        Finish(requests);
        Assert.All(requests[3..], request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal((4ul, 6ul), (Disk.Recoveries, Disk.Repeats));
    }

    [Fact]
    public void Once_the_suspects_are_back_all_go_together_also_when_there_are_always_new_ones()
    {
        const int Depth = 8;
        Device.HoldsBack = true;
        int ended = 0;
        TestRequest[] streams =
        [
            .. Enumerable.Range(0, Depth).Select(i => new TestRequest
            {
                Then = self =>
                {
                    ended++;
                    Assert.Equal(IoStatus.Ok, self.Status);
                    if (self.Completions < 20)
                    {
                        Assert.Equal(IoStatus.Ok, Disk.Submit(self));
                    }
                },
            }),
        ];
        foreach (TestRequest stream in streams)
        {
            stream.Prepare(BlockOperation.Read, 0, Allocate(512));
            Assert.Equal(IoStatus.Ok, Disk.Submit(stream));
        }
        for (int reset = 1; reset <= 3; reset++)
        {
            Disk.Kick();
            Machine.Run();
            Assert.Equal(Depth, Device.HeldBack.Count);
            Reset();
            for (int i = 0; i < Depth; i++)
            {
                Assert.Equal(reset * Depth - Depth + i, ended);
                Device.Complete(Assert.Single(Device.HeldBack.Select((_, at) => at)));
                Disk.Poll();
                Machine.Run();
            }
        }
        LetGo();
        Finish(streams);
        Waiting.Until(Disk, Machine.Clock, () => ended == 20 * Depth, "the streams");
        Assert.Equal((3ul, 3ul * Depth), (Disk.Recoveries, Disk.Repeats));
    }

    [Fact]
    public void What_was_repeated_once_is_a_suspect_the_next_time_as_well()
    {
        TestRequest[] requests = [Hold(1), Hold(2)];
        for (int round = 1; round <= 2; round++)
        {
            Reset();
            for (int i = 0; i < requests.Length; i++)
            {
                Assert.Single(Device.HeldBack);
                Device.Complete(0);
                Disk.Poll();
                Machine.Run();
            }
            Assert.All(requests, request => Assert.Equal((IoStatus.Ok, round), (request.Status, request.Completions)));
            Assert.All(requests, request => Assert.Equal(IoStatus.Ok, Disk.Submit(request)));
            Disk.Kick();
            Machine.Run();
            Assert.Equal(2, Device.HeldBack.Count);
        }
        LetGo();
    }

    [Fact]
    public void A_suspect_that_is_called_off_keeps_nobody_waiting()
    {
        TestRequest[] requests = [Hold(0), Hold(1), Hold(2)];
        Reset();
        Assert.True(Disk.TryCancel(requests[1]));
        Assert.True(Disk.TryCancel(requests[2]));
        TestRequest[] late = [Hold(3), Hold(4)];
        Assert.Single(Device.HeldBack);
        Device.Complete(0);
        Disk.Poll();
        Machine.Run();
        Assert.Equal((IoStatus.Ok, 2), (requests[0].Status, Device.HeldBack.Count));
        LetGo();
        Finish(late);
    }

    [Fact]
    public void What_is_submitted_where_others_are_ended_by_a_reset_is_no_suspect()
    {
        Device.HoldsBack = true;
        Disk.RequestTimeout = 50_000_000;
        List<TestRequest> late = [];
        for (ulong i = 0; i < 2; i++)
        {
            TestRequest next = TestRequest.For(BlockOperation.Read, 10 + i, Allocate(512));
            late.Add(next);
            TestRequest first = new() { Then = _ => Assert.Equal(IoStatus.Ok, Disk.Submit(next)) };
            first.Prepare(BlockOperation.Read, i, Allocate(512));
            Assert.Equal(IoStatus.Ok, Disk.Submit(first));
        }
        Disk.Kick();
        Machine.Run();
        Machine.FakeClock.Advance(100_000_000);
        Disk.OnDeadline(Machine.Clock.Now);
        Machine.Run();
        Assert.Equal((1ul, 2), (Disk.Recoveries, Device.HeldBack.Count));
        // Nobody suspects them: one that comes now goes with them.
        TestRequest third = Submit(BlockOperation.Read, 20, 1);
        late.Add(third);
        Disk.Kick();
        Machine.Run();
        int together = Device.HeldBack.Count;
        // With the device for the first time when it breaks: all are repeated.
        Reset();
        LetGo();
        Finish([.. late]);
        Assert.All(late, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal(3, together);
    }

    [Fact]
    public void What_is_submitted_where_a_new_capacity_is_told_is_no_suspect()
    {
        Device.HoldsBack = true;
        Submit(BlockOperation.Write, 0, 1);
        Disk.Kick();
        Machine.Run();
        Device.CompleteAll();
        Disk.Poll();
        TestRequest[] reads = [TestRequest.For(BlockOperation.Read, 1, Allocate(512)), TestRequest.For(BlockOperation.Read, 2, Allocate(512))];
        Disk.Listener = new Reading(reads);
        // A flush that is lost: it ends, and nobody waits.
        TestRequest flush = Submit(BlockOperation.Flush, 0, 0);
        Disk.Kick();
        Machine.Run();
        Device.SetCapacity(60);
        Reset();
        Assert.Equal((IoStatus.DeviceError, 1ul, 2), (flush.Status, Disk.Recoveries, Device.HeldBack.Count));
        Disk.Listener = null;
        Reset();
        LetGo();
        Finish(reads);
        Assert.All(reads, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
    }

    private TestRequest Hold(ulong sector) => Hold(BlockOperation.Read, sector, 1);

    private sealed class Reading(TestRequest[] reads) : BlockListener
    {
        public override void OnResized(BlockDevice disk)
        {
            foreach (TestRequest read in reads)
            {
                Assert.Equal(IoStatus.Ok, disk.Submit(read));
            }
        }
    }
}
