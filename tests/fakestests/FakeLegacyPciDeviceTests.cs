// The legacy fake finds who breaks the rules of the legacy interface, and does what a driver that keeps them wants.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Every register by hand.</summary>
public sealed class FakeLegacyPciDeviceTests : IDisposable
{
    private const uint QueuePageNumber = 8;
    private const uint QueueNotify = 16;
    private const uint Status = 18;
    private const ushort QueueSize = 8;
    private const uint UsedOffset = 4096;
    private const uint RingLength = 8192;

    private readonly FakeMachine _machine = new();
    private readonly FakeBlockDevice _disk = new(64, QueueSize);
    private readonly FakeLegacyPciDevice _function;
    private readonly IoRegion _registers;
    private DmaBuffer _ring;
    private DmaBuffer _data;

    public FakeLegacyPciDeviceTests()
    {
        _disk.OfferedFeatures |= FakeBlockDevice.AnyLayout;
        _function = _machine.Plug(new FakeLegacyPciDevice(_disk, vectors: 2), 0, 1);
        ScannedPciFunction scanned = new(_machine, _function.Address);
        Assert.True(scanned.TryEnable());
        Assert.True(scanned.TryMapBar(0, out IoRegion? registers));
        _registers = registers!;
        Assert.True(_machine.Dma.TryAllocate(RingLength, 4096, out _ring));
        Assert.True(_machine.Dma.TryAllocate(1024, 64, out _data));
    }

    [Fact]
    public void A_read_by_hand_works()
    {
        Start(0);
        Request([16], [512, 1]);
        Assert.Equal(0, _data.Span[16 + 512]);
        Assert.Equal(1, BitConverter.ToUInt16(_ring.Span.Slice((int)UsedOffset + 2, 2)));
    }

    [Theory]
    [InlineData(0u, 2)]
    [InlineData(4u, 1)]
    [InlineData(8u, 2)]
    [InlineData(12u, 1)]
    [InlineData(14u, 1)]
    [InlineData(18u, 2)]
    public void A_register_has_one_width(uint offset, int width) => Breaks("instead of", () => Read(offset, width));

    [Fact]
    public void FEATURES_OK_does_not_exist()
    {
        Negotiate(0);
        Breaks("FEATURES_OK", () => _registers.Write8(Status, 11));
    }

    [Fact]
    public void Features_come_after_DRIVER_and_before_DRIVER_OK_and_were_offered()
    {
        _registers.Write8(Status, 0);
        Breaks("before DRIVER", () => _registers.Read32(0));
        Start(0);
        Breaks("after DRIVER_OK", () => _registers.Write32(4, 0));
        Negotiate(1u << 31);
        Breaks("not offered", () => _registers.Write8(Status, 7));
    }

    [Fact]
    public void A_queue_is_set_up_once_between_DRIVER_and_DRIVER_OK_in_memory_that_was_lent()
    {
        uint page = (uint)(_ring.DeviceAddress / 4096);
        _registers.Write8(Status, 0);
        _machine.Dma.Share(_ring, DmaDirection.Both);
        Breaks("before DRIVER", () => _registers.Write32(QueuePageNumber, page));
        Negotiate(0);
        Breaks("or stopped", () => _registers.Write32(QueuePageNumber, 0));
        _registers.Write32(QueuePageNumber, page);
        Assert.Equal(page, _registers.Read32(QueuePageNumber));
        Breaks("twice", () => _registers.Write32(QueuePageNumber, page));
        _registers.Write8(Status, 7);
        _registers.Write16(14, 1);
        Breaks("does not exist", () => _registers.Write32(QueuePageNumber, page));
    }

    [Fact]
    public void The_memory_of_a_ring_has_to_be_as_long_as_the_layout_says()
    {
        Negotiate(0);
        _machine.Dma.Share(_ring.Slice(0, RingLength - 1), DmaDirection.Both);
        Breaks("shorter", () => _registers.Write32(QueuePageNumber, (uint)(_ring.DeviceAddress / 4096)));
    }

    [Fact]
    public void A_doorbell_before_DRIVER_OK_breaks_a_rule()
    {
        Negotiate(0);
        SetUpQueue();
        Breaks("before DRIVER_OK", () => _registers.Write16(QueueNotify, 0));
    }

