// What a reset of a disk means for those who wait, for those who asked for a flush, and for the count of resets in vain.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A disk that takes two pieces of 4096 bytes at once.</summary>
public sealed class VirtioBlkResetTests : DiskScene
{
    public VirtioBlkResetTests()
        : base(new FakeBlockDevice(8192)) => Device.Limit(segMax: 2, sizeMax: 4096);

    [Fact]
    public void What_never_was_with_the_device_is_not_blamed_when_another_one_breaks_it_twice()
    {
        TestRequest culprit = Hold(BlockOperation.Read, 0, 1);
        TestRequest other = Hold(BlockOperation.Read, 1, 1);
        Reset();
        TestRequest late = Submit(BlockOperation.Write, 2, 1);
        Assert.Equal((2ul, 1), (Disk.Repeats, Device.HeldBack.Count));
        Reset();
        Assert.Equal((IoStatus.DeviceError, 1), (culprit.Status, culprit.Completions));
        LetGo();
        Finish(other, late);
        Assert.All([other, late], request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal((2ul, 2ul), (Disk.Recoveries, Disk.Repeats));
    }

    [Fact]
    public void A_device_that_does_a_part_well_between_two_resets_is_never_given_up()
    {
        for (ulong round = 1; round <= 6; round++)
        {
            TestRequest cut = Hold(BlockOperation.Read, 0, 40);
            Reset();
            LetGo();
            Finish(cut);
            Assert.Equal((IoStatus.Ok, round), (cut.Status, Disk.Recoveries));
        }
    }

    [Fact]
    public void A_device_that_fails_every_part_between_resets_is_given_up()
    {
        for (int round = 0; round < 3; round++)
        {
            TestRequest cut = Hold(BlockOperation.Read, 0, 40);
            Reset();
            Device.OnStatus = _ => 1;
            LetGo();
            Finish(cut);
            Assert.Equal(IoStatus.DeviceError, cut.Status);
        }
        TestRequest last = Hold(BlockOperation.Read, 0, 1);
        Reset();
        Assert.Equal((IoStatus.DeviceError, 3ul), (last.Status, Disk.Recoveries));
        Assert.Equal(IoStatus.DeviceError, Disk.Submit(last));
    }

    [Fact]
    public void A_request_that_ends_because_the_device_does_not_come_back_can_not_be_submitted_again()
    {
        List<IoStatus> answers = [];
        TestRequest request = new() { Then = again => answers.Add(Disk.Submit(again)) };
        request.Prepare(BlockOperation.Read, 0, Allocate(512));
        Device.HoldsBack = true;
        Disk.RequestTimeout = 1_000_000;
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        Machine.Run();
        Device.AfterReset = () => Device.Limit(segMax: 1, sizeMax: 4096);
        int resets = Device.Resets;
        Disk.OnDeadline(Machine.Clock.Now + 1_000_000_000);
        Assert.Equal([IoStatus.TimedOut], answers);
        Assert.Equal((IoStatus.TimedOut, 1), (request.Status, request.Completions));
        Assert.Equal((resets + 2, ulong.MaxValue), (Device.Resets, Disk.NextDeadline));
    }

    [Fact]
    public void The_capacity_after_a_reset_is_what_the_device_says_then()
    {
        Assert.Equal(8192ul, Disk.SectorCount);
        Device.AfterReset = () => Device.SetCapacity(4096);
        Reset();
        Assert.Equal((4096ul, 1ul, 1ul), (Disk.SectorCount, Disk.CapacityChanges, Disk.Recoveries));
        Assert.Equal(IoStatus.OutOfRange, Do(TestRequest.For(BlockOperation.Read, 4096, Allocate(512))));
    }

    [Theory]
    [InlineData("block size")]
    [InlineData("no block size")]
    [InlineData("size_max")]
    [InlineData("seg_max")]
    [InlineData("discard")]
    [InlineData("write zeroes")]
    [InlineData("secure erase")]
    public void A_device_that_comes_back_with_less_than_it_had_is_given_up(string what)
    {
        Device.SetBlockSize(1024);
        AllowAll(100);
        _ = Disk;
        Device.AfterReset = () =>
        {
            _ = what switch
            {
                "block size" => Device.SetBlockSize(2048),
                "no block size" => Device.SetBlockSize(512),
                "size_max" => Device.Limit(2, 3072),
                "seg_max" => Device.Limit(1, 4096),
                "discard" => Device.Allow(FakeBlockDevice.Discard, 98),
                "write zeroes" => Device.Allow(FakeBlockDevice.WriteZeroes, 98),
                _ => Device.Allow(FakeBlockDevice.SecureErase, 98),
            };
        };
        TestRequest request = Hold(BlockOperation.Read, 0, 2);
        Reset();
        Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions));
        Assert.Equal(IoStatus.DeviceError, Disk.Submit(request));
    }

    [Fact]
    public void A_device_that_comes_back_with_more_than_it_had_goes_on_with_what_it_had()
    {
        AllowAll(100);
        _ = Disk;
        Device.AfterReset = () =>
        {
            Device.Limit(9, 65536);
            AllowAll(200);
        };
        TestRequest request = Hold(BlockOperation.Read, 0, 40);
        Reset();
        LetGo();
        Finish(request);
        Assert.Equal((IoStatus.Ok, 1ul), (request.Status, Disk.Recoveries));
        int before = Device.Requests;
        Assert.Equal(IoStatus.Ok, Write(0, 32, 1));
        Assert.Equal(before + 2, Device.Requests);
    }

    public static TheoryData<BlockOperation, uint> Changes => new()
    {
        { BlockOperation.Write, 1 },
        { BlockOperation.Write, 40 },
        { BlockOperation.Discard, 10 },
        { BlockOperation.WriteZeroes, 10 },
        { BlockOperation.SecureErase, 10 },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void What_was_changed_before_a_reset_is_in_doubt_until_it_was_told_once(BlockOperation operation, uint sectors)
    {
        AllowAll(100);
        Assert.Equal(IoStatus.Ok, Change(operation, sectors));
        Reset();
        Assert.Equal(IoStatus.DeviceError, Flush());
        Assert.Equal(IoStatus.Ok, Flush());
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public void What_was_flushed_before_a_reset_is_in_no_doubt_however_often(BlockOperation operation, uint sectors)
    {
        AllowAll(100);
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(IoStatus.Ok, Change(operation, sectors));
            Assert.Equal(IoStatus.Ok, Flush());
            Reset();
            Assert.Equal(IoStatus.Ok, Flush());
        }
    }

    [Fact]
    public void Two_resets_with_a_write_before_each_are_told_of()
    {
        Assert.Equal(IoStatus.Ok, Write(0, 1, 1));
        Reset();
        Assert.Equal(IoStatus.Ok, Write(1, 1, 1));
        Reset();
        Assert.Equal(IoStatus.DeviceError, Flush());
        Assert.Equal(IoStatus.Ok, Flush());
    }

    [Theory]
    [InlineData(BlockOperation.Read, 40u)]
    [InlineData(BlockOperation.GetId, 0u)]
    [InlineData(BlockOperation.GetLifetime, 0u)]
    public void What_only_asks_puts_nothing_in_doubt(BlockOperation operation, uint sectors)
    {
        Device.OfferedFeatures |= FakeBlockDevice.Lifetime;
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(operation, 0, Allocate(Math.Max(sectors, 1) * 512))));
        Reset();
        Assert.Equal(IoStatus.Ok, Flush());
    }

    [Fact]
    public void A_flush_that_failed_made_nothing_durable()
    {
        Assert.Equal(IoStatus.Ok, Write(0, 1, 1));
        Device.OnStatus = _ => 1;
        Assert.Equal(IoStatus.DeviceError, Flush());
        Device.OnStatus = null;
        Reset();
        Assert.Equal(IoStatus.DeviceError, Flush());
    }

    [Fact]
    public void A_write_that_came_after_the_flush_was_submitted_is_in_doubt()
    {
        Assert.Equal(IoStatus.Ok, Write(0, 1, 1));
        Device.HoldsBack = true;
        TestRequest flush = TestRequest.For(BlockOperation.Flush, 0, default);
        Assert.Equal(IoStatus.Ok, Disk.Submit(flush));
        TestRequest write = Submit(BlockOperation.Write, 1, 1);
        Disk.Kick();
        Machine.Run();
        Device.Complete(1);
        Disk.Poll();
        Device.Complete(0);
        Disk.Poll();
        Assert.Equal((IoStatus.Ok, IoStatus.Ok), (write.Status, flush.Status));
        Device.HoldsBack = false;
        Reset();
        Assert.Equal(IoStatus.DeviceError, Flush());
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 0)]
    public void A_cache_that_was_switched_twice_is_switched_again_after_a_reset(bool wanted, byte afterReset)
    {
        Device.WriteBackAfterReset = wanted ? (byte)1 : (byte)0;
        Device.AllowSwitch();
        Assert.True(Disk.TrySetWriteCache(!wanted));
        Assert.True(Disk.TrySetWriteCache(wanted));
        Device.WriteBackAfterReset = afterReset;
        Reset();
        Assert.Equal((wanted, wanted ? 1 : 0), (Disk.HasWriteCache, Device.Config[32]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_cache_that_stays_as_the_reset_left_it_is_warned_of_as_what_it_is(bool hasCache)
    {
        using CapturedLog log = new();
        Device.WriteBackAfterReset = hasCache ? (byte)1 : (byte)0;
        Device.AllowSwitch();
        Assert.True(Disk.TrySetWriteCache(!hasCache));
        Device.IsWriteBackStuck = true;
        Reset();
        Assert.Equal(hasCache, Disk.HasWriteCache);
        Assert.Contains($"virtio-blk: the write cache can't be switched again after the reset 0x{(hasCache ? 1 : 0)}", log.Entries);
    }

    [Fact]
    public void A_completion_while_the_next_ones_are_given_out_may_remove_the_disk()
    {
        Device.BadSectors.Add(0);
        Device.HoldsBack = true;
        TestRequest cut = new() { Then = _ => Disk.Remove() };
        cut.Prepare(BlockOperation.Read, 0, Allocate(1024 * 512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(cut));
        TestRequest behind = Submit(BlockOperation.Read, 2000, 1);
        Disk.Kick();
        Machine.Run();
        Assert.InRange(Device.HeldBack.Count, 16, 64);
        // The first part fails: the rest of the request is not asked for, and it ends with the last part that the device has.
        Device.HoldsBack = false;
        Device.CompleteAll();
        Disk.Poll();
        Assert.Equal((IoStatus.DeviceError, 1), (cut.Status, cut.Completions));
        Assert.Equal((IoStatus.Removed, 1), (behind.Status, behind.Completions));
    }

    [Fact]
    public void Who_reads_the_log_learns_what_happened()
    {
        using CapturedLog log = new();
        Hold(BlockOperation.Read, 0, 40);
        Device.AfterReset = () => Device.SetCapacity(9000);
        Reset();
        Device.AfterReset = () => Device.Limit(segMax: 1, sizeMax: 2048);
        Reset();
        Assert.Equal(
            [
                "virtio-blk: the device is reset and begun anew; parts of requests it held 0x3",
                "virtio-blk: the capacity is now, in sectors 0x2328",
                "virtio-blk: the device is reset and begun anew; parts of requests it held 0x3",
                "virtio-blk: the device came back with other limits 0x800",
                "virtio-blk: the device is given up; parts of requests it held 0x0", // they were taken back before
            ],
            log.Entries.Where(entry => entry.StartsWith("virtio-blk:", StringComparison.Ordinal)));
    }

    private void AllowAll(uint sectors) =>
        Device.Allow(FakeBlockDevice.Discard, sectors).Allow(FakeBlockDevice.WriteZeroes, sectors).Allow(FakeBlockDevice.SecureErase, sectors);

    private IoStatus Change(BlockOperation operation, uint sectors) =>
        operation == BlockOperation.Write ? Write(0, sectors, 1) : Do(Range(operation, 0, sectors));

    private IoStatus Flush()
    {
        TestRequest flush = TestRequest.For(BlockOperation.Flush, 0, default);
        return Do(flush);
    }
}
