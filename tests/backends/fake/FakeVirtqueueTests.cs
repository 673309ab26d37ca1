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

    /// <summary>Takes a device with one queue into service. Memory is lent for each use, or where <paramref name="shares"/> is false once.</summary>
    public FakeVirtqueueBackend(ushort size, ulong features, bool shares = true)
    {
        _machine.FakeDma.Shares = shares;
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

    /// <summary>The memory, which notes who may do what.</summary>
    public FakeDma FakeDma => _machine.FakeDma;

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
            CheckLeftOver();
        }
        finally
        {
            End();
        }
    }

    /// <summary>Frees the queue after <see cref="Reset"/> and checks what was left over.</summary>
    public void CheckLeftOver()
    {
        _virtio.FreeQueues();
        _machine.Violations.AssertEmpty();
        _machine.AssertNothingLeaked();
    }

    /// <summary>Ends the machine and nothing else: for a test that has failed already.</summary>
    public void End() => _machine.Dispose();
}

/// <summary>The contract, on both formats with every set of features. The requirements are those that the strict fake checks in every one of the tests.</summary>
[Trait("Requirement", "SPLIT-LAYOUT-1")]
[Trait("Requirement", "SPLIT-DESC-2")]
[Trait("Requirement", "SPLIT-INDIRECT-5")]
[Trait("Requirement", "CORE-NOTIF-2")]
[Trait("Requirement", "PACKED-LAYOUT-1")]
[Trait("Requirement", "PACKED-DESC-2")]
[Trait("Requirement", "PACKED-DESC-3")]
[Trait("Requirement", "PACKED-DESC-4")]
[Trait("Requirement", "PACKED-SG-4")]
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

/// <summary>The same for buffers in frames, which keep their descriptors.</summary>
public sealed class FakeVirtqueueFrameTests : VirtqueueFrameContract
{
    /// <inheritdoc/>
    protected override bool Shares => false;

    /// <inheritdoc/>
    protected override VirtqueueBackend Open(ushort size, QueueFeatures features) => new FakeVirtqueueBackend(size, features.Bits(), shares: false);
}

/// <summary>The same where memory is lent for each use, so that nothing stays.</summary>
public sealed class FakeSharedVirtqueueFrameTests : VirtqueueFrameContract
{
    /// <inheritdoc/>
    protected override bool Shares => true;

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

/// <summary>What devices do that is allowed, or common, and special to the packed format.</summary>
public sealed class PackedVirtqueueTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_length_counts_whether_or_not_the_device_sets_the_WRITE_flag(bool sets)
    {
        using FakeVirtqueueBackend backend = new(5, VirtioFeature.RingPacked);
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        backend.Peer.Packed.SetsWriteFlag = sets;
        Assert.True(backend.Queue.TryAdd(default, [memory], 4));
        backend.Queue.Kick();
        backend.DeviceUses(Assert.Single(backend.DeviceTakes()), 33);
        Assert.True(backend.Queue.TryTakeUsed(out ushort token, out uint written));
        Assert.Equal((4, 33u), (token, written));
        backend.Reset();
        backend.Dma.Free(memory);
    }

    [Theory]
    [InlineData(0, false, true)] // enabled
    [InlineData(0, true, true)]
    [InlineData(1, false, false)] // disabled
    [InlineData(1, true, false)]
    [InlineData(0xFFFD, true, false)] // the same, with rubbish in the reserved bits
    [InlineData(2, true, false)] // for a descriptor that is not added
    [InlineData(2, false, true)] // not allowed without EVENT_IDX: a doorbell too many does no harm
    [InlineData(3, true, true)] // reserved
    [InlineData(3, false, true)]
    [Trait("Requirement", "PACKED-EVENT-1")]
    public void A_kick_goes_by_the_mode_of_the_device_event(ushort mode, bool eventIndex, bool rings)
    {
        using FakeVirtqueueBackend backend = new(8, VirtioFeature.RingPacked | (eventIndex ? VirtioFeature.EventIndex : 0));
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        backend.Peer.Packed.WriteEvent(0x8005, mode);
        Assert.True(backend.Queue.TryAdd([memory], default, 0));
        backend.Queue.Kick();
        Assert.Equal(rings ? 1 : 0, backend.Notifications);
        backend.Reset();
        Assert.True(backend.Queue.TryDetach(out _));
        backend.Dma.Free(memory);
    }

