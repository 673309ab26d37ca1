// One virtqueue of a device on any machine, driven by hand: what QEMU's devices and the fakes are compared by.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>The only device of its type in a machine, its first queue, and a slot of memory for each token.</summary>
internal abstract class JudgedQueue : IDisposable
{
    private const int Slots = 16;

    private readonly DmaBuffer _memory;
    private readonly uint _slotLength;

    /// <summary>Takes the device into service with exactly these features.</summary>
    protected JudgedQueue(PciHost host, ushort type, ulong features, ushort size, uint slotLength)
    {
        Host = host;
        _slotLength = slotLength;
        PciScan scan = PciScan.Run(host);
        ModernPciTransport? transport = null;
        for (int i = 0; i < scan.Count && transport is null; i++)
        {
            ModernPciTransport.TryCreate(scan[i], type, out transport);
        }
        Assert.NotNull(transport);
        Device = new VirtioDevice(transport);
        Assert.True(Device.Negotiate(VirtioFeature.Version1, features).IsBound);
        Assert.Equal(features | VirtioFeature.Version1, Device.Features);
        Device.PrepareInterrupts(1);
        ProbeResult created = Device.CreateQueue(0, size, out Virtqueue? queue);
        Assert.True(created.IsBound, created.Reason);
        Queue = queue!;
        Assert.Equal(size, Queue.Size);
        Device.Start();
        Assert.True(host.Dma.TryAllocate(Slots * slotLength, 4096, out _memory));
    }

    /// <summary>The machine.</summary>
    protected PciHost Host { get; }

    /// <summary>The device without a driver for its type.</summary>
    protected VirtioDevice Device { get; }

    /// <summary>Its queue.</summary>
    protected Virtqueue Queue { get; }

    /// <summary>The memory of a token.</summary>
    protected DmaBuffer Slot(ushort token) => _memory.Slice(token * _slotLength, _slotLength);

    /// <inheritdoc/>
    public void Dispose()
    {
        Device.Stop();
        while (Queue.TryDetach(out _))
        {
            // A test that failed has its own message.
        }
        Device.FreeQueues();
        Host.Dma.Free(_memory);
    }
}
