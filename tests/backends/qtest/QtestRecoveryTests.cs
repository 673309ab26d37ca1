// QEMU's devices broken on purpose: they say that they need a reset, and the drivers begin anew (virtio 2.1.2).
using System.Threading;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>Split rings only: QEMU 7.2 looks at a broken packed ring for ever.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestRecoveryTests
{
    [Theory]
    [InlineData("", QtestBus.Pci)]
    [InlineData(",vectors=1", QtestBus.Pci)]
    [InlineData(",vectors=0", QtestBus.Pci)]
    [InlineData("", QtestBus.Mmio)]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void A_disk_that_needs_a_reset_is_begun_anew_and_every_request_ends_well(string more, QtestBus bus)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), more, bus: bus);
        VirtioBlk disk = (VirtioBlk)backend.Disk;
        DmaBuffer buffer = backend.Allocate(8 * 512);
        for (byte round = 1; round <= 5; round++)
        {
            TestRequest[] requests = new TestRequest[8];
            for (byte i = 0; i < requests.Length; i++)
            {
                DmaBuffer sector = buffer.Slice(i * 512u, 512);
                sector.Span.Fill((byte)(round * 16 + i));
                requests[i] = TestRequest.For(BlockOperation.Write, i, sector);
                Assert.Equal(IoStatus.Ok, disk.Submit(requests[i]));
            }
            // The requests are in the ring, and the device is told of one that can't be before it is told of them.
            Spoil(buffer, disk.Virtio, 0);
            Waiting.Until(disk, backend.Clock, () => disk.Recoveries == round, "the recovery");
            Waiting.Until(disk, backend.Clock, () => requests.All(request => request.Completions == 1), "the requests");
            Assert.All(requests, request => Assert.Equal(IoStatus.Ok, request.Status));
        }
        Assert.Equal(40ul, disk.Repeats);
        disk.Remove();
        Assert.Equal(Enumerable.Repeat((byte)(5 * 16 + 7), 512), backend.ReadMedium(7, 1));
        disk.Dma.Free(buffer);
    }

    [Theory]
    [InlineData(QtestBus.Pci)]
    [InlineData(QtestBus.Mmio)]
    public void A_console_that_needs_a_reset_is_begun_anew(QtestBus bus)
    {
        using QtestConsoleBackend backend = new(bus: bus);
        VirtioConsole console = (VirtioConsole)backend.Device;
        ConsolePort port = backend.Port;
        Assert.True(console.Virtio.Transport.Dma.TryAllocate(16, 16, out DmaBuffer anywhere));
        for (ulong round = 1; round <= 5; round++)
        {
            Spoil(anywhere, console.Virtio, console.Virtio.QueueCount == 2 ? 1 : 3); // the first port's, behind those for control
            Waiting.Until(console, backend.Clock, () => console.Recoveries == round, "the recovery");
            int before = backend.HostReceived().Length;
            Assert.Equal(5u, port.Write("again"u8));
            Waiting.Until(console, backend.Clock, () => !port.HasUnsent && backend.HostReceived().Length == before + 5, "the output");
        }
        Assert.Equal(0ul, port.BytesInDoubt);
        console.Virtio.Transport.Dma.Free(anywhere);
        console.Remove();
    }

    /// <summary>Makes a buffer available that begins beyond the descriptors; <paramref name="anywhere"/> says where guest memory is.</summary>
    private static unsafe void Spoil(in DmaBuffer anywhere, VirtioDevice device, int queue)
    {
        ushort* available = (ushort*)(anywhere.Pointer - anywhere.DeviceAddress + device.Queue(queue).Addresses.DriverArea);
        ushort index = available[1];
        available[2 + index % device.Queue(queue).Size] = ushort.MaxValue;
        Volatile.Write(ref available[1], (ushort)(index + 1));
        device.Transport.Notify(device.Queue(queue).Index);
    }
}
