// Requirements on drivers that no other test happens to show.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using VirtioSharp.Tests.Fakestests;
using Xunit;

namespace VirtioSharp.Tests.Spec;

/// <summary>Each by its id.</summary>
public sealed class ConformanceTests
{
    [Fact]
    [Trait("Requirement", "CORE-STATUS-3")]
    public void A_device_that_was_given_up_is_reset_before_it_is_tried_again()
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new FakeBlockDevice(64).Limit(segMax: 1, sizeMax: 1);
        machine.Plug(device);
        FakeBinding.Attach(machine, out List<ProbeResult> results);
        Assert.Contains(results, result => result.Status == ProbeStatus.Failed);
        Assert.True(device.WasGivenUp);
        device.Limit(0, 0);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        Waiting.ReadFirstSector(disk, machine.Clock);
        disk.Remove();
        machine.Violations.AssertEmpty(); // going on after FAILED without a reset is a breach there
    }

    [Fact]
    [Trait("Requirement", "CORE-STATUS-3")]
    public void The_fake_finds_a_driver_that_goes_on_after_FAILED()
    {
        using RawDriver driver = new(new FakeBlockDevice(64, queueSize: RawDriver.QueueSize));
        driver.Negotiate();
        driver.SetStatus(11 | 128);
        driver.Breaks("went on after FAILED", () => driver.SetStatus(11 | 128 | 4));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "CORE-FEAT-2")]
    public void A_feature_is_accepted_only_together_with_the_ones_it_needs(bool hasVersion1)
    {
        // Without VERSION_1 there is no packed ring and nothing else of bits 33 and up; the switch of the cache needs FLUSH (5.2.3).
        using FakeMachine machine = new();
        FakeBlockDevice device = new FakeBlockDevice(64).AllowSwitch();
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked | FakeVirtioDevice.InOrder;
        device.OfferedFeatures &= ~(hasVersion1 ? 0 : FakeVirtioDevice.Version1);
        machine.Plug<FakePciFunction>(hasVersion1 ? new FakeVirtioPciDevice(device) : new FakeLegacyPciDevice(device, 3), 0, 3);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        Assert.Equal(hasVersion1, (device.DriverFeatures & FakeVirtioDevice.RingPacked) != 0);
        Assert.True(hasVersion1 || device.DriverFeatures <= uint.MaxValue);
        Assert.True(!disk.Virtio.Has(VirtioBlkFormat.ConfigWriteCache) || disk.Virtio.Has(VirtioBlkFormat.Flush));
        disk.Remove();
    }

    [Theory]
    [InlineData(0x1000u)]
    [InlineData(uint.MaxValue)]
    [Trait("Requirement", "CORE-CONFIG-4")]
    public void A_configuration_that_is_larger_than_the_driver_knows_is_no_trouble(uint length)
    {
        using FakeMachine machine = new();
        FakeVirtioPciDevice function = machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set32(function.ConfigCapability + 12, length);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        Assert.Equal(64ul, disk.SectorCount);
        Waiting.ReadFirstSector(disk, machine.Clock);
        disk.Remove();
        machine.Violations.AssertEmpty();
    }

    [Theory]
    [InlineData(0x1000, 1, true)] // network, and so on: types without a driver are still virtio
    [InlineData(0x1001, 2, true)]
    [InlineData(0x1002, 5, true)]
    [InlineData(0x1003, 3, true)]
    [InlineData(0x1004, 8, true)]
    [InlineData(0x1005, 4, true)]
    [InlineData(0x1009, 9, true)]
    [InlineData(0x1041, 0, true)]
    [InlineData(0x107F, 0, true)]
    [InlineData(0x0FFF, 2, false)]
    [InlineData(0x1080, 2, false)]
    [Trait("Requirement", "PCI-DISC-2")]
    public void Transitional_ids_are_virtio_too(int id, int subsystem, bool matches)
    {
        using FakeMachine machine = new();
        FakePciFunction function = new(0x1AF4, (ushort)id);
        function.Set16(PciRegisters.SubsystemId, (ushort)subsystem);
        machine.Plug(function, 0, 3);
        Assert.Equal(matches, new VirtioPciDriver(new VirtioDriverTable()).Matches(new ScannedPciFunction(machine, function.Address)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [Trait("Requirement", "PCI-COMMON-2")]
    public void The_fake_finds_a_driver_that_sets_a_queue_size_that_can_not_be(ushort size)
    {
        using RawDriver driver = new(new FakeBlockDevice(64, queueSize: RawDriver.QueueSize));
        driver.Negotiate();
        driver.Breaks($"queue size {size}", () => driver.EnableQueue(size));
    }

    [Fact]
    [Trait("Requirement", "PCI-CFGCHG-1")]
    public void One_interrupt_for_everything_tells_of_buffers_and_of_the_configuration()
    {
        using FakeMachine machine = new();
        FakeConsoleDevice device = new FakeConsoleDevice().SetSize(80, 25);
        machine.Plug(new FakeVirtioPciDevice(device, vectors: 1), 0, 3);
        Drivers.Console.VirtioConsole console = FakeBinding.AttachOne<Drivers.Console.VirtioConsole>(machine);
        device.Type("abc"u8);
        device.ChangeConfig(config => config[0] = 132);
        byte[] into = new byte[3];
        Waiting.Until(console, machine.Clock, () => console.Port(0).Read(into) == 3 && console.Port(0).Columns == 132, "both", limit: 100_000_000);
        console.Remove();
    }

    [Fact]
    [Trait("Requirement", "BLK-OP-1")]
    public void After_a_change_of_the_configuration_the_capacity_is_read_again()
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(64);
        machine.Plug(device);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        device.Grow(128);
        disk.Poll();
        Assert.Equal(128ul, disk.SectorCount);
        disk.Remove();
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(1u)]
    [Trait("Requirement", "MMIO-INIT-5")]
    public void A_driver_without_a_use_for_shared_memory_leaves_its_registers_alone(uint version)
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(64);
        VirtioBlk disk = FakeBinding.AttachMmio<VirtioBlk>(machine, device, version);
        Waiting.ReadFirstSector(disk, machine.Clock);
        disk.Remove();
        machine.Violations.AssertEmpty(); // the registers at 0x0ac to 0x0bc are none of the fake's
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(5, true)]
    [InlineData(-1, false)]
    [Trait("Requirement", "MMIO-REG-21")]
    [Trait("Requirement", "MMIO-REG-22")]
    public void Over_MMIO_the_reset_of_a_queue_ends_when_its_register_reads_0(int reads, bool ends)
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(64);
        device.OfferedFeatures |= VirtioFeature.RingReset;
        VirtioBlk disk = FakeBinding.AttachMmio<VirtioBlk>(machine, device, 2);
        device.Queues[0].ResetReads = reads;
        Assert.Equal(ends, disk.Virtio.TryHaltQueue(disk.Virtio.Queue(0)));
        if (ends)
        {
            Assert.True(disk.Virtio.RestartQueue(disk.Virtio.Queue(0)));
            Waiting.ReadFirstSector(disk, machine.Clock);
            disk.Remove();
            machine.Violations.AssertEmpty();
        }
    }
}
