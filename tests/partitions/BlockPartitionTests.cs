// Partitions as block devices: nothing outside of them can be reached.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Partitions;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Partitions;

/// <summary>A partition of sectors 100 to 149 of a disk of 1000.</summary>
public sealed class BlockPartitionTests
{
    private const ulong First = 100;
    private const ulong Count = 50;

    private readonly MemoryDisk _disk = new(1000);
    private readonly BlockPartition _partition;

    public BlockPartitionTests()
    {
        new Random(1).NextBytes(_disk.Bytes);
        _disk.Name = "disk7";
        _partition = new BlockPartition(_disk, new Partition(3, First, Count, "", ""));
    }

    [Fact]
    public void It_has_its_own_size_and_the_name_of_its_disk()
    {
        Assert.Equal(("disk7p3", Count, 512u), (_partition.Name, _partition.SectorCount, _partition.BlockSize));
        Assert.Equal((true, false), (_partition.CanFlush, _partition.IsReadOnly));
        Assert.Same(_disk, _partition.Disk);
    }

    [Fact]
    public void Sectors_are_counted_from_its_beginning()
    {
        DmaBuffer buffer = Allocate(1024);
        Assert.Equal(IoStatus.Ok, Do(_partition, BlockOperation.Read, 7, buffer));
        Assert.True(buffer.Span.SequenceEqual(_disk.Bytes.AsSpan(107 * 512, 1024)));
        buffer.Span.Fill(0x5A);
        Assert.Equal(IoStatus.Ok, Do(_partition, BlockOperation.Write, 48, buffer));
        Assert.All(_disk.Bytes[(148 * 512)..(150 * 512)], value => Assert.Equal(0x5A, value));
    }

    [Theory]
    [InlineData(50ul, 1u)]
    [InlineData(49ul, 2u)]
    [InlineData(0ul, 51u)]
    [InlineData(ulong.MaxValue, 1u)]
    [InlineData(ulong.MaxValue - 99, 1u)] // which would be sector 0 of the disk
    [InlineData(ulong.MaxValue - 100, 2u)]
    public void What_reaches_beyond_it_is_refused_and_the_disk_is_not_asked(ulong sector, uint sectors)
    {
        byte[] before = [.. _disk.Bytes];
        foreach (BlockOperation operation in new[] { BlockOperation.Read, BlockOperation.Write })
        {
            Assert.Equal(IoStatus.OutOfRange, Do(_partition, operation, sector, Allocate(sectors * 512)));
        }
        foreach (BlockOperation operation in new[] { BlockOperation.Discard, BlockOperation.WriteZeroes, BlockOperation.SecureErase })
        {
            TestRequest request = new();
            request.PrepareRange(operation, sector, sectors);
            Assert.Equal(IoStatus.OutOfRange, _partition.Submit(request));
        }
        Assert.Equal((0, 0), (_disk.Requests, _disk.Breaches));
        Assert.Equal(before, _disk.Bytes);
    }

    [Fact]
    public void All_of_it_can_be_read_at_once() => Assert.Equal(IoStatus.Ok, Do(_partition, BlockOperation.Read, 0, Allocate((uint)Count * 512)));

    [Fact]
    public void It_can_do_what_its_disk_can_but_for_zones()
    {
        using ZonedDisk disk = new();
        BlockPartition partition = new(disk.Service, new Partition(1, 0, 100, "", ""));
        Assert.True(disk.Service.Supports(BlockOperation.ReportZones));
        Assert.False(partition.Supports(BlockOperation.ReportZones));
        Assert.True(partition.Supports(BlockOperation.Read));
        Assert.False(partition.Supports(BlockOperation.Discard)); // which this disk does not offer
    }

    [Theory]
    [InlineData(0ul, 512ul)]
    [InlineData(1ul, 0ul)]
    [InlineData(3ul, 3072ul)]
    public void The_alignment_counts_from_where_the_medium_s_blocks_begin(ulong first, ulong offset)
    {
        using AlignedDisk disk = new(begin: 1);
        Assert.Equal(512ul, disk.Service.Topology.AlignmentOffset);
        Assert.Equal(offset, new BlockPartition(disk.Service, new Partition(1, first, 100, "", "")).Topology.AlignmentOffset);
    }

