// Requirements about order, layout and what is left alone, by what the fake devices see of the driver.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Spec;

/// <summary>Each by its id.</summary>
public sealed class ConformanceOrderTests : IDisposable
{
    private const uint Written = 1u << 31;

    private readonly FakeMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    /// <summary>Of the legacy interface of MMIO: select, see that the queue is free and how large it can be, then size, alignment, and last its page.</summary>
    [Fact]
    [Trait("Requirement", "MMIO-LEGACY-11")]
    public void A_legacy_queue_over_MMIO_is_set_up_in_the_order_of_the_specification()
    {
        FakeMmioDevice device = Plug(1, out VirtioBlk disk);
        List<uint> accesses = device.Accesses;
        int page = accesses.IndexOf((uint)MmioRegisters.QueuePageNumber | Written);
        int align = accesses.LastIndexOf((uint)MmioRegisters.QueueAlign | Written, page);
        int size = accesses.LastIndexOf((uint)MmioRegisters.QueueSize | Written, align);
        int isFree = accesses.LastIndexOf((uint)MmioRegisters.QueuePageNumber, size);
        int most = accesses.LastIndexOf((uint)MmioRegisters.QueueSizeMax, size);
        int select = accesses.LastIndexOf((uint)MmioRegisters.QueueSelect | Written, Math.Min(isFree, most));
        Assert.True(select >= 0 && select < isFree && select < most && isFree < size && most < size && size < align && align < page);
        Assert.Equal(1, accesses.Count(each => each == ((uint)MmioRegisters.QueuePageNumber | Written)));
        disk.Remove();
    }

    /// <summary>
    /// The driver stops queues by a reset of the device or of the queue. Should it ever write 0 to QueueReady, it has to read it back before
    /// anything else.
    /// </summary>
    [Fact]
    [Trait("Requirement", "MMIO-REG-16")]
    [Trait("Requirement", "MMIO-REG-17")]
    public void No_queue_over_MMIO_is_stopped_without_reading_back_that_it_is()
    {
        FakeMmioDevice device = Plug(2, out VirtioBlk disk, VirtioFeature.RingReset);
        bool waits = false;
        device.OnWrite = (offset, value) =>
        {
            Assert.False(waits, "QueueReady was not read back");
            waits = offset == MmioRegisters.QueueReady && value == 0;
            return false;
        };
        device.OnRead = (offset, value) =>
        {
            Assert.True(!waits || offset == MmioRegisters.QueueReady, "QueueReady was not read back");
            waits = false;
            return value;
        };
        Assert.True(disk.Virtio.TryHaltQueue(disk.Virtio.Queue(0)) && disk.Virtio.RestartQueue(disk.Virtio.Queue(0)));
        Waiting.ReadFirstSector(disk, _machine.Clock);
        device.Device.AskForReset();
        Waiting.ReadFirstSector(disk, _machine.Clock);
        Assert.Equal(1ul, disk.Recoveries);
        disk.Remove(); // memory that is freed while its queue is enabled is a breach
        Assert.False(waits);
    }

