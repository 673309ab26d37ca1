// Split rings in a trace (virtio 2.7): what is made available, in tables or not, what is used and when that can't be, what each side wishes to hear.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class SplitTraceTests
{
    private const DmaDirection ToDevice = DmaDirection.ToDevice;
    private const DmaDirection FromDevice = DmaDirection.FromDevice;

    private readonly TraceBench _bench = new TraceBench(new BenchDriver()).UseMmio(VirtioFeature.Version1 | VirtioFeature.EventIndex);

    [Fact]
    public void A_queue_is_said_by_its_format_its_size_and_its_areas()
    {
        DmaBuffer memory = _bench.Allocate(BenchSplitRing.LengthOf(8));
        _bench.Enable(2, 8, memory.DeviceAddress, memory.DeviceAddress + 0x200, memory.DeviceAddress + 0x400);
        _bench.Says("w32 QueueReady[2] = 0x1 ; 4.2.3.2", "queue 2 split 8 m0+0x0 m0+0x200 m0+0x400 ; 2.7");
    }

    /// <summary>A request and its answer as a device sees them, and as the driver understands them.</summary>
    [Fact]
    public void A_buffer_is_available_and_used()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(1024);
        (DmaBuffer header, DmaBuffer data, DmaBuffer status) = (memory.Slice(0, 4), memory.Slice(0x100, 100), memory.Slice(0x300, 2));
        _bench.Forget();
        header.Span[0] = 7;
        _bench.Lend(ToDevice, header);
        _bench.Lend(FromDevice, data, status);
        ring.Put(3, header, Piece.Next, 1);
        ring.Put(1, data, Piece.Write | Piece.Next, 2);
        ring.Put(2, status, Piece.Write);
        ring.Offer(3);
        _bench.Set(MmioRegisters.QueueNotify, 0);
        ring.Use(3, 102);
        status.Span[0] = 5;
        status.Span[1] = 9;
        _bench.Take(ToDevice, header);
        _bench.Take(FromDevice, data);
        _bench.Says(
            "avail 0 c0 r m1+0x0:4 =07000000 w m1+0x100:100 w m1+0x300:2 ; 2.7.13, 5.99 ASK_7 in queue 0 4",
            "w32 QueueNotify = 0x0 ; 4.2.3.3 queue 0");
        _bench.Take(FromDevice, status);
        _bench.Says($"used 0 c0 len 102 #{Hash(data, 100)} =0509 ; 2.7.14, 5.99 ANSWER_5 in queue 0 of 2 9");
    }

    /// <summary>What a piece says counts up to 64 bytes, and only where it says something.</summary>
    [Fact]
    public void Words_of_the_driver_are_about_the_first_and_the_last_piece()
    {
        BenchSplitRing ring = _bench.AddSplit(queue: 1);
        DmaBuffer memory = _bench.Allocate(1024);
        DmaBuffer[] asked = [memory.Slice(0, 64), memory.Slice(64, 65), memory.Slice(200, 1), memory.Slice(204, 1)];
        DmaBuffer[] answers = [memory.Slice(300, 64), memory.Slice(400, 65), memory.Slice(500, 3), memory.Slice(504, 3)];
        uint[] written = [5, 65, 3, 3]; // of a short piece all is shown, whatever the device says
        _bench.Forget();
        for (ushort i = 0; i < 4; i++)
        {
            asked[i].Span[0] = (byte)(i == 3 ? 0 : 1);
            answers[i].Span[0] = (byte)(i == 3 ? 0 : 2);
            _bench.Lend(ToDevice, asked[i]);
            ring.Put(0, asked[i]);
            ring.Offer(0);
            _bench.Trace.Look();
            ring.Use(0, 0);
            _bench.Take(ToDevice, asked[i]);
            _bench.Lend(FromDevice, answers[i]);
            ring.Put(0, answers[i], Piece.Write);
            ring.Offer(0);
            _bench.Trace.Look();
            ring.Use(0, written[i]);
            _bench.Take(FromDevice, answers[i]);
        }
        _bench.Says(
            $"avail 1 c0 r m1+0x0:64 =01{Zeros(63)} ; 2.7.13, 5.99 ASK_1 in queue 1 64",
            "used 1 c0 len 0 ; 2.7.14",
            "avail 1 c1 w m1+0x12c:64 ; 2.7.13",
            $"used 1 c1 len 5 =02{Zeros(63)} ; 2.7.14, 5.99 ANSWER_2 in queue 1 of 64",
            $"avail 1 c2 r m1+0x40:65 #{Hash(asked[1], 65)} ; 2.7.13, 5.99 ASK_1 in queue 1 64",
            "used 1 c2 len 0 ; 2.7.14",
            "avail 1 c3 w m1+0x190:65 ; 2.7.13",
            $"used 1 c3 len 65 #{Hash(answers[1], 65)} ; 2.7.14, 5.99 ANSWER_2 in queue 1 of 64",
            "avail 1 c4 r m1+0xc8:1 =01 ; 2.7.13, 5.99 ASK_1 in queue 1 1",
            "used 1 c4 len 0 ; 2.7.14",
            "avail 1 c5 w m1+0x1f4:3 ; 2.7.13",
            "used 1 c5 len 3 =020000 ; 2.7.14, 5.99 ANSWER_2 in queue 1 of 3",
            "avail 1 c6 r m1+0xcc:1 =00 ; 2.7.13",
            "used 1 c6 len 0 ; 2.7.14",
            "avail 1 c7 w m1+0x1f8:3 ; 2.7.13",
            "used 1 c7 len 3 =000000 ; 2.7.14");
    }

    /// <summary>Only the first piece is asked, and a device that is to write it was asked nothing.</summary>
    [Fact]
    public void What_is_asked_is_in_the_first_piece_or_nowhere()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(64);
        memory.Span.Fill(1);
        _bench.Forget();
        _bench.Lend(FromDevice, memory.Slice(0, 2));
        _bench.Lend(ToDevice, memory.Slice(2, 2));
        ring.Put(0, memory.Slice(0, 2), Piece.Write | Piece.Next, 1);
        ring.Put(1, memory.Slice(2, 2));
        ring.Put(2, memory.Slice(4, 2)); // not lent
        ring.Offer(0, 2);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 w m1+0x0:2 r m1+0x2:2 =0101 ; 2.7.13", "avail 0 c1 r m1+0x4:2 ; 2.7.13");
    }

    [Fact]
    public void Without_a_driver_there_are_no_words()
    {
        TraceBench bench = new TraceBench().UseMmio();
        BenchSplitRing ring = bench.AddSplit();
        DmaBuffer memory = bench.Allocate(2);
        memory.Span.Fill(1);
        bench.Forget();
        bench.Lend(FromDevice, memory.Slice(0, 1));
        bench.Lend(ToDevice, memory.Slice(1, 1));
        ring.Put(0, memory.Slice(1, 1), Piece.Next, 1);
        ring.Put(1, memory.Slice(0, 1), Piece.Write);
        ring.Offer(0);
        bench.Trace.Look();
        ring.Use(0, 1);
        bench.Take(ToDevice, memory.Slice(1, 1));
        bench.Take(FromDevice, memory.Slice(0, 1));
        bench.Says("avail 0 c0 r m1+0x1:1 =01 w m1+0x0:1 ; 2.7.13", "used 0 c0 len 1 =01 ; 2.7.14");
    }

    /// <summary>Long pieces are as long as the device says that it wrote, in their order; short ones are there as they are.</summary>
    [Fact]
    public void What_was_used_is_shared_out_among_the_pieces()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(1024);
        for (int i = 0; i < 1024; i++)
        {
            memory.Span[i] = (byte)(i / 100);
        }
        DmaBuffer[] pieces = [memory.Slice(0, 100), memory.Slice(200, 80), memory.Slice(400, 90), memory.Slice(500, 4)];
        _bench.Lend(FromDevice, pieces);
        _bench.Forget();
        for (ushort i = 0; i < 4; i++)
        {
            ring.Put(i, pieces[i], Piece.Write | (i < 3 ? Piece.Next : 0), (ushort)(i + 1));
        }
        ring.Offer(0);
        _bench.Trace.Look();
        ring.Use(0, 110);
        _bench.Take(FromDevice, pieces);
        _bench.Says(
            "avail 0 c0 w m1+0x0:100 w m1+0xc8:80 w m1+0x190:90 w m1+0x1f4:4 ; 2.7.13",
            $"used 0 c0 len 110 #{Hash(memory, 100)} =02020202020202020202 = =05050505 ; 2.7.14, 5.99 ANSWER_5 in queue 0 of 4 5");
    }

    [Fact]
    public void Descriptors_are_followed_in_a_table_and_only_there()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer table = _bench.Allocate(16 * 6);
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Forget();
        // The table is longer than what is used of it, and its order is its own.
        BenchSplitRing.Put(table, 0, memory.Slice(0, 1), Piece.Next, 5);
        BenchSplitRing.Put(table, 5, memory.Slice(5, 5), Piece.Write | Piece.Next, 3);
        BenchSplitRing.Put(table, 3, memory.Slice(3, 3), Piece.Write, 1);
        ring.Put(2, table, Piece.Table);
        ring.Put(1, memory.Slice(9, 2));
        ring.Offer(2, 1);
        _bench.Trace.Look();
        _bench.Says(
            "avail 0 c0 table r m2+0x0:1 w m2+0x5:5 w m2+0x3:3 ; 2.7.13",
            "avail 0 c1 r m2+0x9:2 ; 2.7.13"); // no table any more
    }

    /// <summary>2.7.5.3.1: a driver may not do so, and who writes it down must not hang or look at what it does not know.</summary>
    [Fact]
    public void What_a_broken_driver_puts_into_a_ring_ends()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer table = _bench.Allocate(16 * 2 + 8);
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Forget();
        // A loop of three in a ring of four.
        ring.Put(0, memory.Slice(0, 1), Piece.Next, 1);
        ring.Put(1, memory.Slice(1, 1), Piece.Next, 2);
        ring.Put(2, memory.Slice(2, 1), Piece.Next, 0);
        ring.Offer(0);
        _bench.Trace.Look();
        // A chain that leads out of the ring.
        ring.Put(0, memory.Slice(0, 1), Piece.Next, 4);
        ring.Offer(0);
        _bench.Trace.Look();
        // A head that is no descriptor: the buffer has a number, and nothing in it.
        ring.Offer(4);
        _bench.Trace.Look();
        // A table within a table, one that leads out of itself, and one that nobody knows.
        BenchSplitRing.Put(table, 0, memory.Slice(0, 2), Piece.Next, 1);
        BenchSplitRing.Put(table, 1, table, Piece.Table | Piece.Next, 2);
        ring.Put(0, table, Piece.Table | Piece.Next, 1);
        ring.Put(1, BenchMemory.Nowhere(0x99, 64), Piece.Table);
        ring.Offer(0);
        _bench.Trace.Look();
        // A table that is shorter than a descriptor.
        ring.Put(0, table.Slice(0, 15), Piece.Table);
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says(
            "avail 0 c0 r m2+0x0:1 r m2+0x1:1 r m2+0x2:1 r m2+0x0:1 ; 2.7.13",
            "avail 0 c1 r m2+0x0:1 ; 2.7.13",
            "avail 0 c2 ; 2.7.13",
            "avail 0 c3 table r m2+0x0:2 ; 2.7.13",
            "avail 0 c4 table ; 2.7.13");
    }

    [Fact]
    public void Buffers_of_many_pieces_are_whole()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer table = _bench.Allocate(16 * 100);
        DmaBuffer memory = _bench.Allocate(100);
        string expected = "avail 0 c0 table";
        for (ushort i = 0; i < 100; i++)
        {
            memory.Span[i] = (byte)i;
            _bench.Lend(ToDevice, memory.Slice(i, 1));
            BenchSplitRing.Put(table, i, memory.Slice(i, 1), i < 99 ? Piece.Next : 0, (ushort)(i + 1));
            expected += $" r m2+0x{i:x}:1 ={i:x2}";
        }
        _bench.Forget();
        ring.Put(0, table, Piece.Table);
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says(expected + " ; 2.7.13");
    }

    [Fact]
    public void A_ring_goes_round_and_buffers_are_numbered_on()
    {
        BenchSplitRing ring = _bench.AddSplit(size: 2);
        DmaBuffer memory = _bench.Allocate(8);
        _bench.Forget();
        List<string> expected = [];
        for (ushort i = 0; i < 7; i++)
        {
            ushort head = (ushort)((i + 1) % 2);
            DmaBuffer piece = memory.Slice(i, 1);
            piece.Span[0] = 0;
            _bench.Lend(FromDevice, piece);
            ring.Put(head, piece, Piece.Write);
            ring.Offer(head);
            _bench.Trace.Look();
            ring.Use(head, i + 1u);
            _bench.Take(FromDevice, piece);
            expected.Add($"avail 0 c{i} w m1+0x{i:x}:1 ; 2.7.13");
            expected.Add($"used 0 c{i} len {i + 1} =00 ; 2.7.14");
        }
        _bench.Says([.. expected]);
    }

    /// <summary>2.7.7, 2.7.10: with EVENT_IDX the words behind the rings, without it the flags before them.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_each_side_wishes_to_hear_is_said_when_it_changes(bool events)
    {
        _bench.Accept(VirtioFeature.Version1 | (events ? VirtioFeature.EventIndex : 0));
        BenchSplitRing ring = _bench.AddSplit();
        for (int i = 0; i < 2; i++)
        {
            ring.UsedEvent = 0x1234;
            ring.Flags = 1;
            ring.AvailableEvent = 0x4321;
            ring.DeviceFlags = 2;
            _bench.Trace.Look();
        }
        ring.UsedEvent = 0;
        ring.Flags = 0;
        _bench.Trace.Look();
        _bench.Says(events
            ?
            [
                "wish 0 0x1234 ; 2.7.7, 2.8.10 interrupt when this is used",
                "want 0 0x4321 ; 2.7.10, 2.8.10 notification when this is available",
                "wish 0 0x0 ; 2.7.7, 2.8.10 interrupt when this is used",
            ]
            :
            [
                "wish 0 0x1 ; 2.7.7, 2.8.10 interrupts",
                "want 0 0x2 ; 2.7.10, 2.8.10 notifications",
                "wish 0 0x0 ; 2.7.7, 2.8.10 interrupts",
            ]);
    }

    /// <summary>2.7.8: an id of nothing in flight, or more elements than there are buffers. It is said once; the driver has to reset the device.</summary>
    [Theory]
    [InlineData(0, 1, true)]
    [InlineData(1, 1, true)]
    [InlineData(2, 1, false)] // no head
    [InlineData(4, 1, false)] // no descriptor
    [InlineData(0x10000, 1, false)] // 32 bits count
    [InlineData(0, 2, true)]
    [InlineData(0, 3, false)] // more than there are
    [InlineData(0, 0xFFFF, false)]
    public void A_device_that_breaks_its_ring_is_found_out(uint id, ushort index, bool isRight)
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(8);
        ring.Put(0, memory);
        ring.Put(1, memory);
        ring.Offer(0, 1);
        _bench.Trace.Look();
        _bench.Forget();
        ring.Use(id, 77);
        ring.UsedIndex = index;
        _bench.Trace.Look();
        _bench.Trace.Look();
        _bench.Says(isRight ? [] : [$"bad 0 mark 0x{index:x} id {id} len 77 ; 2.7.14 the device breaks the ring"]);
    }

    /// <summary>The device may be ahead by what is in flight, and not by what was ever there.</summary>
    [Fact]
    public void A_device_that_uses_more_than_is_in_flight_is_found_out()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(2);
        for (ushort i = 0; i < 2; i++)
        {
            _bench.Lend(FromDevice, memory.Slice(i, 1));
            ring.Put(i, memory.Slice(i, 1), Piece.Write);
            ring.Offer(i);
        }
        _bench.Trace.Look();
        ring.Use(0, 1);
        _bench.Take(FromDevice, memory.Slice(0, 1));
        _bench.Forget();
        ring.Use(1, 1);
        ring.UsedIndex = 3;
        _bench.Trace.Look();
        _bench.Says("bad 0 mark 0x2 id 1 len 1 ; 2.7.14 the device breaks the ring");
    }

    /// <summary>While something is added the ring is in between, and looks as if it were broken.</summary>
    [Fact]
    public void A_ring_is_judged_when_the_driver_is_done_with_it()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(8);
        _bench.Forget();
        ring.Use(0, 1);
        _bench.Lend(ToDevice, memory);
        _bench.Says();
        _bench.Take(ToDevice, memory);
        _bench.Says("bad 0 mark 0x1 id 0 len 1 ; 2.7.14 the device breaks the ring");
    }

    private static string Zeros(int count) => new('0', 2 * count);

    /// <summary>FNV-1a, 32 bits.</summary>
    private static string Hash(DmaBuffer memory, int length)
    {
        uint hash = 2166136261;
        foreach (byte one in memory.Span[..length])
        {
            hash = unchecked((hash ^ one) * 16777619);
        }
        return hash.ToString("x8");
    }
}
