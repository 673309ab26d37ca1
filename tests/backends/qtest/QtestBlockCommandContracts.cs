// The contract of disk commands, and what the configuration says, on QEMU's own disks.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>QEMU's disk, whose image takes discards.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockCommandTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup);

    [Fact]
    public void QEMU_offers_discard_write_zeroes_and_the_switch_of_the_cache()
    {
        using QtestBlockBackend backend = new(new BlockSetup());
        Assert.True(backend.Disk.Supports(BlockOperation.Discard) && backend.Disk.Supports(BlockOperation.WriteZeroes));
        Assert.True(backend.Disk.TrySetWriteCache(false) && backend.Disk.TrySetWriteCache(true));
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData("", 512ul, 0ul, 0ul)]
    [InlineData(",logical_block_size=512,physical_block_size=4096,min_io_size=8192,opt_io_size=65536", 4096ul, 8192ul, 65536ul)]
    [InlineData(",logical_block_size=4096,physical_block_size=4096,min_io_size=16384,opt_io_size=1048576", 4096ul, 16384ul, 1048576ul)]
    public void The_topology_is_that_of_the_device(string more, ulong physical, ulong minimum, ulong optimal)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), more);
        BlockTopology topology = backend.Disk.Topology;
        Assert.Equal((physical, 0ul, minimum, optimal), (topology.PhysicalBlockSize, topology.AlignmentOffset, topology.MinimumIoSize, topology.OptimalIoSize));
        backend.Disk.Remove();
    }

    [Fact]
    public void The_geometry_is_that_of_the_device()
    {
        using QtestBlockBackend backend = new(new BlockSetup(), ",cyls=100,heads=7,secs=21");
        BlockGeometry geometry = backend.Disk.Geometry;
        Assert.Equal((100, 7, 21), (geometry.Cylinders, geometry.Heads, geometry.Sectors));
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(1000u)]
    [InlineData(8u)]
    public void Ranges_are_cut_to_the_limits_of_the_device(uint max)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), $",max-discard-sectors={max},max-write-zeroes-sectors={max}");
        foreach (BlockOperation operation in new[] { BlockOperation.Discard, BlockOperation.WriteZeroes })
        {
            TestRequest request = new();
            request.PrepareRange(operation, 3, 4000);
            Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
            backend.Disk.Kick();
            Waiting.Until(backend.Disk, backend.Clock, () => request.Completions > 0, "a range");
            Assert.Equal(IoStatus.Ok, request.Status);
        }
        backend.Disk.Remove();
    }
}

/// <summary>The same with packed rings.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPackedBlockCommandTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",packed=on");
}

/// <summary>The same by the legacy interface.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyBlockCommandTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, QtestLegacy.Only);
}

/// <summary>The same behind virtio-mmio.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestMmioBlockCommandTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, bus: QtestBus.Mmio);
}

/// <summary>The same without the commands.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPoorBlockCommandTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",discard=off,write-zeroes=off,config-wce=off");
}

/// <summary>QEMU's disk with four queues: everything that disks promise.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestMultiQueueTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",num-queues=4,queue-size=16");

    [Theory]
    [InlineData("", 4)]
    [InlineData(",packed=on", 4)]
    [InlineData(",vectors=2", 4)]
    [InlineData(",vectors=0", 4)]
    public void All_queues_take_part(string more, int queues)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), ",num-queues=8" + more);
        VirtioBlk disk = Assert.IsType<VirtioBlk>(backend.Disk);
        Assert.Equal(queues, disk.QueueCount);
        DmaBuffer buffer = backend.Allocate(512);
        for (int i = 0; i < 3 * queues; i++)
        {
            TestRequest request = TestRequest.For(BlockOperation.Read, (ulong)i, buffer);
            Assert.Equal(IoStatus.Ok, disk.Submit(request));
            disk.Kick();
            Waiting.Until(disk, backend.Clock, () => request.Completions > 0, "a read");
        }
        Assert.All(Enumerable.Range(0, queues), i => Assert.Equal(3ul, disk.Virtio.Queue(i).Notifications));
        disk.Remove();
        disk.Dma.Free(buffer);
    }
}
