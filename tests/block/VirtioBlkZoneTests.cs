// Zoned disks (virtio 5.2.6.2).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A host-managed disk of 16 zones of 64 sectors, 60 of which can be used; the first is conventional.</summary>
public sealed class VirtioBlkZoneTests : DiskScene
{
    private const uint ZoneSectors = 64;

    private readonly FakeZones _zones = new(1024, ZoneSectors, conventional: 1, capacity: 60, maxOpen: 2, maxActive: 3, maxAppend: 16, granularity: 1024);

    public VirtioBlkZoneTests()
        : base(new FakeBlockDevice(1024)) => Device.DivideInto(_zones);

    [Fact]
    [Trait("Requirement", "BLK-ZONED-1")]
    public void The_zones_are_described_by_the_configuration()
    {
        ZoneLimits zones = Disk.Zones;
        Assert.Equal((ZoneModel.HostManaged, ZoneSectors, 2u, 3u, 16u, 1024u),
            (zones.Model, zones.ZoneSectors, zones.MaxOpen, zones.MaxActive, zones.MaxAppendSectors, zones.WriteGranularity));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-2")]
    [Trait("Requirement", "CORE-INIT-2")]
    public void A_host_managed_disk_does_not_get_discard_accepted()
    {
        Device.Allow(FakeBlockDevice.Discard, 64);
        Assert.True(Disk.Virtio.Has(VirtioBlkFormat.Zoned));
        Assert.False(Disk.Virtio.Has(VirtioBlkFormat.Discard));
        Assert.Equal(IoStatus.Unsupported, Do(Range(BlockOperation.Discard, 0, 64)));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-8")]
    [Trait("Requirement", "BLK-ZONED-9")]
    public void A_report_describes_the_zones_from_a_sector_on()
    {
        Zone[] zones = Report(sector: 70, room: 64 + 4 * 64);
        Assert.Equal([64ul, 128ul, 192ul, 256ul], zones.Select(zone => zone.Start));
        Assert.All(zones, zone => Assert.Equal((60ul, ZoneType.SequentialRequired, ZoneState.Empty), (zone.Capacity, zone.Type, zone.State)));
        Assert.Equal((ZoneType.Conventional, ZoneState.NoWritePointer), (Report(0, 128)[0].Type, Report(0, 128)[0].State));
        Assert.Equal(2, Report(14 * ZoneSectors, 1024).Length);
        Assert.Equal(IoStatus.OutOfRange, Do(TestRequest.For(BlockOperation.ReportZones, 1024, Allocate(128))));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.ReportZones, 0, Allocate(127))));
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(17)]
    public void A_report_that_says_it_has_more_zones_than_it_has_is_cut_to_what_was_written(ulong count)
    {
        _zones.LieAboutCount = count;
        Assert.Equal(16, Report(0, 64 + 100 * 64).Length);
    }

    [Fact]
    public void Zones_that_make_no_sense_are_not_read()
    {
        DmaBuffer buffer = Allocate(64 + 5 * 64);
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.ReportZones, ZoneSectors, buffer)));
        Assert.True(ZoneReport.TryRead(buffer.Span, 0, out _));
        (int Offset, byte Value)[] damages = [(64 + 24, 0), (64 + 24, 4), (64 + 25, 5), (64 + 25, 16), (64 + 16, 200), (64 + 15, 255)];
        foreach ((int offset, byte value) in damages)
        {
            byte[] report = buffer.Span.ToArray();
            report[offset] = value;
            report.AsSpan(64, 8).Fill((byte)(offset == 64 + 15 ? 255 : report[64]));
            if (offset != 64 + 15)
            {
                buffer.Span.Slice(64, 8).CopyTo(report.AsSpan(64));
            }
            Assert.False(ZoneReport.TryRead(report, 0, out _), $"offset {offset} value {value}");
        }
        Assert.False(ZoneReport.TryRead(buffer.Span, 5, out _));
        Assert.False(ZoneReport.TryRead(buffer.Span, -1, out _));
        Assert.Equal(0, ZoneReport.CountOf(buffer.Span[..63]));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-10")]
    [Trait("Requirement", "BLK-ZONED-11")]
    public void Zones_are_opened_closed_finished_and_reset()
    {
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.OpenZone, 1));
        Assert.Equal(ZoneState.ExplicitlyOpen, StateOf(1));
        Assert.Equal(IoStatus.Ok, Write(ZoneSectors, 4, 0x11));
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.CloseZone, 1));
        Assert.Equal(ZoneState.Closed, StateOf(1));
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.FinishZone, 1));
        Assert.Equal(ZoneState.Full, StateOf(1));
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.ResetZone, 1));
        Assert.Equal(ZoneState.Empty, StateOf(1));
        Assert.Equal(IoStatus.Ok, Write(2 * ZoneSectors, 2, 0x22));
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.ResetAllZones, 0, default)));
        Assert.Equal(ZoneState.Empty, StateOf(2));
        BlockOperation[] ofOneZone = [BlockOperation.OpenZone, BlockOperation.CloseZone, BlockOperation.FinishZone, BlockOperation.ResetZone];
        foreach (BlockOperation operation in ofOneZone)
        {
            Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(operation, 65, default)));
            Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(operation, 64, Allocate(512))));
            Assert.Equal(IoStatus.OutOfRange, Do(TestRequest.For(operation, 1024, default)));
            Assert.Equal(IoStatus.ZoneInvalid, Manage(operation, 0));
        }
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.ResetAllZones, 64, default)));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-12")]
    [Trait("Requirement", "BLK-ZONED-15")]
    public void Appends_land_one_behind_the_other_and_say_where()
    {
        ulong[] places = [.. Enumerable.Range(0, 3).Select(i => Append(zone: 1, sectors: 4, (byte)(i + 1)).AppendedAt)];
        Assert.Equal([64ul, 68ul, 72ul], places);
        Assert.Equal([1, 2, 3, 0], new ulong[] { 64, 68, 72, 76 }.Select(sector => (int)OnMedium(sector)));
    }

    [Fact]
    public void Many_appends_at_once_each_get_their_own_place()
    {
        Device.HoldsBack = true;
        DmaBuffer[] buffers = [.. Enumerable.Range(0, 15).Select(i => Allocate(2048))];
        TestRequest[] requests = [.. buffers.Select((buffer, i) => Filled(buffer, (byte)(i + 1)))];
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, Disk.Submit(request)));
        Disk.Kick();
        Machine.Run();
        Device.CompleteAll(backwards: true);
        Disk.Poll();
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal(15, requests.Select(request => request.AppendedAt).Distinct().Count());
        Assert.All(requests, request => Assert.Equal(request.Buffers[0].Span[0], OnMedium(request.AppendedAt)));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-13")]
    [Trait("Requirement", "BLK-ZONED-14")]
    public void What_is_wrong_with_an_append_is_said_before_the_device_sees_it()
    {
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.AppendZone, 65, Allocate(1024))));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.AppendZone, 64, Allocate(512))));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.AppendZone, 64, Allocate(17 * 512))));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.AppendZone, 64, Allocate(18 * 512))));
        Assert.Equal(IoStatus.Misaligned, Do(TestRequest.For(BlockOperation.AppendZone, 64, default)));
        Assert.Equal(IoStatus.OutOfRange, Do(TestRequest.For(BlockOperation.AppendZone, 1024, Allocate(1024))));
        Assert.Equal(0, Device.Requests);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(64 + 61)]
    [InlineData(ulong.MaxValue)]
    public void An_append_that_says_it_landed_outside_of_its_zone_is_an_error(ulong lie)
    {
        _zones.LieAboutAppend = lie;
        Assert.Equal(IoStatus.DeviceError, Append(1, 4, 1).Status);
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-7")]
    [Trait("Requirement", "BLK-ZONED-16")]
    [Trait("Requirement", "BLK-ZONED-17")]
    [Trait("Requirement", "BLK-ZONED-18")]
    public void Writes_are_whole_pieces_of_the_granularity_within_a_zone()
    {
        Assert.Equal(IoStatus.Misaligned, Write(64, 1, 1));
        Assert.Equal(IoStatus.Misaligned, Write(65, 2, 1));
        Assert.Equal(IoStatus.Misaligned, Write(126, 4, 1));
        Assert.Equal(0, Device.Requests);
        Assert.Equal(IoStatus.Ok, Write(64, 2, 1));
        Assert.Equal(IoStatus.ZoneUnaligned, Write(70, 2, 1));
    }

    [Fact]
    public void Each_status_of_zones_is_told_by_its_name()
    {
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.OpenZone, 1));
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.OpenZone, 2));
        Assert.Equal(IoStatus.ZoneOpenLimit, Manage(BlockOperation.OpenZone, 3));
        Assert.Equal(IoStatus.Ok, Write(64, 2, 1));
        Assert.Equal(IoStatus.Ok, Manage(BlockOperation.CloseZone, 1));
        Assert.Equal(IoStatus.Ok, Write(192, 2, 1));
        Assert.Equal(IoStatus.ZoneActiveLimit, Manage(BlockOperation.OpenZone, 4));
        Assert.Equal(IoStatus.Ok, Write(194, 58, 1));
        Assert.Equal(IoStatus.ZoneInvalid, Append(3, 2, 1).Status);
    }

    [Theory]
    [InlineData(1u, 4096u)]
    [InlineData(2u, 1024u)]
    public void A_write_that_has_to_be_cut_stays_in_sequence(uint segMax, uint sizeMax)
    {
        Device.Limit(segMax, sizeMax);
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Write, 64, 60);
        Disk.Kick();
        for (int i = 0; i < 100 && request.Completions == 0; i++)
        {
            Machine.Run();
            Assert.InRange(Device.HeldBack.Count, 0, 1);
            Device.CompleteAll();
            Disk.Poll();
        }
        Assert.Equal((IoStatus.Ok, 1, (byte)14), (request.Status, request.Completions, _zones.Zones[1].State));
    }

    [Fact]
    public void An_append_that_was_with_the_device_is_not_repeated_after_a_reset()
    {
        Device.HoldsBack = true;
        TestRequest append = Filled(Allocate(1024), 9);
        Assert.Equal(IoStatus.Ok, Disk.Submit(append));
        TestRequest read = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        Device.HoldsBack = false;
        Device.AskForReset();
        Finish(append, read);
        Assert.Equal((IoStatus.DeviceError, 1), (append.Status, append.Completions));
        Assert.Equal((IoStatus.Ok, 1), (read.Status, read.Completions));
        Assert.Equal(64ul, _zones.Zones[1].WritePointer);
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-19")]
    public void Whole_zones_are_erased()
    {
        Device.Allow(FakeBlockDevice.SecureErase, 1024);
        Assert.Equal(IoStatus.Misaligned, Do(Range(BlockOperation.SecureErase, 64, 32)));
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.SecureErase, 64, 128)));
    }

    [Theory]
    [InlineData(72, 0, "whole number of blocks")]
    [InlineData(88, 0, "write granularity")]
    [InlineData(88, 100, "write granularity")]
    [InlineData(88, 3 * 512, "write granularity")]
    [InlineData(92, 3, "zone model")]
    [InlineData(92, 255, "zone model")]
    public void A_zoned_configuration_that_makes_no_sense_fails_the_probe(int offset, int value, string reason)
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new FakeBlockDevice(1024).DivideInto(new FakeZones(1024, ZoneSectors));
        if (offset == 92)
        {
            device.Config[offset] = (byte)value;
        }
        else
        {
            BitConverter.GetBytes(value).CopyTo(device.Config, offset);
        }
        machine.Plug(device);
        Backends.Fake.FakeBinding.Attach(machine, out List<ProbeResult> results);
        Assert.Contains(results, result => result.Status == ProbeStatus.Failed && result.Reason.Contains(reason, StringComparison.Ordinal));
        Assert.True(device.WasGivenUp);
        machine.Violations.AssertEmpty();
        machine.AssertNothingLeaked();
    }

    [Fact]
    public void A_granularity_that_cuts_blocks_fails_the_probe()
    {
        using FakeMachine machine = new();
        machine.Plug(new FakeBlockDevice(960).SetBlockSize(1024).DivideInto(new FakeZones(960, 96, granularity: 1536)));
        Backends.Fake.FakeBinding.Attach(machine, out List<ProbeResult> results);
        Assert.Contains(results, result => result.Reason.Contains("do not fit together", StringComparison.Ordinal));
        machine.AssertNothingLeaked();
    }

    private Zone[] Report(ulong sector, uint room)
    {
        DmaBuffer buffer = Allocate(room);
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.ReportZones, sector, buffer)));
        Zone[] zones = new Zone[ZoneReport.CountOf(buffer.Span)];
        for (int i = 0; i < zones.Length; i++)
        {
            Assert.True(ZoneReport.TryRead(buffer.Span, i, out zones[i]));
        }
        return zones;
    }

    private ZoneState StateOf(uint zone) => Report(zone * ZoneSectors, 128)[0].State;

    private IoStatus Manage(BlockOperation operation, uint zone) => Do(TestRequest.For(operation, zone * ZoneSectors, default));

    private TestRequest Append(uint zone, uint sectors, byte value)
    {
        TestRequest request = Filled(Allocate(sectors * 512), value, zone);
        Do(request);
        return request;
    }

    private static TestRequest Filled(DmaBuffer buffer, byte value, uint zone = 1)
    {
        buffer.Span.Fill(value);
        return TestRequest.For(BlockOperation.AppendZone, zone * ZoneSectors, buffer);
    }
}

