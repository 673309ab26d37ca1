// The legacy PCI interface: when it is chosen, where its configuration lies, and devices that are not what they say.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>On the fake machine.</summary>
public sealed class LegacyPciTransportTests : MachineScene
{
    private const uint QueuePageNumber = 8;
    private const uint QueueSize = 12;

    private readonly FakeBlockDevice _disk = new(256);

    [Fact]
    [Trait("Requirement", "PCI-LEGACY-12")]
    [Trait("Requirement", "PCI-LEGACY-13")]
    [Trait("Requirement", "PCI-LEGACY-1")]
    [Trait("Requirement", "PCI-LEGACY-11")]
    public void A_transitional_function_without_capabilities_is_driven_by_the_legacy_interface()
    {
        VirtioBlk disk = Attach(4);
        Assert.Equal(("legacy PCI", true), (disk.Virtio.Transport.Name, disk.Virtio.Transport.IsLegacy));
        Assert.Equal(0ul, disk.Virtio.Features >> 32);
        ReadOneSector(disk);
        disk.Remove();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "CORE-LEGACY-6")]
    [Trait("Requirement", "CORE-LEGACY-7")]
    public void ANY_LAYOUT_is_accepted_when_it_is_offered_and_nothing_unknown_is(bool offered)
    {
        _disk.OfferedFeatures = offered ? _disk.OfferedFeatures | 1ul << 27 | 1ul << 30 | 1ul << 24 : _disk.OfferedFeatures;
        VirtioBlk disk = Attach(4);
        Assert.Equal(offered, disk.Virtio.Has(VirtioFeature.AnyLayout));
        Assert.False(disk.Virtio.Has(1ul << 30));
        disk.Remove();
    }

    [Fact]
    [Trait("Requirement", "CORE-LEGACY-1")]
    public void A_transitional_device_whose_modern_interface_lacks_VERSION_1_is_tried_as_a_legacy_one()
    {
        // A modern function with a transitional id whose device is too old; its legacy registers are in BAR 0.
        _disk.OfferedFeatures &= ~FakeVirtioDevice.Version1;
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(_disk), 0, 3);
        function.Set16(PciRegisters.DeviceId, 0x1001);
        function.Set16(PciRegisters.SubsystemId, 2);
        DeviceTable devices = FakeBinding.Attach(Machine, out List<ProbeResult> results);
        Assert.Equal(0, devices.Count);
        Assert.Contains("BAR 0", results[0].Reason);
    }

    [Fact]
    [Trait("Requirement", "PCI-LEGACY-14")]
    [Trait("Requirement", "PCI-LEGACY-15")]
    public void A_function_with_a_modern_id_is_never_driven_by_the_legacy_interface()
    {
        FakeLegacyPciDevice function = Machine.Plug(new FakeLegacyPciDevice(_disk), 0, 3);
        function.Set16(PciRegisters.DeviceId, 0x1042);
        DeviceTable devices = FakeBinding.Attach(Machine, out List<ProbeResult> results);
        Assert.Equal(0, devices.Count);
        Assert.Contains("common configuration", results[0].Reason);
        Assert.Equal(0, _disk.Resets);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [Trait("Requirement", "PCI-LEGACY-7")]
    public void The_configuration_is_found_with_MSIX_and_without(int vectors)
    {
        FakeConsoleDevice device = new FakeConsoleDevice().SetSize(80, 25);
        Machine.Plug(new FakeLegacyPciDevice(device, (ushort)vectors), 0, 3);
        VirtioConsole console = FakeBinding.AttachOne<VirtioConsole>(Machine);
        Assert.Equal((80, 25), (console.Port(0).Columns, console.Port(0).Rows));
        device.ChangeConfig(config => config[0] = 100);
        console.Poll();
        Assert.Equal(100, console.Port(0).Columns);
        console.Remove();
    }

    [Fact]
    public void MSIX_that_firmware_left_on_is_noticed_before_the_configuration_is_read()
    {
        FakeLegacyPciDevice function = Machine.Plug(new FakeLegacyPciDevice(_disk, 4), 0, 3);
        function.Set16(function.Msix!.Capability + 2, (ushort)(function.Get16(function.Msix.Capability + 2) | PciRegisters.MsixEnable));
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(Machine);
        Assert.Equal(256ul, disk.SectorCount);
        disk.Remove();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(0)]
    [Trait("Requirement", "CORE-LEGACY-4")]
    [Trait("Requirement", "PCI-LEGACY-10")]
    public void A_capacity_is_read_until_two_readings_agree(int tornReadings)
    {
        int reads = 0;
        _disk.OnReadConfig = (offset, _, right) => offset == 4 && ++reads <= tornReadings ? (uint)reads : right;
        VirtioBlk disk = Attach(4);
        Assert.Equal(256ul, disk.SectorCount);
        disk.Remove();
    }

    [Fact]
    public void A_capacity_that_never_holds_still_is_refused()
    {
        uint reads = 0;
        _disk.OnReadConfig = (offset, _, right) => offset < 8 ? ++reads : right;
        Refused("holds still");
    }

    [Theory]
    [InlineData(QueuePageNumber, 0u, "does not take the place")]
    [InlineData(QueuePageNumber, 77u, "enabled after its reset")]
    [InlineData(QueueSize, 0u, "lacks a queue")]
    [InlineData(QueueSize, 100u, "power of two")]
    public void A_queue_that_is_not_as_it_must_be_fails_the_probe(uint register, uint value, string reason)
    {
        FakeLegacyPciDevice function = Machine.Plug(new FakeLegacyPciDevice(_disk), 0, 3);
        function.OnRead = (offset, right) => offset == register ? value : right;
        Refused(reason);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_queue_too_short_for_a_request_is_refused(int size)
    {
        _disk.Queues[0].MaxSize = _disk.Queues[0].Size = (ushort)size;
        Machine.Plug(new FakeLegacyPciDevice(_disk), 0, 3);
        Refused("fewer than 4");
    }

    [Theory]
    [InlineData(32768)]
    [InlineData(2048)]
    [InlineData(4)]
    [Trait("Requirement", "SPLIT-LEGACY-1")]
    public void The_device_says_how_large_the_queue_is(int size)
    {
        _disk.Queues[0].MaxSize = _disk.Queues[0].Size = (ushort)size;
        VirtioBlk disk = Attach(4);
        Assert.Equal(size, disk.Virtio.Queue(0).Size);
        ReadOneSector(disk);
        disk.Remove();
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(uint.MaxValue)]
    [Trait("Requirement", "BLK-LEGACY-4")]
    [Trait("Requirement", "SPLIT-LEGACY-6")]
    public void Used_lengths_are_not_asked(uint length)
    {
        VirtioBlk disk = Attach(4);
        _disk.Queues[0].OnUsed = (id, _) => (id, length);
        ReadOneSector(disk);
        disk.Remove();
    }

    [Fact]
    public void A_legacy_device_that_asks_for_a_reset_is_begun_anew()
    {
        VirtioBlk disk = Attach(4);
        for (ulong i = 1; i <= 3; i++)
        {
            _disk.AskForReset();
            disk.Poll();
            Assert.Equal(i, disk.Recoveries);
            ReadOneSector(disk);
        }
        disk.Remove();
    }

    private VirtioBlk Attach(ushort vectors)
    {
        Machine.Plug(new FakeLegacyPciDevice(_disk, vectors), 0, 3);
        return FakeBinding.AttachOne<VirtioBlk>(Machine);
    }

    private void Refused(string reason)
    {
        if (Machine.Functions.Count == 0)
        {
            Machine.Plug(new FakeLegacyPciDevice(_disk), 0, 3);
        }
        DeviceTable devices = FakeBinding.Attach(Machine, out List<ProbeResult> results);
        Assert.Equal(0, devices.Count);
        Assert.Equal(ProbeStatus.Failed, results[0].Status);
        Assert.Contains(reason, results[0].Reason);
        Assert.Equal(0, _disk.Status);
    }

    private void ReadOneSector(BlockDevice disk) => Waiting.ReadFirstSector(disk, Machine.Clock);
}
