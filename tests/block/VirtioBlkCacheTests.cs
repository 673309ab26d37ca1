// The write cache of a disk: who says that there is one, switching it, and what is durable (virtio 5.2.5.2).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Write-back and write-through.</summary>
public sealed class VirtioBlkCacheTests() : DiskScene(new FakeBlockDevice(64))
{
    [Fact]
    [Trait("Requirement", "BLK-WCE-2")]
    public void With_flush_alone_there_is_a_cache_that_can_not_be_switched()
    {
        Assert.True(Disk.HasWriteCache);
        Assert.False(Disk.TrySetWriteCache(false));
        Assert.True(Disk.HasWriteCache);
    }

    [Fact]
    [Trait("Requirement", "BLK-WCE-1")]
    public void Without_flush_and_switch_a_completed_write_is_durable()
    {
        Device.OfferedFeatures &= ~FakeBlockDevice.Flush;
        Assert.Equal((false, false), (Disk.HasWriteCache, Disk.CanFlush));
        Assert.Equal(IoStatus.Ok, Write(3, 1, 0x33));
        Assert.Equal(0x33, Device.Durable[3 * 512]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [Trait("Requirement", "BLK-WCE-3")]
    public void With_the_switch_the_device_says_whether_there_is_a_cache(byte writeBack)
    {
        Device.WriteBackAfterReset = writeBack;
        Device.AllowSwitch();
        Assert.Equal(writeBack != 0, Disk.HasWriteCache);
    }

    [Fact]
    [Trait("Requirement", "BLK-WCE-4")]
    [Trait("Requirement", "BLK-WCE-5")]
    public void Switched_off_writes_are_durable_and_what_was_written_before_needs_a_flush_still()
    {
        Device.AllowSwitch();
        Assert.Equal(IoStatus.Ok, Write(1, 1, 0x11));
        Assert.True(Disk.TrySetWriteCache(false));
        Assert.Equal((false, (byte)0), (Disk.HasWriteCache, Device.Config[32]));
        Assert.Equal(IoStatus.Ok, Write(2, 1, 0x22));
        Assert.Equal([0, 0x22], [Device.Durable[512], Device.Durable[1024]]);
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(BlockOperation.Flush, 0, default)));
        Assert.Equal(0x11, Device.Durable[512]);
        Assert.True(Disk.TrySetWriteCache(true));
        Assert.Equal(IoStatus.Ok, Write(4, 1, 0x44));
        Assert.Equal(0, Device.Durable[2048]);
    }

    [Fact]
    public void A_switch_that_does_not_move_is_told()
    {
        Device.AllowSwitch().IsWriteBackStuck = true;
        Assert.False(Disk.TrySetWriteCache(false));
        Assert.True(Disk.HasWriteCache);
    }

    [Fact]
    public void A_reset_forgets_the_switch_and_it_is_switched_again()
    {
        Device.AllowSwitch();
        Assert.True(Disk.TrySetWriteCache(false));
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.AskForReset();
        Finish(request);
        Assert.Equal((1ul, false, (byte)0), (Disk.Recoveries, Disk.HasWriteCache, Device.Config[32]));
    }

    [Fact]
    public void What_nobody_switched_is_after_a_reset_as_the_device_says_then()
    {
        Device.AllowSwitch();
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.WriteBackAfterReset = 0;
        Device.AskForReset();
        Finish(request);
        Assert.Equal((1ul, false, (byte)0), (Disk.Recoveries, Disk.HasWriteCache, Device.Config[32]));
    }

    [Fact]
    public void A_switch_that_does_not_move_after_a_reset_is_warned_of_and_the_cache_is_counted_on()
    {
        using CapturedLog log = new();
        Device.AllowSwitch();
        Assert.True(Disk.TrySetWriteCache(false));
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.IsWriteBackStuck = true;
        Device.AskForReset();
        Finish(request);
        Assert.Equal((1ul, true), (Disk.Recoveries, Disk.HasWriteCache));
        Assert.Contains(log.Entries, entry => entry.Contains("can't be switched again", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(true, IoStatus.DeviceError)]
    [InlineData(false, IoStatus.Ok)]
    public void After_a_reset_a_flush_can_promise_only_what_no_cache_lost(bool hasCache, IoStatus flush)
    {
        Device.AllowSwitch();
        Assert.True(Disk.TrySetWriteCache(hasCache));
        Assert.Equal(IoStatus.Ok, Write(1, 1, 0x11));
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.AskForReset();
        Finish(request);
        Assert.Equal(flush, Do(TestRequest.For(BlockOperation.Flush, 0, default)));
    }

    [Fact]
    public void The_switch_of_a_disk_that_is_gone_does_not_move()
    {
        Device.AllowSwitch();
        Disk.Remove();
        Assert.False(Disk.TrySetWriteCache(false));
    }
}
