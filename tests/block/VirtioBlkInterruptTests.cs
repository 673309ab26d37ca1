// Which interrupt reaches a disk's queue, by every way there is.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Vectors, one vector, a pin; and a pin that another device holds up.</summary>
public sealed class VirtioBlkInterruptTests
{
    [Theory]
    [InlineData(4, 1)]
    [InlineData(2, 1)]
    [InlineData(1, 0)]
    [InlineData(0, 0xFFFF)]
    [Trait("Requirement", "PCI-MSIX-1")]
    [Trait("Requirement", "PCI-MSIX-3")]
    public void Each_request_alone_interrupts_the_queue_once(ushort vectors, ushort expectedVector)
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(64);
        FakeVirtioPciDevice function = machine.Plug(new FakeVirtioPciDevice(device, vectors), 0, 1);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        Assert.Equal(expectedVector, device.Queues[0].Vector);
        for (ulong i = 1; i <= 5; i++)
        {
            Read(machine, disk);
            Assert.Equal(i, disk.Interrupts);
        }
        Assert.Equal(vectors == 0, function.IsrReads > 0);
        disk.Remove();
        machine.AssertNothingLeaked();
    }

    [Fact]
    public void A_pin_that_another_device_holds_up_is_not_taken_for_the_disks_own()
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(64);
        FakeVirtioPciDevice function = machine.Plug(new FakeVirtioPciDevice(device, vectors: 0), 0, 1);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        function.OnReadIsr = _ => 0;
        function.RaiseQueue(0xFFFF);
        Assert.Equal(0ul, disk.Interrupts);
        function.OnReadIsr = null;
        Read(machine, disk);
        Assert.Equal(1ul, disk.Interrupts);
        disk.Remove();
    }

    private static void Read(FakeMachine machine, VirtioBlk disk)
    {
        Assert.True(disk.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Waiting.Until(disk, machine.Clock, () => request.Completions == 1, "a read");
        Assert.Equal(IoStatus.Ok, request.Status);
        disk.Dma.Free(buffer);
    }
}
