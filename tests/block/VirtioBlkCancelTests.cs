// Requests that are called off, or take longer than their maker wants to wait.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Cancellation and timeouts of requests.</summary>
public sealed class VirtioBlkCancelTests() : DiskScene(new FakeBlockDevice(8192, queueSize: 8))
{
    private const ulong Millisecond = 1_000_000;

    [Fact]
    public void A_request_that_waits_is_called_off_at_once_and_the_device_never_sees_it()
    {
        TestRequest[] requests = Fill(20);
        int seen = Device.HeldBack.Count;
        TestRequest last = requests[^1];
        TestRequest middle = requests[12];
        Assert.True(Disk.TryCancel(last));
        Assert.True(Disk.TryCancel(middle));
        Assert.Equal((IoStatus.Cancelled, 1), (last.Status, last.Completions));
        Assert.Equal((IoStatus.Cancelled, 1), (middle.Status, middle.Completions));
        Assert.False(Disk.TryCancel(last));
        TestRequest another = Submit(BlockOperation.Read, 50, 1);
        LetGo();
        TestRequest[] others = [.. requests.Except([last, middle]), another];
        Finish(others);
        Assert.All(others, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal(19, Device.Requests);
        Assert.True(seen < 19);
    }

    [Fact]
    public void What_the_device_has_whole_ends_by_itself()
    {
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        Assert.False(Disk.TryCancel(request));
        LetGo();
        Finish(request);
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
        Assert.False(Disk.TryCancel(request));
    }

    [Fact]
    public void Of_a_request_that_the_device_has_in_part_the_rest_is_dropped_and_it_ends_when_the_part_is_back()
    {
        Device.Limit(segMax: 1, sizeMax: 512);
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 64);
        Disk.Kick();
        Machine.Run();
        int given = Device.HeldBack.Count;
        Assert.True(Disk.TryCancel(request));
        Assert.Equal((IoStatus.InFlight, 0), (request.Status, request.Completions));
        Assert.False(Disk.TryCancel(request));
        LetGo();
        Finish(request);
        Assert.Equal((IoStatus.Cancelled, 1), (request.Status, request.Completions));
        Assert.Equal(given, Device.Requests);
    }

    [Fact]
    public void A_completion_by_cancelling_may_submit_again()
    {
        Device.HoldsBack = true;
        TestRequest[] requests = Fill(10);
        TestRequest again = new() { Then = request => Assert.True(request.Completions > 1 || Disk.Submit(request) == IoStatus.Ok) };
        again.Prepare(BlockOperation.Read, 7, Allocate(512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(again));
        Assert.True(Disk.TryCancel(again));
        LetGo();
        Finish([.. requests, again]);
        Waiting.Until(Disk, Machine.Clock, () => again.Completions == 2, "the request submitted again");
        Assert.Equal(IoStatus.Ok, again.Status);
    }

    [Fact]
    public void A_request_past_its_time_that_only_waited_ends_without_a_reset()
    {
        TestRequest[] requests = Fill(10);
        TestRequest hasty = WithTimeout(50 * Millisecond);
        TestRequest patient = WithTimeout(10_000 * Millisecond);
        Wait(200 * Millisecond);
        Assert.Equal((IoStatus.TimedOut, 1), (hasty.Status, hasty.Completions));
        Assert.Equal(0, patient.Completions);
        LetGo();
        Finish([.. requests, patient]);
        Assert.Equal((0ul, IoStatus.Ok), (Disk.Recoveries, patient.Status));
        Assert.Equal(11, Device.Requests);
    }

    [Fact]
    public void A_request_past_its_time_with_the_device_is_taken_back_and_the_others_are_repeated()
    {
        Device.HoldsBack = true;
        TestRequest patient = Submit(BlockOperation.Read, 1, 1);
        TestRequest hasty = WithTimeout(50 * Millisecond);
        Disk.Kick();
        Machine.Run();
        Wait(200 * Millisecond);
        Assert.Equal((IoStatus.TimedOut, 1), (hasty.Status, hasty.Completions));
        Assert.Equal((1ul, 0), (Disk.Recoveries, patient.Completions));
        Device.HoldsBack = false;
        LetGo();
        Finish(patient);
        Assert.Equal((IoStatus.Ok, 1), (patient.Status, patient.Completions));
    }

    [Fact]
    public void A_timeout_holds_for_the_request_that_has_it_and_for_no_later_one()
    {
        Finish(WithTimeout(20 * Millisecond));
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 1, 1);
        Disk.Kick();
        Machine.Run();
        Wait(500 * Millisecond);
        Assert.Equal((IoStatus.InFlight, 0ul), (request.Status, Disk.Recoveries));
        LetGo();
        Finish(request);
    }

    [Fact]
    public void A_new_capacity_is_told_to_the_listener()
    {
        Resizes listener = new();
        Disk.Listener = listener;
        Device.Grow(9000);
        Disk.Poll();
        Assert.Equal([9000ul], listener.Seen);
        Assert.Equal(IoStatus.Ok, Write(8999, 1, 1));
    }

    private sealed class Resizes : BlockListener
    {
        public List<ulong> Seen { get; } = [];

        public override void OnResized(BlockDevice disk) => Seen.Add(disk.SectorCount);
    }

    private TestRequest[] Fill(int count)
    {
        Device.OfferedFeatures &= ~FakeBlockDevice.IndirectDescriptors;
        Device.HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, count).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        Disk.Kick();
        Machine.Run();
        return requests;
    }

    private TestRequest WithTimeout(ulong nanoseconds)
    {
        TestRequest request = new() { Timeout = nanoseconds };
        request.Prepare(BlockOperation.Read, 2, Allocate(512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        return request;
    }

    private void Wait(ulong nanoseconds)
    {
        ulong end = Machine.Clock.Now + nanoseconds;
        Waiting.Until(Disk, Machine.Clock, () => Machine.Clock.Now >= end, "the time");
    }
}
