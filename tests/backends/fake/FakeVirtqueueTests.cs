// The contract of virtqueues on the fake machine.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A queue of a fake PCI device, in either format, whose other side the test plays.</summary>
public sealed class FakeVirtqueueBackend : VirtqueueBackend
{
    private readonly FakeMachine _machine = new();
    private readonly FakeQueueDevice _device;
    private readonly VirtioDevice _virtio;

    /// <summary>Takes a device with one queue into service.</summary>
    public FakeVirtqueueBackend(ushort size, ulong features)
    {
        _device = new FakeQueueDevice(size);
        _device.OfferedFeatures |= features;
        FakeVirtioPciDevice function = _machine.Plug(_device);
        ProbeResult result = ModernPciTransport.TryCreate(
            new ScannedPciFunction(_machine, function.Address), FakeQueueDevice.Type, out ModernPciTransport? transport);
        Assert.True(result.IsBound, result.Reason);
        _virtio = new VirtioDevice(transport!);
        Assert.True(_virtio.Negotiate(VirtioFeature.Version1, features).IsBound);
        _virtio.PrepareInterrupts(1);
        Assert.True(_virtio.CreateQueue(0, size, out Virtqueue? queue).IsBound);
        Assert.Equal(features | VirtioFeature.Version1, _virtio.Features);
        Queue = queue!;
        _virtio.Start();
    }

    /// <summary>The device's side.</summary>
    public FakeVirtqueue Peer => _device.Queues[0];

    /// <inheritdoc/>
    public override Virtqueue Queue { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _machine.Dma;

    /// <inheritdoc/>
    public override int Notifications => Peer.Notifications;

    /// <inheritdoc/>
    public override int Signals => Peer.Signals;

    /// <inheritdoc/>
    public override List<FakeChain> DeviceTakes()
    {
        List<FakeChain> chains = [];
        do
        {
            while (Peer.Take() is FakeChain chain)
            {
                chains.Add(chain);
            }
        }
        while (Peer.EndWork());
        return chains;
    }

    /// <inheritdoc/>
    public override void DeviceWantsNoNotifications()
    {
        Peer.IsPolled = true;
        Peer.EndWork();
        Peer.IsPolled = false;
    }

    /// <inheritdoc/>
    public override void DeviceUses(FakeChain chain, uint written) => Peer.Use(chain, written);

    /// <inheritdoc/>
    public override void DeviceSignals() => Peer.Signal();

    /// <inheritdoc/>
    public override void DeviceUsesNonsense() => Peer.PushUsed(Queue.Size, 0);

    /// <inheritdoc/>
    public override void DeviceAwaits(int ahead) => Peer.Ring.AskForNotifications(ahead);

    /// <inheritdoc/>
    public override void DeviceUsesBatch(IReadOnlyList<FakeChain> chains, uint writtenToLast)
    {
        Peer.WritesBatches = true;
        for (int i = 0; i < chains.Count; i++)
        {
            Peer.Use(chains[i], i + 1 < chains.Count ? chains[i].WritableLength : writtenToLast);
        }
        Peer.EndBatch();
    }

    /// <inheritdoc/>
    public override int Entries => Peer.Entries;

    /// <inheritdoc/>
    public override List<ushort> Restart()
    {
        Assert.True(_virtio.Halt());
        List<ushort> tokens = [];
        while (Queue.TryDetach(out ushort token))
        {
            tokens.Add(token);
        }
        ProbeResult result = _virtio.Restart();
        Assert.True(result.IsBound, result.Reason);
        _virtio.Start();
        return tokens;
    }

    /// <inheritdoc/>
    public override void Reset() => Assert.True(_virtio.Stop());

    /// <inheritdoc/>
    public override void Dispose()
    {
        try
        {
            _virtio.FreeQueues();
            _machine.Violations.AssertEmpty();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }
}

/// <summary>The contract, on both formats with every set of features.</summary>
public sealed class FakeVirtqueueTests : VirtqueueContract
{
    /// <inheritdoc/>
    protected override VirtqueueBackend Open(ushort size, QueueFeatures features) => new FakeVirtqueueBackend(size, features.Bits());
}

/// <summary>The same for rings that go round.</summary>
public sealed class FakeVirtqueueRingTests : VirtqueueRingContract
{
    /// <inheritdoc/>
    protected override VirtqueueBackend Open(ushort size, QueueFeatures features) => new FakeVirtqueueBackend(size, features.Bits());
}

/// <summary>What is the business of one format, or of one feature.</summary>
public sealed class SplitVirtqueueTests
{
    [Fact]
    [Trait("Requirement", "SPLIT-INDIRECT-1")]
    public void A_buffer_of_many_pieces_takes_one_descriptor_when_the_ring_gets_full()
    {
        using FakeVirtqueueBackend backend = new(16, VirtioFeature.IndirectDescriptors);
        Assert.True(backend.Dma.TryAllocate(4096, 16, out DmaBuffer memory));
        ushort added = 0;
        while (added < 16 && backend.Queue.TryAdd([memory.Slice(added * 64u, 4), memory.Slice(added * 64u + 8, 4)], [memory.Slice(added * 64u + 16, 4)], added))
        {
            added++;
        }
        Assert.True(added > 16 / 3, $"only {added} buffers of 3 pieces fit into 16 descriptors: no table was used");
        backend.Queue.Kick();
        Assert.Equal(added, backend.DeviceTakes().Count(chain => chain.Readable.Count == 2 && chain.Writable.Count == 1));
        backend.Reset();
        while (backend.Queue.TryDetach(out _))
        {
        }
        backend.Dma.Free(memory);
    }
}

/// <summary>What a device that lies can do to a split ring, and that the queue hands nothing out for it.</summary>
public sealed class SplitVirtqueueLieTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(0x8000)]
    [InlineData(0xFFFF)]
    public void A_used_index_beyond_what_is_in_flight_breaks_the_queue_before_anything_is_handed_out(int index)
    {
        using FakeVirtqueueBackend backend = new(16, VirtioFeature.EventIndex);
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        Assert.True(backend.Queue.TryAdd([memory.Slice(0, 8)], default, 0));
        Assert.True(backend.Queue.TryAdd([memory.Slice(8, 8)], default, 1));
        backend.Queue.Kick();
        backend.DeviceTakes();
        // The entries themselves are right: only the index says too much.
        backend.Peer.Split.WriteUsedElement(0, 0, 0);
        backend.Peer.Split.WriteUsedElement(1, 1, 0);
        backend.Peer.Split.WriteUsedIndex((ushort)index);
        Assert.False(backend.Queue.TryTakeUsed(out _, out _));
        Assert.True(backend.Queue.IsBroken);
        Assert.Equal(2, backend.Queue.InFlight);
        backend.Reset();
        while (backend.Queue.TryDetach(out _))
        {
        }
        backend.Dma.Free(memory);
    }
}
