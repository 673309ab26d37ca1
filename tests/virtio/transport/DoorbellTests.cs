// Notifications of a modern device: where, how wide, and what stands for the queue (virtio 4.1.4.4, 4.1.5.2).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>The fake checks offset, width and value of each notification.</summary>
public sealed class DoorbellTests : MachineScene
{
    private const ulong Data = VirtioFeature.NotificationData;
    private const ulong ConfigData = VirtioFeature.NotifConfigData;
    private const uint QueueNotifyOffset = 30;

    private readonly FakeQueueDevice _peer = new(8, queues: 3);

    [Theory]
    [InlineData(0ul, 0u)]
    [InlineData(0ul, 2u)]
    [InlineData(0ul, 4u)]
    [InlineData(0ul, 1024u)]
    [InlineData(ConfigData, 0u)]
    [InlineData(ConfigData, 2u)]
    [InlineData(ConfigData, 4u)]
    [InlineData(Data, 0u)]
    [InlineData(Data, 4u)]
    [InlineData(Data, 1024u)]
    [InlineData(Data | ConfigData, 0u)]
    [InlineData(Data | ConfigData, 4u)]
    [Trait("Requirement", "CORE-NOTIF-1")]
    [Trait("Requirement", "CORE-NOTIF-2")]
    [Trait("Requirement", "CORE-RSVD-13")]
    [Trait("Requirement", "PCI-NOTIFY-1")]
    [Trait("Requirement", "PCI-NOTIFY-2")]
    [Trait("Requirement", "PCI-NOTIFY-3")]
    [Trait("Requirement", "PCI-NOTIFY-4")]
    [Trait("Requirement", "PCI-NOTIFY-5")]
    [Trait("Requirement", "PCI-NOTIFY-6")]
    public void Each_queue_is_notified_as_was_agreed_on(ulong features, uint multiplier)
    {
        VirtioDevice device = Start(features, multiplier, out _);
        Assert.Equal(features, device.Features & (Data | ConfigData));
        for (ushort queue = 0; queue < 3; queue++)
        {
            Assert.Equal(0, _peer.Queues[queue].Notifications);
            if ((features & Data) != 0)
            {
                // The device compares with the available index.
                BitConverter.TryWriteBytes(Machine.FakeDma.Raw(_peer.Queues[queue].DriverArea + 2, 2), (ushort)(0x8123 + queue));
                device.Transport.NotifyWithPosition(queue, (ushort)(0x8123 + queue));
            }
            else
            {
                device.Transport.Notify(queue);
            }
            Assert.Equal(1, _peer.Queues[queue].Notifications);
            Assert.Equal((features & Data) != 0 ? 0x8123 + queue : null, (int?)_peer.Queues[queue].LastPosition);
        }
        End(device);
    }

    [Theory]
    [InlineData(2u, 0u, 0x1000u)] // two doorbells in 32 bits
    [InlineData(4u, 2u, 0x1000u)] // the region begins between two words
    [InlineData(0u, 0u, 3u)] // the region has no room for 32 bits
    public void NOTIFICATION_DATA_is_not_agreed_on_where_32_bits_can_not_be_written(uint multiplier, uint offset, uint length)
    {
        VirtioDevice device = Start(Data, multiplier, out _, function =>
        {
            function.Set32(function.NotifyCapability + 8, FakeVirtioPciDevice.NotifyOffset + offset);
            function.Set32(function.NotifyCapability + 12, length);
        });
        Assert.False(device.Has(Data));
        End(device);
    }

    [Theory]
    [InlineData(0ul, 2u, true)]
    [InlineData(Data, 4u, true)]
    [InlineData(Data, 2u, false)] // 4.1.4.4.1: room for 32 bits
    public void A_doorbell_has_to_lie_within_its_region_with_its_whole_width(ulong features, uint roomForTheLast, bool enabled)
    {
        _peer.OfferedFeatures |= features;
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(_peer, notifyMultiplier: 4), 0, 3);
        function.Set32(function.NotifyCapability + 12, 8 + roomForTheLast);
        VirtioDevice device = Open(function);
        Assert.True(device.Negotiate(VirtioFeature.Version1, features).IsBound);
        device.PrepareInterrupts(3);
        Assert.True(device.CreateQueue(0, 8, out _).IsBound);
        Assert.Equal(enabled, device.CreateQueue(2, 8, out _).IsBound);
        if (enabled)
        {
            End(device);
        }
    }

    [Theory]
    [InlineData(56u, false)] // virtio 1.0
    [InlineData(57u, false)]
    [InlineData(60u, true)] // virtio 1.2
    public void NOTIF_CONFIG_DATA_is_agreed_on_only_when_the_register_is_there(uint length, bool agreed)
    {
        VirtioDevice device = Start(ConfigData, 4, out _, function => function.Set32(function.CommonCapability + 12, length));
        Assert.Equal(agreed, device.Has(ConfigData));
        device.Transport.Notify(2);
        Assert.Equal(1, _peer.Queues[2].Notifications);
        End(device);
    }

    [Fact]
    public void The_doorbell_is_looked_up_once_and_rung_with_one_write()
    {
        VirtioDevice device = Start(ConfigData, 4, out FakeVirtioPciDevice function);
        function.OnReadCommon = (_, _, _) => throw new InvalidOperationException("a register was read for a notification");
        function.OnWriteCommon = (_, _, _) => throw new InvalidOperationException("a register was written for a notification");
        device.Transport.Notify(1);
        Assert.Equal(1, _peer.Queues[1].Notifications);
        function.OnReadCommon = null;
        function.OnWriteCommon = null;
        End(device);
    }

    [Fact]
    public void A_queue_that_says_another_doorbell_after_its_reset_is_notified_there()
    {
        _peer.OfferedFeatures |= VirtioFeature.RingReset;
        VirtioDevice device = Start(VirtioFeature.RingReset, 4, out FakeVirtioPciDevice function);
        Virtqueue queue = device.Queue(1);
        Assert.True(device.TryHaltQueue(queue));
        function.OnReadCommon = (offset, _, value) => offset == QueueNotifyOffset ? 0xFFFF : value;
        Assert.False(device.RestartQueue(queue)); // outside of the region
        function.OnReadCommon = null;
        End(device);
    }

    private VirtioDevice Start(ulong features, uint multiplier, out FakeVirtioPciDevice function, Action<FakeVirtioPciDevice>? arrange = null)
    {
        _peer.OfferedFeatures |= features;
        function = Machine.Plug(new FakeVirtioPciDevice(_peer, notifyMultiplier: multiplier), 0, 3);
        arrange?.Invoke(function);
        VirtioDevice device = Open(function);
        Assert.True(device.Negotiate(VirtioFeature.Version1, features).IsBound);
        device.PrepareInterrupts(3);
        for (ushort i = 0; i < 3; i++)
        {
            Assert.True(device.CreateQueue(i, 8, out _).IsBound);
        }
        device.Start();
        return device;
    }

    private VirtioDevice Open(FakeVirtioPciDevice function)
    {
        ScannedPciFunction scanned = new(Machine, function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, FakeQueueDevice.Type, out ModernPciTransport? transport).IsBound);
        return new VirtioDevice(transport!);
    }

    private static void End(VirtioDevice device)
    {
        Assert.True(device.Stop());
        device.FreeQueues();
    }
}
