// Transports at their edges: registers that have to be selected, places that move, capabilities that are cut off.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class TransportEdgeTests : MachineScene
{
    [Theory]
    [InlineData("modern PCI")]
    [InlineData("legacy PCI")]
    [InlineData("virtio-mmio")]
    [InlineData("legacy virtio-mmio")]
    public void Each_queue_says_for_itself_whether_it_is_enabled(string name)
    {
        FakeQueueDevice device = new(8, queues: 3);
        device.OfferedFeatures &= name.StartsWith("legacy", StringComparison.Ordinal) ? ~VirtioFeature.Version1 : ulong.MaxValue;
        VirtioTransport transport = Open(device, name);
        VirtioDevice virtio = new(transport);
        Assert.True(virtio.Negotiate(transport.IsLegacy ? 0 : VirtioFeature.Version1, 0).IsBound);
        virtio.PrepareInterrupts(3);
        Assert.True(virtio.CreateQueue(1, 8, out _).IsBound);
        Assert.Equal([false, true, false, true], new ushort[] { 0, 1, 2, 1 }.Select(transport.IsQueueEnabled));
        Assert.True(virtio.Stop());
        virtio.FreeQueues();
    }

    [Theory]
    [InlineData("modern PCI")]
    [InlineData("virtio-mmio")]
    public void Both_halves_of_the_features_are_selected_each_time(string name)
    {
        FakeQueueDevice device = new(8);
        device.OfferedFeatures |= VirtioFeature.EventIndex;
        VirtioTransport transport = Open(device, name);
        transport.WriteStatus(0);
        Assert.Equal(0, transport.ReadStatus());
        transport.WriteStatus(1);
        transport.WriteStatus(3);
        ulong offered = transport.ReadDeviceFeatures();
        Assert.NotEqual(0ul, offered >> 32);
        Assert.NotEqual(0ul, offered & uint.MaxValue);
        Assert.Equal(offered, transport.ReadDeviceFeatures());
        transport.WriteDriverFeatures(VirtioFeature.Version1);
        transport.WriteDriverFeatures(VirtioFeature.Version1 | VirtioFeature.EventIndex);
        Assert.Equal(VirtioFeature.Version1 | VirtioFeature.EventIndex, device.DriverFeatures);
        transport.WriteStatus(0);
        Assert.Equal(0, transport.ReadStatus());
        transport.Disable();
    }

    [Fact]
    public void A_legacy_configuration_is_read_and_written_where_it_lies_and_moves_with_MSIX()
    {
        FakeBlockDevice disk = new(256);
        FakeLegacyPciDevice function = Machine.Plug(new FakeLegacyPciDevice(disk, 2), 0, 3);
        Assert.True(LegacyPciTransport.TryCreate(new ScannedPciFunction(Machine, function.Address), 2, out LegacyPciTransport? transport).IsBound);
        Assert.Equal((128u - 20, 256u), (transport!.ConfigLength, transport.ReadConfig32(0)));
        Assert.Equal(2, transport.PrepareInterrupts(2, out InterruptKind kind));
        Assert.Equal((InterruptKind.MsiX, 128u - 24, 256u), (kind, transport.ConfigLength, transport.ReadConfig32(0)));
        transport.ReleaseInterrupts();
        Assert.Equal((128u - 20, 256u), (transport.ConfigLength, transport.ReadConfig32(0)));
        transport.Disable();
    }

    [Fact]
    public void Without_MSIX_a_legacy_function_has_no_vectors_to_set()
    {
        FakeLegacyPciDevice function = Machine.Plug(new FakeLegacyPciDevice(new FakeBlockDevice(256), 0), 0, 3);
        Assert.True(LegacyPciTransport.TryCreate(new ScannedPciFunction(Machine, function.Address), 2, out LegacyPciTransport? transport).IsBound);
        Assert.True(transport!.TrySetQueueVector(0, 0xFFFF));
        Assert.False(transport.TrySetQueueVector(0, 0));
        Assert.False(transport.TrySetConfigVector(0));
        transport.Disable();
    }

    [Theory]
    [InlineData(0xF8, 8u, true)] // as close to the end as it may be; the table is in BAR 0
    [InlineData(0xFC, 8u, false)] // cut off: where the table is can't be known
    [InlineData(0xF8, 9u, false)] // in BAR 1
    public void Where_BAR_0_holds_an_MSIX_table_it_holds_no_registers(byte capability, uint table, bool holdsTable)
    {
        FakeLegacyPciDevice function = Machine.Plug(new FakeLegacyPciDevice(new FakeBlockDevice(256), 0), 0, 3);
        function.Set16(PciRegisters.Status, (ushort)(function.Get16(PciRegisters.Status) | PciRegisters.StatusCapabilities));
        function.Set8(PciRegisters.CapabilitiesPointer, capability);
        function.Set8(capability, PciRegisters.CapabilityMsix);
        if (capability < 0xFC)
        {
            function.Set32(capability + 4, table);
        }
        ProbeResult result = LegacyPciTransport.TryCreate(new ScannedPciFunction(Machine, function.Address), 2, out LegacyPciTransport? transport);
        Assert.Equal(!holdsTable, result.IsBound);
        transport?.Disable();
    }

    [Fact]
    public void The_largest_device_id_of_virtio_mmio_is_one()
    {
        FakeMmioDevice slot = Machine.Plug(new FakeMmioDevice(Machine, new FakeQueueDevice(8), 2));
        foreach ((uint id, bool isDevice) in new[] { (0xFFFFu, true), (0x1_0000u, false) })
        {
            slot.OnRead = (offset, right) => offset == 8 ? id : right;
            Assert.Equal(isDevice, MmioTransport.TryCreate(slot, out MmioTransport? transport).IsBound);
            Assert.Equal(isDevice ? (ushort)0xFFFF : (ushort)0, transport?.DeviceType ?? 0);
        }
    }

    private VirtioTransport Open(FakeVirtioDevice device, string name)
    {
        VirtioTransport? opened = null;
        switch (name)
        {
            case "modern PCI":
                PciFunction modern = new ScannedPciFunction(Machine, Machine.Plug(new FakeVirtioPciDevice(device), 0, 3).Address);
                Assert.True(ModernPciTransport.TryCreate(modern, FakeQueueDevice.Type, out ModernPciTransport? first).IsBound);
                opened = first;
                break;
            case "legacy PCI":
                PciFunction legacy = new ScannedPciFunction(Machine, Machine.Plug(new FakeLegacyPciDevice(device), 0, 3).Address);
                Assert.True(LegacyPciTransport.TryCreate(legacy, FakeQueueDevice.Type, out LegacyPciTransport? second).IsBound);
                opened = second;
                break;
            default:
                FakeMmioDevice slot = Machine.Plug(new FakeMmioDevice(Machine, device, name.StartsWith("legacy", StringComparison.Ordinal) ? 1u : 2u));
                Assert.True(MmioTransport.TryCreate(slot, out MmioTransport? third).IsBound);
                opened = third;
                break;
        }
        Assert.Equal(name, opened!.Name);
        return opened;
    }
}
