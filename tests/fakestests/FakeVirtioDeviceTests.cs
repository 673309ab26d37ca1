// The fake virtio device keeps the rules for devices, and finds whoever breaks those for drivers.
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Registers and the life of a device.</summary>
public sealed class FakeVirtioDeviceTests : IDisposable
{
    private readonly FakeBlockDevice _disk = new(64, queueSize: RawDriver.QueueSize);
    private RawDriver? _driver;

    private RawDriver Driver => _driver ??= new RawDriver(_disk, vectors: 2);

    [Fact]
    [Trait("DeviceRequirement", "DEV-RESET-1")]
    [Trait("DeviceRequirement", "DEV-COMMON-3")]
    [Trait("DeviceRequirement", "DEV-COMMON-4")]
    [Trait("DeviceRequirement", "DEV-MSIX-2")]
    public void A_reset_puts_everything_back()
    {
        Driver.Start();
        Driver.Write(16, 2, 1);
        Driver.Reset();
        Assert.Equal(0u, Driver.Read(28, 2));
        Assert.Equal(0xFFFFu, Driver.Read(16, 2));
        Assert.Equal(0xFFFFu, Driver.Read(26, 2));
        Assert.Equal((uint)RawDriver.QueueSize, Driver.Read(24, 2));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-COMMON-3")]
    public void A_slow_reset_shows_the_old_status_for_a_while()
    {
        Driver.Start();
        _disk.ResetReads = 2;
        Driver.SetStatus(0);
        Assert.Equal([15u, 15u, 0u], [Driver.Read(20, 1), Driver.Read(20, 1), Driver.Read(20, 1)]);
        _disk.ResetReads = 1;
        Driver.SetStatus(1);
        Driver.SetStatus(0);
        Driver.Breaks("before it saw the reset end", () => Driver.SetStatus(1));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-RSVD-1")]
    [Trait("DeviceRequirement", "DEV-COMMON-1")]
    public void Features_are_shown_in_words_of_32_and_beyond_the_last_there_are_zeroes()
    {
        Driver.Reset();
        Driver.SetStatus(1);
        Driver.SetStatus(3);
        Driver.Write(0, 4, 1);
        Assert.Equal(1u, Driver.Read(4, 4) & 1);
        Driver.Write(0, 4, 2);
        Assert.Equal(0u, Driver.Read(4, 4));
        Driver.Write(0, 4, 77);
        Assert.Equal(0u, Driver.Read(4, 4));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-FEAT-2")]
    public void FEATURES_OK_stays_clear_without_VERSION_1()
    {
        Driver.Negotiate(features: 0);
        Assert.Equal(3u, Driver.Read(20, 1));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-CONFIG-1")]
    public void Configuration_is_readable_before_FEATURES_OK()
    {
        Driver.Reset();
        Assert.Equal(64u, Driver.Read(FakeVirtioPciDevice.ConfigOffset, 4));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-COMMON-6")]
    public void A_queue_that_does_not_exist_has_the_size_0()
    {
        Driver.Reset();
        Driver.Write(22, 2, 1);
        Assert.Equal(0u, Driver.Read(24, 2));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MSIX-1")]
    [Trait("DeviceRequirement", "DEV-MSIX-3")]
    [Trait("Requirement", "PCI-MSIX-4")]
    public void A_vector_beyond_the_table_reads_back_as_none()
    {
        Driver.Negotiate();
        Driver.Write(16, 2, 1);
        Assert.Equal(1u, Driver.Read(16, 2));
        Driver.Breaks("beyond the table", () => Driver.Write(16, 2, 2));
        Driver.Function.IsLenient = true;
        Driver.Write(16, 2, 2);
        Assert.Equal(0xFFFFu, Driver.Read(16, 2));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-STATUS-2")]
    [Trait("DeviceRequirement", "DEV-ISR-1")]
    [Trait("DeviceRequirement", "DEV-ISR-2")]
    public void DEVICE_NEEDS_RESET_tells_the_driver_and_reading_the_ISR_clears_it()
    {
        Driver.Start();
        _disk.AskForReset();
        Assert.Equal(2u, Driver.Read(FakeVirtioPciDevice.IsrOffset, 1));
        Assert.Equal(0u, Driver.Read(FakeVirtioPciDevice.IsrOffset, 1));
        Assert.Equal(64u | 15, Driver.Read(20, 1));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-COMMON-2")]
    [Trait("DeviceRequirement", "DEV-BLK-OP-1")]
    public void A_change_of_the_configuration_changes_the_generation_and_tells_the_driver()
    {
        Driver.Start();
        uint before = Driver.Read(21, 1);
        _disk.ChangeConfig(config => config[0] = 32);
        Assert.NotEqual(before, Driver.Read(21, 1));
        Assert.Equal(2u, Driver.Read(FakeVirtioPciDevice.IsrOffset, 1));
    }

    [Fact]
    public void Status_bits_set_out_of_order_are_found()
    {
        Driver.Breaks("before it reset", () => Driver.SetStatus(1));
        Driver.Reset();
        Driver.Breaks("before 0x01", () => Driver.SetStatus(2));
        Driver.SetStatus(1);
        Driver.Breaks("before 0x02", () => Driver.SetStatus(9));
        Driver.SetStatus(3);
        Driver.Breaks("before 0x08", () => Driver.SetStatus(7));
        Driver.Breaks("clears bits", () => Driver.SetStatus(2));
        Driver.Breaks("do not exist", () => Driver.SetStatus(0x23));
        Driver.Breaks("device's", () => Driver.SetStatus(0x43));
        Driver.SetStatus(0x83);
        Driver.Breaks("after FAILED", () => Driver.SetStatus(0x8B));
    }

    [Fact]
    public void Features_at_the_wrong_time_or_not_offered_are_found()
    {
        Driver.Reset();
        Driver.Breaks("before DRIVER", () => Driver.Read(4, 4));
        Driver.Breaks("before DRIVER", () => Driver.Write(12, 4, 0));
        Driver.SetStatus(1);
        Driver.SetStatus(3);
        Driver.Write(12, 4, 1u << 31);
        Driver.Breaks("not offered", () => Driver.SetStatus(11));
        Driver.Negotiate();
        Driver.Breaks("after FEATURES_OK", () => Driver.Write(12, 4, 0));
    }

    [Theory]
    [InlineData(20u, 4)]
    [InlineData(20u, 2)]
    [InlineData(0u, 2)]
    [InlineData(24u, 4)]
    [InlineData(32u, 2)]
    [InlineData(56u, 2)]
    [InlineData(64u, 4)]
    public void An_access_with_a_wrong_width_or_to_no_register_is_found(uint offset, int width) =>
        Driver.Breaks("bytes instead of", () => Driver.Read(offset, width));

    [Theory]
    [InlineData(4u, 4)]
    [InlineData(18u, 2)]
    [InlineData(21u, 1)]
    [InlineData(30u, 2)]
    public void A_write_to_a_register_that_is_read_only_is_found(uint offset, int width)
    {
        Driver.Negotiate();
        Driver.Breaks("read-only", () => Driver.Write(offset, width, 0));
    }

    [Fact]
    public void A_queue_set_up_wrongly_is_found()
    {
        Driver.Reset();
        Driver.Breaks("before FEATURES_OK", () => Driver.Write(24, 2, 8));
        Driver.Negotiate();
        Driver.Write(22, 2, 0);
        Driver.Breaks("queue size 3", () => Driver.Write(24, 2, 3));
        Driver.Breaks("queue size 16", () => Driver.Write(24, 2, 16));
        Driver.Breaks("written with 0", () => Driver.Write(28, 2, 0));
        Driver.Breaks("not lent", () => Driver.EnableQueue(lend: false));
        Driver.Breaks("not aligned", () => Driver.EnableQueue(shift: 8));
        Driver.EnableQueue(lend: false);
        Driver.Breaks("enabled", () => Driver.Write(24, 2, 8));
        Driver.SetStatus(15);
        Driver.Breaks("after DRIVER_OK", () => Driver.Write(26, 2, 0));
    }

    [Fact]
    public void A_doorbell_at_the_wrong_time_or_place_is_found()
    {
        Driver.Negotiate();
        Driver.EnableQueue();
        Driver.Breaks("before DRIVER_OK", () => Driver.Notify(0));
        Driver.SetStatus(15);
        Driver.Breaks("at offset", () => Driver.Write(FakeVirtioPciDevice.NotifyOffset + 4, 2, 0));
        Driver.Breaks("does not exist", () => Driver.Notify(1));
        Driver.Breaks("4 bytes", () => Driver.Write(FakeVirtioPciDevice.NotifyOffset, 4, 0));
        Driver.Breaks("read", () => Driver.Read(FakeVirtioPciDevice.NotifyOffset, 2));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-BLK-INIT-1")]
    [Trait("DeviceRequirement", "DEV-BLK-INIT-4")]
    public void A_config_field_that_is_not_offered_or_not_a_field_is_found()
    {
        Driver.Reset();
        Assert.NotEqual(0ul, _disk.OfferedFeatures & FakeBlockDevice.Flush);
        Driver.Breaks("not offered", () => Driver.Read(FakeVirtioPciDevice.ConfigOffset + 12, 4));
        Driver.Breaks("no config field", () => Driver.Read(FakeVirtioPciDevice.ConfigOffset, 2));
        Driver.Breaks("before FEATURES_OK", () => Driver.Write(FakeVirtioPciDevice.ConfigOffset, 4, 0));
        Assert.All(_disk.Config[57..60], value => Assert.Equal(0, value));
    }

    [Fact]
    public void A_BAR_written_while_it_is_decoded_is_found() =>
        Driver.Breaks("decoding is on", () => Driver.Scanned.WriteConfig32(0x20, 0));

    [Fact]
    public void A_config_access_that_is_not_aligned_is_found() =>
        Driver.Breaks("not aligned", () => Driver.Scanned.ReadConfig32(2));

    public void Dispose() => _driver?.Dispose();
}
