// A virtqueue with its device's side in the hands of the test.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Contracts;

/// <summary>A queue in service, in whatever format, and the other side of it.</summary>
public abstract class VirtqueueBackend : IDisposable
{
    /// <summary>The driver's side.</summary>
    public abstract Virtqueue Queue { get; }

    /// <summary>Where memory comes from.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>How often the device was notified.</summary>
    public abstract int Notifications { get; }

    /// <summary>How often the device signalled used buffers.</summary>
    public abstract int Signals { get; }

    /// <summary>The device takes everything that is available, then asks to be notified of more.</summary>
    public abstract List<FakeChain> DeviceTakes();

    /// <summary>The device asks not to be notified.</summary>
    public abstract void DeviceWantsNoNotifications();

    /// <summary>With EVENT_IDX: the device waits for the buffer that comes after <paramref name="ahead"/> others.</summary>
    public abstract void DeviceAwaits(int ahead);

    /// <summary>With IN_ORDER: the device uses buffers with one used entry for all, the last one with a length of its own.</summary>
    public abstract void DeviceUsesBatch(IReadOnlyList<FakeChain> chains, uint writtenToLast);

    /// <summary>How many used entries the device wrote.</summary>
    public abstract int Entries { get; }

    /// <summary>The device uses a buffer; <paramref name="written"/> is what it says that it wrote.</summary>
    public abstract void DeviceUses(FakeChain chain, uint written);

    /// <summary>The device signals what it used, if the driver wants to hear.</summary>
    public abstract void DeviceSignals();

    /// <summary>The device writes nonsense into the ring: a buffer that was never given.</summary>
    public abstract void DeviceUsesNonsense();

    /// <summary>The driver resets the device, detaches all buffers and begins anew on the same queue; says what was in flight.</summary>
    public abstract List<ushort> Restart();

    /// <summary>The driver resets the device: from here on buffers can be detached.</summary>
    public abstract void Reset();

    /// <summary>Frees the queue after <see cref="Reset"/> and checks what was left over.</summary>
    public abstract void Dispose();
}
