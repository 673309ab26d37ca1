// The run loop and what is awaited in it, on the fake machine.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Tasks;

[Collection("kernel-tasks")] // the pool of requests is one for a kernel, which has one thread
public sealed class RunLoopTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakeBlockDevice _device = new(sectors: 256);
    private readonly BlockDevice _disk;
    private readonly RunLoop _loop;
    private readonly List<string> _story = [];

    public RunLoopTests()
    {
        _machine.Plug(_device);
        DeviceTable devices = FakeBinding.Attach(_machine, out _);
        _disk = Assert.IsAssignableFrom<BlockDevice>(devices[0]);
        _loop = new RunLoop(_machine.Clock, devices);
    }

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void Delays_end_in_the_order_of_their_moments_and_none_early()
    {
        ulong begin = _loop.Clock.Now;
        ValueTask second = SayAfterAsync("second", 2_000_000);
        ValueTask third = SayAfterAsync("third", 3_000_000);
        ValueTask first = SayAfterAsync("first", 1_000_000);
        _loop.Run(AllAsync(second, third, first));
        Assert.Equal(["first", "second", "third"], _story);
        Assert.True(_loop.Clock.Now >= begin + 3_000_000);
    }

    [Fact]
    public void A_delay_that_was_awaited_is_used_again()
    {
        Delay first = _loop.After(1000);
        _loop.Run(WaitAsync(first));
        Assert.Same(first, _loop.After(1000));
        Assert.NotSame(first, _loop.After(1000));
    }

    [Fact]
    public void What_is_written_is_read_back_and_one_request_serves_all()
    {
        _loop.Run(WriteAndReadAsync());
        Assert.Equal(["write Ok", "flush Ok", "read Ok", "same", "one request"], _story);
        Assert.Equal(1, _device.Flushes);
        _machine.Violations.AssertEmpty();
    }

    [Fact]
    public void What_the_driver_refuses_is_a_result_and_nothing_is_waited_for()
    {
        _loop.Run(RefusedAsync());
        Assert.Equal(["OutOfRange", "OutOfRange"], _story);
        Assert.Equal(0ul, _loop.Sleeps);
    }

    [Fact]
    public void Deadlines_are_seen_while_input_never_ceases()
    {
        Flood flood = new();
        _loop.Add(flood);
        ValueTask reading = ReadForEverAsync(flood);
        _loop.Run(SayAfterAsync("time is up", 1_000));
        Assert.Equal(["time is up"], _story);
        Assert.False(reading.IsCompleted);
    }

    private async ValueTask SayAfterAsync(string what, ulong nanoseconds)
    {
        await _loop.After(nanoseconds);
        _story.Add(what);
    }

    private static async ValueTask WaitAsync(Delay delay) => await delay;

    private static async ValueTask AllAsync(params ValueTask[] tasks)
    {
        foreach (ValueTask task in tasks)
        {
            await task;
        }
    }

    private async ValueTask WriteAndReadAsync()
    {
        Assert.True(_disk.Dma.TryAllocate(8192, 512, out DmaBuffer memory));
        DmaBuffer written = memory.Slice(0, 4096);
        DmaBuffer read = memory.Slice(4096, 4096);
        written.Span.Fill(0x5A);
        AsyncBlockRequest first = _disk.WriteAsync(8, written);
        _story.Add("write " + await first);
        _story.Add("flush " + await _disk.FlushAsync());
        AsyncBlockRequest last = _disk.ReadAsync(8, read);
        _story.Add("read " + await last);
        _story.Add(read.Span.SequenceEqual(written.Span) ? "same" : "different");
        _story.Add(ReferenceEquals(first, last) ? "one request" : "several requests");
        _disk.Dma.Free(memory);
    }

    private async ValueTask RefusedAsync()
    {
        Assert.True(_disk.Dma.TryAllocate(512, 512, out DmaBuffer memory));
        _story.Add((await _disk.ReadAsync(_disk.SectorCount, memory)).ToString());
        _story.Add((await _disk.ReadAsync(ulong.MaxValue, memory)).ToString());
        _disk.Dma.Free(memory);
    }

    private static async ValueTask ReadForEverAsync(Flood flood)
    {
        while (true)
        {
            await flood.ReadByteAsync();
        }
    }

    /// <summary>Always has another byte, but each has to be waited for.</summary>
    private sealed class Flood : ByteSource
    {
        private int _taken;

        // Only who waits already finds it readable, so that each byte takes a turn of the loop.
        public override bool IsReadable => Waiting is not null;

        public override bool TryRead(out byte value)
        {
            value = 1;
            Assert.True(++_taken < 1_000_000, "the deadline is never seen");
            return true;
        }
    }
}
