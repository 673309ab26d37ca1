// What the fake devices show of themselves before anybody drives them is as devices have to be.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Features, ids, capabilities.</summary>
public sealed class FakeDeviceShapeTests
{
    /// <summary>A feature, and one of those that have to be offered with it (virtio 2.2, 5.2.3, 5.2.5.2, 6).</summary>
    private static readonly (ulong Feature, ulong Needs)[] Prerequisites =
    [
        (FakeBlockDevice.ConfigWriteCache, FakeBlockDevice.Flush),
        (VirtioFeature.RingPacked, FakeVirtioDevice.Version1), (VirtioFeature.InOrder, FakeVirtioDevice.Version1),
        (VirtioFeature.AccessPlatform, FakeVirtioDevice.Version1), (VirtioFeature.RingReset, FakeVirtioDevice.Version1),
    ];

    /// <summary>Every fake device, with everything that can be asked of it.</summary>
    private static IEnumerable<FakeVirtioDevice> Devices =>
    [
        new FakeBlockDevice(64), new FakeBlockDevice(64, queues: 4), new FakeBlockDevice(64).AllowSwitch(), new FakeBlockDevice(64).MakeReadOnly(),
        new FakeBlockDevice(64).Allow(FakeBlockDevice.Discard, 8).Allow(FakeBlockDevice.WriteZeroes, 8).Allow(FakeBlockDevice.SecureErase, 8),
        new FakeBlockDevice(64).DivideInto(new FakeZones(64, 16)), new FakeBlockDevice(64).Limit(4, 4096).SetBlockSize(4096),
        new FakeConsoleDevice(), new FakeConsoleDevice(ports: 4), new FakeConsoleDevice().SetSize(80, 25), new FakeEntropyDevice(),
    ];

