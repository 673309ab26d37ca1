// What is the same for all who do not say otherwise, and the names of features.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio;

/// <summary>Small things that everybody relies on.</summary>
public sealed class NamesAndDefaultsTests
{
    [Theory]
    [InlineData(28, "INDIRECT_DESC")]
    [InlineData(29, "EVENT_IDX")]
    [InlineData(32, "VERSION_1")]
    [InlineData(33, "ACCESS_PLATFORM")]
    [InlineData(34, "RING_PACKED")]
    [InlineData(35, "IN_ORDER")]
    [InlineData(36, "ORDER_PLATFORM")]
    [InlineData(37, "SR_IOV")]
    [InlineData(38, "NOTIFICATION_DATA")]
    [InlineData(39, "NOTIF_CONFIG_DATA")]
    [InlineData(40, "RING_RESET")]
    [InlineData(24, "NOTIFY_ON_EMPTY")]
    [InlineData(27, "ANY_LAYOUT")]
    [InlineData(41, "ADMIN_VQ")]
    [InlineData(43, "SUSPEND")]
    [InlineData(25, "")]
    [InlineData(63, "")]
    public void Reserved_features_have_the_names_of_the_specification(int bit, string name) => Assert.Equal(name, VirtioFeature.NameOf(bit));

    [Theory]
    [InlineData(0, "BARRIER")]
    [InlineData(1, "SIZE_MAX")]
    [InlineData(2, "SEG_MAX")]
    [InlineData(3, "")]
    [InlineData(4, "GEOMETRY")]
    [InlineData(5, "RO")]
    [InlineData(6, "BLK_SIZE")]
    [InlineData(7, "SCSI")]
    [InlineData(9, "FLUSH")]
    [InlineData(10, "TOPOLOGY")]
    [InlineData(11, "CONFIG_WCE")]
    [InlineData(12, "MQ")]
    [InlineData(13, "DISCARD")]
    [InlineData(14, "WRITE_ZEROES")]
    [InlineData(15, "LIFETIME")]
    [InlineData(16, "SECURE_ERASE")]
    [InlineData(17, "ZONED")]
    [InlineData(18, "")]
    public void Features_of_disks_have_the_names_of_the_specification(int bit, string name) => Assert.Equal(name, VirtioBlkFormat.NameOf(bit));

    [Theory]
    [InlineData(0, "SIZE")]
    [InlineData(1, "MULTIPORT")]
    [InlineData(2, "EMERG_WRITE")]
    [InlineData(3, "")]
    public void Features_of_consoles_have_the_names_of_the_specification(int bit, string name) => Assert.Equal(name, VirtioConsoleFormat.NameOf(bit));

    [Fact]
    public void A_device_that_says_nothing_awaits_nothing_and_can_interrupt()
    {
        Device device = new QuietDevice();
        Assert.Equal((ulong.MaxValue, false, false, ""), (device.NextDeadline, device.IsPolled, device.WantsPolling, device.Name));
        device.OnDeadline(0);
        device.Name = "quiet0";
        Assert.Equal("quiet0", device.Name);
    }

    private sealed class QuietDevice : Device
    {
        public override void Poll()
        {
        }

        public override void Remove()
        {
        }
    }
}
