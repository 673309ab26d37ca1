// Regions of shared memory: listed when they lie within their BAR, whatever their size (virtio 2.10, 4.1.4.7).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>A device with a BAR of 16 GiB for them.</summary>
public sealed class SharedMemoryTests : IDisposable
{
    private const int Bar = 2;
    private const ulong BarLength = 16ul << 30;

    private readonly FakeMachine _machine = new();
    private readonly FakeVirtioPciDevice _function = new(new FakeQueueDevice(8));

    public SharedMemoryTests()
    {
        _function.AddMemoryBar(Bar, new HugeBar(), is64Bit: true, isPrefetchable: true);
        // Bar 2 takes the registers of bar 3; those of the device are in bar 4.
        _machine.Plug(_function, 0, 3);
    }

    [Fact]
    public void A_device_without_any_has_none() => Assert.Empty(Listed());

    [Fact]
    public void Regions_are_listed_with_their_ids_in_the_order_of_the_list()
    {
        Add(7, Bar, 0, 4096);
        Add(1, Bar, 5ul << 30, 6ul << 30); // both halves of both numbers count
        Add(0, FakeVirtioPciDevice.RegisterBar, 0x3000, 0x1000);
        ulong start = _function.BarAddress(Bar);
        Assert.Equal(
            [(7, start, 4096ul), (1, start + (5ul << 30), 6ul << 30), (0, _function.BarAddress(FakeVirtioPciDevice.RegisterBar) + 0x3000, 0x1000ul)],
            Listed());
    }

    [Theory]
    [InlineData(Bar, 0ul, BarLength, true)]
    [InlineData(Bar, BarLength - 1, 1ul, true)]
    [InlineData(Bar, 0ul, BarLength + 1, false)]
    [InlineData(Bar, BarLength, 1ul, false)]
    [InlineData(Bar, 1ul, BarLength, false)]
    [InlineData(Bar, ulong.MaxValue, 2ul, false)] // wraps around
    [InlineData(Bar, 2ul, ulong.MaxValue, false)]
    [InlineData(Bar, 0ul, 0ul, false)]
    [InlineData(0, 0ul, 1ul, false)] // no such BAR
    [InlineData(3, 0ul, 1ul, false)] // the upper half of another
    [InlineData(6, 0ul, 1ul, false)] // reserved
    [InlineData(255, 0ul, 1ul, false)]
    [Trait("Requirement", "PCI-CAP-5")]
    public void A_region_has_to_lie_within_its_bar(byte bar, ulong offset, ulong length, bool listed)
    {
        Add(1, bar, offset, length);
        Assert.Equal(listed ? 1 : 0, Listed().Length);
    }

    [Fact]
    public void Of_two_regions_with_one_id_the_first_counts()
    {
        Add(4, Bar, 0, 4096);
        Add(4, Bar, 8192, 512);
        Assert.Equal([(4, _function.BarAddress(Bar), 4096ul)], Listed());
    }

    [Fact]
    public void A_capability_without_the_upper_halves_is_passed_over()
    {
        ushort capability = Add(4, Bar, 0, 4096);
        _function.Set8(capability + 2, 23);
        Assert.Empty(Listed());
    }

    [Fact]
    public void In_a_bar_without_an_address_a_region_has_none()
    {
        Add(4, Bar, 4096, 512);
        _function.AssignBar(Bar, 0);
        Assert.Equal([(4, 0ul, 512ul)], Listed());
    }

    public void Dispose() => _machine.Dispose();

    private ushort Add(byte id, byte bar, ulong offset, ulong length)
    {
        byte[] more = [.. BitConverter.GetBytes((uint)(offset >> 32)), .. BitConverter.GetBytes((uint)(length >> 32))];
        ushort capability = _function.AddVirtioCapability(8, bar, (uint)offset, (uint)length, more);
        _function.Set8(capability + 5, id);
        return capability;
    }

    /// <summary>What the transport lists, which is what a look at the function alone lists.</summary>
    private (int Id, ulong Address, ulong Length)[] Listed()
    {
        ScannedPciFunction scanned = new(_machine, _function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, FakeQueueDevice.Type, out ModernPciTransport? transport).IsBound);
        (int, ulong, ulong)[] listed = new (int, ulong, ulong)[transport!.SharedMemoryCount];
        for (int i = 0; i < listed.Length; i++)
        {
            SharedMemoryRegion region = transport.SharedMemory(i);
            listed[i] = (region.Id, region.Address, region.Length);
        }
        Assert.Equal(listed, VirtioPciSharedMemory.Find(scanned).Select(region => ((int)region.Id, region.Address, region.Length)));
        transport.Disable();
        return listed;
    }

    /// <summary>Too large to be made of bytes; nobody accesses it.</summary>
    private sealed class HugeBar : FakeBar
    {
        public override ulong Length => BarLength;

        public override uint Read(ulong offset, int width) => throw new InvalidOperationException("shared memory was read");

        public override void Write(ulong offset, int width, uint value) => throw new InvalidOperationException("shared memory was written");
    }
}
