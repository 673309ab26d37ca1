// A disk that fails: reset, begun anew, repeated, given up (virtio 2.1.2, 2.4).
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Every request ends once, whatever happens to the device; what can be repeated is.</summary>
public sealed class VirtioBlkRecoveryTests : IDisposable
{
    private const ulong Second = 1_000_000_000;

    private readonly FakeMachine _machine = new();
    private readonly FakeBlockDevice _device = new(8192);
    private readonly FakeVirtioPciDevice _function;
    private readonly List<DmaBuffer> _buffers = [];
    private readonly VirtioBlk _disk;
    private bool _leaks;

    public VirtioBlkRecoveryTests()
    {
        new Random(3).NextBytes(_device.Disk);
        _device.Limit(segMax: 2, sizeMax: 8192);
        _function = _machine.Plug(_device);
        _disk = FakeBinding.AttachOne<VirtioBlk>(_machine);
    }

    [Fact]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void A_device_that_asks_for_a_reset_is_reset_and_the_requests_in_flight_are_repeated()
    {
        _device.HoldsBack = true;
        TestRequest read = Submit(BlockOperation.Read, 7, 2);
        TestRequest write = Submit(BlockOperation.Write, 100, 1, fill: 0x5A);
        _disk.Kick();
        _machine.Run();
        Assert.Equal(2, _device.HeldBack.Count);
        _device.AfterReset = () => _device.HoldsBack = false;
        _device.AskForReset();
        Finish(read, write);
        Assert.Equal((IoStatus.Ok, IoStatus.Ok), (read.Status, write.Status));
        Assert.Equal(_device.Disk.AsSpan(7 * 512, 1024).ToArray(), read.Buffers[0].Span.ToArray());
        Assert.Equal(0x5A, _device.Disk[100 * 512 + 511]);
        Assert.Equal((1ul, 2ul), (_disk.Recoveries, _disk.Repeats));
    }

    [Fact]
    public void After_a_reset_the_device_still_interrupts()
    {
        _device.AskForReset();
        _disk.Poll();
        Assert.Equal(1ul, _disk.Recoveries);
        ulong before = _disk.Interrupts;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        _disk.Kick();
        _machine.Run();
        Assert.True(_disk.Interrupts > before, "no interrupt came");
        _disk.Poll();
        Assert.Equal(IoStatus.Ok, request.Status);
        _device.AskForReset();
        _disk.Poll();
        Assert.Equal(2ul, _disk.Recoveries);
    }

    [Fact]
    public void A_request_past_its_deadline_ends_as_timed_out_and_the_younger_ones_are_repeated()
    {
        _device.HoldsBack = true;
        TestRequest old = Submit(BlockOperation.Read, 0, 1);
        _disk.Kick();
        ulong start = _machine.Clock.Now;
        RunUntil(() => _machine.Clock.Now >= start + _disk.RequestTimeout / 2);
        TestRequest young = Submit(BlockOperation.Read, 1, 1);
        _disk.Kick();
        _device.AfterReset = () => _device.HoldsBack = false;
        RunUntil(() => old.Completions > 0);
        Assert.Equal(IoStatus.TimedOut, old.Status);
        Assert.InRange(_machine.Clock.Now - start, _disk.RequestTimeout - Second / 100, _disk.RequestTimeout + Second);
        Finish(young);
        Assert.Equal(IoStatus.Ok, young.Status);
        Assert.Equal((1ul, 1ul), (_disk.Recoveries, _disk.Repeats));
    }

