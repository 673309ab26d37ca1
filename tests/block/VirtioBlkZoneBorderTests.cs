// Zones at their borders: what just fits into one, what a report may say, and where an append may land (virtio 5.2.6.2).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A host-managed disk of 16 zones of 64 sectors, the first conventional, that is written 2 sectors at a time.</summary>
public sealed class VirtioBlkZoneBorderTests : DiskScene
{
    private readonly FakeZones _zones = new(1024, 64, conventional: 1, maxAppend: 16, granularity: 1024);

    public VirtioBlkZoneBorderTests()
        : base(new FakeBlockDevice(1024)) => Device.DivideInto(_zones);

    [Fact]
    [Trait("Requirement", "BLK-ZONED-18")]
    public void A_zone_is_written_to_its_end_and_not_beyond()
    {
        Assert.Equal(IoStatus.Ok, Write(62, 2, 1));
        Assert.Equal(IoStatus.Misaligned, Write(62, 4, 1));
        Assert.Equal(IoStatus.Ok, Write(0, 64, 2));
        Assert.Equal(IoStatus.Ok, Write(64, 64, 3));
        Assert.Equal(IoStatus.Ok, Write(1022 - 62, 64, 4));
        Assert.Equal((14, 14), (_zones.Zones[1].State, _zones.Zones[15].State));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-14")]
    [Trait("Requirement", "BLK-ZONED-15")]
    public void The_longest_append_is_taken_and_the_last_one_ends_where_the_zone_does()
    {
        for (ulong at = 64; at < 128; at += 16)
        {
            TestRequest request = Append(16);
            Assert.Equal((IoStatus.Ok, at), (request.Status, request.AppendedAt));
        }
        Assert.Equal(IoStatus.ZoneInvalid, Append(2).Status);
    }

    [Theory]
    [InlineData(64ul, IoStatus.Ok)]
    [InlineData(112ul, IoStatus.Ok)]
    [InlineData(113ul, IoStatus.DeviceError)]
    [InlineData(127ul, IoStatus.DeviceError)]
    [InlineData(128ul, IoStatus.DeviceError)]
    [InlineData(62ul, IoStatus.DeviceError)]
    public void An_append_can_have_landed_only_where_all_of_it_is_in_the_zone(ulong said, IoStatus status)
    {
        _zones.LieAboutAppend = said;
        Assert.Equal(status, Append(16).Status);
    }

    [Fact]
    public void The_answer_of_an_earlier_append_is_not_taken_for_that_of_the_next()
    {
        TestRequest request = Append(2);
        Assert.Equal((IoStatus.Ok, 64ul), (request.Status, request.AppendedAt));
        Device.HoldsBack = true;
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        Machine.Run();
        // The device says it is done, and that it wrote the place, which it did not.
        FakeChain chain = Assert.Single(Device.HeldBack);
        chain.Write(8, [0]);
        Device.Queues[0].Use(chain, 9);
        Device.Queues[0].Signal();
        Device.Forget();
        Disk.Poll();
        Assert.Equal((IoStatus.DeviceError, 2), (request.Status, request.Completions));
    }

    [Fact]
    public void An_append_to_a_part_of_the_disk_tells_its_place_there()
    {
        TestRequest request = TestRequest.For(BlockOperation.AppendZone, 64, Allocate(1024));
        request.Origin = 128;
        Assert.Equal(IoStatus.Ok, Do(request));
        Assert.Equal((64ul, 194ul), (request.AppendedAt, _zones.Zones[3].WritePointer));
    }

    [Theory]
    [InlineData(1024u, 1024u, IoStatus.Ok)]
    [InlineData(512u, 1536u, IoStatus.Misaligned)]
    [InlineData(1536u, 512u, IoStatus.Misaligned)]
    [InlineData(3072u, 1024u, IoStatus.Ok)]
    public void Each_buffer_of_a_list_is_whole_pieces_of_the_granularity_since_it_may_be_cut_there(uint first, uint second, IoStatus status)
    {
        DmaBuffer memory = Allocate(first + second);
        TestRequest request = new();
        request.Prepare(BlockOperation.Write, 64, [memory.Slice(0, first), memory.Slice(first, second)]);
        Assert.Equal(status, Do(request));
    }

    [Theory]
    [InlineData(4096u, 1024u, IoStatus.Ok)]
    [InlineData(4096u, 4096u, IoStatus.Ok)]
    [InlineData(5120u, 1024u, IoStatus.Misaligned)]
    [InlineData(1024u, 5120u, IoStatus.Misaligned)]
    public void A_buffer_of_an_append_is_no_longer_than_the_device_takes_in_one_piece(uint first, uint second, IoStatus status)
    {
        Device.Limit(segMax: 2, sizeMax: 4096);
        DmaBuffer memory = Allocate(first + second);
        TestRequest request = new();
        request.Prepare(BlockOperation.AppendZone, 64, [memory.Slice(0, first), memory.Slice(first, second)]);
        Assert.Equal(status, Do(request));
    }

    [Theory]
    [InlineData(4096u, IoStatus.Ok)]
    [InlineData(4097u, IoStatus.Misaligned)]
    public void A_report_is_asked_for_in_one_piece_and_only_a_report_has_to_be(uint length, IoStatus status)
    {
        Device.Limit(segMax: 2, sizeMax: 4096);
        DmaBuffer buffer = Allocate(length);
        Assert.Equal(status, Do(TestRequest.For(BlockOperation.ReportZones, 0, buffer)));
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.GetId, 0, buffer)));
    }

    [Fact]
    public void Reads_of_a_zoned_disk_are_cut_and_go_at_the_same_time_and_writes_one_behind_the_other()
    {
        Device.Limit(segMax: 1, sizeMax: 1024);
        Device.HoldsBack = true;
        Submit(BlockOperation.Read, 0, 10);
        Disk.Kick();
        Machine.Run();
        Assert.Equal(5, Device.HeldBack.Count);
        Device.CompleteAll();
        Disk.Poll();
        Submit(BlockOperation.Write, 0, 10);
        Disk.Kick();
        Machine.Run();
        Assert.Single(Device.HeldBack);
    }

    [Theory]
    [InlineData((byte)0, 1)]
    [InlineData((byte)1, 1)]
    [InlineData((byte)2, 2)]
    [InlineData((byte)3, 3)]
    [InlineData((byte)4, 3)]
    public void A_zone_has_one_of_three_kinds(byte said, int type)
    {
        bool exists = said is >= 1 and <= 3;
        Assert.Equal(exists, ZoneReport.TryRead(Zone(64, 60, 64, said, 1), 0, out Zone zone));
        Assert.True(!exists || (int)zone.Type == type);
    }

    [Theory]
    [InlineData(64ul, 60ul, 64ul, true)]
    [InlineData(64ul, 60ul, 63ul, false)]
    [InlineData(64ul, 60ul, 124ul, true)]
    [InlineData(64ul, 60ul, 125ul, false)]
    [InlineData(ulong.MaxValue - 60, 60ul, ulong.MaxValue - 60, true)]
    [InlineData(ulong.MaxValue - 60, 60ul, ulong.MaxValue, true)]
    [InlineData(ulong.MaxValue - 59, 60ul, ulong.MaxValue - 59, false)]
    public void A_zone_and_its_write_pointer_lie_within_what_can_be_counted(ulong start, ulong capacity, ulong pointer, bool isRight)
    {
        Assert.Equal(isRight, ZoneReport.TryRead(Zone(start, capacity, pointer, 2, 4), 0, out Zone zone));
        Assert.True(!isRight || (start, capacity, pointer) == (zone.Start, zone.Capacity, zone.WritePointer));
        // A full zone has none, and what is said there means nothing.
        Assert.Equal(start <= ulong.MaxValue - capacity, ZoneReport.TryRead(Zone(start, capacity, pointer, 2, 14), 0, out _));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(63, 0)]
    [InlineData(64, 0)]
    [InlineData(127, 0)]
    [InlineData(128, 1)]
    [InlineData(191, 1)]
    [InlineData(192, 2)]
    public void A_report_has_no_more_zones_than_there_are_bytes(int length, int zones)
    {
        byte[] report = new byte[256];
        BinaryPrimitives.WriteUInt64LittleEndian(report, ulong.MaxValue);
        Assert.Equal(zones, ZoneReport.CountOf(report.AsSpan(0, length)));
    }

    [Fact]
    public void A_legacy_device_whose_lengths_are_wrong_reports_as_many_zones_as_there_was_room_for()
    {
        using FakeMachine machine = new();
        FakeZones zones = new(1024, 64) { LieAboutCount = ulong.MaxValue };
        FakeBlockDevice device = new FakeBlockDevice(1024).DivideInto(zones);
        machine.Plug(new FakeLegacyPciDevice(device, 2), 0, 3);
        VirtioBlk disk = Backends.Fake.FakeBinding.AttachOne<VirtioBlk>(machine);
        device.Queues[0].OnUsed = (id, _) => (id, 0);
        Assert.True(machine.Dma.TryAllocate(64 + 5 * 64, 512, out DmaBuffer buffer));
        TestRequest request = TestRequest.For(BlockOperation.ReportZones, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Waiting.Until(disk, machine.Clock, () => request.Completions > 0, "the report");
        Assert.Equal((IoStatus.Ok, 5ul), (request.Status, BinaryPrimitives.ReadUInt64LittleEndian(buffer.Span)));
        disk.Remove();
        machine.Dma.Free(buffer);
        machine.AssertNothingLeaked();
    }

    [Theory]
    [InlineData((byte)1, 3)]
    [InlineData((byte)2, 2)]
    public void Only_a_host_managed_disk_is_cut_where_its_granularity_is(byte model, int parts)
    {
        using Zoned zoned = new(new FakeBlockDevice(1024).DivideInto(new FakeZones(1024, 64, model, granularity: 4096)));
        zoned.IsCut(parts);
    }

    private sealed class Zoned(FakeBlockDevice device) : DiskScene(device)
    {
        public void IsCut(int parts)
        {
            Device.Limit(segMax: 1, sizeMax: 6144);
            Assert.Equal((IoStatus.Ok, parts), (Do(TestRequest.For(BlockOperation.Read, 0, Allocate(12288))), Device.Requests));
        }
    }

    private TestRequest Append(uint sectors)
    {
        TestRequest request = TestRequest.For(BlockOperation.AppendZone, 64, Allocate(sectors * 512));
        Do(request);
        return request;
    }

    /// <summary>A report of one zone.</summary>
    private static byte[] Zone(ulong start, ulong capacity, ulong pointer, byte type, byte state)
    {
        byte[] report = new byte[128];
        BinaryPrimitives.WriteUInt64LittleEndian(report, 1);
        BinaryPrimitives.WriteUInt64LittleEndian(report.AsSpan(64), capacity);
        BinaryPrimitives.WriteUInt64LittleEndian(report.AsSpan(72), start);
        BinaryPrimitives.WriteUInt64LittleEndian(report.AsSpan(80), pointer);
        report[88] = type;
        report[89] = state;
        return report;
    }
}