    [Fact]
    public void The_size_of_a_queue_and_the_offered_features_can_only_be_read()
    {
        Negotiate(0);
        Breaks("register 12 was written", () => _registers.Write16(12, 4));
        Breaks("register 0 was written", () => _registers.Write32(0, 0));
        Breaks("register 16 was read", () => _registers.Read16(QueueNotify));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-LEGACY-1")]
    public void The_configuration_moves_with_MSIX_and_the_vectors_are_there_with_it_only()
    {
        Assert.Equal(64u, _registers.Read32(20));
        Breaks("no config field", () => _registers.Read16(20));
        int control = _function.Msix!.Capability + 2;
        _function.Set16(control, (ushort)(_function.Get16(control) | PciRegisters.MsixEnable));
        Assert.Equal(0xFFFF, _registers.Read16(20));
        Breaks("instead of 2", () => _registers.Read32(20));
        Assert.Equal(64u, _registers.Read32(24));
        Breaks("beyond the table", () => _registers.Write16(20, 7));
        _function.IsLenient = true;
        _registers.Write16(20, 7);
        Assert.Equal(0xFFFF, _registers.Read16(20)); // there are two vectors
        _registers.Write16(20, 1);
        Assert.Equal(1, _registers.Read16(20));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [Trait("Requirement", "BLK-LEGACY-10")]
    public void Without_ANY_LAYOUT_header_and_status_are_alone_in_their_descriptors(bool splitHeader, bool joinStatus)
    {
        uint[] readable = splitHeader ? [8, 8] : [16];
        uint[] writable = joinStatus ? [513] : [512, 1];
        Start(0);
        if (splitHeader || joinStatus)
        {
            Breaks("ANY_LAYOUT", () => Request(readable, writable));
        }
        else
        {
            Request(readable, writable);
        }
    }

    [Fact]
    public void With_ANY_LAYOUT_they_are_where_the_driver_likes()
    {
        Start((uint)FakeBlockDevice.AnyLayout);
        Request([8, 8], [513]);
        Assert.Equal(0, _data.Span[16 + 512]);
    }

    public void Dispose() => _machine.Dispose();

    private void Negotiate(uint features)
    {
        _registers.Write8(Status, 0);
        Assert.Equal(0, _registers.Read8(Status));
        _registers.Write8(Status, 1);
        _registers.Write8(Status, 3);
        _registers.Write32(4, features);
    }

    private void SetUpQueue()
    {
        _machine.Dma.Share(_ring, DmaDirection.Both);
        _registers.Write16(14, 0);
        Assert.Equal(QueueSize, _registers.Read16(12));
        _registers.Write32(QueuePageNumber, (uint)(_ring.DeviceAddress / 4096));
    }

    private void Start(uint features)
    {
        Negotiate(features);
        SetUpQueue();
        _registers.Write8(Status, 7);
    }

    /// <summary>A read of sector 0 in pieces of these lengths; the status byte is poisoned before.</summary>
    private void Request(uint[] readable, uint[] writable)
    {
        _data.Span[16 + 512] = 0xFF;
        uint offset = 0;
        int count = readable.Length + writable.Length;
        for (int i = 0; i < count; i++)
        {
            bool isWritable = i >= readable.Length;
            uint length = isWritable ? writable[i - readable.Length] : readable[i];
            DmaBuffer piece = _data.Slice(offset, length);
            _machine.Dma.Share(piece, isWritable ? DmaDirection.FromDevice : DmaDirection.ToDevice);
            Span<byte> descriptor = _ring.Span.Slice(i * 16, 16);
            BitConverter.TryWriteBytes(descriptor, piece.DeviceAddress);
            BitConverter.TryWriteBytes(descriptor[8..], length);
            BitConverter.TryWriteBytes(descriptor[12..], (ushort)((isWritable ? 2 : 0) | (i + 1 < count ? 1 : 0)));
            BitConverter.TryWriteBytes(descriptor[14..], (ushort)(i + 1));
            offset += length;
        }
        BitConverter.TryWriteBytes(_ring.Span[(16 * QueueSize + 2)..], (ushort)1);
        _registers.Write16(QueueNotify, 0);
        _machine.Run();
    }

    private void Read(uint offset, int width) => _ = width == 1 ? _registers.Read8(offset) : width == 2 ? _registers.Read16(offset) : _registers.Read32(offset);

    private void Breaks(string part, Action what)
    {
        FakeDeviceException exception = Assert.Throws<FakeDeviceException>(what);
        Assert.Contains(part, exception.Message);
        _machine.Violations.Forgive();
    }
}
