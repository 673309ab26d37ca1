// The fake modern device finds whoever breaks the rules of queue resets, of doorbells, and of the window in config space.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Rules that depend on a feature, and the access through config space.</summary>
public sealed class FakeModernFeatureTests : IDisposable
{
    private const ulong Version1 = FakeVirtioDevice.Version1;
    private const uint QueueReset = 58;
    private const uint QueueEnable = 28;

    private readonly FakeBlockDevice _disk = new(64, queueSize: RawDriver.QueueSize);
    private RawDriver? _driver;

    private RawDriver Driver => _driver ??= new RawDriver(_disk);

    private FakeVirtioPciDevice Function => Driver.Function;

    [Fact]
    [Trait("DeviceRequirement", "DEV-COMMON-5")]
    [Trait("DeviceRequirement", "DEV-VQRESET-1")]
    [Trait("DeviceRequirement", "DEV-VQRESET-2")]
    public void A_queue_reset_takes_its_time_and_then_all_of_the_queue_is_as_at_first()
    {
        StartWith(VirtioFeature.RingReset);
        Driver.Share(Driver.Data.Slice(0, 16), DmaDirection.ToDevice);
        Driver.Share(Driver.Data.Slice(512, 1), DmaDirection.FromDevice);
        Driver.Describe(0, Driver.Data.DeviceAddress, 16, 1, 1);
        Driver.Describe(1, Driver.Data.DeviceAddress + 512, 1, 2);
        Driver.Offer(0);
        _disk.Queues[0].ResetReads = 2;
        Driver.Write(QueueReset, 2, 1);
        Driver.Machine.Run(); // what was offered is not looked at any more
        Assert.Equal(0, _disk.Queues[0].Held);
        Assert.Equal([1u, 1u, 0u], [Driver.Read(QueueReset, 2), Driver.Read(QueueReset, 2), Driver.Read(QueueReset, 2)]);
        Assert.Equal((0u, 0xFFFFu, (uint)RawDriver.QueueSize), (Driver.Read(QueueEnable, 2), Driver.Read(26, 2), Driver.Read(24, 2)));
        Assert.Equal(0u, Driver.Read(32, 4));
        Assert.Equal(15u, Driver.Read(20, 1));
    }

    [Fact]
    public void A_queue_reset_that_was_not_agreed_on_breaks_a_rule()
    {
        _disk.OfferedFeatures |= VirtioFeature.RingReset;
        Driver.Start();
        Driver.Breaks("common register 58", () => Driver.Write(QueueReset, 2, 1));
        Driver.Breaks("common register 58", () => Driver.Read(QueueReset, 2));
    }

    [Fact]
    public void Anything_but_a_one_in_queue_reset_breaks_a_rule()
    {
        StartWith(VirtioFeature.RingReset);
        Driver.Breaks("queue_reset was written with 0", () => Driver.Write(QueueReset, 2, 0));
        Driver.Breaks("queue_reset was written with 2", () => Driver.Write(QueueReset, 2, 2));
    }

    [Fact]
    public void Going_on_before_the_end_of_a_queue_reset_was_seen_breaks_a_rule()
    {
        StartWith(VirtioFeature.RingReset);
        Driver.Write(QueueReset, 2, 1);
        Driver.Breaks("before its reset was seen to end", () => Driver.Write(24, 2, 4));
        Driver.Breaks("during its reset", () => Driver.Notify(0));
        Driver.Breaks("which is not enabled", () => Driver.Write(QueueReset, 2, 1));
        Assert.Equal(0u, Driver.Read(QueueReset, 2));
        Driver.Breaks("which is not enabled", () => Driver.Notify(0));
        Driver.Write(24, 2, 4); // and now it may be set up, with another size
        Driver.EnableQueue(4, lend: false);
        Driver.Notify(0);
    }

    [Fact]
    public void Taking_a_buffer_back_before_the_end_of_a_queue_reset_was_seen_breaks_a_rule()
    {
        _disk.HoldsBack = true;
        StartWith(VirtioFeature.RingReset);
        DmaBuffer header = Driver.Data.Slice(0, 16);
        DmaBuffer status = Driver.Data.Slice(512, 1);
        Driver.Share(header, DmaDirection.ToDevice);
        Driver.Share(status, DmaDirection.FromDevice);
        Driver.Describe(0, header.DeviceAddress, 16, 1, 1);
        Driver.Describe(1, status.DeviceAddress, 1, 2);
        Driver.Offer(0);
        Driver.Machine.Run();
        Driver.Write(QueueReset, 2, 1);
        Driver.Machine.Dma.Unshare(header, DmaDirection.ToDevice);
        Driver.Breaks("taken back before", () => Driver.Read(QueueReset, 2));
    }

