// ACCESS_PLATFORM: behind an IOMMU a device reaches what is shared, while it is shared, and nothing else (virtio 6.1).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio;

/// <summary>The memory of the fake machine is an IOMMU: addresses of the device are no pointers, and what is not lent is refused.</summary>
public sealed class AccessPlatformTests : MachineScene
{
    private readonly FakeBlockDevice _disk = new(64);

    [Fact]
    [Trait("Requirement", "CORE-RSVD-4")]
    public unsafe void A_disk_reaches_a_buffer_from_the_submit_to_the_completion_and_nothing_around_it()
    {
        FakeIommu.Require(_disk);
        FakeVirtioPciDevice function = Machine.Plug(_disk);
        BlockDevice disk = FakeBinding.AttachOne<BlockDevice>(Machine);
        Assert.Equal(VirtioFeature.AccessPlatform | VirtioFeature.OrderPlatform,
            _disk.DriverFeatures & (VirtioFeature.AccessPlatform | VirtioFeature.OrderPlatform));
        Assert.True(disk.Dma.TryAllocate(2048, 512, out DmaBuffer memory));
        DmaBuffer buffer = memory.Slice(512, 1024);
        Assert.NotEqual((ulong)buffer.Pointer, buffer.DeviceAddress);

        ExpectReach(buffer, reached: false);
        _disk.HoldsBack = true;
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Machine.Run();
        ExpectReach(buffer, reached: true);
        Assert.False(Machine.FakeDma.TryDeviceWrite(memory.DeviceAddress + 508, [1, 2, 3, 4, 5, 6, 7, 8])); // half of it before the buffer
        Assert.False(Machine.FakeDma.TryDeviceWrite(memory.DeviceAddress + 1536, [1]));
        Assert.False(Machine.FakeDma.IsLent(buffer.DeviceAddress, 1, forWriting: false)); // the device has nothing to read there
        _disk.HoldsBack = false;
        _disk.CompleteAll();
        ulong end = Machine.Clock.Now + 1_000_000_000;
        while (request.Completions == 0)
        {
            Assert.True(Machine.Clock.Now < end);
            Machine.Clock.WaitForInterrupt(Machine.Clock.Now + 1_000_000);
            disk.Poll();
        }
        Assert.Equal(IoStatus.Ok, request.Status);
        ExpectReach(buffer, reached: false);
        disk.Remove();
        disk.Dma.Free(memory);
        Assert.False(function.IsBusMaster);
    }

    [Fact]
    public void A_driver_that_does_not_accept_it_is_refused()
    {
        FakeIommu.Require(_disk);
        VirtioDevice device = Open();
        ProbeResult result = device.Negotiate(0, VirtioFeature.Supported & ~VirtioFeature.AccessPlatform);
        Assert.Equal(ProbeStatus.Failed, result.Status);
        Assert.Contains("did not accept the features", result.Reason);
        Assert.True(_disk.WasGivenUp);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "CORE-RSVD-7")]
    public void ORDER_PLATFORM_is_accepted_when_it_is_offered(bool offered)
    {
        _disk.OfferedFeatures |= offered ? VirtioFeature.OrderPlatform : 0;
        VirtioDevice device = Open();
        Assert.True(device.Negotiate(0, VirtioFeature.Supported).IsBound);
        Assert.Equal(offered, device.Has(VirtioFeature.OrderPlatform));
        device.Stop();
    }

    private VirtioDevice Open()
    {
        FakeVirtioPciDevice function = Machine.Plug(_disk);
        Assert.True(ModernPciTransport.TryCreate(new ScannedPciFunction(Machine, function.Address), 2, out ModernPciTransport? transport).IsBound);
        return new VirtioDevice(transport!);
    }

    private void ExpectReach(in DmaBuffer buffer, bool reached)
    {
        int blocked = Machine.FakeDma.BlockedAccesses;
        Assert.Equal(reached, Machine.FakeDma.TryDeviceWrite(buffer.DeviceAddress, [0xEE]));
        Assert.Equal(reached, Machine.FakeDma.TryDeviceWrite(buffer.DeviceAddress + buffer.Length - 1, [0xEE]));
        Assert.Equal(blocked + (reached ? 0 : 2), Machine.FakeDma.BlockedAccesses);
    }
}
