// A queue that is followed, for those who play its device: what they put there, and whether such a device is told of the next buffers (virtio 2.7.10, 2.8.10).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TracedQueueTests
{
    private const ulong Split = VirtioFeature.Version1;
    private const ulong Packed = VirtioFeature.Version1 | VirtioFeature.RingPacked;

    private readonly TraceBench _bench = new TraceBench().UseMmio();

    [Fact]
    public void A_queue_is_found_by_its_index_and_only_then()
    {
        _bench.AddSplit(queue: 3);
        Assert.NotNull(_bench.Trace.QueueAt(3));
        Assert.Null(_bench.Trace.QueueAt(2));
        Assert.Null(_bench.Trace.QueueAt(4));
        Assert.Null(_bench.Trace.QueueAt(65535));
        _bench.AddSplit(queue: 100);
        TracedQueue queue = _bench.Trace.QueueAt(100)!;
        Assert.Equal(((ushort)100, (ushort)4, "split", false, false), (queue.Index, queue.Size, queue.Format, queue.UsesEvents, queue.IsInOrder));
        _bench.Accept(Packed | VirtioFeature.EventIndex | VirtioFeature.InOrder);
        _bench.AddPacked(queue: 4);
        queue = _bench.Trace.QueueAt(4)!;
        Assert.Equal(((ushort)4, (ushort)4, "packed", true, true), (queue.Index, queue.Size, queue.Format, queue.UsesEvents, queue.IsInOrder));
    }

    /// <summary>2.2: a reset takes back what was accepted, and a third word of features is none of those that count here.</summary>
    [Fact]
    public void The_format_is_that_of_the_features_that_were_accepted_last()
    {
        _bench.Accept(Packed | VirtioFeature.EventIndex);
        _bench.Set(0x24, 2, 0x20, 0);
        _bench.AddPacked();
        Assert.Equal(("packed", true), (_bench.Trace.QueueAt(0)!.Format, _bench.Trace.QueueAt(0)!.UsesEvents));
        _bench.Set(0x24, 1, 0x20, (uint)(VirtioFeature.Version1 >> 32));
        _bench.AddSplit();
        Assert.Equal(("split", true), (_bench.Trace.QueueAt(0)!.Format, _bench.Trace.QueueAt(0)!.UsesEvents));
        _bench.Set(0x70, 0);
        _bench.AddSplit();
        Assert.Equal(("split", false), (_bench.Trace.QueueAt(0)!.Format, _bench.Trace.QueueAt(0)!.UsesEvents));
    }

    [Fact]
    public void A_buffer_in_flight_has_a_number_and_an_id()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(16);
        for (ushort i = 0; i < 4; i++)
        {
            ring.Put(i, memory);
        }
        ring.Offer(3, 0);
        _bench.Trace.Look();
        TracedQueue queue = _bench.Trace.QueueAt(0)!;
        Assert.Equal((2, 2u, 1u), (queue.InFlight, queue.NextChain, queue.LastChain));
        Assert.True(queue.TryGetChain(3, out uint chain));
        Assert.Equal(0u, chain);
        Assert.True(queue.TryGetId(0, out uint id));
        Assert.Equal(3u, id);
        Assert.True(queue.TryGetId(1, out id));
        Assert.Equal(0u, id);
        Assert.False(queue.TryGetChain(1, out _));
        Assert.False(queue.TryGetChain(4, out _));
        Assert.False(queue.TryGetId(2, out _));
        Assert.False(queue.TryGetId(7, out _));
    }

    /// <summary>A driver may reuse an id before its buffer came back, or use one that there is not: it is wrong, and nothing breaks here.</summary>
    [Fact]
    public void Buffers_are_counted_once_whatever_a_driver_does()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(16);
        ring.Put(1, memory);
        ring.Offer(1, 1, 4, 1);
        _bench.Trace.Look();
        TracedQueue queue = _bench.Trace.QueueAt(0)!;
        Assert.Equal((1, 4u), (queue.InFlight, queue.NextChain));
        Assert.True(queue.TryGetChain(1, out uint chain));
        Assert.Equal(3u, chain);
        queue.Drop(4);
        queue.Drop(3);
        Assert.Equal(1, queue.InFlight);
        queue.Drop(1);
        queue.Drop(1);
        Assert.Equal(0, queue.InFlight);
        Assert.False(queue.TryGetChain(1, out _));
    }

    [Fact]
    public void What_is_no_id_is_taken_without_harm()
    {
        _bench.Accept(Packed);
        BenchPackedRing ring = _bench.AddPacked();
        TracedQueue queue = _bench.Trace.QueueAt(0)!;
        DmaBuffer memory = _bench.Allocate(16);
        ring.Offer(1, memory, Piece.Write, 2);
        ring.Offer(0, memory, Piece.Next, 0);
        _bench.Trace.Look();
        queue.StepTaken(4); // no step: the next used descriptor is still the first
        ring.Use(0, 2, 7);
        Assert.True(queue.TryPeekUsed(out uint id, out uint length));
        Assert.Equal((2u, 7u), (id, length));
        queue.StepTaken(2);
        Assert.Equal(0, queue.InFlight);
        Assert.False(queue.IsAhead); // the next one is at 2
    }

    [Fact]
    public void Who_plays_the_device_of_a_split_ring_writes_its_used_ring()
    {
        BenchSplitRing ring = _bench.AddSplit(size: 2);
        TracedQueue queue = _bench.Trace.QueueAt(0)!;
        DmaBuffer memory = _bench.Allocate(16);
        Assert.False(queue.TryPeekUsed(out _, out _));
        queue.PutUsed(1, 0x11);
        queue.PutUsed(0, 0x22);
        Assert.Equal(((1u, 0x11u), (0u, 0x22u), 2), (ring.Element(0), ring.Element(1), ring.UsedIndex));
        Assert.Equal((2u, true), (queue.Mark, queue.IsAhead));
        Assert.True(queue.TryPeekUsed(out uint id, out uint length));
        Assert.Equal((1u, 0x11u), (id, length));
        queue.StepTaken(1);
        Assert.Equal(1u, queue.Mark);
        queue.StepTaken(0);
        Assert.Equal((0u, false), (queue.Mark, queue.IsAhead));
        queue.PutUsed(1, 0x33); // round again
        Assert.Equal(((1u, 0x33u), (0u, 0x22u), 3), (ring.Element(0), ring.Element(1), ring.UsedIndex));
        queue.PutWrong(5, 9, 0x44);
        Assert.Equal(((1u, 0x33u), (9u, 0x44u), 8), (ring.Element(0), ring.Element(1), ring.UsedIndex));
        Assert.Equal(16u, memory.Length);
    }

    [Fact]
    public void Who_plays_the_device_of_a_packed_ring_writes_used_descriptors()
    {
        _bench.Accept(Packed);
        BenchPackedRing ring = _bench.AddPacked(size: 3);
        TracedQueue queue = _bench.Trace.QueueAt(0)!;
        DmaBuffer memory = _bench.Allocate(16);
        ring.Offer(1, memory, Piece.Read, 5 % 3);
        ring.Offer(0, memory, Piece.Next, 0);
        ring.Offer(2, memory, Piece.Read, 1);
        _bench.Trace.Look();
        queue.PutUsed(2, 0x11); // two descriptors
        queue.PutUsed(1, 0x22); // then one, and the ring is round
        Assert.Equal((0x11u, (ushort)2, (ushort)0x8080), ring.At(0));
        Assert.Equal((0x22u, (ushort)1, (ushort)0x8080), ring.At(2));
        Assert.Equal(0x8080u, queue.Mark);
        queue.StepTaken(2);
        queue.StepTaken(1);
        ring.Offer(0, memory, Piece.Read, 0, round: 1);
        _bench.Trace.Look();
        queue.PutUsed(0, 0x33);
        Assert.Equal((0x33u, (ushort)0, (ushort)0), ring.At(0));
        Assert.True(queue.TryPeekUsed(out uint id, out uint length));
        Assert.Equal((0u, 0x33u), (id, length));
        queue.PutWrong(0x1234, 9, 0x44);
        Assert.Equal((0x44u, (ushort)9, (ushort)0x1234), ring.At(1));
        queue.PutWant(0x2FFFF);
        Assert.Equal(0x2FFFFu, ring.DeviceEvent);
        Assert.Equal(0x2FFFFu, queue.Want);
    }

    /// <summary>2.7.10.1: flags, of which one says not to; with EVENT_IDX the index of the buffer that the device waits for.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(6)]
    public void The_device_of_a_split_ring_is_told_of_what_it_waits_for(ushort found)
    {
        TracedQueue queue = SplitWith(VirtioFeature.EventIndex, found);
        for (uint buffers = 1; buffers <= 4; buffers++)
        {
            for (int away = -6; away < 8; away++)
            {
                queue.PutWant((ushort)(found + away));
                Assert.Equal(away >= 0 && away < buffers, queue.WillBeTold(buffers, buffers));
            }
        }
        Assert.Equal((found, (ushort)(found - 1)), (queue.WantThat(true), queue.WantThat(false)));
        queue = SplitWith(0, found);
        foreach ((uint flags, bool told) in new[] { (0u, true), (1u, false), (2u, true), (3u, false) })
        {
            queue.PutWant(flags);
            Assert.Equal(told, queue.WillBeTold(2, 2));
        }
        Assert.Equal((0u, 1u), (queue.WantThat(true), queue.WantThat(false)));
    }

    /// <summary>2.8.10: always, never, or at one descriptor of a round, wherever the ring is at the moment.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    public void The_device_of_a_packed_ring_is_told_of_what_it_waits_for(int found)
    {
        const int Size = 5;
        TracedQueue queue = PackedWith(VirtioFeature.EventIndex, found, Size);
        for (uint descriptors = 1; descriptors <= Size; descriptors++)
        {
            for (uint offset = 0; offset < Size; offset++)
            {
                for (int wrap = 0; wrap < 2; wrap++)
                {
                    queue.PutWant(2u << 16 | (uint)wrap << 15 | offset);
                    // The wrap counter is 1 in the first round, and another one in each.
                    bool isAmong = Enumerable.Range(found, (int)descriptors).Any(each => each % Size == offset && 1 - each / Size % 2 == wrap);
                    Assert.True(isAmong == queue.WillBeTold(1, descriptors), $"at {found}: {descriptors} descriptors, {offset} of round {wrap}");
                }
            }
        }
        foreach ((uint mode, bool told) in new[] { (0u, true), (1u, false), (4u, true), (5u, false) })
        {
            queue.PutWant(mode << 16 | 0x8003);
            Assert.Equal(told, queue.WillBeTold(1, 1));
        }
        Assert.Equal((0u, 0x10000u), (queue.WantThat(true), queue.WantThat(false)));
        queue = PackedWith(0, found, Size); // without EVENT_IDX there is no mode for descriptors: told
        queue.PutWant(2u << 16 | 4);
        Assert.True(queue.WillBeTold(1, 1));
        queue.PutWant(1u << 16);
        Assert.False(queue.WillBeTold(1, 1));
    }

    private TracedQueue SplitWith(ulong features, ushort found)
    {
        _bench.Accept(Split | features);
        BenchSplitRing ring = _bench.AddSplit();
        for (ushort i = 0; i < found; i++)
        {
            ring.Offer(0);
            _bench.Trace.Look();
        }
        return _bench.Trace.QueueAt(0)!;
    }

    private TracedQueue PackedWith(ulong features, int found, ushort size)
    {
        _bench.Accept(Packed | features);
        BenchPackedRing ring = _bench.AddPacked(size: size);
        DmaBuffer memory = _bench.Allocate(16);
        for (int i = 0; i < found; i++)
        {
            ring.Offer(i % size, memory, Piece.Read, 0, i / size);
            _bench.Trace.Look();
        }
        return _bench.Trace.QueueAt(0)!;
    }
}
