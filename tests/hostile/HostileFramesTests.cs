// Used entries that look like what the driver notes of buffers that keep their descriptors, or of none (virtio 2.7.8).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Block;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>
/// Without an IOMMU, where frames keep their descriptors. The entry comes behind a right one, in the same look at the ring: only then it is
/// compared with what is expected.
/// </summary>
public sealed class HostileFramesTests : DiskScene
{
    private const uint NoTrueId = 1u << 31;

    /// <summary>Makes the disk.</summary>
    public HostileFramesTests()
        : base(new FakeBlockDevice(4096, queueSize: 16)) => Machine.FakeDma.Shares = false;

    [Theory]
    [InlineData(uint.MaxValue, uint.MaxValue)]
    [InlineData(uint.MaxValue, 513u)]
    [InlineData(NoTrueId, 513u)]
    [InlineData(15u, uint.MaxValue)]
    public void An_entry_for_a_buffer_that_is_not_in_flight_breaks_the_queue(uint id, uint length)
    {
        (TestRequest right, TestRequest other) = ServeOneOfTwo();
        Device.Queues[0].PushUsed(id, length);
        Disk.Poll();
        ExpectRecovery(right, other);
    }

    [Fact]
    public void The_mark_of_a_buffer_in_no_frame_is_not_taken_for_its_id()
    {
        new Random(5).NextBytes(Device.Disk);
        Device.HoldsBack = true;
        TestRequest right = Submit(BlockOperation.Read, 1, 1);
        TestRequest scattered = new();
        scattered.Prepare(BlockOperation.Read, 2, [Allocate(512), Allocate(512)]);
        Assert.Equal(IoStatus.Ok, Disk.Submit(scattered));
        Disk.Kick();
        Machine.Run();
        Assert.Equal(3, Disk.PartsInFlight); // cut, since the device takes one piece at a time
        uint head = Device.HeldBack[1].Head;
        Device.Complete(0);
        Device.Queues[0].PushUsed(NoTrueId | head, 513);
        Disk.Poll();
        ExpectRecovery(right, scattered);
        Assert.Equal(Device.Disk[(3 * 512)..(4 * 512)], scattered.Buffers[1].Span.ToArray());
    }

    [Fact]
    public void A_buffer_in_a_frame_can_be_used_once_only()
    {
        (TestRequest right, TestRequest other) = ServeOneOfTwo(out uint id);
        Device.Queues[0].PushUsed(id, 513);
        Disk.Poll();
        ExpectRecovery(right, other);
    }

    private (TestRequest Right, TestRequest Other) ServeOneOfTwo() => ServeOneOfTwo(out _);

    private (TestRequest Right, TestRequest Other) ServeOneOfTwo(out uint id)
    {
        new Random(5).NextBytes(Device.Disk);
        Device.HoldsBack = true;
        TestRequest right = Submit(BlockOperation.Read, 1, 1);
        TestRequest other = Submit(BlockOperation.Read, 2, 1);
        Disk.Kick();
        Machine.Run();
        id = Device.HeldBack[0].Head;
        Device.Complete(0);
        return (right, other);
    }

    private void ExpectRecovery(TestRequest right, TestRequest other)
    {
        Assert.Equal((1ul, 1, 0), (Disk.Recoveries, right.Completions, other.Completions));
        Device.HoldsBack = false;
        Finish(other);
        Assert.Equal((IoStatus.Ok, 1), (other.Status, other.Completions));
        Assert.Equal((IoStatus.Ok, 1), (right.Status, right.Completions));
        Assert.Equal(Device.Disk[512..1024], right.Buffers[0].Span.ToArray());
        Assert.Equal(Device.Disk[(2 * 512)..(3 * 512)], other.Buffers[0].Span.ToArray());
        TestRequest next = Submit(BlockOperation.Read, 9, 1);
        Finish(next);
        Assert.Equal((IoStatus.Ok, 1), (next.Status, next.Completions));
    }
}