/// <summary>A disk with every command there is.</summary>
public sealed class VirtioBlkStatusTests() : DiskScene(new FakeBlockDevice(1024).DivideInto(new FakeZones(1024, 64, model: 2)))
{
    public static TheoryData<BlockOperation> Operations => [.. Enum.GetValues<BlockOperation>()];

    [Theory]
    [MemberData(nameof(Operations))]
    public void Every_status_of_every_command_is_told_and_the_next_command_works(BlockOperation operation)
    {
        Device.Allow(FakeBlockDevice.Discard, 64).Allow(FakeBlockDevice.WriteZeroes, 64).Allow(FakeBlockDevice.SecureErase, 64);
        Device.OfferedFeatures |= FakeBlockDevice.Lifetime;
        Assert.True(Disk.Supports(operation));
        (byte? Answer, IoStatus Status)[] answers =
        [
            (1, IoStatus.DeviceError), (2, IoStatus.Unsupported), (3, IoStatus.ZoneInvalid), (4, IoStatus.ZoneUnaligned), (5, IoStatus.ZoneOpenLimit),
            (6, IoStatus.ZoneActiveLimit), (7, IoStatus.DeviceError), (0xFE, IoStatus.DeviceError), (0xFF, IoStatus.DeviceError), (null, IoStatus.DeviceError),
        ];
        foreach ((byte? answer, IoStatus status) in answers)
        {
            Device.OnStatus = _ => answer;
            Assert.Equal(status, Do(Request(operation)));
            Device.OnStatus = null;
            TestRequest read = TestRequest.For(BlockOperation.Read, 0, Allocate(512));
            Assert.Equal((IoStatus.Ok, 1), (Do(read), read.Completions));
        }
    }

