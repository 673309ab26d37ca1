// Discard, write zeroes, secure erase, the lifetime, and what else a disk can be asked (virtio 5.2.6).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Each command: done, refused, failed, cut.</summary>
public sealed class VirtioBlkCommandTests() : DiskScene(new FakeBlockDevice(8192))
{
    public static TheoryData<BlockOperation, ulong, uint, byte> Ranges => new()
    {
        { BlockOperation.Discard, FakeBlockDevice.Discard, 11, FakeBlockDevice.Discarded },
        { BlockOperation.WriteZeroes, FakeBlockDevice.WriteZeroes, 13, 0 },
        { BlockOperation.SecureErase, FakeBlockDevice.SecureErase, 14, FakeBlockDevice.Erased },
    };

    [Theory]
    [MemberData(nameof(Ranges))]
    [Trait("Requirement", "BLK-OP-7")]
    [Trait("Requirement", "BLK-DISCARD-1")]
    [Trait("Requirement", "BLK-DISCARD-2")]
    [Trait("Requirement", "BLK-SECERASE-1")]
    [Trait("Requirement", "BLK-WRZEROES-1")]
    public void A_range_command_reaches_its_range_and_nothing_else(BlockOperation operation, ulong feature, uint type, byte after)
    {
        Device.Allow(feature, maxSectors: 1000);
        Assert.Equal(IoStatus.Ok, Write(90, 30, 0x77));
        Assert.True(Disk.Supports(operation));
        Assert.Equal(IoStatus.Ok, Do(Range(operation, 100, 10)));
        Assert.Equal([0x77, after, after, 0x77], [OnMedium(99), OnMedium(100), OnMedium(109), OnMedium(110)]);
        (uint seen, var ranges) = Assert.Single(Device.RangeCommands);
        Assert.Equal(type, seen);
        Assert.Equal([(100ul, 10u, 0u)], ranges);
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void A_range_longer_than_a_command_allows_is_cut(BlockOperation operation, ulong feature, uint type, byte after)
    {
        Device.Allow(feature, maxSectors: 100, maxSegments: 8);
        TestRequest request = Range(operation, 7, 1234);
        Assert.Equal((IoStatus.Ok, after), (Do(request), OnMedium(1240)));
        Assert.Equal(1, request.Completions);
        Assert.All(Device.RangeCommands, command => Assert.Equal(type, command.Type));
        // Each sector once, in commands of 100 at most.
        ulong[] touched = [.. Device.RangeCommands.SelectMany(command => command.Ranges).SelectMany(range => Sectors(range.Sector, range.Count)).Order()];
        Assert.Equal(Sectors(7, 1234), touched);
        Assert.Equal(13, Device.RangeCommands.Count);
    }

    [Theory]
    [InlineData(BlockOperation.Discard, FakeBlockDevice.Discard)]
    [InlineData(BlockOperation.SecureErase, FakeBlockDevice.SecureErase)]
    public void A_long_range_is_cut_where_the_device_is_aligned(BlockOperation operation, ulong feature)
    {
        Device.Allow(feature, maxSectors: 100, alignment: 64);
        Assert.Equal(IoStatus.Ok, Do(Range(operation, 10, 400)));
        (ulong Sector, uint Count, uint Flags)[] ranges = [.. Device.RangeCommands.SelectMany(command => command.Ranges).OrderBy(range => range.Sector)];
        Assert.Equal((10ul, 54u), (ranges[0].Sector, ranges[0].Count));
        Assert.All(ranges.Skip(1), range => Assert.Equal(0ul, range.Sector % 64));
        Assert.Equal(400, ranges.Sum(range => range.Count));
    }

    [Fact]
    public void An_alignment_larger_than_a_command_does_not_stop_the_cut()
    {
        Device.Allow(FakeBlockDevice.Discard, maxSectors: 16, alignment: 4096);
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.Discard, 1, 100)));
        Assert.Equal(100, Device.RangeCommands.Sum(command => command.Ranges.Sum(range => range.Count)));
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void More_commands_than_the_queue_holds_wait_and_are_done(BlockOperation operation, ulong feature, uint type, byte after)
    {
        Device.Allow(feature, maxSectors: 8);
        Device.HoldsBack = true;
        TestRequest request = Range(operation, 0, 8192);
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        for (int i = 0; i < 3000 && request.Completions == 0; i++)
        {
            Machine.Run();
            Device.CompleteAll(backwards: i % 2 == 0);
            Disk.Poll();
        }
        Assert.Equal((IoStatus.Ok, 1, 1024), (request.Status, request.Completions, Device.RangeCommands.Count));
        Assert.Equal((type, after), (Device.RangeCommands[0].Type, OnMedium(8191)));
    }

    [Fact]
    public void Only_write_zeroes_says_that_space_may_be_given_back_and_only_when_asked()
    {
        Device.Allow(FakeBlockDevice.WriteZeroes, 1000).Allow(FakeBlockDevice.Discard, 1000);
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.WriteZeroes, 0, 8, mayUnmap: true)));
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.WriteZeroes, 8, 8)));
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.Discard, 16, 8, mayUnmap: true)));
        Assert.Equal([1u, 0u, 0u], Device.RangeCommands.Select(command => command.Ranges[0].Flags));
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void What_is_wrong_with_a_range_is_said_before_the_device_sees_it(BlockOperation operation, ulong feature, uint type, byte after)
    {
        Device.Allow(feature, maxSectors: 1000).SetBlockSize(4096);
        Assert.Equal(IoStatus.Misaligned, Do(Range(operation, 8, 0)));
        Assert.Equal(IoStatus.Misaligned, Do(Range(operation, 4, 8)));
        Assert.Equal(IoStatus.Misaligned, Do(Range(operation, 8, 4)));
        Assert.Equal(IoStatus.OutOfRange, Do(Range(operation, 8192, 8)));
        Assert.Equal(IoStatus.OutOfRange, Do(Range(operation, 8184, 16)));
        Assert.Equal(IoStatus.OutOfRange, Do(Range(operation, ulong.MaxValue - 7, 8)));
        Assert.Equal(IoStatus.OutOfRange, Do(Range(operation, 8, ulong.MaxValue - 7)));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(operation, 8, Allocate(4096))));
        Assert.Equal(0, Device.Requests);
        Assert.Equal((IoStatus.Ok, type, after), (Do(Range(operation, 8184, 8)), Device.RangeCommands[0].Type, OnMedium(8191)));
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void A_command_that_the_device_lacks_or_allows_for_nothing_is_unsupported(BlockOperation operation, ulong feature, uint type, byte after)
    {
        Assert.False(Disk.Supports(operation));
        Assert.Equal(IoStatus.Unsupported, Do(Range(operation, 0, 8)));
        Disk.Remove();
        foreach ((uint sectors, uint segments) in new[] { (0u, 1u), (8u, 0u), (7u, 1u) })
        {
            using AnotherDisk other = new(new FakeBlockDevice(64).SetBlockSize(4096).Allow(feature, sectors, segments));
            other.IsUnsupported(Range(operation, 0, 8));
        }
        Assert.True(type > 0 && after != 0x77);
    }

    private sealed class AnotherDisk(FakeBlockDevice device) : DiskScene(device)
    {
        public void IsUnsupported(TestRequest request) => Assert.Equal((false, IoStatus.Unsupported), (Disk.Supports(request.Operation), Do(request)));

        public void IsReadOnly(TestRequest request) => Assert.Equal((false, IoStatus.ReadOnly), (Disk.Supports(request.Operation), Do(request)));
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void A_read_only_disk_takes_no_command_that_changes_it(BlockOperation operation, ulong feature, uint type, byte after)
    {
        using AnotherDisk other = new(new FakeBlockDevice(64).MakeReadOnly().Allow(feature, 8));
        other.IsReadOnly(Range(operation, 0, 8));
        Assert.True(type > 0 && after != 0x77);
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void Every_error_status_is_told_and_the_next_command_works(BlockOperation operation, ulong feature, uint type, byte after)
    {
        Device.Allow(feature, maxSectors: 100);
        (byte? Answer, IoStatus Status)[] cases =
        [
            (1, IoStatus.DeviceError), (2, IoStatus.Unsupported), (3, IoStatus.DeviceError), (6, IoStatus.DeviceError), (7, IoStatus.DeviceError),
            (0xFE, IoStatus.DeviceError), (null, IoStatus.DeviceError),
        ];
        foreach ((byte? answer, IoStatus status) in cases)
        {
            Device.OnStatus = _ => answer;
            Assert.Equal(status, Do(Range(operation, 0, 8)));
            Device.OnStatus = null;
            Assert.Equal(IoStatus.Ok, Do(Range(operation, 0, 8)));
        }
        Assert.Equal((type, after), (Device.RangeCommands[0].Type, OnMedium(7)));
    }

    [Fact]
    [Trait("Requirement", "BLK-OP-9")]
    public void An_error_in_one_command_of_a_cut_range_is_the_error_of_the_whole()
    {
        Device.Allow(FakeBlockDevice.WriteZeroes, maxSectors: 10);
        Device.BadSectors.Add(55);
        TestRequest request = Range(BlockOperation.WriteZeroes, 0, 100);
        Assert.Equal((IoStatus.DeviceError, 1), (Do(request), request.Completions));
    }

    [Fact]
    public void The_lifetime_is_read_and_checked()
    {
        Device.OfferedFeatures |= FakeBlockDevice.Lifetime;
        DmaBuffer buffer = Allocate(8);
        buffer.Span.Fill(0xAA);
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.GetLifetime, 0, buffer)));
        Assert.True(BlockLifetime.TryRead(buffer.Span, out BlockLifetime lifetime));
        Assert.Equal((MediumReserve.Normal, (ushort)3, (ushort)7), (lifetime.Reserve, lifetime.TypeA, lifetime.TypeB));
        Assert.Equal(0xAA, buffer.Span[6]);
        Assert.True(BlockLifetime.TryRead([3, 0, 11, 0, 11, 0], out lifetime)); // used up, in every respect
        Assert.Equal((MediumReserve.Urgent, (ushort)11, (ushort)11), (lifetime.Reserve, lifetime.TypeA, lifetime.TypeB));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.GetLifetime, 0, Allocate(5))));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.GetLifetime, 0, default)));
    }

    [Theory]
    [InlineData(new byte[] { 4, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 0, 12, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 1 })]
    [InlineData(new byte[] { 1, 0, 0, 0, 0 })]
    public void A_lifetime_with_values_that_do_not_exist_is_none(byte[] bytes) => Assert.False(BlockLifetime.TryRead(bytes, out _));

    [Fact]
    public void A_lifetime_that_is_not_offered_is_unsupported() =>
        Assert.Equal(IoStatus.Unsupported, Do(TestRequest.For(BlockOperation.GetLifetime, 0, Allocate(6))));

    [Fact]
    [Trait("Requirement", "BLK-OP-8")]
    public void An_answer_that_the_device_did_not_write_is_an_error()
    {
        Device.OfferedFeatures |= FakeBlockDevice.Lifetime;
        _ = Disk;
        Device.Queues[0].OnUsed = (id, _) => (id, 1);
        Assert.Equal(IoStatus.DeviceError, Do(TestRequest.For(BlockOperation.GetLifetime, 0, Allocate(6))));
        Assert.Equal(IoStatus.DeviceError, Do(TestRequest.For(BlockOperation.GetId, 0, Allocate(20))));
    }

    [Fact]
    public void Topology_and_geometry_are_read()
    {
        Device.SetBlockSize(1024).OfferedFeatures |= FakeBlockDevice.Topology | FakeBlockDevice.Geometry;
        byte[] config = [0x34, 0x12, 16, 63, 0, 4, 0, 0, 2, 3, 5, 0, 7, 0, 0, 0];
        config.CopyTo(Device.Config, 16);
        BlockTopology topology = Disk.Topology;
        Assert.Equal((4096ul, 3072ul, 5120ul, 7168ul), (topology.PhysicalBlockSize, topology.AlignmentOffset, topology.MinimumIoSize, topology.OptimalIoSize));
        Assert.Equal((0x1234, 16, 63), (Disk.Geometry.Cylinders, Disk.Geometry.Heads, Disk.Geometry.Sectors));
    }

    [Fact]
    public void Without_the_features_topology_is_plain_and_geometry_empty()
    {
        Assert.Equal((512ul, 0ul), (Disk.Topology.PhysicalBlockSize, Disk.Topology.OptimalIoSize));
        Assert.Equal(0, Disk.Geometry.Cylinders);
    }

    private static ulong[] Sectors(ulong first, uint count) => [.. Enumerable.Range(0, (int)count).Select(i => first + (ulong)i)];
}
