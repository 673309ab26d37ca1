// Buffers that come back, in a trace: used, unused, of a device that was reset or has left; and which of several it was.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceTakenTests
{
    private const DmaDirection ToDevice = DmaDirection.ToDevice;
    private const DmaDirection FromDevice = DmaDirection.FromDevice;

    private readonly TraceBench _bench = new TraceBench().UseMmio();

    [Fact]
    public void A_buffer_is_taken_with_its_last_piece_in_whatever_order()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(3);
        Chain(ring, 0, pieces);
        ring.Use(0, 3);
        _bench.Take(FromDevice, pieces[1], pieces[2]);
        _bench.Says("avail 0 c0 w m1+0x0:1 w m1+0x1:1 w m1+0x2:1 ; 2.7.13");
        _bench.Take(FromDevice, pieces[1]); // once more: it is back already
        _bench.Take(FromDevice, pieces[0]);
        _bench.Says("used 0 c0 len 3 =01 =02 =03 ; 2.7.14");
    }

    [Fact]
    public void What_was_never_lent_comes_back_without_a_word()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(2);
        Chain(ring, 0, pieces);
        ring.Use(0, 2);
        _bench.Trace.Look();
        _bench.Forget();
        _bench.Take(ToDevice, pieces[0]); // it was lent for writing
        _bench.Take(FromDevice, BenchMemory.Nowhere(pieces[0].DeviceAddress, 2));
        _bench.Take(FromDevice, BenchMemory.Nowhere(pieces[0].DeviceAddress + 2, 1));
        _bench.Take(DmaDirection.Both, pieces[0]);
        _bench.Take(FromDevice, pieces[1]);
        _bench.Says();
        _bench.Take(FromDevice, pieces[0]);
        _bench.Says("used 0 c0 len 2 =01 =02 ; 2.7.14");
    }

    /// <summary>A timeout: the driver takes a buffer back that the device did not use, which it may once the queue was reset.</summary>
    [Fact]
    public void A_buffer_that_is_taken_unused_is_said_to_be_back()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(3);
        Chain(ring, 0, pieces[0]);
        Chain(ring, 1, pieces[1]);
        Chain(ring, 2, pieces[2]);
        _bench.Trace.Look();
        _bench.Forget();
        _bench.Take(FromDevice, pieces[1]);
        ring.Use(0, 1);
        _bench.Take(FromDevice, pieces[2]); // not the one that was used
        _bench.Take(FromDevice, pieces[0]);
        _bench.Says("back 0 c1 len none =02 ; 2.7.14", "back 0 c2 len none =03 ; 2.7.14", "used 0 c0 len 1 =01 ; 2.7.14");
        Assert.Equal(0, _bench.Trace.QueueAt(0)!.InFlight);
    }

    /// <summary>2.7.9, 2.8.8: with IN_ORDER one element stands for all buffers before it.</summary>
    [Fact]
    public void With_IN_ORDER_one_element_may_stand_for_several_buffers()
    {
        _bench.Accept(VirtioFeature.Version1 | VirtioFeature.InOrder);
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(4);
        for (ushort i = 0; i < 4; i++)
        {
            Chain(ring, i, pieces[i]);
        }
        _bench.Trace.Look();
        _bench.Forget();
        // The elements of the first two are not written: the device is two further with one write (the index counts elements).
        ring.Use(2, 1);
        ring.UsedIndex = 3;
        _bench.Take(FromDevice, pieces[0]);
        _bench.Says("used 0 c0 len none =01 ; 2.7.14");
    }

    /// <summary>The same memory may be read for several buffers at once: what comes back is of the buffer that the ring names.</summary>
    [Fact]
    public void A_piece_of_two_buffers_comes_back_with_the_one_that_was_used()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(2);
        DmaBuffer shared = _bench.Allocate(4);
        _bench.Lend(ToDevice, shared, shared, shared);
        ring.Put(0, shared, Piece.Next, 1);
        ring.Put(1, pieces[0], Piece.Write);
        ring.Put(2, shared, Piece.Next, 3);
        ring.Put(3, pieces[1], Piece.Write);
        ring.Offer(0, 2);
        _bench.Forget();
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m2+0x0:4 =00000000 w m1+0x0:1 ; 2.7.13", "avail 0 c1 r m2+0x0:4 =00000000 w m1+0x1:1 ; 2.7.13");
        ring.Use(2, 1);
        _bench.Take(ToDevice, shared);
        _bench.Take(FromDevice, pieces[1]);
        _bench.Says("used 0 c1 len 1 =02 ; 2.7.14");
        ring.Use(0, 1);
        _bench.Take(FromDevice, pieces[0]);
        _bench.Says();
        _bench.Take(ToDevice, shared);
        _bench.Says("used 0 c0 len 1 =01 ; 2.7.14");
        _bench.Take(ToDevice, shared); // lent a third time, and never in the ring
        _bench.Says();
    }

    /// <summary>Where the ring names none, it is one that the device has, before one that was only lent.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_piece_that_the_device_has_comes_back_before_one_that_it_was_never_shown(bool others)
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(others ? 2 : 0);
        DmaBuffer shared = _bench.Allocate(4);
        _bench.Lend(ToDevice, shared);
        ring.Put(0, shared);
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Lend(ToDevice, shared);
        _bench.Forget();
        _bench.Take(ToDevice, shared);
        _bench.Says("back 0 c0 len none ; 2.7.14");
        _bench.Take(ToDevice, shared);
        _bench.Take(FromDevice, pieces);
        _bench.Says();
    }

    [Fact]
    public void Buffers_of_other_queues_are_others()
    {
        BenchSplitRing first = _bench.AddSplit(queue: 0);
        BenchSplitRing second = _bench.AddSplit(queue: 5, size: 2);
        DmaBuffer[] pieces = Lent(4);
        Chain(first, 0, pieces[0], pieces[1]);
        Chain(second, 0, pieces[2], pieces[3]);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 w m2+0x0:1 w m2+0x1:1 ; 2.7.13", "avail 5 c0 w m2+0x2:1 w m2+0x3:1 ; 2.7.13");
        first.Use(0, 1);
        second.Use(0, 2);
        _bench.Take(FromDevice, pieces[2], pieces[3]);
        _bench.Says("used 5 c0 len 2 =03 =04 ; 2.7.14");
        _bench.Take(FromDevice, pieces[0], pieces[1]);
        _bench.Says("used 0 c0 len 1 =01 =02 ; 2.7.14");
    }

    /// <summary>Many are in flight at once, and each has its own pieces.</summary>
    [Fact]
    public void Of_many_buffers_in_flight_each_has_its_own_pieces()
    {
        BenchSplitRing ring = _bench.AddSplit(size: 16);
        DmaBuffer[] tables = [.. Enumerable.Range(0, 16).Select(_ => _bench.Allocate(16 * 10))];
        DmaBuffer[] pieces = Lent(160);
        for (ushort i = 0; i < 16; i++)
        {
            for (int k = 0; k < 10; k++)
            {
                BenchSplitRing.Put(tables[i], k, pieces[10 * i + k], Piece.Write | (k < 9 ? Piece.Next : 0), (ushort)(k + 1));
            }
            ring.Put(i, tables[i], Piece.Table);
            ring.Offer(i);
        }
        _bench.Trace.Look();
        _bench.Forget();
        for (ushort i = 16; i-- > 0;)
        {
            ring.Use(i, 10);
            _bench.Take(FromDevice, pieces[(10 * i)..(10 * i + 10)]);
            _bench.Says($"used 0 c{i} len 10{string.Concat(Enumerable.Range(10 * i, 10).Select(k => $" ={k + 1:x2}"))} ; 2.7.14");
        }
    }

    /// <summary>2.4: after a reset nothing in a ring is of any account. What the driver takes back then is its own affair.</summary>
    [Fact]
    public void A_reset_ends_all_queues()
    {
        BenchSplitRing first = _bench.AddSplit(queue: 0);
        BenchSplitRing second = _bench.AddSplit(queue: 1);
        DmaBuffer[] pieces = Lent(5);
        Chain(first, 0, pieces[0]);
        Chain(first, 1, pieces[1]);
        Chain(second, 3, pieces[2]);
        _bench.Trace.Look();
        _bench.Forget();
        second.Use(3, 1);
        first.Use(1, 99);
        Chain(first, 2, pieces[3]); // seen on the way
        _bench.Set(MmioRegisters.Status, 0);
        _bench.Says(
            "avail 0 c2 w m2+0x3:1 ; 2.7.13",
            "left 0 c1 len 99 ; 2.7.14 used, never taken",
            "left 1 c0 len 1 ; 2.7.14 used, never taken",
            "w32 Status = 0x0 ; 2.1 reset");
        Assert.Null(_bench.Trace.QueueAt(0));
        Assert.Null(_bench.Trace.QueueAt(1));
        _bench.Take(FromDevice, pieces);
        _bench.Trace.Look();
        _bench.Says();
    }

    [Fact]
    public void Buffers_are_numbered_on_after_a_reset_and_old_ones_are_forgotten()
    {
        BenchSplitRing ring = _bench.AddSplit(queue: 4);
        DmaBuffer[] pieces = Lent(3);
        Chain(ring, 0, pieces[0]);
        Chain(ring, 1, pieces[1]);
        _bench.Set(MmioRegisters.Status, 0); // piece 2 was lent, and the device never saw it
        BenchSplitRing again = _bench.AddSplit(queue: 4);
        Chain(again, 0, pieces[2]);
        Chain(again, 1, pieces[0]);
        _bench.Lend(FromDevice, pieces[1]); // it was lent before, and is lent anew
        Chain(again, 2, pieces[1]);
        _bench.Trace.Look();
        again.Use(0, 1);
        _bench.Take(FromDevice, pieces[2]);
        again.UsedIndex = 0;
        _bench.Says(
            "avail 4 c2 w m1+0x2:1 ; 2.7.13", "avail 4 c3 w m1+0x0:1 ; 2.7.13", "avail 4 c4 w m1+0x1:1 ; 2.7.13");
        Assert.False(_bench.Trace.TryGetWritable(4, 2, 0, out _));
        Assert.False(_bench.Trace.TryGetWritable(4, 3, 0, out _));
        Assert.True(_bench.Trace.TryGetWritable(4, 4, 0, out DmaBuffer found));
        Assert.Equal(pieces[1].DeviceAddress, found.DeviceAddress);
    }

    /// <summary>2.6.1: the others go on. 4.2.2: writing 0 there is not a reset.</summary>
    [Fact]
    public void The_reset_of_one_queue_ends_only_that_one()
    {
        BenchSplitRing first = _bench.AddSplit(queue: 0);
        BenchSplitRing second = _bench.AddSplit(queue: 1);
        DmaBuffer[] pieces = Lent(2);
        Chain(first, 0, pieces[0]);
        Chain(second, 0, pieces[1]);
        _bench.Trace.Look();
        first.Use(0, 1);
        second.Use(0, 1);
        _bench.Forget();
        _bench.Set(MmioRegisters.QueueSelect, 1, MmioRegisters.QueueReset, 0);
        _bench.Says("w32 QueueSel = 0x1 ; 4.2.2", "w32 QueueReset[1] = 0x0 ; 2.6.1");
        Assert.NotNull(_bench.Trace.QueueAt(1));
        _bench.Set(MmioRegisters.QueueReset, 1);
        _bench.Says("left 1 c0 len 1 ; 2.7.14 used, never taken", "w32 QueueReset[1] = 0x1 ; 2.6.1");
        _bench.Take(FromDevice, pieces[1], pieces[0]);
        _bench.Says("used 0 c0 len 1 =01 ; 2.7.14");
        _bench.Set(MmioRegisters.QueueSelect, 99, MmioRegisters.QueueReset, 1); // there is none
        _bench.Says("w32 QueueSel = 0x63 ; 4.2.2", "w32 QueueReset[99] = 0x1 ; 2.6.1");
    }

    /// <summary>A ring that the device broke, and buffers that nobody knows, are not said to be left.</summary>
    [Fact]
    public void What_is_left_is_said_only_where_it_makes_sense()
    {
        BenchSplitRing broken = _bench.AddSplit(queue: 0);
        BenchSplitRing idle = _bench.AddSplit(queue: 1);
        BenchSplitRing unknown = _bench.AddSplit(queue: 2);
        DmaBuffer[] pieces = Lent(3);
        Chain(broken, 0, pieces[0]);
        Chain(idle, 0, pieces[1]);
        Chain(unknown, 0, pieces[2]);
        broken.Use(3, 1);
        _bench.Trace.Look();
        broken.UsedIndex = 0;
        broken.Use(0, 1);
        _bench.Forget();
        unknown.Use(1, 1);
        _bench.Trace.OnGone();
        _bench.Says();
    }

    /// <summary>A device that has left its bus answers nothing any more (4.2.3.1: the magic value is not there).</summary>
    [Fact]
    public void A_device_that_has_left_uses_nothing_more()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(1);
        Chain(ring, 0, pieces[0]);
        ring.Use(0, 1);
        _bench.Registers.Write32(MmioRegisters.MagicValue, MmioRegisters.Magic);
        _bench.Device.Read32(MmioRegisters.MagicValue);
        Assert.NotNull(_bench.Trace.QueueAt(0));
        _bench.Registers.Write32(MmioRegisters.MagicValue, 0xFFFFFFFF);
        _bench.Device.Read32(MmioRegisters.MagicValue);
        Assert.Null(_bench.Trace.QueueAt(0));
        _bench.Says(
            "avail 0 c0 w m1+0x0:1 ; 2.7.13",
            "r32 MagicValue = 0x74726976 ; 4.2.2",
            "r32 MagicValue = 0xffffffff ; 4.2.2",
            "left 0 c0 len 1 ; 2.7.14 used, never taken");
    }

    [Fact]
    public void A_function_that_has_left_uses_nothing_more()
    {
        BenchSplitRing ring = _bench.AddSplit();
        BenchFunction function = new(_bench);
        TracedFunction traced = new(function, _bench.Trace, findsWindows: false);
        DmaBuffer[] pieces = Lent(1);
        Chain(ring, 0, pieces[0]);
        ring.Use(0, 1);
        Assert.True(traced.IsPresent);
        Assert.NotNull(_bench.Trace.QueueAt(0));
        function.Answer = false;
        Assert.False(traced.IsPresent);
        Assert.Null(_bench.Trace.QueueAt(0));
        _bench.Says("avail 0 c0 w m1+0x0:1 ; 2.7.13", "present = yes", "present = no", "left 0 c0 len 1 ; 2.7.14 used, never taken");
    }

    /// <summary>For those who play a device: the pieces that it may write, by their number.</summary>
    [Fact]
    public void Pieces_that_the_device_may_write_are_found_by_their_number()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] pieces = Lent(4);
        DmaBuffer read = _bench.Allocate(2);
        _bench.Lend(ToDevice, read);
        ring.Put(0, read, Piece.Next, 1);
        ring.Put(1, pieces[1], Piece.Write | Piece.Next, 2);
        ring.Put(2, pieces[2], Piece.Write);
        ring.Put(3, pieces[0], Piece.Write);
        ring.Offer(3, 0);
        _bench.Trace.Look();
        Assert.Equal([(0ul, 1u)], Writable(0));
        Assert.Equal([(1ul, 1u), (2ul, 1u)], Writable(1));
        Assert.Equal([], Writable(2));

        (ulong, uint)[] Writable(uint chain)
        {
            List<(ulong, uint)> found = [];
            for (int i = 0; _bench.Trace.TryGetWritable(0, chain, i, out DmaBuffer piece); i++)
            {
                found.Add((piece.DeviceAddress - pieces[0].DeviceAddress, piece.Length));
                Assert.Equal(piece.DeviceAddress - pieces[0].DeviceAddress + 1, piece.Span[0]);
            }
            Assert.False(_bench.Trace.TryGetWritable(1, chain, 0, out DmaBuffer none));
            Assert.Equal(0u, none.Length);
            return [.. found];
        }
    }

    /// <summary>Pieces of one byte, with 1, 2 and so on in them, in one piece of memory; lent to be written.</summary>
    private DmaBuffer[] Lent(int count)
    {
        if (count == 0)
        {
            return [];
        }
        DmaBuffer memory = _bench.Allocate((uint)count);
        DmaBuffer[] pieces = [.. Enumerable.Range(0, count).Select(i => memory.Slice((uint)i, 1))];
        for (int i = 0; i < count; i++)
        {
            memory.Span[i] = (byte)(i + 1);
        }
        _bench.Lend(FromDevice, pieces);
        _bench.Forget();
        return pieces;
    }

    /// <summary>Makes pieces for the device to write available, in descriptors from <paramref name="head"/> on.</summary>
    private static void Chain(BenchSplitRing ring, ushort head, params DmaBuffer[] pieces)
    {
        for (int i = 0; i < pieces.Length; i++)
        {
            ring.Put(head + i, pieces[i], Piece.Write | (i + 1 < pieces.Length ? Piece.Next : 0), (ushort)(head + i + 1));
        }
        ring.Offer(head);
    }
}
