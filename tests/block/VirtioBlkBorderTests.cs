// Limits of a disk, exactly at their border: the largest, the smallest, and what just fits (virtio 5.2.5, 5.2.6).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A disk whose ring has room for the longest requests.</summary>
public sealed class VirtioBlkBorderTests() : DiskScene(new FakeBlockDevice(8192, queueSize: 256))
{
    private const ulong MostSectors = ulong.MaxValue / 512;

    [Fact]
    public void The_largest_capacity_whose_bytes_fit_64_bits_is_taken_at_the_probe_and_later()
    {
        Device.SetCapacity(MostSectors);
        Assert.Equal(MostSectors, Disk.SectorCount);
        Device.HoldsBack = true;
        Submit(BlockOperation.Read, MostSectors - 1, 1);
        Assert.Equal(IoStatus.OutOfRange, Do(TestRequest.For(BlockOperation.Read, MostSectors, Allocate(512))));
        Device.ChangeConfig(config => BinaryPrimitives.WriteUInt64LittleEndian(config, 100));
        Disk.Poll();
        Assert.Equal((100ul, 1ul), (Disk.SectorCount, Disk.CapacityChanges));
        Device.ChangeConfig(config => BinaryPrimitives.WriteUInt64LittleEndian(config, MostSectors));
        Disk.Poll();
        Assert.Equal((MostSectors, 2ul), (Disk.SectorCount, Disk.CapacityChanges));
        // One more sector makes no sense: the disk is as large as it was.
        Device.ChangeConfig(config => BinaryPrimitives.WriteUInt64LittleEndian(config, MostSectors + 1));
        Disk.Poll();
        Assert.Equal((MostSectors, 2ul), (Disk.SectorCount, Disk.CapacityChanges));
    }

    [Theory]
    [InlineData(512u, 512u, false)]
    [InlineData(1024u, 1024u, false)]
    [InlineData(1u << 20, 1u << 20, false)]
    [InlineData(2u << 20, 512u, true)]
    [InlineData(256u, 512u, true)]
    [InlineData(0u, 512u, true)]
    [InlineData(3u * 512, 512u, true)]
    public void A_block_size_is_a_power_of_two_from_512_to_a_million_and_other_ones_are_warned_of(uint said, uint used, bool isWarnedOf)
    {
        using CapturedLog log = new();
        Device.SetBlockSize(said);
        Assert.Equal(used, Disk.BlockSize);
        Assert.Equal(isWarnedOf, log.Entries.Contains($"virtio-blk: the block size is no power of two from 512 on; 512 is used 0x{said:X}"));
        Assert.Equal(IoStatus.Ok, Write(0, used / 512, 7));
    }