    [Fact]
    public void Of_a_request_in_parts_one_part_past_its_deadline_ends_all_of_it()
    {
        _device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 300);
        _disk.Kick();
        _device.AfterReset = () => _device.HoldsBack = false;
        RunUntil(() => request.Completions > 0);
        Assert.Equal(IoStatus.TimedOut, request.Status);
        TestRequest next = Submit(BlockOperation.Read, 0, 300);
        Finish(next);
        Assert.Equal((IoStatus.Ok, 1), (next.Status, next.Completions));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void A_device_that_never_answers_is_given_up_after_so_many_resets(int recoveries)
    {
        _disk.MaxRecoveries = recoveries;
        _device.HoldsBack = true;
        for (int i = 0; i <= recoveries; i++)
        {
            TestRequest request = Submit(BlockOperation.Read, 0, 1);
            _disk.Kick();
            RunUntil(() => request.Completions > 0);
            Assert.Equal(IoStatus.TimedOut, request.Status);
        }
        Assert.Equal((ulong)recoveries, _disk.Recoveries);
        Assert.Equal(IoStatus.TimedOut, _disk.Submit(TestRequest.For(BlockOperation.Read, 0, Allocate(512))));
        Assert.Equal(0, _device.Status);
    }

    [Fact]
    public void A_device_that_breaks_every_time_is_given_up_and_all_requests_end_once_with_an_error()
    {
        _device.HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 5).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        _disk.Kick();
        for (int i = 0; i <= _disk.MaxRecoveries; i++)
        {
            _machine.Run();
            _device.Queues[0].PushUsed(0xFFFF, 0);
            _disk.Poll();
        }
        Assert.All(requests, request => Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions)));
        Assert.Equal(IoStatus.DeviceError, _disk.Submit(requests[0]));
        Assert.Equal((ulong)_disk.MaxRecoveries, _disk.Recoveries);
    }

    [Fact]
    public void A_request_that_breaks_the_device_each_time_ends_with_an_error_and_the_others_go_on()
    {
        _device.BreaksAtSector = 13;
        for (int round = 0; round < 3; round++)
        {
            TestRequest poison = Submit(BlockOperation.Read, 13, 1);
            TestRequest[] others = [.. Enumerable.Range(0, 10).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
            Finish([poison, .. others]);
            Assert.Equal((IoStatus.DeviceError, 1), (poison.Status, poison.Completions));
            Assert.All(others, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_flush_does_not_promise_what_a_reset_may_have_lost(bool flushInFlight)
    {
        TestRequest write = Submit(BlockOperation.Write, 0, 1, fill: 1);
        Finish(write);
        Assert.Equal(IoStatus.Ok, write.Status);
        TestRequest? inFlight = null;
        if (flushInFlight)
        {
            _device.HoldsBack = true;
            inFlight = TestRequest.For(BlockOperation.Flush, 0, default);
            Assert.Equal(IoStatus.Ok, _disk.Submit(inFlight));
            _disk.Kick();
            _machine.Run();
        }
        _device.AfterReset = () => _device.HoldsBack = false;
        _device.AskForReset();
        _disk.Poll();
        TestRequest flush = TestRequest.For(BlockOperation.Flush, 0, default);
        if (inFlight is not null)
        {
            Assert.Equal((IoStatus.DeviceError, 1), (inFlight.Status, inFlight.Completions));
        }
        else
        {
            Assert.Equal(IoStatus.DeviceError, _disk.Submit(flush));
        }
        // Told once. What is written from here on can be made durable again.
        Finish(Submit(BlockOperation.Write, 0, 1, fill: 2));
        Assert.Equal(IoStatus.Ok, _disk.Submit(flush));
        Finish(flush);
        Assert.Equal((IoStatus.Ok, 2), (flush.Status, _device.Durable[0]));
    }

    [Fact]
    public void A_flush_with_nothing_in_doubt_is_repeated()
    {
        Finish(Submit(BlockOperation.Write, 0, 1, fill: 1));
        TestRequest first = TestRequest.For(BlockOperation.Flush, 0, default);
        Assert.Equal(IoStatus.Ok, _disk.Submit(first));
        Finish(first);
        _device.HoldsBack = true;
        TestRequest second = TestRequest.For(BlockOperation.Flush, 0, default);
        Assert.Equal(IoStatus.Ok, _disk.Submit(second));
        _disk.Kick();
        _machine.Run();
        _device.AfterReset = () => _device.HoldsBack = false;
        _device.AskForReset();
        Finish(second);
        Assert.Equal((IoStatus.Ok, 1), (second.Status, second.Completions));
        Assert.Equal(2, _device.Flushes);
    }

    [Theory]
    [InlineData(nameof(FakeBlockDevice.Flush))]
    [InlineData("queue")]
    [InlineData("limits")]
    [InlineData("features")]
    [InlineData("capacity")]
    public void A_device_that_comes_back_as_another_one_is_given_up(string what)
    {
        _device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        _disk.Kick();
        _machine.Run();
        _device.AfterReset = () =>
        {
            switch (what)
            {
                case nameof(FakeBlockDevice.Flush):
                    _device.OfferedFeatures &= ~FakeBlockDevice.Flush;
                    break;
                case "queue":
                    _device.Queues[0].Size = _device.Queues[0].MaxSize = 4;
                    break;
                case "limits":
                    _device.Limit(segMax: 1, sizeMax: 8192);
                    break;
                case "features":
                    _device.RefusesFeatures = _ => true;
                    break;
                case "capacity":
                    _device.SetCapacity(ulong.MaxValue);
                    break;
            }
        };
        _device.AskForReset();
        _disk.Poll();
        Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions));
        Assert.Equal(IoStatus.DeviceError, _disk.Submit(request));
        Assert.Equal(0, _machine.HandlerCount);
    }

    [Fact]
    public void A_device_that_does_not_come_out_of_reset_is_given_up_and_its_memory_with_it()
    {
        _device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        _disk.Kick();
        _machine.Run();
        _device.ResetReads = -1;
        _device.AskForReset();
        _disk.Poll();
        Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions));
        Assert.False(_function.IsBusMaster);
        _device.ResetReads = 0;
        _leaks = true;
    }

    [Fact]
    public void A_completion_during_a_recovery_may_submit_again_or_remove_the_disk()
    {
        _device.HoldsBack = true;
        TestRequest again = new() { Then = request => Assert.True(request.Completions > 1 || _disk.Submit(request) == IoStatus.Ok) };
        again.Prepare(BlockOperation.Read, 3, Allocate(512));
        Assert.Equal(IoStatus.Ok, _disk.Submit(again));
        _disk.Kick();
        _device.AfterReset = () => _device.HoldsBack = false;
        RunUntil(() => again.Completions > 0);
        RunUntil(() => again.Completions > 1);
        Assert.Equal((IoStatus.Ok, 2), (again.Status, again.Completions));

        _device.HoldsBack = true;
        _device.AfterReset = null;
        TestRequest removes = new() { Then = _ => _disk.Remove() };
        removes.Prepare(BlockOperation.Read, 3, Allocate(512));
        Assert.Equal(IoStatus.Ok, _disk.Submit(removes));
        _disk.Kick();
        ulong half = _machine.Clock.Now + _disk.RequestTimeout / 2;
        RunUntil(() => _machine.Clock.Now >= half);
        TestRequest other = Submit(BlockOperation.Read, 4, 1);
        _disk.Kick();
        RunUntil(() => removes.Completions > 0);
        Assert.Equal((IoStatus.TimedOut, 1), (removes.Status, removes.Completions));
        Assert.Equal((IoStatus.Removed, 1), (other.Status, other.Completions));
    }

    [Fact]
    public void A_new_capacity_is_taken_over()
    {
        Assert.Equal(IoStatus.OutOfRange, _disk.Submit(TestRequest.For(BlockOperation.Read, 8192, Allocate(512))));
        _device.Grow(9000);
        _disk.Poll();
        Assert.Equal((9000ul, 1ul), (_disk.SectorCount, _disk.CapacityChanges));
        TestRequest request = Submit(BlockOperation.Read, 8999, 1);
        Finish(request);
        Assert.Equal(IoStatus.Ok, request.Status);
    }

    [Theory]
    [InlineData(1, 10_000)]
    [InlineData(2, 1_000)]
    public void Thousands_of_resets_with_requests_in_flight_lose_none_and_end_none_twice(int seed, int resets)
    {
        Random random = new(seed);
        Stream[] streams = [.. Enumerable.Range(0, 24).Select(i => new Stream((ulong)i * 2, Allocate(1024)))];
        while (_disk.Recoveries < (ulong)resets)
        {
            Assert.All(streams, stream => stream.SubmitNext(_disk));
            _disk.Kick();
            _device.HoldsBack = true;
            _machine.Run();
            for (int well = random.Next(1, 6); well > 0; well--)
            {
                _device.Complete(random.Next(_device.HeldBack.Count));
                _disk.Poll();
                _machine.Run();
            }
            Assert.NotEmpty(_device.HeldBack);
            if (random.Next(2) == 0)
            {
                _device.AskForReset();
            }
            else
            {
                _device.Queues[0].PushUsed(0xFFFF, 0);
            }
            _disk.Poll();
            Assert.All(streams, stream => stream.Check(_device.Disk));
        }
        // One that breaks the device when it is alone with it ends with an error; every stream went on.
        Assert.All(streams, stream => Assert.True(stream.EndedWell > resets / 100, $"{stream.EndedWell} requests ended well"));
    }

    /// <summary>Writes something new to its sectors, then reads it, and so on.</summary>
    private sealed class Stream(ulong sector, DmaBuffer buffer)
    {
        private readonly TestRequest _request = new();
        private int _submits;

        public int EndedWell { get; private set; }

        public void SubmitNext(VirtioBlk disk)
        {
            if (_request.Completions == _submits)
            {
                _submits++;
                bool isWrite = (_submits & 1) == 1;
                buffer.Span.Fill(isWrite ? (byte)_submits : (byte)0xEE);
                _request.Prepare(isWrite ? BlockOperation.Write : BlockOperation.Read, sector, buffer);
                Assert.Equal(IoStatus.Ok, disk.Submit(_request));
            }
        }

        public void Check(byte[] disk)
        {
            Assert.InRange(_request.Completions, _submits - 1, _submits);
            if (_request.Completions == _submits && _request.Status == IoStatus.Ok)
            {
                EndedWell++;
                Assert.True(buffer.Span.SequenceEqual(disk.AsSpan((int)sector * 512, 1024)), "a request ended well with other data");
            }
        }
    }

    public void Dispose()
    {
        try
        {
            _disk.Remove();
            foreach (DmaBuffer buffer in _buffers)
            {
                _machine.Dma.Free(buffer);
            }
            _machine.Violations.AssertEmpty();
            Assert.Equal(0, _machine.HandlerCount);
            if (!_leaks)
            {
                _machine.AssertNothingLeaked();
            }
        }
        finally
        {
            _machine.Dispose();
        }
    }

    private DmaBuffer Allocate(uint length)
    {
        Assert.True(_machine.Dma.TryAllocate(length, 512, out DmaBuffer buffer));
        _buffers.Add(buffer);
        return buffer;
    }

    private TestRequest Submit(BlockOperation operation, ulong sector, uint sectors, byte fill = 0xEE)
    {
        DmaBuffer buffer = Allocate(sectors * 512);
        buffer.Span.Fill(fill);
        TestRequest request = TestRequest.For(operation, sector, buffer);
        Assert.Equal(IoStatus.Ok, _disk.Submit(request));
        return request;
    }

    private void Finish(params TestRequest[] requests)
    {
        _disk.Kick();
        RunUntil(() => requests.All(request => request.Completions > 0));
    }

    private void RunUntil(Func<bool> done) => Waiting.Until(_disk, _machine.Clock, done, "what the test waits for", 1000 * Second);
}
