// What is lent to a device at the moment, as a trace knows it: pieces that came back are not, however many there are.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceLentTests
{
    private const DmaDirection ToDevice = DmaDirection.ToDevice;
    private const DmaDirection FromDevice = DmaDirection.FromDevice;

    private readonly TraceBench _bench = new TraceBench().UseMmio();

    /// <summary>What is in it is not the device's business any more, and not looked at.</summary>
    [Fact]
    public void A_piece_that_came_back_is_not_lent()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(4);
        _bench.Lend(ToDevice, memory);
        _bench.Take(ToDevice, memory);
        _bench.Forget();
        ring.Put(0, memory);
        ring.Offer(0);
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 r m1+0x0:4 ; 2.7.13");
    }

    /// <summary>A ring is lent to both sides for as long as it lives; that it is given back is not about a buffer in it, and nobody comes by.</summary>
    [Fact]
    public void A_ring_that_is_given_back_is_no_piece_of_a_buffer()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(4);
        _bench.Lend(ToDevice, memory);
        ring.Put(0, memory);
        ring.Offer(0);
        _bench.Trace.Look();
        ring.Flags = 1;
        _bench.Forget();
        _bench.Take(DmaDirection.Both, memory);
        _bench.Says();
        _bench.Take(ToDevice, memory);
        _bench.Says("wish 0 0x1 ; 2.7.7, 2.8.10 interrupts", "back 0 c0 len none ; 2.7.14");
    }

    /// <summary>As many as there is room for before more is made, and more than that.</summary>
    [Theory]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(200)]
    public void A_reset_forgets_as_many_pieces_as_there_are(int count)
    {
        BenchSplitRing ring = _bench.AddSplit(size: 1);
        DmaBuffer memory = _bench.Allocate((uint)count);
        DmaBuffer[] pieces = [.. Enumerable.Range(0, count).Select(i => memory.Slice((uint)i, 1))];
        _bench.Lend(FromDevice, pieces);
        ring.Put(0, BenchMemory.Nowhere(0x77, 1), Piece.Write); // not among them
        ring.Offer(0);
        _bench.Forget();
        _bench.Set(MmioRegisters.Status, 0);
        _bench.Says("avail 0 c0 w unknown:1 ; 2.7.13", "w32 Status = 0x0 ; 2.1 reset");
        BenchSplitRing again = _bench.AddSplit(size: 1);
        again.Put(0, pieces[^1], Piece.Write);
        again.Offer(0);
        _bench.Trace.Look();
        Assert.False(_bench.Trace.TryGetWritable(0, 1, 0, out _)); // it was lent for what was there before
        _bench.Forget();
        _bench.Take(FromDevice, pieces);
        _bench.Says();
    }
}
