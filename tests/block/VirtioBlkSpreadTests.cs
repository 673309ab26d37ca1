// What finds no room in one queue goes to the next: requests of every sort (virtio 5.2.2).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A zoned disk of 4 queues of 16 descriptors, each of which holds 4 requests of 4 descriptors or 5 of 3.</summary>
public sealed class VirtioBlkSpreadTests : DiskScene
{
    private const int Queues = 4;

    public VirtioBlkSpreadTests()
        : base(new FakeBlockDevice(1024, queueSize: 16, queues: Queues)) => Device.OfferedFeatures &= ~FakeVirtioDevice.IndirectDescriptors;

    public static TheoryData<string, int> Sorts => new() { { "list to read", 4 }, { "list to write", 4 }, { "range", 5 }, { "append", 4 }, { "flush", 8 } };

    [Theory]
    [MemberData(nameof(Sorts))]
    public void All_queues_are_filled_before_a_request_waits_and_all_end_well(string sort, int each)
    {
        Prepare(sort);
        TestRequest[] requests = [.. Enumerable.Range(0, Queues * each + 3).Select(i => Make(sort, i))];
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, Disk.Submit(request)));
        Disk.Kick();
        Machine.Run();
        Assert.Equal(Enumerable.Repeat(each, Queues), Device.RequestsOfQueue.Take(Queues));
        Assert.Equal((Queues * each, Queues * each), (Disk.PartsInFlight, Device.HeldBack.Count));
        for (int i = 0; i < 10; i++)
        {
            Device.CompleteAll(backwards: i % 2 == 0);
            Disk.Poll();
            Machine.Run();
        }
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal(Queues * each + 3, Device.Requests);
        if (sort is "list to write" or "append")
        {
            // Two buffers: also where there was no room at first, they are in their order.
            Assert.All(requests, (request, i) => Assert.Equal(new[] { i + 1, i + 101 }, Places(sort, request).Select(sector => (int)OnMedium(sector))));
        }
        else if (sort == "list to read")
        {
            Assert.All(requests, request => Assert.Equal(new byte[] { 0x70, 0x71 }, request.Buffers.ToArray().Select(buffer => buffer.Span[511])));
        }
    }

    [Fact]
    public void In_whatever_queue_a_read_counts_only_when_all_of_it_was_written()
    {
        Prepare("list to read");
        _ = Disk;
        Device.Queues[3].OnUsed = (id, length) => (id, length - 512);
        TestRequest[] requests = [.. Enumerable.Range(0, Queues * 4).Select(i => Make("list to read", i))];
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, Disk.Submit(request)));
        Device.HoldsBack = false;
        Finish(requests);
        Assert.Equal(12, requests.Count(request => request.Status == IoStatus.Ok));
        Assert.All(requests[12..], request => Assert.Equal(IoStatus.DeviceError, request.Status));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 1)]
    [InlineData(6, 2)]
    [InlineData(10, 2)]
    [InlineData(11, 3)]
    public void What_is_submitted_after_a_kick_begins_at_the_next_queue(int first, int queues)
    {
        Device.HoldsBack = true;
        for (int i = 0; i < first; i++)
        {
            Submit(BlockOperation.Read, (ulong)i, 1);
        }
        Disk.Kick();
        Machine.Run();
        Assert.Equal(queues, Device.RequestsOfQueue.Count(count => count != 0));
        Disk.Kick();
        Submit(BlockOperation.Read, 100, 1);
        Disk.Kick();
        Machine.Run();
        Assert.Equal(1, Device.RequestsOfQueue[queues]);
    }

    private void Prepare(string sort)
    {
        if (sort == "append")
        {
            Device.DivideInto(new FakeZones(1024, 32));
        }
        Device.Limit(segMax: 4, sizeMax: 0).Allow(FakeBlockDevice.WriteZeroes, 100);
        Device.HoldsBack = true;
        for (int i = 0; i < 1024; i++)
        {
            Device.Disk[i * 512 + 511] = (byte)(0x70 + i % 2);
        }
    }

    private TestRequest Make(string sort, int number)
    {
        TestRequest request = new();
        if (sort == "range")
        {
            request.PrepareRange(BlockOperation.WriteZeroes, (ulong)number * 8, 8);
            return request;
        }
        if (sort == "flush")
        {
            request.Prepare(BlockOperation.Flush, 0, default(DmaBuffer));
            return request;
        }
        DmaBuffer[] buffers = [Allocate(512), Allocate(512)];
        buffers[0].Span.Fill((byte)(number + 1));
        buffers[1].Span.Fill((byte)(number + 101));
        bool isAppend = sort == "append";
        request.Prepare(
            isAppend ? BlockOperation.AppendZone : sort == "list to write" ? BlockOperation.Write : BlockOperation.Read,
            (ulong)number * (isAppend ? 32u : 8),
            buffers);
        return request;
    }

    private static ulong[] Places(string sort, TestRequest request)
    {
        ulong first = sort == "append" ? request.AppendedAt : request.Sector;
        return [first, first + 1];
    }
}
