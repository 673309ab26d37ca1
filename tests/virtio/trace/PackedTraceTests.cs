// Packed rings in a trace (virtio 2.8): both sides write into one ring, and a device may be faster than who writes it down.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class PackedTraceTests
{
    private const DmaDirection ToDevice = DmaDirection.ToDevice;
    private const DmaDirection FromDevice = DmaDirection.FromDevice;
    private const ushort Available = 1 << 7;
    private const ushort Used = 1 << 15;

    private readonly TraceBench _bench = new TraceBench().UseMmio(VirtioFeature.Version1 | VirtioFeature.RingPacked);

    [Fact]
    public void A_queue_is_said_by_its_format_its_size_and_its_areas()
    {
        DmaBuffer memory = _bench.Allocate(BenchPackedRing.LengthOf(5));
        _bench.Enable(2, 5, memory.DeviceAddress, memory.DeviceAddress + 0x200, memory.DeviceAddress + 0x300);
        _bench.Says("w32 QueueReady[2] = 0x1 ; 4.2.3.2", "queue 2 packed 5 m0+0x0 m0+0x200 m0+0x300 ; 2.8");
    }

    /// <summary>2.8.6, 2.8.9: the id is that of the last descriptor, and the device uses the buffer at its first.</summary>
    [Fact]
    public void Buffers_are_available_and_used_round_by_round()
    {
        BenchPackedRing ring = _bench.AddPacked(size: 5);
        DmaBuffer memory = _bench.Allocate(64);
        DmaBuffer[] pieces = [memory.Slice(0, 2), memory.Slice(8, 3)];
        _bench.Forget();
        memory.Span[8] = 0x44;
        int at = 0;
        int round = 0;
        for (ushort i = 0; i < 7; i++)
        {
            ushort id = (ushort)(i % 3);
            int next = (at + 1) % 5;
            int nextRound = round + (at + 1) / 5;
            _bench.Lend(ToDevice, pieces[0]);
            _bench.Lend(FromDevice, pieces[1]);
            ring.Offer(next, pieces[1], Piece.Write, id, nextRound);
            ring.Offer(at, pieces[0], Piece.Next, 99, round);
            _bench.Trace.Look();
            _bench.Says($"avail 0 c{i} r m1+0x0:2 =0000 w m1+0x8:3 ; 2.8.21");
            ring.Use(at, id, i, round);
            _bench.Take(ToDevice, pieces[0]);
            _bench.Take(FromDevice, pieces[1]);
            _bench.Says($"used 0 c{i} len {i} =440000 ; 2.8.22");
            round += (at + 2) / 5;
            at = (at + 2) % 5;
        }
    }

    /// <summary>2.8.8: the device may use buffers in another order.</summary>
    [Fact]
    public void Buffers_are_used_in_any_order()
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(64);
        DmaBuffer[] pieces = [memory.Slice(0, 1), memory.Slice(1, 1), memory.Slice(2, 1)];
        _bench.Lend(FromDevice, pieces);
        for (ushort i = 0; i < 3; i++)
        {
            ring.Offer(i, pieces[i], Piece.Write, i);
        }
        _bench.Forget();
        _bench.Trace.Look();
        ring.Use(0, 2, 12);
        _bench.Take(FromDevice, pieces[2]);
        ring.Use(1, 0, 10);
        _bench.Take(FromDevice, pieces[0]);
        _bench.Take(FromDevice, pieces[1]); // unused
        _bench.Says(
            "avail 0 c0 w m1+0x0:1 ; 2.8.21", "avail 0 c1 w m1+0x1:1 ; 2.8.21", "avail 0 c2 w m1+0x2:1 ; 2.8.21",
            "used 0 c2 len 12 =00 ; 2.8.22", "used 0 c0 len 10 =00 ; 2.8.22", "back 0 c1 len none =00 ; 2.8.22");
    }

    /// <summary>2.8.19: a table has as many descriptors as its length says, whatever their flags.</summary>
    [Fact]
    public void Descriptors_are_found_in_a_table()
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer table = _bench.Allocate(16 * 3 + 15);
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Forget();
        BenchPackedRing.Put(table, 0, memory.Slice(0, 4), 0, 0);
        BenchPackedRing.Put(table, 1, memory.Slice(4, 5), 0, 2);
        BenchPackedRing.Put(table, 2, memory.Slice(9, 6), 0, 2);
        ring.Offer(0, table, Piece.Table, 7);
        ring.Offer(1, memory.Slice(0, 1), Piece.Read, 2);
        ring.Offer(2, BenchMemory.Nowhere(0x77, 32), Piece.Table, 3);
        ring.Offer(3, table.Slice(0, 16), Piece.Table | Piece.Next, 3);
        ring.Offer(0, memory.Slice(20, 1), Piece.Write, 2, round: 1);
        _bench.Trace.Look();
        _bench.Says(); // the first was overwritten in the meantime: nobody may do so
        ring.Offer(0, table, Piece.Table, 7);
        _bench.Trace.Look();
        _bench.Says(
            "avail 0 c0 table r m2+0x0:4 w m2+0x4:5 w m2+0x9:6 ; 2.8.21",
            "avail 0 c1 r m2+0x0:1 ; 2.8.21",
            "avail 0 c2 table ; 2.8.21",
            "avail 0 c3 table r m2+0x0:4 r m2+0x0:4 w m2+0x4:5 w m2+0x9:6 ; 2.8.21");
    }

    /// <summary>A chain that never ends has as many descriptors as the ring.</summary>
    [Fact]
    public void What_a_broken_driver_puts_into_a_ring_ends()
    {
        BenchPackedRing ring = _bench.AddPacked(size: 3);
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Forget();
        for (int i = 0; i < 3; i++)
        {
            ring.Offer(i, memory.Slice((uint)i, 1), Piece.Next, 0);
        }
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m1+0x0:1 r m1+0x1:1 r m1+0x2:1 ; 2.8.21");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_each_side_wishes_to_hear_is_said_when_it_changes(bool events)
    {
        _bench.Accept(VirtioFeature.Version1 | VirtioFeature.RingPacked | (events ? VirtioFeature.EventIndex : 0));
        BenchPackedRing ring = _bench.AddPacked();
        for (int i = 0; i < 2; i++)
        {
            ring.DriverEvent = 0x28001;
            ring.DeviceEvent = 0x10000;
            _bench.Trace.Look();
        }
        _bench.Says(events
            ? ["wish 0 0x28001 ; 2.7.7, 2.8.10 interrupt when this is used", "want 0 0x10000 ; 2.7.10, 2.8.10 notification when this is available"]
            : ["wish 0 0x28001 ; 2.7.7, 2.8.10 interrupts", "want 0 0x10000 ; 2.7.10, 2.8.10 notifications"]);
    }

    /// <summary>
    /// 2.8.1: bits of the descriptor where the next used one is expected. While a buffer is in flight, what the device writes there is both bits
    /// as the round has them, and an id in flight; anything else is wrong.
    /// </summary>
    [Theory]
    [InlineData(true, Available, 0, true)] // not used yet
    [InlineData(true, Available | Used, 0, true)]
    [InlineData(true, Available | Used, 1, false)] // an id of nothing in flight
    [InlineData(true, Available | Used, 4, false)] // of no buffer that there can be
    [InlineData(true, 0, 0, false)] // of another round
    [InlineData(true, Used, 0, false)]
    [InlineData(false, 0, 0, true)] // nothing was there before either
    [InlineData(false, Available | Used, 0, false)] // used, and never there
    public void A_device_that_breaks_its_ring_is_found_out(bool inFlight, int flags, ushort id, bool isRight)
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(8);
        if (inFlight)
        {
            ring.Offer(0, memory, Piece.Write, 0);
            _bench.Trace.Look();
        }
        _bench.Forget();
        ring.UseWith(0, id, 77, flags | 2);
        _bench.Trace.Look();
        _bench.Trace.Look();
        _bench.Says(isRight ? [] : [$"bad 0 mark 0x{flags | 2:x} id {id} len 77 ; 2.8.22 the device breaks the ring"]);
    }

    /// <summary>The device has overwritten the descriptor with what it says of it: what was lent for it says what it was.</summary>
    [Fact]
    public void A_buffer_that_was_used_before_anybody_looked_is_put_together_from_what_was_lent()
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(64);
        (DmaBuffer read, DmaBuffer write, DmaBuffer other) = (memory.Slice(0, 2), memory.Slice(8, 3), memory.Slice(16, 4));
        _bench.Forget();
        _bench.Lend(ToDevice, read, other);
        _bench.Take(ToDevice, other); // it was never shown to the device
        _bench.Lend(FromDevice, write);
        ring.Offer(1, write, Piece.Write, 2);
        ring.Offer(0, read, Piece.Next, 0);
        ring.Use(0, 2, 3);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m1+0x0:2 =0000 w m1+0x8:3 ; 2.8.21");
        _bench.Take(ToDevice, read);
        _bench.Take(FromDevice, write);
        _bench.Says("used 0 c0 len 3 =000000 ; 2.8.22");
        // The ring is two further: the next buffer is at 2, and one that was used at once behind it.
        _bench.Lend(FromDevice, other);
        ring.Offer(2, other, Piece.Write, 1);
        _bench.Trace.Look();
        ring.Use(2, 1, 4);
        _bench.Take(FromDevice, other);
        _bench.Lend(FromDevice, write);
        ring.Use(3, 3, 2);
        _bench.Take(FromDevice, write);
        _bench.Says(
            "avail 0 c1 w m1+0x10:4 ; 2.8.21", "used 0 c1 len 4 =00000000 ; 2.8.22",
            "avail 0 c2 w m1+0x8:3 ; 2.8.21", "used 0 c2 len 2 =000000 ; 2.8.22");
    }

    /// <summary>The descriptor at which the next used one is expected is the driver's own until the device writes it.</summary>
    [Fact]
    public void A_buffer_that_was_not_used_is_not_left_and_not_used()
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(2);
        _bench.Lend(FromDevice, memory.Slice(0, 1));
        ring.Offer(0, memory.Slice(0, 1), Piece.Write, 0);
        _bench.Trace.Look();
        _bench.Lend(FromDevice, memory.Slice(1, 1));
        ring.Offer(1, memory.Slice(1, 1), Piece.Write, 1);
        _bench.Forget();
        _bench.Take(FromDevice, memory.Slice(0, 1));
        _bench.Says("avail 0 c1 w m1+0x1:1 ; 2.8.21", "back 0 c0 len none =00 ; 2.8.22");
        ring.Offer(0, memory.Slice(0, 1), Piece.Write, 1);
        _bench.Trace.OnGone();
        _bench.Says();
    }

    /// <summary>Pieces are put together in the order in which they were lent, also when one that was lent twice came back once.</summary>
    [Fact]
    public void What_was_lent_first_comes_first()
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(64);
        (DmaBuffer one, DmaBuffer two, DmaBuffer three) = (memory.Slice(0, 1), memory.Slice(2, 2), memory.Slice(4, 3));
        _bench.Forget();
        _bench.Lend(ToDevice, one, two, three, one);
        _bench.Take(ToDevice, one);
        ring.Use(0, 1, 0);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m1+0x2:2 =0000 r m1+0x4:3 =000000 r m1+0x0:1 =00 ; 2.8.21");
    }

    /// <summary>Nothing was lent: what looks like a used buffer is one that was never there.</summary>
    [Fact]
    public void Nothing_is_put_together_from_nothing()
    {
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Lend(DmaDirection.Both, memory);
        _bench.Forget();
        ring.Use(0, 1, 5);
        _bench.Trace.Look();
        _bench.Says("bad 0 mark 0x8080 id 1 len 5 ; 2.8.22 the device breaks the ring");
    }

    /// <summary>
    /// In every other round a used descriptor has neither bit, as one that the driver is writing has no flags yet: its length tells which it is. In
    /// the driver's it is the piece's, or that of a table; a device wrote what it wrote.
    /// </summary>
    [Theory]
    [InlineData(true, 3, 0, false)] // the piece as it is
    [InlineData(true, 2, 0, true)]
    [InlineData(true, 32, 0, true)]
    [InlineData(true, 3, 2, true)] // with flags it was written by the device
    [InlineData(false, 32, 0, false)] // a table
    [InlineData(false, 33, 0, true)]
    [InlineData(false, 3, 0, true)]
    public void A_descriptor_that_is_being_written_is_no_used_one(bool isPiece, uint length, ushort flags, bool isThere)
    {
        BenchPackedRing ring = _bench.AddPacked(size: 1);
        DmaBuffer memory = _bench.Allocate(64);
        DmaBuffer piece = memory.Slice(0, 3);
        // The first round: both bits.
        _bench.Lend(FromDevice, memory.Slice(8, 1));
        ring.Offer(0, memory.Slice(8, 1), Piece.Write, 0);
        _bench.Trace.Look();
        ring.Use(0, 0, 1);
        _bench.Take(FromDevice, memory.Slice(8, 1));
        _bench.Lend(FromDevice, piece);
        _bench.Forget();
        ring.Put(0, isPiece ? piece : BenchMemory.Nowhere(memory.DeviceAddress + 32, 32), 0, flags);
        ring.UseWith(0, 0, length, flags);
        _bench.Lend(ToDevice, memory.Slice(40, 1)); // the driver comes by while it adds
        _bench.Says(isThere ? ["avail 0 c1 w m1+0x0:3 ; 2.8.21"] : []);
        if (!isThere)
        {
            ring.Offer(0, piece, Piece.Write, 0, round: 1);
            _bench.Trace.Look();
            _bench.Says("avail 0 c1 w m1+0x0:3 ; 2.8.21");
        }
    }

    /// <summary>2.8.8: with IN_ORDER the device writes one used descriptor for several buffers.</summary>
    [Fact]
    public void With_IN_ORDER_one_descriptor_may_stand_for_several_buffers()
    {
        _bench.Accept(VirtioFeature.Version1 | VirtioFeature.RingPacked | VirtioFeature.InOrder);
        BenchPackedRing ring = _bench.AddPacked();
        DmaBuffer memory = _bench.Allocate(64);
        DmaBuffer[] pieces = [memory.Slice(0, 1), memory.Slice(1, 1)];
        _bench.Lend(FromDevice, pieces);
        ring.Offer(0, pieces[0], Piece.Write, 0);
        ring.Offer(1, pieces[1], Piece.Write, 1);
        _bench.Forget();
        _bench.Trace.Look();
        ring.Use(0, 1, 5);
        _bench.Take(FromDevice, pieces[0]);
        _bench.Says("avail 0 c0 w m1+0x0:1 ; 2.8.21", "avail 0 c1 w m1+0x1:1 ; 2.8.21", "used 0 c0 len none =00 ; 2.8.22");
    }
}