    private TestRequest Request(BlockOperation operation) => operation switch
    {
        BlockOperation.Read or BlockOperation.Write => TestRequest.For(operation, 5, Allocate(1024)),
        BlockOperation.GetId or BlockOperation.GetLifetime => TestRequest.For(operation, 0, Allocate(20)),
        BlockOperation.ReportZones => TestRequest.For(operation, 64, Allocate(256)),
        BlockOperation.AppendZone => TestRequest.For(operation, 64, Allocate(512)),
        BlockOperation.Discard or BlockOperation.WriteZeroes or BlockOperation.SecureErase => Range(operation, 64, 64),
        BlockOperation.Flush or BlockOperation.ResetAllZones => TestRequest.For(operation, 0, default),
        _ => TestRequest.For(operation, 64, default),
    };
}

/// <summary>Disks whose zones need no care.</summary>
public sealed class VirtioBlkHostAwareTests() : DiskScene(new FakeBlockDevice(1024).DivideInto(new FakeZones(1024, 64, model: 2)))
{
    [Fact]
    [Trait("Requirement", "BLK-ZONED-3")]
    [Trait("Requirement", "BLK-ZONED-5")]
    public void A_host_aware_disk_is_written_anywhere_and_may_be_discarded()
    {
        Device.Allow(FakeBlockDevice.Discard, 64);
        Assert.Equal(ZoneModel.HostAware, Disk.Zones.Model);
        Assert.Equal(IoStatus.Ok, Write(77, 3, 1));
        Assert.Equal(IoStatus.Ok, Write(62, 4, 1));
        Assert.Equal(IoStatus.Ok, Do(Range(BlockOperation.Discard, 64, 64)));
    }

    [Fact]
    [Trait("Requirement", "BLK-ZONED-6")]
    public void A_disk_that_says_it_has_no_zones_is_a_plain_one()
    {
        Device.DivideInto(new FakeZones(1024, 64, model: 0));
        BitConverter.GetBytes(0).CopyTo(Device.Config, 72);
        Assert.Equal(ZoneModel.None, Disk.Zones.Model);
        Assert.False(Disk.Supports(BlockOperation.ReportZones));
        Assert.Equal(IoStatus.Unsupported, Do(TestRequest.For(BlockOperation.ResetZone, 0, default)));
        Assert.Equal(IoStatus.Unsupported, Do(TestRequest.For(BlockOperation.AppendZone, 0, Allocate(512))));
        Assert.Equal(IoStatus.Ok, Write(77, 3, 1));
    }
}