    [Fact]
    public void A_queue_that_was_not_reset_can_not_be_set_up_while_the_device_is_live()
    {
        StartWith(VirtioFeature.RingReset);
        Driver.Breaks("that was not reset", () => Driver.Write(26, 2, 0xFFFF));
    }

    [Theory]
    [InlineData(0ul, 4, 0u, "with 4 bytes instead of 2")]
    [InlineData(0ul, 2, 1u, "queue 1 was notified at offset 0 instead of 4")]
    [InlineData(VirtioFeature.NotificationData, 2, 0u, "with 2 bytes instead of 4")]
    [InlineData(VirtioFeature.NotifConfigData, 2, 0u, "which is no queue_notif_config_data")]
    [InlineData(VirtioFeature.NotifConfigData | VirtioFeature.NotificationData, 4, 0u, "which is no queue_notif_config_data")]
    public void A_doorbell_that_was_agreed_on_otherwise_breaks_a_rule(ulong features, int width, uint value, string rule)
    {
        StartWith(features);
        Driver.Breaks(rule, () => Driver.Write(FakeVirtioPciDevice.NotifyOffset, width, value));
    }

    [Fact]
    public void The_registers_of_NOTIF_CONFIG_DATA_are_there_when_it_was_agreed_on_and_read_only()
    {
        StartWith(VirtioFeature.NotifConfigData);
        uint data = Driver.Read(56, 2);
        Assert.NotEqual(0u, data);
        Driver.Write(FakeVirtioPciDevice.NotifyOffset, 2, data);
        Assert.Equal(1, _disk.Queues[0].Notifications);
        Driver.Breaks("common register 56", () => Driver.Write(56, 2, 0));
    }

    [Fact]
    public void The_window_shows_what_the_BAR_shows_even_when_the_BAR_is_not_decoded()
    {
        Driver.Reset();
        Driver.Scanned.WriteConfig16(4, 0);
        Aim(FakeVirtioPciDevice.RegisterBar, 4, FakeVirtioPciDevice.ConfigOffset);
        Assert.Equal(64u, Driver.Scanned.ReadConfig32(Data));
        Aim(FakeVirtioPciDevice.RegisterBar, 1, 20);
        Driver.Scanned.WriteConfig8(Data, 1);
        Assert.Equal(1, Driver.Scanned.ReadConfig8(Data));
        Assert.Equal(1, _disk.Status);
        Assert.Equal(3, Function.WindowAccesses);
    }

    [Fact]
    public void A_window_that_is_aimed_wrongly_breaks_a_rule()
    {
        Driver.Reset();
        Driver.Breaks("while the window's length is 0", () => Driver.Scanned.WriteConfig32((ushort)(Function.AccessCapability + 8), 0));
        Aim(FakeVirtioPciDevice.RegisterBar, 2, 18);
        Driver.Breaks("was accessed with 1 bytes", () => Driver.Scanned.ReadConfig8(Data));
        Driver.Breaks("was accessed with 4 bytes", () => Driver.Scanned.WriteConfig32(Data, 0));
        Driver.Breaks("was accessed with 2 bytes at 0x2", () => Driver.Scanned.ReadConfig16((ushort)(Data + 2)));
        Driver.Breaks("does not divide", () => Aim(FakeVirtioPciDevice.RegisterBar, 4, 18));
        Aim(FakeVirtioPciDevice.RegisterBar, 4, 0x800);
        Driver.Breaks("where no structure is", () => Driver.Scanned.ReadConfig32(Data));
        Aim(FakeVirtioPciDevice.MsixBar, 4, 0);
        Driver.Breaks("where no structure is", () => Driver.Scanned.ReadConfig32(Data));
    }

    [Fact]
    public void Writing_a_virtio_capability_other_than_the_window_breaks_a_rule()
    {
        Driver.Reset();
        Driver.Breaks("a virtio capability was written", () => Driver.Scanned.WriteConfig32((ushort)(Function.CommonCapability + 8), 0));
        Driver.Breaks("a virtio capability was written", () => Driver.Scanned.WriteConfig8((ushort)(Function.NotifyCapability + 19), 0));
    }

    public void Dispose() => _driver?.Dispose();

    private ushort Data => (ushort)(Function.AccessCapability + 16);

    private void StartWith(ulong features)
    {
        _disk.OfferedFeatures |= features;
        Driver.Start(Version1 | features);
    }

    private void Aim(byte bar, uint length, uint offset)
    {
        Driver.Scanned.WriteConfig8((ushort)(Function.AccessCapability + 4), bar);
        Driver.Scanned.WriteConfig32((ushort)(Function.AccessCapability + 12), length);
        Driver.Scanned.WriteConfig32((ushort)(Function.AccessCapability + 8), offset);
    }
}
