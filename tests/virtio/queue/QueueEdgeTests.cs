// Virtqueues at their edges: sizes, places in memory, tables, what is left of a queue that broke or was freed.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Queue;

/// <summary>Each of these keeps a mutant from surviving.</summary>
public sealed class QueueEdgeTests
{
    private const string BeyondQueue = "a used id is beyond the queue";
    private const string NotInFlight = "a used id was not in flight";
    private const string TooMany = "the used index says that more buffers were used than were made available";

    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 3)]
    [InlineData(false, 32769)]
    [InlineData(false, 65535)]
    [InlineData(true, 0)]
    [InlineData(true, 32769)]
    [InlineData(true, 65535)]
    public void A_size_that_the_format_does_not_have_is_a_bug_of_the_caller(bool packed, int size)
    {
        using FakeMachine machine = new();
        VirtioTransport transport = OpenTransport(machine);
        Assert.Throws<ContractException>(() => packed
            ? PackedVirtqueue.TryCreate(transport, 0, (ushort)size, 0, out _)
            : SplitVirtqueue.TryCreate(transport, 0, (ushort)size, 0, out _));
        Assert.Equal(0ul, machine.FakeDma.AllocatedBytes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(VirtioFeature.RingPacked)]
    public void Without_memory_for_the_ring_or_for_its_tables_there_is_no_queue_and_no_leak(ulong format)
    {
        for (int allocation = 1; allocation <= 2; allocation++)
        {
            using FakeMachine machine = new();
            VirtioTransport transport = OpenTransport(machine);
            machine.FakeDma.FailAllocation(allocation);
            Assert.False(Virtqueue.TryCreate(transport, 0, 8, format | VirtioFeature.IndirectDescriptors, out Virtqueue? queue));
            Assert.Null(queue);
            machine.AssertNothingLeaked();
        }
    }

    [Fact]
    public void The_areas_lie_one_behind_the_other_with_no_line_between_them()
    {
        using FakeMachine machine = new();
        VirtioTransport transport = OpenTransport(machine);
        for (int size = 1; size <= 32768; size = size < 70 ? size + 1 : size * 2 - 37)
        {
            uint bytes = (uint)size * 16;
            Assert.True(PackedVirtqueue.TryCreate(transport, 0, (ushort)size, 0, out PackedVirtqueue? packed));
            VirtqueueAddresses at = packed!.Addresses;
            Assert.InRange(at.DriverArea - at.DescriptorArea, bytes, bytes + 63);
            Assert.Equal(64ul, at.DeviceArea - at.DriverArea);
            Assert.Equal(at.DeviceArea + 4 - at.DescriptorArea, machine.FakeDma.AllocatedBytes);
            packed.Free();
            if ((size & (size - 1)) == 0)
            {
                Assert.True(SplitVirtqueue.TryCreate(transport, 0, (ushort)size, 0, out SplitVirtqueue? split));
                at = split!.Addresses;
                Assert.Equal(bytes, at.DriverArea - at.DescriptorArea);
                Assert.InRange(at.DeviceArea - at.DriverArea, 6 + 2ul * (uint)size, 6 + 2ul * (uint)size + 63);
                Assert.InRange(machine.FakeDma.AllocatedBytes - (at.DeviceArea - at.DescriptorArea), 6 + 8ul * (uint)size, 6 + 8ul * (uint)size + 63);
                split.Free();
            }
            Assert.Equal(0ul, machine.FakeDma.AllocatedBytes);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_table_is_used_from_the_moment_on_at_which_a_quarter_of_the_ring_would_be_left(bool packed)
    {
        using QueueRun run = Open(32, packed, VirtioFeature.IndirectDescriptors);
        int[] freeBefore = [32, 29, 26, 23, 20, 17, 14, 11, 8];
        for (int i = 0; i < freeBefore.Length; i++)
        {
            Assert.Equal(freeBefore[i], run.Queue.FreeDescriptors);
            Assert.True(AddPieces(run, (ushort)i, 3));
        }
        // With 11 free, 8 would be left: no table yet. With 8 there is one.
        Assert.Equal(7, run.Queue.FreeDescriptors);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_table_has_room_for_sixteen_pieces_and_is_not_used_for_one(bool packed)
    {
        using QueueRun run = Open(32, packed, VirtioFeature.IndirectDescriptors);
        Assert.True(AddPieces(run, 0, 17));
        Assert.Equal(15, run.Queue.FreeDescriptors);
        Assert.False(AddPieces(run, 1, 17));
        Assert.True(AddPieces(run, 1, 16));
        Assert.Equal(14, run.Queue.FreeDescriptors);
        for (ushort token = 2; run.Queue.FreeDescriptors > 1; token++)
        {
            Assert.True(AddPieces(run, token, 2));
        }
        Assert.Equal(1, run.Queue.FreeDescriptors);
        Assert.True(AddPieces(run, 31, 1));
        Assert.Equal(0, run.Queue.FreeDescriptors);
        FakeVirtqueueBackend backend = (FakeVirtqueueBackend)run.Backend;
        ushort flags = BitConverter.ToUInt16(backend.FakeDma.Raw(backend.Peer.DescriptorArea + 31 * 16 + (packed ? 14u : 12u), 2));
        Assert.Equal(0, flags & 4); // INDIRECT
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void A_length_of_exactly_what_was_lent_is_no_lie(QueueFeatures features)
    {
        using QueueRun run = new(new FakeVirtqueueBackend(4, features.Bits()));
        run.Add(0, writable: 100);
        run.Queue.Kick();
        run.Backend.DeviceUses(run.Backend.DeviceTakes()[0], 100);
        Assert.True(run.Queue.TryTakeUsed(out _, out uint written));
        Assert.Equal((100u, 0ul), (written, run.Queue.ClampedLengths));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void The_first_id_beyond_the_queue_is_named_as_what_it_is(QueueFeatures features)
    {
        using QueueRun run = new(new FakeVirtqueueBackend(4, features.Bits()));
        run.Add(0);
        run.Queue.Kick();
        run.Backend.DeviceTakes();
        ((FakeVirtqueueBackend)run.Backend).Peer.PushUsed(4, 0);
        Assert.False(run.Queue.TryTakeUsed(out ushort token, out uint written));
        Assert.Equal((0, 0u, BeyondQueue), (token, written, run.Queue.BrokenReason));
        run.Backend.Restart();
        Assert.Equal(("", false), (run.Queue.BrokenReason, run.Queue.IsBroken));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void Ringing_again_tells_of_what_was_added_meanwhile(QueueFeatures features)
    {
        using QueueRun run = new(new FakeVirtqueueBackend(4, features.Bits()));
        run.Add(0);
        run.Queue.KickAgain();
        Assert.False(run.Queue.HasNew);
        Assert.Single(run.Backend.DeviceTakes());
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void Buffers_in_flight_when_a_queue_is_restarted_or_freed_are_a_bug_of_the_caller(QueueFeatures features)
    {
        using QueueRun run = new(new FakeVirtqueueBackend(4, features.Bits()));
        run.Add(0);
        Assert.Throws<ContractException>(run.Queue.Restart);
        Assert.Throws<ContractException>(run.Queue.Free);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void A_queue_that_was_freed_takes_nothing_and_looks_at_nothing(QueueFeatures features)
    {
        FakeVirtqueueBackend backend = new(4, features.Bits());
        Assert.True(backend.Dma.TryAllocate(64, 16, out DmaBuffer memory));
        for (ushort i = 0; i < 3; i++)
        {
            Assert.True(backend.Queue.TryAdd([memory.Slice(i * 16u, 16)], default, i));
        }
        backend.Queue.Kick();
        List<FakeChain> taken = backend.DeviceTakes();
        if (features.HasFlag(QueueFeatures.InOrder))
        {
            backend.DeviceUsesBatch(taken, 0);
        }
        else
        {
            taken.ForEach(chain => backend.DeviceUses(chain, 0));
        }
        Assert.True(backend.Queue.TryTakeUsed(out _, out _));
        backend.Reset();
        while (backend.Queue.TryDetach(out _))
        {
        }
        Virtqueue queue = backend.Queue;
        backend.Dma.Free(memory);
        backend.CheckLeftOver();
        Assert.True(queue.IsBroken);
        Assert.False(queue.TryTakeUsed(out _, out _));
        Assert.False(queue.TryDetach(out _));
        Assert.False(queue.TryAdd([memory.Slice(0, 16)], default, 0));
        queue.Kick();
        queue.KickAgain();
        Assert.Equal("", queue.BrokenReason); // what had been used and not taken was not looked at
        backend.End();
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Once_broken_a_queue_takes_nothing_though_the_device_makes_its_ring_right_again(bool packed, bool inOrder)
    {
        using QueueRun run = Open(8, packed, inOrder ? VirtioFeature.InOrder : 0);
        FakeVirtqueue peer = ((FakeVirtqueueBackend)run.Backend).Peer;
        for (ushort i = 0; i < 3; i++)
        {
            run.Add(i);
        }
        run.Queue.Kick();
        ushort[] heads = [.. run.Backend.DeviceTakes().Select(chain => chain.Head)];
        if (packed)
        {
            peer.Packed.WriteUsedDescriptor(0, 99, 0);
        }
        else
        {
            peer.Split.WriteUsedElement(0, 99, 0);
            peer.Split.WriteUsedIndex(2);
        }
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.True(run.Queue.IsBroken);
        if (packed)
        {
            peer.Packed.WriteUsedDescriptor(0, heads[0], 0);
        }
        else
        {
            peer.Split.WriteUsedElement(0, heads[0], 0);
            peer.Split.WriteUsedElement(1, heads[1], 0);
        }
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.True(run.Queue.TryEnableInterrupts());
        Assert.Equal(3, run.Queue.InFlight);
    }

    [Fact]
    public void A_used_index_that_says_too_much_is_noticed_also_after_buffers_went_round()
    {
        using QueueRun run = Open(8, packed: false, 0);
        FakeVirtqueueBackend backend = (FakeVirtqueueBackend)run.Backend;
        for (int round = 0; round < 5; round++)
        {
            run.Add(0);
            run.Queue.Kick();
            run.Backend.DeviceUses(run.Backend.DeviceTakes()[0], 0);
            Assert.True(run.Queue.TryTakeUsed(out _, out _));
        }
        run.Add(1);
        run.Queue.Kick();
        run.Backend.DeviceTakes();
        backend.Peer.Split.WriteUsedIndex(7);
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.Equal(TooMany, run.Queue.BrokenReason);
    }

    [Fact]
    public void With_IN_ORDER_a_batch_is_not_longer_than_the_used_index_says_also_after_buffers_went_round()
    {
        using QueueRun run = Open(8, packed: false, VirtioFeature.InOrder);
        FakeVirtqueueBackend backend = (FakeVirtqueueBackend)run.Backend;
        for (int round = 0; round < 5; round++)
        {
            run.Add(0);
            run.Queue.Kick();
            run.Backend.DeviceUses(run.Backend.DeviceTakes()[0], 0);
            Assert.True(run.Queue.TryTakeUsed(out _, out _));
        }
        for (ushort i = 0; i < 4; i++)
        {
            run.Add(i);
        }
        run.Queue.Kick();
        List<FakeChain> taken = run.Backend.DeviceTakes();
        backend.Peer.Split.WriteUsedElement(5, taken[2].Head, 0);
        backend.Peer.Split.WriteUsedIndex(7);
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.Equal("a used id is of a buffer that the used index has not passed", run.Queue.BrokenReason);
    }

    [Fact]
    public void Why_a_queue_broke_is_logged_with_the_number_that_was_wrong()
    {
        using CapturedLog log = new();
        using QueueRun run = Open(8, packed: false, 0);
        run.Add(0);
        run.Queue.Kick();
        run.Backend.DeviceTakes();
        ((FakeVirtqueueBackend)run.Backend).Peer.PushUsed(5, 0);
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.Equal([$"virtqueue: {NotInFlight} 0x5"], log.Entries);
    }

    private static QueueRun Open(ushort size, bool packed, ulong features) =>
        new(new FakeVirtqueueBackend(size, features | (packed ? VirtioFeature.RingPacked : 0)));

    private static bool AddPieces(QueueRun run, ushort token, int count)
    {
        DmaBuffer all = run.Allocate(new byte[count * 8]);
        DmaBuffer[] pieces = [.. Enumerable.Range(0, count).Select(i => all.Slice((uint)i * 8, 8))];
        return run.Queue.TryAdd(pieces, default, token);
    }

    private static VirtioTransport OpenTransport(FakeMachine machine)
    {
        FakeVirtioPciDevice function = machine.Plug(new FakeQueueDevice(8));
        ProbeResult result = ModernPciTransport.TryCreate(
            new ScannedPciFunction(machine, function.Address), FakeQueueDevice.Type, out ModernPciTransport? transport);
        Assert.True(result.IsBound, result.Reason);
        return transport!;
    }
}
