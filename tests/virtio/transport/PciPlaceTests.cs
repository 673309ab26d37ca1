// Where a device says its structures are: what lies over what, what is missing, and the reason that is given (virtio 4.1.4).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>A device with four vectors, whose table takes 64 bytes.</summary>
public sealed class PciPlaceTests : MachineScene
{
    private const int TablePlace = 4;
    private const int TableLength = 64;
    private const int TypeField = 3;
    private const int BarField = 4;
    private const int OffsetField = 8;
    private const int LengthField = 12;
    private const int MultiplierField = 16;

    private readonly FakeVirtioPciDevice _function = new(new FakeQueueDevice(8));

    public PciPlaceTests() => Machine.Plug(_function, 0, 3);

    [Theory]
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.CommonOffset, true)]
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.CommonOffset + 56, true)] // its last eight bytes
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.CommonOffset + 64, false)]
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.IsrOffset - TableLength, false)]
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.IsrOffset - TableLength + 8, true)]
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.IsrOffset, true)]
    [InlineData(FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.IsrOffset + 8, false)] // the status is one byte
    [InlineData(FakeVirtioPciDevice.MsixBar, FakeVirtioPciDevice.CommonOffset, false)]
    [InlineData(FakeVirtioPciDevice.MsixBar, FakeVirtioPciDevice.IsrOffset, false)]
    public void A_table_of_vectors_may_stand_beside_the_registers_and_not_over_them(byte bar, uint offset, bool collides)
    {
        _function.Set32(_function.Msix!.Capability + TablePlace, offset | bar);
        ProbeResult result = Open(out ModernPciTransport? transport);
        Assert.Equal(!collides, result.IsBound);
        Assert.Equal(collides ? "the MSI-X table lies over the registers" : "", result.Reason);
        transport?.Disable();
    }

    [Theory]
    [InlineData("the common configuration")]
    [InlineData("the region for notifications")]
    [InlineData("the interrupt status")]
    public void What_is_wrong_with_a_structure_is_named_together_with_its_capability(string structure)
    {
        ushort capability = CapabilityOf(structure);
        IsRefused(capability + LengthField, 0, structure + " is shorter than it has to be; the capability is at", capability);
        IsRefused(capability + OffsetField, 0x7FFF_FFFC, structure + " lies outside its BAR; the capability is at", capability);
        IsRefused(capability + BarField, 3, structure + " lies in a BAR that the device does not have; the capability is at", capability);
        IsRefused(capability + TypeField, 0x77, "there is no usable capability for " + structure, 0);
        _function.Set8(_function.AccessCapability + TypeField, 0x77); // no way through config space
        ulong address = _function.BarAddress(FakeVirtioPciDevice.RegisterBar);
        _function.AssignBar(FakeVirtioPciDevice.RegisterBar, 0);
        ProbeResult unassigned = Open(out _);
        Assert.Equal("the common configuration lies in a BAR without a usable address; the capability is at", unassigned.Reason);
        Assert.Equal(_function.CommonCapability, unassigned.Value);
        _function.AssignBar(FakeVirtioPciDevice.RegisterBar, address);
        Assert.True(Open(out ModernPciTransport? transport).IsBound);
        transport!.Disable();
    }

    [Theory]
    [InlineData("the common configuration")]
    [InlineData("the region for notifications")]
    public void A_structure_that_is_not_aligned_is_named(string structure)
    {
        ushort capability = CapabilityOf(structure);
        IsRefused(capability + OffsetField, _function.Get32(capability + OffsetField) + 1, structure + " is not aligned; the capability is at", capability);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(6u)]
    public void A_multiplier_that_there_can_not_be_is_named_with_its_value(uint multiplier)
    {
        _function.Set32(_function.NotifyCapability + MultiplierField, multiplier);
        ProbeResult result = Open(out _);
        Assert.Equal((ProbeStatus.Failed, "a notify_off_multiplier that is no even power of two", (ulong)multiplier), (result.Status, result.Reason, result.Value));
        Assert.False(_function.IsBusMaster);
    }

    [Theory]
    [InlineData(55u, false)]
    [InlineData(56u, true)] // up to queue_device
    public void A_common_configuration_has_56_bytes_at_least(uint length, bool isUsable)
    {
        _function.Set32(_function.CommonCapability + LengthField, length);
        Assert.Equal(isUsable, Open(out ModernPciTransport? transport).IsBound);
        transport?.Disable();
    }

    [Fact]
    public void Shared_memory_is_named_by_vendor_capabilities_only_and_may_lie_in_the_last_bar()
    {
        FakePciFunction function = new(VirtioPciRegisters.VendorId, 0x105A);
        function.AddMemoryBar(5, new FakeMemoryBar(0x1000));
        byte[] region =
            [24, VirtioPciRegisters.SharedMemoryConfiguration, 5, 9, 0, 0, .. BitConverter.GetBytes(0x100), .. BitConverter.GetBytes(0x200), .. new byte[8]];
        function.AddCapability(PciRegisters.CapabilityVendor, region);
        region[3] = 10;
        function.AddCapability(0x03, region); // vital product data, which looks the same from the third byte on
        Machine.Plug(function, 0, 4);
        SharedMemoryRegion[] listed = VirtioPciSharedMemory.Find(new ScannedPciFunction(Machine, function.Address));
        SharedMemoryRegion only = Assert.Single(listed);
        Assert.Equal((9, function.BarAddress(5) + 0x100, 0x200ul), (only.Id, only.Address, only.Length));
    }

    [Theory]
    [InlineData(0x1000ul, 0x3000ul, true)]
    [InlineData(0x1000ul, 0x3010ul, false)] // the used ring of a split queue begins a page
    [InlineData(0x1010ul, 0x3000ul, false)]
    [InlineData(0x0ul, 0x3000ul, false)] // 0 says that there is no queue
    [InlineData(0xFFF_FFFF_F000ul, 0xFFF_FFFF_F000ul, true)] // the last page that 32 bits can name
    [InlineData(0x1000_0000_0000ul, 0x1000_0000_3000ul, false)]
    public void A_legacy_queue_is_named_by_a_page(ulong descriptors, ulong used, bool canBe)
    {
        VirtqueueAddresses queue = new(descriptors, descriptors + 0x100, used);
        Assert.Equal(canBe, queue.TryGetPageNumber(4096, out uint page));
        Assert.True(!canBe || page == descriptors / 4096);
    }

    private ushort CapabilityOf(string structure) => structure switch
    {
        "the common configuration" => _function.CommonCapability,
        "the region for notifications" => _function.NotifyCapability,
        _ => _function.IsrCapability,
    };

    /// <summary>With a field of a capability changed the device is refused, and quiet.</summary>
    private void IsRefused(int field, uint value, string reason, ulong number)
    {
        uint before = _function.Get32(field & ~3);
        int shift = 8 * (field & 3);
        _function.Set32(field & ~3, shift == 0 ? value : (before & ~(0xFFu << shift)) | value << shift);
        ProbeResult result = Open(out _);
        Assert.Equal((ProbeStatus.Failed, reason, number), (result.Status, result.Reason, result.Value));
        Assert.False(_function.IsBusMaster);
        _function.Set32(field & ~3, before);
    }

    private ProbeResult Open(out ModernPciTransport? transport) =>
        ModernPciTransport.TryCreate(new ScannedPciFunction(Machine, _function.Address), FakeQueueDevice.Type, out transport);
}
