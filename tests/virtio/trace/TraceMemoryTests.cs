// Memory in a trace: it is called by a name, wherever it is, and what is in it is written down when the device is to read it or wrote it.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceMemoryTests
{
    private const DmaDirection ToDevice = DmaDirection.ToDevice;
    private const DmaDirection FromDevice = DmaDirection.FromDevice;

    private readonly TraceBench _bench = new TraceBench().UseMmio(VirtioFeature.Version1);

    [Fact]
    public void Memory_has_a_name_from_the_moment_when_it_is_asked_for_until_it_is_given_back()
    {
        _bench.ShowsMachine = true;
        DmaBuffer first = _bench.Allocate(512);
        DmaBuffer second = _bench.Allocate(1);
        _bench.Dma.Free(first);
        _bench.Dma.Free(second);
        _bench.Allocate(4096);
        _bench.Says(
            "(allocate 512, aligned to 16)", "alloc m0 512",
            "(allocate 1, aligned to 16)", "alloc m1 1",
            "free m0", "(free 0x100000000)",
            "free m1", "(free 0x100010000)",
            "(allocate 4096, aligned to 16)", "alloc m2 4096"); // a name is used once
    }

    [Fact]
    public void Memory_that_there_is_not_has_no_name()
    {
        _bench.Memory.IsEmpty = true;
        Assert.False(_bench.Dma.TryAllocate(4096, 64, out _));
        _bench.Memory.IsEmpty = false;
        _bench.Allocate(64);
        _bench.Says("alloc none 4096", "alloc m0 64");
    }

    [Fact]
    public void Lending_is_passed_on_and_nothing_is_said_before_the_piece_is_in_a_ring()
    {
        _bench.ShowsMachine = true;
        DmaBuffer buffer = _bench.Memory.At(0x1000, 16);
        foreach (DmaDirection direction in new[] { ToDevice, FromDevice, DmaDirection.Both })
        {
            _bench.Dma.Share(buffer, direction);
            _bench.Dma.Unshare(buffer, direction);
        }
        _bench.Says(
            "(share 0x1000 ToDevice)", "(unshare 0x1000 ToDevice)",
            "(share 0x1000 FromDevice)", "(unshare 0x1000 FromDevice)",
            "(share 0x1000 Both)", "(unshare 0x1000 Both)");
    }

    [Fact]
    public void A_place_is_the_name_of_its_memory_and_how_far_into_it()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(0x100);
        DmaBuffer[] pieces = [memory.Slice(0, 4), memory.Slice(0x10, 4), memory.Slice(0xFC, 4)];
        _bench.Forget();
        Offer(ring, pieces);
        _bench.Says("avail 0 c0 w m1+0x0:4 w m1+0x10:4 w m1+0xfc:4 ; 2.7.13");
    }

    [Fact]
    public void Memory_that_nobody_knows_is_called_so_and_not_looked_at()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(0x100);
        _bench.Forget();
        // Before all that is known, right behind it, and far from it.
        ring.Put(0, BenchMemory.Nowhere(ring.Descriptors - 1, 4), Piece.Next, 1);
        ring.Put(1, BenchMemory.Nowhere(memory.DeviceAddress + 0x100, 4), Piece.Next, 2);
        ring.Put(2, BenchMemory.Nowhere(0xFFFF_FFFF_FFFF_FFF0, 4));
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r unknown:4 r unknown:4 r unknown:4 ; 2.7.13");
    }

    [Fact]
    public void Memory_that_was_given_back_is_not_known_any_more_and_the_rest_is()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer[] memory = [_bench.Allocate(64), _bench.Allocate(64), _bench.Allocate(64)];
        _bench.Dma.Free(memory[0]);
        _bench.Dma.Free(_bench.Memory.At(0x77, 4)); // nobody knows it: nothing to say
        _bench.Says("alloc m1 64", "alloc m2 64", "alloc m3 64", "free m1");
        for (ushort i = 0; i < 3; i++)
        {
            ring.Put(i, memory[i], Piece.Write);
            ring.Offer(i);
        }
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 w unknown:64 ; 2.7.13", "avail 0 c1 w m2+0x0:64 ; 2.7.13", "avail 0 c2 w m3+0x0:64 ; 2.7.13");
    }

    [Fact]
    public void Memory_of_an_application_has_a_name_from_the_first_time_that_it_is_lent()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Memory.At(0x5000, 64);
        for (ushort i = 0; i < 2; i++)
        {
            _bench.Dma.Share(memory, FromDevice);
            ring.Put(i, memory, Piece.Write);
            ring.Offer(i);
        }
        _bench.Allocate(8);
        _bench.Says("avail 0 c0 w m1+0x0:64 ; 2.7.13", "avail 0 c1 w m1+0x0:64 ; 2.7.13", "alloc m2 8");
    }

    /// <summary>The first that was named, at the lowest place in the trace's list, is known as well as any other.</summary>
    [Fact]
    public void What_is_known_already_gets_no_second_name_when_it_is_lent()
    {
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Dma.Share(memory, ToDevice);
        _bench.Dma.Unshare(memory, ToDevice);
        _bench.Allocate(8);
        _bench.Says("alloc m0 64", "alloc m1 8");
    }

    /// <summary>An application gave its memory back without this device's knowing, and another piece lies there now, or over a part of it.</summary>
    [Theory]
    [InlineData(0x4000, 0x100, false)] // the same
    [InlineData(0x4010, 0x10, false)] // within it
    [InlineData(0x3000, 0x2000, false)] // around it
    [InlineData(0x3FF0, 0x11, false)] // over its first byte
    [InlineData(0x40FF, 0x10, false)] // over its last byte
    [InlineData(0x3FF0, 0x10, true)] // right before it
    [InlineData(0x4100, 0x10, true)] // right behind it
    [InlineData(0x8000, 0x10, true)]
    [InlineData(0x100, 0x10, true)]
    public void Memory_over_which_other_memory_lies_is_not_there_any_more(ulong address, uint length, bool stays)
    {
        _bench.Memory.NextAddress = 0x4000;
        DmaBuffer old = _bench.Allocate(0x100);
        _bench.Memory.NextAddress = address;
        _bench.Allocate(length);
        _bench.Says("alloc m0 256", $"alloc m1 {length}");
        _bench.Dma.Free(old);
        bool hasTheName = address == old.DeviceAddress || (address < old.DeviceAddress && address + length > old.DeviceAddress);
        _bench.Says(stays ? ["free m0"] : hasTheName ? ["free m1"] : []);
    }

    [Fact]
    public void Several_old_pieces_go_when_one_lies_over_all_of_them()
    {
        BenchSplitRing ring = _bench.AddSplit();
        foreach (ulong address in new ulong[] { 0x4000, 0x9000, 0x5000, 0x6000, 0xA000 })
        {
            _bench.Memory.NextAddress = address;
            _bench.Allocate(0x100);
        }
        _bench.Memory.NextAddress = 0x4000;
        _bench.Allocate(0x2100);
        _bench.Forget();
        ring.Put(0, BenchMemory.Nowhere(0x4000, 4), Piece.Next, 1);
        ring.Put(1, BenchMemory.Nowhere(0x6000, 4), Piece.Next, 2);
        ring.Put(2, BenchMemory.Nowhere(0x9000, 4), Piece.Next, 3);
        ring.Put(3, BenchMemory.Nowhere(0xA000, 4));
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m6+0x0:4 r m6+0x2000:4 r m2+0x0:4 r m5+0x0:4 ; 2.7.13");
        _bench.Dma.Free(BenchMemory.Nowhere(0x5000, 0x100));
        _bench.Says("free m6"); // what was there is not
    }

    /// <summary>An application that takes its memory from the same place again and again.</summary>
    [Fact]
    public void Memory_that_is_replaced_again_and_again_is_known_once()
    {
        for (int i = 0; i < 50; i++)
        {
            _bench.Memory.NextAddress = 0x4000;
            _bench.Allocate(64);
        }
        _bench.Forget();
        _bench.Dma.Free(BenchMemory.Nowhere(0x4000, 64));
        _bench.Dma.Free(BenchMemory.Nowhere(0x4000, 64));
        _bench.Says("free m49");
    }

    [Fact]
    public void As_much_memory_is_known_as_there_is()
    {
        DmaBuffer[] memory = [.. Enumerable.Range(0, 100).Select(_ => _bench.Allocate(16))];
        _bench.Forget();
        foreach (DmaBuffer one in memory)
        {
            _bench.Dma.Free(one);
        }
        _bench.Says([.. Enumerable.Range(0, 100).Select(i => "free m" + i)]);
    }

    [Fact]
    public void What_is_short_is_written_down_as_it_is_and_what_is_long_as_a_hash()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(256);
        memory.Span.Fill(0xAB);
        memory.Span[65] = 1; // behind what is hashed
        DmaBuffer[] pieces = [memory.Slice(0, 1), memory.Slice(1, 64), memory.Slice(0, 65)];
        _bench.Forget();
        for (ushort i = 0; i < 3; i++)
        {
            _bench.Dma.Share(pieces[i], ToDevice);
            ring.Put(i, pieces[i]);
            ring.Offer(i);
        }
        _bench.Trace.Look();
        uint hash = 2166136261; // FNV-1a, 32 bits
        foreach (byte one in pieces[2].Span)
        {
            hash = unchecked((hash ^ one) * 16777619);
        }
        string dump = string.Concat(Enumerable.Repeat("ab", 64));
        _bench.Says(
            "avail 0 c0 r m1+0x0:1 =ab ; 2.7.13",
            $"avail 0 c1 r m1+0x1:64 ={dump} ; 2.7.13",
            $"avail 0 c2 r m1+0x0:65 #{hash:x8} ; 2.7.13");
    }

    /// <summary>What the device is to write says nothing before; what was not lent is not looked at.</summary>
    [Fact]
    public void Only_what_was_lent_for_reading_is_looked_at()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(64);
        _bench.Dma.Share(memory.Slice(0, 4), ToDevice);
        _bench.Dma.Share(memory.Slice(8, 4), FromDevice);
        _bench.Forget();
        ring.Put(0, memory.Slice(0, 4), Piece.Next, 1);
        ring.Put(1, memory.Slice(4, 4), Piece.Next, 2); // not lent
        ring.Put(2, memory.Slice(8, 4), Piece.Write | Piece.Next, 3);
        ring.Put(3, memory.Slice(8, 4)); // lent, but for writing
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m1+0x0:4 =00000000 r m1+0x4:4 w m1+0x8:4 r m1+0x8:4 ; 2.7.13");
    }

    /// <summary>The same place with another length, or the same length elsewhere, is another piece.</summary>
    [Fact]
    public void A_piece_in_a_ring_is_the_one_that_was_lent_exactly()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(64);
        memory.Span.Fill(0x11);
        _bench.Dma.Share(memory.Slice(0, 8), ToDevice);
        _bench.Dma.Share(memory.Slice(16, 4), ToDevice);
        _bench.Forget();
        ring.Put(0, memory.Slice(0, 4), Piece.Next, 1);
        ring.Put(1, memory.Slice(16, 4), Piece.Next, 2);
        ring.Put(2, memory.Slice(0, 8));
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m1+0x0:4 r m1+0x10:4 =11111111 r m1+0x0:8 =1111111111111111 ; 2.7.13");
    }

    /// <summary>A queue whose areas are not all of memory that is known can't be followed; its registers are written down like those of any other.</summary>
    [Theory]
    [InlineData(0, 0, 0, true)]
    [InlineData(1, 0, 0, false)]
    [InlineData(0, 1, 0, false)]
    [InlineData(0, 0, 1, false)]
    public void A_ring_that_ends_behind_its_memory_is_not_followed(uint table, uint driver, uint device, bool follows)
    {
        DmaBuffer[] areas = [_bench.Allocate(16 * 8 - table), _bench.Allocate(4 + 2 * 8 + 2 - driver), _bench.Allocate(4 + 8 * 8 + 2 - device)];
        Assert.Equal(follows, IsFollowed(areas, 8, VirtioFeature.Version1));
    }

    /// <summary>The same for packed rings, and for areas that begin within their memory.</summary>
    [Theory]
    [InlineData(0, 0, 0, true)]
    [InlineData(1, 0, 0, false)]
    [InlineData(0, 1, 0, false)]
    [InlineData(0, 0, 1, false)]
    public void A_packed_ring_that_ends_behind_its_memory_is_not_followed(uint ring, uint driver, uint device, bool follows)
    {
        DmaBuffer[] areas = [_bench.Allocate(64 + 16 * 7 - ring), _bench.Allocate(64 + 4 - driver), _bench.Allocate(64 + 4 - device)];
        DmaBuffer[] within = [.. areas.Select(area => area.Slice(64, area.Length - 64))];
        Assert.Equal(follows, IsFollowed(within, 7, VirtioFeature.Version1 | VirtioFeature.RingPacked));
    }

    [Theory]
    [InlineData(0, false, false)]
    [InlineData(7, false, false)] // split: a power of two
    [InlineData(8, false, true)]
    [InlineData(7, true, true)]
    [InlineData(0, true, false)]
    [InlineData(32768, false, true)]
    [InlineData(32768, true, true)]
    [InlineData(32769, true, false)]
    [InlineData(65536, false, false)]
    public void Only_a_ring_of_a_size_that_there_can_be_is_followed(uint size, bool packed, bool follows)
    {
        DmaBuffer[] areas = [_bench.Allocate(16 * 65536), _bench.Allocate(4 + 2 * 65536 + 2), _bench.Allocate(4 + 8 * 65536 + 2)];
        Assert.Equal(follows, IsFollowed(areas, size, VirtioFeature.Version1 | (packed ? VirtioFeature.RingPacked : 0)));
    }

    private bool IsFollowed(DmaBuffer[] areas, uint size, ulong features)
    {
        _bench.Accept(features);
        _bench.Enable(3, size, areas[0].DeviceAddress, areas[1].DeviceAddress, areas[2].DeviceAddress);
        return _bench.Trace.QueueAt(3) is not null;
    }

    /// <summary>Pieces for the device to write, lent and made available as one buffer.</summary>
    private void Offer(BenchSplitRing ring, DmaBuffer[] pieces)
    {
        for (int i = 0; i < pieces.Length; i++)
        {
            _bench.Dma.Share(pieces[i], FromDevice);
            ring.Put(i, pieces[i], Piece.Write | (i + 1 < pieces.Length ? Piece.Next : 0), (ushort)(i + 1));
        }
        ring.Offer(0);
        _bench.Trace.Look();
    }
}
