// What every source of random bytes promises, whatever is behind it.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>The contract of <see cref="EntropySource"/>. One subclass for each backend.</summary>
public abstract class EntropySourceContract
{
    /// <summary>Makes a machine with a source, and its driver in service.</summary>
    protected abstract EntropyBackend Open();

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(511)]
    [InlineData(512)]
    [InlineData(513)]
    [InlineData(10_000)]
    public void What_the_host_gives_arrives_byte_for_byte(int length)
    {
        using EntropyBackend backend = Open();
        byte[] given = Bytes(length);
        TestEntropyRequest request = new(length);
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        Assert.Equal(IoStatus.InFlight, request.Status);
        backend.HostGives(given);
        Finish(backend, request);
        Assert.Equal(given, request.Bytes);
        Assert.True(request.KeptToItsRoom, "something was written beside the bytes that were asked for");
        backend.Source.Remove();
    }

    [Fact]
    public void A_host_that_gives_little_at_a_time_fills_the_request_in_the_end()
    {
        using EntropyBackend backend = Open();
        byte[] given = Bytes(300);
        TestEntropyRequest request = new(given.Length);
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        int sent = 0;
        foreach (int piece in new[] { 1, 2, 5, 8, 13, 100, 171 })
        {
            backend.HostGives(given.AsSpan(sent, piece));
            sent += piece;
            Waiting.Until(backend.Source, backend.Clock, () => request.Received == sent, $"{sent} bytes");
        }
        Assert.Equal(1, request.Completions);
        Assert.Equal(given, request.Bytes);
        backend.Source.Remove();
    }

    [Fact]
    public void A_request_can_be_used_again_from_its_own_completion()
    {
        using EntropyBackend backend = Open();
        byte[] given = Bytes(5 * 32);
        List<byte> got = [];
        TestEntropyRequest request = new(32)
        {
            Then = ended =>
            {
                Assert.Equal(IoStatus.Ok, ended.Status);
                got.AddRange(ended.Bytes);
                if (ended.Completions < 5)
                {
                    Assert.Equal(IoStatus.Ok, backend.Source.Submit(ended));
                }
            },
        };
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        backend.HostGives(given);
        Waiting.Until(backend.Source, backend.Clock, () => request.Completions == 5, "five rounds");
        Assert.Equal(given, got);
        backend.Source.Remove();
    }

    [Fact]
    public void More_requests_than_fit_at_once_all_end_well_and_no_byte_is_given_twice()
    {
        using EntropyBackend backend = Open();
        // Numbers, each of them once: one that is given out twice would show. A host may throw away what it took from its source too early.
        byte[] given = [.. Enumerable.Range(1, 50_000).SelectMany(BitConverter.GetBytes)];
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 40).Select(_ => new TestEntropyRequest(200))];
        foreach (TestEntropyRequest request in requests)
        {
            Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        }
        backend.HostGives(given);
        Waiting.Until(backend.Source, backend.Clock, () => requests.All(request => request.Completions > 0), "40 requests");
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 1, 200), (request.Status, request.Completions, request.Received)));
        int[] numbers = [.. requests.SelectMany(request => request.Bytes.Chunk(4)).Select(chunk => BitConverter.ToInt32(chunk))];
        Assert.Equal(40 * 50, numbers.Distinct().Count());
        Assert.All(numbers, number => Assert.InRange(number, 1, 50_000));
        backend.Source.Remove();
    }

    [Fact]
    public void A_request_for_nothing_is_refused_and_never_ends()
    {
        using EntropyBackend backend = Open();
        TestEntropyRequest request = new(0);
        Assert.Equal(IoStatus.Misaligned, backend.Source.Submit(request));
        backend.Source.Poll();
        Assert.Equal(0, request.Completions);
        backend.Source.Remove();
        Assert.Equal(0, request.Completions);
    }

    [Fact]
    public void No_request_ends_before_the_source_is_polled()
    {
        using EntropyBackend backend = Open();
        backend.HostGives(Bytes(16));
        TestEntropyRequest request = new(16);
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        backend.Clock.WaitForInterrupt(backend.Clock.Now + 20_000_000);
        Assert.Equal(0, request.Completions);
        Finish(backend, request);
        backend.Source.Remove();
    }

    [Fact]
    public void Removal_ends_every_request_once_and_nothing_more_is_taken()
    {
        using EntropyBackend backend = Open();
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => new TestEntropyRequest(64))];
        foreach (TestEntropyRequest request in requests)
        {
            Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        }
        backend.HostGives(Bytes(70));
        Waiting.Until(backend.Source, backend.Clock, () => requests.Sum(request => request.Received) == 70, "70 bytes");
        backend.Source.Remove();
        Assert.All(requests, request => Assert.Equal(1, request.Completions));
        Assert.All(requests, request => Assert.Equal(request.Received == 64 ? IoStatus.Ok : IoStatus.Removed, request.Status));
        Assert.Equal(IoStatus.Removed, backend.Source.Submit(requests[0]));
        backend.Source.Poll();
        backend.Source.OnDeadline(backend.Clock.Now);
        backend.Source.Remove();
        Assert.All(requests, request => Assert.Equal(1, request.Completions));
    }

    [Fact]
    public void A_completion_may_remove_the_source()
    {
        using EntropyBackend backend = Open();
        TestEntropyRequest other = new(64);
        TestEntropyRequest request = new(8) { Then = _ => backend.Source.Remove() };
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(request));
        Assert.Equal(IoStatus.Ok, backend.Source.Submit(other));
        backend.HostGives(Bytes(8));
        Waiting.Until(backend.Source, backend.Clock, () => request.Completions == 1, "the first request");
        Assert.Equal((IoStatus.Ok, IoStatus.Removed), (request.Status, other.Status));
        Assert.Equal(1, other.Completions);
    }

    [Fact]
    public void A_host_that_gives_nothing_makes_requests_time_out_and_later_ones_work()
    {
        using EntropyBackend backend = Open();
        VirtioRng source = Assert.IsType<VirtioRng>(backend.Source);
        source.RequestTimeout = 100_000_000;
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => new TestEntropyRequest(64))];
        foreach (TestEntropyRequest request in requests)
        {
            Assert.Equal(IoStatus.Ok, source.Submit(request));
        }
        Waiting.Until(source, backend.Clock, () => requests.All(request => request.Completions == 1), "the deadline");
        Assert.All(requests, request => Assert.Equal((IoStatus.TimedOut, 0), (request.Status, request.Received)));
        source.RequestTimeout = 20_000_000_000;
        TestEntropyRequest later = new(64);
        Assert.Equal(IoStatus.Ok, source.Submit(later));
        backend.HostGives(Bytes(64));
        Finish(backend, later);
        Assert.Equal(Bytes(64), later.Bytes);
        Assert.Equal(ulong.MaxValue, AfterIdle(backend));
        source.Remove();
    }

    /// <summary>Random bytes, the same every time.</summary>
    protected static byte[] Bytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private static void Finish(EntropyBackend backend, TestEntropyRequest request)
    {
        Waiting.Until(backend.Source, backend.Clock, () => request.Completions > 0, "random bytes");
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
    }

    /// <summary>When a source that nobody waits for wants to be looked at, once its last look is over.</summary>
    private static ulong AfterIdle(EntropyBackend backend)
    {
        backend.Source.OnDeadline(backend.Clock.Now);
        return backend.Source.NextDeadline;
    }
}