    [Fact]
    public void What_the_device_offers_and_can_not_be_used_is_warned_of_and_nothing_else()
    {
        using CapturedLog log = new();
        Device.Allow(FakeBlockDevice.Discard, 0).Allow(FakeBlockDevice.WriteZeroes, 8, maxSegments: 0).Allow(FakeBlockDevice.SecureErase, 8);
        Device.OfferedFeatures |= FakeBlockDevice.Topology | FakeBlockDevice.MultiQueue;
        Device.Config[24] = 32;
        Assert.Equal((512ul, 1), (Disk.Topology.PhysicalBlockSize, Disk.QueueCount));
        Assert.Equal(
            [
                "virtio-blk: the device offers several queues and says it has none; one is used 0x0",
                $"virtio-blk: a command is not used: the device offers it, and allows it for not a single block 0x{FakeBlockDevice.Discard:X}",
                $"virtio-blk: a command is not used: the device offers it, and allows it for not a single block 0x{FakeBlockDevice.WriteZeroes:X}",
                "virtio-blk: the physical block size makes no sense and is not used; 2 to the power of 0x20",
            ],
            log.Entries.Where(entry => entry.StartsWith("virtio-blk:", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_largest_physical_block_is_two_to_the_power_of_31_blocks()
    {
        Device.OfferedFeatures |= FakeBlockDevice.Topology;
        Device.Config[24] = 31;
        Assert.Equal(512ul << 31, Disk.Topology.PhysicalBlockSize);
    }

    [Theory]
    [InlineData(126, 1)]
    [InlineData(127, 2)]
    [InlineData(252, 2)]
    [InlineData(253, 3)]
    public void A_part_has_as_many_as_126_pieces(int pieces, int parts)
    {
        Device.Limit(segMax: 1000, sizeMax: 0);
        Assert.Equal((IoStatus.Ok, parts), (Do(List(BlockOperation.Write, 0, pieces, 512)), Device.Requests));
    }

    [Fact]
    public void A_part_has_less_than_two_to_the_power_of_31_bytes()
    {
        Machine.FakeDma.Shares = false; // nothing is copied then
        Device.Limit(segMax: 1000, sizeMax: 0).SetCapacity(1 << 24);
        Device.HoldsBack = true;
        const uint Piece = 32 << 20;
        DmaBuffer buffer = Allocate(Piece);
        TestRequest request = new();
        request.Prepare(BlockOperation.Write, 0, [.. Enumerable.Repeat(buffer, 100)]);
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        Machine.Run();
        Assert.Equal([63 * Piece + 16, 37 * Piece + 16], Device.HeldBack.Select(chain => chain.ReadableLength));
        Assert.Equal([0, 63ul * Piece / 512], Device.HeldBack.Select(VirtioBlkShortWayTests.SectorOf));
    }

    [Theory]
    [InlineData(8u, 1)]
    [InlineData(9u, 2)]
    [InlineData(16u, 2)]
    [InlineData(24u, 3)]
    public void What_just_fits_is_not_cut(uint sectors, int parts)
    {
        Device.Limit(segMax: 1, sizeMax: 4096);
        Assert.Equal((IoStatus.Ok, parts), (Write(0, sectors, 1), Device.Requests));
        Assert.Equal((IoStatus.Ok, 2 * parts), (Do(TestRequest.For(BlockOperation.Read, 0, Allocate(sectors * 512))), Device.Requests));
    }

    [Theory]
    [InlineData(BlockOperation.Read)]
    [InlineData(BlockOperation.Write)]
    public void The_parts_of_a_request_are_with_the_device_at_the_same_time(BlockOperation operation)
    {
        Device.Limit(segMax: 1, sizeMax: 1024);
        Device.HoldsBack = true;
        Submit(operation, 0, 20);
        Disk.Kick();
        Machine.Run();
        Assert.Equal(10, Device.HeldBack.Count);
    }

    [Theory]
    [InlineData(10u, 90u, new uint[] { 90 })]
    [InlineData(10u, 100u, new uint[] { 100 })]
    [InlineData(10u, 101u, new uint[] { 54, 47 })]
    [InlineData(0u, 100u, new uint[] { 100 })]
    [InlineData(0u, 128u, new uint[] { 64, 64 })]
    [InlineData(64u, 190u, new uint[] { 64, 64, 62 })]
    public void A_range_that_one_command_may_have_is_not_cut(uint sector, uint sectors, uint[] counts)
    {
        Device.Allow(FakeBlockDevice.Discard, maxSectors: 100, alignment: 64);
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.Discard, sector, sectors)));
        Assert.Equal(counts, Device.RangeCommands.Select(command => command.Ranges[0].Count));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(16u)]
    [InlineData(4088u)]
    public void A_range_that_begins_where_the_device_is_aligned_is_cut_where_a_command_ends(uint sector)
    {
        Device.Allow(FakeBlockDevice.Discard, maxSectors: 16, alignment: 4096);
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.Discard, sector, 40)));
        uint[] expected = sector == 4088 ? [8, 16, 16] : [16, 16, 8];
        Assert.Equal(expected, Device.RangeCommands.Select(command => command.Ranges[0].Count));
    }

    [Fact]
    public void What_a_device_leaves_alone_of_an_answer_is_zero()
    {
        DmaBuffer buffer = Allocate(20);
        buffer.Span.Fill(0xAA);
        Device.HoldsBack = true;
        TestRequest request = TestRequest.For(BlockOperation.GetId, 0, buffer);
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        Machine.Run();
        FakeChain chain = Assert.Single(Device.HeldBack);
        chain.Write(0, "AB"u8);
        chain.Write(20, [0]);
        Device.Queues[0].Use(chain, 21);
        Device.Queues[0].Signal();
        Device.Forget();
        Disk.Poll();
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
        Assert.Equal([(byte)'A', (byte)'B', .. new byte[18]], buffer.Span.ToArray());
    }

    [Theory]
    [InlineData(511u, IoStatus.DeviceError)]
    [InlineData(512u, IoStatus.DeviceError)]
    [InlineData(513u, IoStatus.Ok)]
    public void A_read_counts_when_all_of_it_and_the_status_were_written(uint length, IoStatus status)
    {
        _ = Disk;
        Device.Queues[0].OnUsed = (id, _) => (id, length);
        TestRequest again = new();
        DmaBuffer buffer = Allocate(512);
        for (int i = 0; i < 3; i++)
        {
            again.Prepare(BlockOperation.Read, 0, buffer);
            Assert.Equal(status, Do(again));
        }
        Assert.Equal(status, Do(List(BlockOperation.Read, 0, 1, 512)));
    }

    [Fact]
    public void A_read_only_disk_says_of_what_it_lacks_that_it_lacks_it_and_of_the_rest_that_it_is_read_only()
    {
        Device.MakeReadOnly().OfferedFeatures &= ~FakeBlockDevice.Flush;
        foreach (BlockOperation operation in Enum.GetValues<BlockOperation>().Where(each => each is not (BlockOperation.Read or BlockOperation.GetId)))
        {
            bool asks = operation is BlockOperation.Flush or BlockOperation.GetLifetime or BlockOperation.ReportZones;
            TestRequest request = TestRequest.For(operation, 0, Allocate(512));
            Assert.True((asks ? IoStatus.Unsupported : IoStatus.ReadOnly) == Disk.Submit(request), operation.ToString());
        }
    }

    [Fact]
    public void Disks_are_numbered_in_the_order_in_which_they_come()
    {
        using Fakes.FakeMachine machine = new();
        VirtioBlkDriver driver = new();
        List<string> names = [];
        for (int i = 0; i < 3; i++)
        {
            Drivers.Virtio.VirtioDriverTable table = new();
            table.Add(driver);
            PlatformDevice slot = machine.Plug(new FakeMmioDevice(machine, new FakeBlockDevice(64), 2));
            Assert.True(new Drivers.Virtio.Transport.VirtioMmioDriver(table).Probe(slot, out Device? disk).IsBound);
            names.Add(disk!.Name);
            disk.Remove();
        }
        Assert.Equal(["disk0", "disk1", "disk2"], names);
    }

    private TestRequest List(BlockOperation operation, ulong sector, int pieces, uint length)
    {
        DmaBuffer memory = Allocate((uint)pieces * length);
        TestRequest request = new();
        request.Prepare(operation, sector, [.. Enumerable.Range(0, pieces).Select(i => memory.Slice((uint)i * length, length))]);
        return request;
    }
}