    [Fact]
    [Trait("Requirement", "PACKED-SG-5")]
    public void The_device_sees_a_buffer_at_once_and_may_use_it_before_the_kick()
    {
        using FakeVirtqueueBackend backend = new(3, VirtioFeature.RingPacked | VirtioFeature.EventIndex);
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        for (int i = 0; i < 100; i++)
        {
            Assert.True(backend.Queue.TryAdd([memory.Slice(0, 8), memory.Slice(8, 8)], default, 1));
            backend.DeviceUses(Assert.Single(backend.DeviceTakes()), 0);
            Assert.True(backend.Queue.TryTakeUsed(out _, out _));
        }
        // Two hundred descriptors were added since the last kick; the device waits for the third one from now, which lies in the next round.
        backend.DeviceAwaits(2);
        backend.Queue.Kick();
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0, backend.Notifications);
            Assert.True(backend.Queue.TryAdd([memory.Slice(0, 8)], default, (ushort)i));
            backend.Queue.Kick();
        }
        Assert.Equal(1, backend.Notifications);
        backend.Reset();
        while (backend.Queue.TryDetach(out _))
        {
        }
        backend.Dma.Free(memory);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(VirtioFeature.IndirectDescriptors)]
    [Trait("Requirement", "PACKED-SG-6")]
    [Trait("Requirement", "PACKED-PUBLISH-1")]
    public void Nothing_of_a_buffer_is_visible_before_all_of_it_is_written_and_lent(ulong features)
    {
        using FakeVirtqueueBackend backend = new(7, VirtioFeature.RingPacked | features);
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        int looks = 0;
        backend.FakeDma.AfterShare = () =>
        {
            looks++;
            Assert.False(backend.Peer.Ring.HasAvailable, "the device could take a buffer of which a part is not lent");
        };
        for (int i = 0; i < 20; i++)
        {
            // With indirect descriptors the second one goes into a table.
            Assert.True(backend.Queue.TryAdd([memory.Slice(0, 8), memory.Slice(8, 8)], [memory.Slice(16, 8), memory.Slice(24, 8)], 0));
            FakeChain first = backend.Peer.Take()!;
            Assert.True(backend.Queue.TryAdd([memory.Slice(32, 8)], [memory.Slice(40, 8), memory.Slice(48, 8)], 1));
            FakeChain second = backend.Peer.Take()!;
            backend.DeviceUses(second, 0);
            backend.DeviceUses(first, 0);
            Assert.True(backend.Queue.TryTakeUsed(out _, out _) && backend.Queue.TryTakeUsed(out _, out _));
        }
        Assert.Equal(20 * 7, looks);
        backend.Reset();
        backend.Dma.Free(memory);
    }

    [Fact]
    [Trait("Requirement", "PACKED-INDIRECT-1")]
    [Trait("Requirement", "PACKED-INDIRECT-2")]
    [Trait("Requirement", "PACKED-INDIRECT-4")]
    public void A_buffer_of_many_pieces_takes_one_descriptor_when_the_ring_gets_full()
    {
        using FakeVirtqueueBackend backend = new(13, VirtioFeature.RingPacked | VirtioFeature.IndirectDescriptors);
        Assert.True(backend.Dma.TryAllocate(4096, 16, out DmaBuffer memory));
        ushort added = 0;
        while (added < 13 && backend.Queue.TryAdd([memory.Slice(added * 64u, 4), memory.Slice(added * 64u + 8, 4)], [memory.Slice(added * 64u + 16, 4)], added))
        {
            added++;
            backend.Queue.Kick();
            Assert.Equal(added, backend.Notifications);
        }
        Assert.True(added > 13 / 3 + 1, $"only {added} buffers of 3 pieces fit into 13 descriptors: no table was used");
        List<FakeChain> taken = backend.DeviceTakes();
        Assert.Equal(added, taken.Count(chain => chain.Readable.Count == 2 && chain.Writable.Count == 1));
        taken.Reverse();
        foreach (FakeChain chain in taken)
        {
            backend.DeviceUses(chain, 4);
            Assert.True(backend.Queue.TryTakeUsed(out ushort token, out uint written));
            Assert.Equal((--added, 4u), (token, written));
        }
        Assert.Equal(13, backend.Queue.FreeDescriptors);
        backend.Reset();
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

    [Fact]
    public void A_used_index_beyond_what_was_made_available_breaks_the_queue_though_more_was_added()
    {
        using FakeVirtqueueBackend backend = new(16, VirtioFeature.EventIndex);
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        Assert.True(backend.Queue.TryAdd([memory.Slice(0, 8)], default, 0));
        backend.Queue.Kick();
        Assert.Single(backend.DeviceTakes());
        Assert.True(backend.Queue.TryAdd([memory.Slice(8, 8)], default, 1));
        backend.Peer.Split.WriteUsedElement(0, 0, 0);
        backend.Peer.Split.WriteUsedElement(1, 1, 0);
        backend.Peer.Split.WriteUsedIndex(2);
        Assert.False(backend.Queue.TryTakeUsed(out _, out _));
        Assert.True(backend.Queue.IsBroken);
        backend.Reset();
        while (backend.Queue.TryDetach(out _))
        {
        }
        backend.Dma.Free(memory);
    }

    [Fact]
    public void With_IN_ORDER_an_entry_for_a_buffer_that_the_used_index_has_not_passed_breaks_the_queue()
    {
        using FakeVirtqueueBackend backend = new(16, VirtioFeature.InOrder);
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        for (ushort i = 0; i < 4; i++)
        {
            Assert.True(backend.Queue.TryAdd([memory.Slice(i * 16u, 8)], default, i));
        }
        backend.Queue.Kick();
        List<FakeChain> taken = backend.DeviceTakes();
        backend.Peer.Split.WriteUsedElement(0, taken[2].Head, 0);
        backend.Peer.Split.WriteUsedIndex(2);
        Assert.False(backend.Queue.TryTakeUsed(out _, out _));
        Assert.True(backend.Queue.IsBroken);
        Assert.Equal(4, backend.Queue.InFlight);
        backend.Reset();
        while (backend.Queue.TryDetach(out _))
        {
        }
        backend.Dma.Free(memory);
    }
}