    [Fact]
    public void A_request_that_ended_or_was_refused_means_the_disk_itself_again()
    {
        DmaBuffer buffer = Allocate(512);
        TestRequest request = TestRequest.For(BlockOperation.Read, 3, buffer);
        Assert.Equal(IoStatus.Ok, Finish(_partition, request));
        Assert.Equal(IoStatus.Ok, Finish(_disk, request));
        Assert.True(buffer.Span.SequenceEqual(_disk.Bytes.AsSpan(3 * 512, 512)));
        BlockPartition behind = new(_disk, new Partition(1, 990, 50, "", ""));
        request.Prepare(BlockOperation.Read, 20, buffer);
        Assert.Equal(IoStatus.OutOfRange, behind.Submit(request));
        Assert.Equal(IoStatus.Ok, Finish(_disk, request));
        Assert.True(buffer.Span.SequenceEqual(_disk.Bytes.AsSpan(20 * 512, 512)));
    }

    [Fact]
    public void A_partition_of_a_partition_lies_where_both_say()
    {
        BlockPartition inner = new(_partition, new Partition(1, 10, 5, "", ""));
        DmaBuffer buffer = Allocate(512);
        Assert.Equal("disk7p3p1", inner.Name);
        Assert.Equal(IoStatus.Ok, Do(inner, BlockOperation.Read, 2, buffer));
        Assert.True(buffer.Span.SequenceEqual(_disk.Bytes.AsSpan(112 * 512, 512)));
        Assert.Equal(IoStatus.OutOfRange, Do(inner, BlockOperation.Read, 5, buffer));
    }

    [Fact]
    public void Flushes_reach_the_disk_and_zones_do_not()
    {
        Assert.Equal(IoStatus.Ok, Do(_partition, BlockOperation.Flush, 0, default));
        Assert.Equal(1, _disk.Flushes);
        foreach (BlockOperation operation in Enum.GetValues<BlockOperation>().Where(each => each >= BlockOperation.ReportZones))
        {
            Assert.False(_partition.Supports(operation));
            Assert.Equal(IoStatus.Unsupported, _partition.Submit(TestRequest.For(operation, 0, default)));
        }
    }

    [Fact]
    public void A_request_can_be_called_off_and_a_removed_partition_takes_none()
    {
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, Allocate(512));
        Assert.Equal(IoStatus.Ok, _partition.Submit(request));
        Assert.True(_partition.TryCancel(request));
        Assert.Equal(IoStatus.Cancelled, request.Status);
        _partition.Remove();
        Assert.Equal(IoStatus.Removed, _partition.Submit(request));
        Assert.Equal(IoStatus.Ok, Finish(_disk, request));
    }

    [Theory]
    [InlineData(0ul, 0ul)]
    [InlineData(8ul, 0ul)]
    [InlineData(3ul, 2560ul)]
    [InlineData(63ul, 512ul)]
    public void The_alignment_is_that_of_the_medium_seen_from_the_partition(ulong first, ulong offset)
    {
        using AlignedDisk disk = new();
        BlockTopology topology = new BlockPartition(disk.Service, new Partition(1, first, 100, "", "")).Topology;
        Assert.Equal((4096ul, offset), (topology.PhysicalBlockSize, topology.AlignmentOffset));
    }

    private sealed class AlignedDisk(byte begin = 0) : Block.DiskScene(Aligned(begin))
    {
        public BlockDevice Service => Disk;

        private static FakeBlockDevice Aligned(byte begin)
        {
            FakeBlockDevice device = new(1000);
            device.OfferedFeatures |= FakeBlockDevice.Topology;
            device.Config[24] = 3;
            device.Config[25] = begin;
            return device;
        }
    }

    private sealed class ZonedDisk() : Block.DiskScene(new FakeBlockDevice(1024).DivideInto(new FakeZones(1024, 64, 1, 60, 2, 3, 16, 1024)))
    {
        public BlockDevice Service => Disk;
    }

    private DmaBuffer Allocate(uint length) => _disk.Dma.TryAllocate(length, 512, out DmaBuffer buffer) ? buffer : throw new InvalidOperationException();

    private IoStatus Do(BlockDevice device, BlockOperation operation, ulong sector, DmaBuffer buffer) =>
        Finish(device, TestRequest.For(operation, sector, buffer));

    private IoStatus Finish(BlockDevice device, TestRequest request)
    {
        IoStatus status = device.Submit(request);
        if (status == IoStatus.Ok)
        {
            device.Kick();
            _disk.Poll();
        }
        return status == IoStatus.Ok ? request.Status : status;
    }
}
