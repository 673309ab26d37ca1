// A request by itself, and a disk that says no more of itself than it has to.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>What a request says when it is prepared anew, whatever it was before.</summary>
public sealed unsafe class BlockRequestTests
{
    [Fact]
    public void A_new_request_has_nothing_of_what_few_requests_have()
    {
        TestRequest request = new();
        Assert.Equal((0ul, 0ul, 0ul, false), (request.RangeSectors, request.AppendedAt, request.Timeout, request.MayUnmap));
        Assert.Equal((0ul, 0u, 0ul), (request.WritesBefore, request.SubmittedTick, request.DeviceSector));
        Assert.True(request.Buffers.IsEmpty);
        Assert.False(request.HasTimeout);
    }

    [Theory]
    [InlineData(BlockOperation.Read)]
    [InlineData(BlockOperation.Write)]
    [InlineData(BlockOperation.Flush)]
    [InlineData(BlockOperation.Discard)]
    public void A_request_that_had_a_range_has_none_when_it_is_prepared_with_a_buffer(BlockOperation operation)
    {
        TestRequest request = new();
        request.PrepareRange(BlockOperation.WriteZeroes, 3, 1000, mayUnmap: true);
        Assert.Equal((3ul, 1000ul, true), (request.Sector, request.RangeSectors, request.MayUnmap));
        request.Prepare(operation, 4, Buffer(1));
        Assert.Equal((operation, 4ul, 0ul), (request.Operation, request.Sector, request.RangeSectors));
        request.PrepareRange(BlockOperation.Discard, 5, 7);
        Assert.Equal((7ul, false, 0), (request.RangeSectors, request.MayUnmap, request.Buffers.Length));
    }

    [Fact]
    public void A_timeout_stays_until_it_is_set_to_none()
    {
        TestRequest request = new() { Timeout = 5 };
        Assert.Equal((5ul, true), (request.Timeout, request.HasTimeout));
        request.Timeout = 7;
        request.Prepare(BlockOperation.Read, 0, Buffer(1));
        Assert.Equal((7ul, true, 1u), (request.Timeout, request.HasTimeout, request.Oddity));
        request.Timeout = 0;
        Assert.Equal((0ul, false, 0u), (request.Timeout, request.HasTimeout, request.Oddity));
    }

    [Fact]
    public void A_list_may_be_longer_shorter_or_empty_the_next_time()
    {
        TestRequest request = new();
        foreach (int count in new[] { 2, 3, 1, 5, 0, 4, 2, 5 })
        {
            DmaBuffer[] buffers = [.. Enumerable.Range(1, count).Select(Buffer)];
            request.Prepare(BlockOperation.Write, 0, buffers.AsSpan());
            Assert.Equal(buffers.Select(each => each.DeviceAddress), request.Buffers.ToArray().Select(each => each.DeviceAddress));
            // One buffer is one, in a list or not: it may go the short way.
            Assert.Equal(count > 1, request.Oddity != 0);
        }
    }

    [Fact]
    public void Memory_for_a_list_is_taken_only_when_it_is_longer_than_ever_before()
    {
        TestRequest request = new();
        DmaBuffer[] buffers = [.. Enumerable.Range(1, 5).Select(Buffer)];
        request.Prepare(BlockOperation.Write, 0, buffers.AsSpan());
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int count = 5; count > 1; count--)
        {
            request.Prepare(BlockOperation.Write, 0, buffers.AsSpan(0, count));
        }
        request.Prepare(BlockOperation.Write, 0, buffers.AsSpan());
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(5, request.Buffers.Length);
    }

    [Fact]
    public void It_is_ended_once_and_not_before_it_was_begun()
    {
        TestContract.Use();
        TestRequest request = new();
        Assert.Throws<ContractException>(() => request.Complete(IoStatus.Ok));
        request.Begin();
        Assert.Equal(IoStatus.InFlight, request.Status);
        request.Complete(IoStatus.TimedOut);
        Assert.Throws<ContractException>(() => request.Complete(IoStatus.Ok));
        Assert.Equal((IoStatus.TimedOut, 1), (request.Status, request.Completions));
    }

    [Fact]
    public void A_disk_that_only_reads_and_writes_can_do_nothing_else()
    {
        SilentDisk disk = new(isReadOnly: false, canFlush: false);
        Assert.Equal([BlockOperation.Read, BlockOperation.Write], Enum.GetValues<BlockOperation>().Where(disk.Supports));
        Assert.Equal((false, 0ul, ZoneModel.None, 0), (disk.HasWriteCache, disk.Completed, disk.Zones.Model, disk.Geometry.Cylinders));
        Assert.Equal((4096ul, 0ul), (disk.Topology.PhysicalBlockSize, disk.Topology.OptimalIoSize));
        Assert.False(disk.TrySetWriteCache(true));
        Assert.False(disk.TryCancel(new TestRequest()));
    }

    [Fact]
    public void A_disk_that_is_read_only_takes_no_writes_and_one_with_a_flush_has_a_cache()
    {
        SilentDisk disk = new(isReadOnly: true, canFlush: true);
        Assert.Equal([BlockOperation.Read, BlockOperation.Flush], Enum.GetValues<BlockOperation>().Where(disk.Supports));
        Assert.True(disk.HasWriteCache);
    }

    private static DmaBuffer Buffer(int number) => new((byte*)(number * 4096), (ulong)number << 12, 512);

    /// <summary>A disk that overrides nothing that it need not.</summary>
    private sealed class SilentDisk(bool isReadOnly, bool canFlush) : BlockDevice
    {
        public override DmaSpace Dma => null!;

        public override ulong SectorCount => 8;

        public override uint BlockSize => 4096;

        public override bool IsReadOnly => isReadOnly;

        public override bool CanFlush => canFlush;

        public override int MaxInFlight => 1;

        public override IoStatus Submit(BlockRequest request) => IoStatus.Unsupported;

        public override void Kick()
        {
        }

        public override void Poll()
        {
        }

        public override void Remove()
        {
        }
    }
}