    [Fact]
    [Trait("DeviceRequirement", "DEV-FEAT-1")]
    [Trait("DeviceRequirement", "DEV-BLK-INIT-2")]
    public void No_feature_is_offered_without_those_that_it_needs()
    {
        foreach (FakeVirtioDevice device in Devices)
        {
            foreach ((ulong feature, ulong needs) in Prerequisites)
            {
                bool isBlock = feature != FakeBlockDevice.ConfigWriteCache || device is FakeBlockDevice;
                Assert.True(!isBlock || (device.OfferedFeatures & feature) == 0 || (device.OfferedFeatures & needs) == needs, $"0x{feature:X} without 0x{needs:X}");
            }
        }
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-RSVD-1")]
    public void Every_device_offers_VERSION_1() =>
        Assert.All(Devices, device => Assert.NotEqual(0ul, device.OfferedFeatures & FakeVirtioDevice.Version1));

    [Fact]
    [Trait("DeviceRequirement", "DEV-DISC-1")]
    [Trait("DeviceRequirement", "DEV-LEGACY-2")]
    public void A_transitional_function_has_revision_0_its_type_as_subsystem_and_ports_in_BAR_0()
    {
        foreach (FakeVirtioDevice device in Devices)
        {
            using FakeMachine machine = new();
            FakeLegacyPciDevice function = machine.Plug(new FakeLegacyPciDevice(device), 0, 1);
            Assert.Equal((0, device.DeviceType), (function.Get8(PciRegisters.RevisionId), function.Get16(PciRegisters.SubsystemId)));
            Assert.InRange(function.Get16(PciRegisters.DeviceId), 0x1000, 0x103F);
            Assert.NotEqual(0u, function.Get32(PciRegisters.Bar0) & PciRegisters.BarPorts);
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(4u)]
    [InlineData(64u)]
    [Trait("DeviceRequirement", "DEV-NOTIFY-1")]
    [Trait("DeviceRequirement", "DEV-NOTIFY-2")]
    public void The_multiplier_is_a_power_of_two_and_all_doorbells_lie_in_their_structure(uint multiplier)
    {
        foreach (FakeVirtioDevice device in Devices)
        {
            using FakeMachine machine = new();
            FakeVirtioPciDevice function = machine.Plug(new FakeVirtioPciDevice(device, notifyMultiplier: multiplier), 0, 1);
            uint shown = function.Get32(function.NotifyCapability + 16);
            uint length = function.Get32(function.NotifyCapability + 12);
            Assert.Equal(multiplier, shown);
            Assert.True(shown % 2 == 0 && (shown & (shown - 1)) == 0);
            // A doorbell has four bytes with NOTIFICATION_DATA; queue_notify_off is the number of the queue.
            Assert.True((ulong)(device.Queues.Length - 1) * shown + 4 <= length);
        }
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MSIX-4")]
    public void With_MSIX_a_queue_without_a_vector_interrupts_nobody()
    {
        using RawDriver driver = new(new FakeBlockDevice(64, queueSize: RawDriver.QueueSize), vectors: 2);
        int control = driver.Function.Msix!.Capability + 2;
        driver.Function.Set16(control, (ushort)(driver.Function.Get16(control) | PciRegisters.MsixEnable));
        driver.Start();
        Assert.Equal((0xFFFFu, 0xFFFFu), (driver.Read(16, 2), driver.Read(26, 2)));
        driver.Function.Device.RaiseQueue(driver.Function.Device.Queues[0]);
        driver.Function.Device.Bus.RaiseConfig();
        Assert.Equal(0, driver.Machine.Interrupts);
        Assert.Equal(0u, driver.Read(FakeVirtioPciDevice.IsrOffset, 1)); // with MSI-X nothing stands there either
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-RNG-1")]
    [Trait("DeviceRequirement", "DEV-RNG-2")]
    public void A_buffer_for_random_bytes_comes_back_with_one_at_least_and_perhaps_not_full()
    {
        FakeEntropyDevice device = new(RawDriver.QueueSize);
        using RawDriver driver = new(device);
        driver.Start();
        driver.Share(driver.Data.Slice(0, 64), Drivers.Platform.DmaDirection.FromDevice);
        driver.Describe(0, driver.Data.DeviceAddress, 64, 2);
        driver.Offer(0);
        driver.Machine.Run();
        Assert.Equal(0, driver.UsedIndex); // it holds the buffer as long as it has nothing
        device.Give([7]);
        driver.Machine.Run();
        Assert.Equal((1, 1u), (driver.UsedIndex, BitConverter.ToUInt32(driver.Ring.Span[(256 + 8)..])));
        Assert.Equal(7, driver.Data.Span[0]);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-RESET-2")]
    public void After_its_reset_a_device_touches_no_queue_and_tells_nobody()
    {
        FakeBlockDevice disk = new(64, queueSize: RawDriver.QueueSize) { HoldsBack = true };
        using RawDriver driver = new(disk);
        driver.Start();
        driver.Share(driver.Data.Slice(0, 16), Drivers.Platform.DmaDirection.ToDevice);
        driver.Share(driver.Data.Slice(64, 1), Drivers.Platform.DmaDirection.FromDevice);
        for (ushort i = 0; i < 4; i += 2)
        {
            driver.Describe(i, driver.Data.DeviceAddress, 16, 1, (ushort)(i + 1));
            driver.Describe(i + 1, driver.Data.DeviceAddress + 64, 1, 2);
            driver.Offer(i);
            driver.Machine.Run(); // the first is held when the second comes
        }
        byte[] before = driver.Ring.Span.ToArray();
        driver.Reset();
        disk.HoldsBack = false;
        disk.CompleteAll();
        driver.Machine.Run();
        driver.Breaks("before DRIVER_OK", () => driver.Notify(0));
        driver.Machine.Run();
        Assert.Equal(before, driver.Ring.Span.ToArray());
        Assert.Equal((0, 0u), (disk.Queues[0].Signals, driver.Read(FakeVirtioPciDevice.IsrOffset, 1)));
    }
}