    [Fact]
    [Trait("Requirement", "PCI-LAYOUT-2")]
    public void Addresses_of_64_bits_are_written_in_two_halves()
    {
        FakeBlockDevice device = new(64);
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(device), 0, 3);
        List<(uint Offset, int Width)> writes = [];
        function.OnWriteCommon = (offset, width, _) =>
        {
            writes.Add((offset, width));
            return false;
        };
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
        for (uint offset = 32; offset < 56; offset += 4)
        {
            Assert.Contains((offset, 4), writes);
        }
        VirtqueueAddresses addresses = disk.Virtio.Queue(0).Addresses;
        Assert.True(addresses.DescriptorArea > uint.MaxValue);
        FakeVirtqueue queue = device.Queues[0];
        Assert.Equal(
            (addresses.DescriptorArea, addresses.DriverArea, addresses.DeviceArea), (queue.DescriptorArea, queue.DriverArea, queue.DeviceArea));
        disk.Remove();
    }

    /// <summary>A capability with data of a vendor (4.1.4.8): the driver knows no vendor, and neither reads what is in it nor writes there.</summary>
    [Fact]
    [Trait("Requirement", "PCI-VENDOR-1")]
    [Trait("Requirement", "PCI-VENDOR-2")]
    public void Data_of_a_vendor_are_left_alone()
    {
        const int VendorData = 9;
        const int Behind = 4; // what every vendor capability of virtio begins with
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        ushort place = function.AddVirtioCapability(VendorData, 0x46, 0x1234_5678, 0x9ABC_DEF0, isFirst: true);
        List<int> touched = [];
        function.OnConfigRead = (offset, width, value) =>
        {
            touched.AddRange(Enumerable.Range(offset, width));
            return value;
        };
        function.OnConfigWrite = (offset, width, _) =>
        {
            touched.AddRange(Enumerable.Range(offset, width));
            return false;
        };
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
        Waiting.ReadFirstSector(disk, _machine.Clock);
        disk.Remove();
        Assert.Contains(place, touched); // it was found
        Assert.DoesNotContain(touched, offset => offset >= place + Behind && offset < place + 16);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "SPLIT-FRAME-2")]
    public void A_buffer_of_very_many_pieces_is_cut_into_chains_that_are_no_longer_than_the_queue(bool packed)
    {
        FakeBlockDevice device = new FakeBlockDevice(4096, queueSize: 256).Limit(segMax: 65535, sizeMax: uint.MaxValue);
        device.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        device.HoldsBack = true;
        _machine.Plug(device);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
        Assert.True(disk.Dma.TryAllocate(1000 * 512, 512, out DmaBuffer buffer));
        TestRequest request = new();
        request.Prepare(BlockOperation.Read, 0, [.. Enumerable.Range(0, 1000).Select(i => buffer.Slice((uint)i * 512, 512))]);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        _machine.Run();
        int longest = 0;
        while (request.Completions == 0)
        {
            longest = Math.Max(longest, device.HeldBack.Max(chain => chain.Readable.Count + chain.Writable.Count));
            device.CompleteAll();
            disk.Poll();
            _machine.Run();
        }
        Assert.Equal(IoStatus.Ok, request.Status);
        Assert.InRange(longest, 3, 128);
        disk.Remove();
        _machine.Dma.Free(buffer);
    }

    /// <summary>The same piece seventy times, which only a machine without an IOMMU allows: the device finds a chain that is too long.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "SPLIT-DESC-1")]
    public void A_request_of_more_than_4_GiB_is_cut_into_chains_of_less(bool packed)
    {
        const uint Piece = 64 << 20;
        const int Pieces = 70;
        _machine.FakeDma.Shares = false;
        FakeBlockDevice device = new FakeBlockDevice(64, queueSize: 256).Limit(segMax: 65535, sizeMax: uint.MaxValue);
        device.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        device.HoldsBack = true;
        BinaryPrimitives.WriteUInt64LittleEndian(device.Config, 1ul << 30); // sectors that nobody has to keep
        _machine.Plug(device);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
        Assert.True(disk.Dma.TryAllocate(Piece, 4096, out DmaBuffer buffer));
        TestRequest request = new();
        request.Prepare(BlockOperation.Write, 0, [.. Enumerable.Repeat(buffer, Pieces)]);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        _machine.Run();
        Assert.Equal((ulong)Pieces * Piece, (ulong)device.HeldBack.Sum(chain => (long)chain.ReadableLength - 16));
        disk.Remove();
        _machine.Dma.Free(buffer);
    }

    /// <summary>Of a legacy disk header and status lie alone, whether the device takes any layout or not, and a flush is one of type 4.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "SPLIT-LEGACY-5")]
    [Trait("Requirement", "BLK-LEGACY-5")]
    public void Requests_to_a_legacy_disk_have_header_and_status_in_descriptors_of_their_own(bool anyLayout)
    {
        FakeBlockDevice device = new(64);
        device.OfferedFeatures |= anyLayout ? FakeBlockDevice.AnyLayout : 0;
        _machine.Plug<FakePciFunction>(new FakeLegacyPciDevice(device, 3), 0, 3);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
        Assert.True(disk.Dma.TryAllocate(1024, 512, out DmaBuffer buffer));
        device.HoldsBack = true;
        (BlockOperation Operation, DmaBuffer Buffer, uint Type, uint[] Readable, uint[] Writable)[] expected =
        [
            (BlockOperation.Read, buffer, 0, [16], [1024, 1]),
            (BlockOperation.Write, buffer, 1, [16, 1024], [1]),
            (BlockOperation.Flush, default, 4, [16], [1]),
        ];
        foreach ((BlockOperation operation, DmaBuffer data, uint type, uint[] readable, uint[] writable) in expected)
        {
            TestRequest request = TestRequest.For(operation, 0, data);
            Assert.Equal(IoStatus.Ok, disk.Submit(request));
            disk.Kick();
            _machine.Run();
            FakeChain chain = Assert.Single(device.HeldBack);
            Assert.Equal(readable, chain.Readable.Select(piece => piece.Length));
            Assert.Equal(writable, chain.Writable.Select(piece => piece.Length));
            Assert.Equal(type, BinaryPrimitives.ReadUInt32LittleEndian(chain.Read(0, 4)));
            device.CompleteAll();
            disk.Poll();
            Assert.Equal(IoStatus.Ok, request.Status);
        }
        disk.Remove();
        _machine.Dma.Free(buffer);
    }

    /// <summary>A device that offers SUSPEND is not suspended: it is not agreed on.</summary>
    [Fact]
    [Trait("Requirement", "CORE-SUSPEND-1")]
    public void SUSPEND_is_never_set()
    {
        FakeBlockDevice device = new(64);
        device.OfferedFeatures |= 1ul << 43;
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(device), 0, 3);
        byte written = 0;
        function.OnWriteCommon = (offset, _, value) =>
        {
            written |= offset == VirtioPciRegisters.Status ? (byte)value : (byte)0;
            return false;
        };
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
        Waiting.ReadFirstSector(disk, _machine.Clock);
        device.AskForReset();
        Waiting.ReadFirstSector(disk, _machine.Clock);
        disk.Remove();
        Assert.Equal(0ul, device.DriverFeatures & (1ul << 43));
        Assert.Equal(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk, written);
    }

    private FakeMmioDevice Plug(uint version, out VirtioBlk disk, ulong more = 0)
    {
        FakeBlockDevice block = new(64);
        block.OfferedFeatures |= more;
        FakeMmioDevice device = _machine.Plug(new FakeMmioDevice(_machine, block, version));
        ProbeResult result = new VirtioMmioDriver(Backends.TestDrivers.All()).Probe(device, out Device? bound);
        Assert.True(result.IsBound, $"{result.Reason} (0x{result.Value:X})");
        disk = Assert.IsType<VirtioBlk>(bound);
        return device;
    }
}
