// What every disk promises about the end of its requests: each one once, in a poll, however many there are.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

public abstract partial class BlockDeviceContract
{
    [Fact]
    public void Many_requests_in_flight_each_end_once_with_their_own_data()
    {
        using BlockBackend backend = Open(new());
        int count = Math.Max(2, Math.Min(backend.Disk.MaxInFlight, 64));
        backend.WriteMedium(0, Pattern(seed: 6, count * 512));
        (TestRequest[] requests, DmaBuffer[] buffers) = SubmitReads(backend, count);
        backend.Disk.Kick();
        WaitForAll(backend, requests);
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(IoStatus.Ok, requests[i].Status);
            Assert.Equal(1, requests[i].Completions);
            Assert.Equal(Pattern(6, count * 512).AsSpan(i * 512, 512), buffers[i].Span);
        }
        Free(backend, buffers);
        backend.Disk.Remove();
    }

    [Fact]
    public void More_requests_than_the_device_takes_at_once_wait_and_are_done()
    {
        using BlockBackend backend = Open(new());
        const int Count = 300;
        backend.WriteMedium(0, Pattern(seed: 7, Count * 512));
        (TestRequest[] requests, DmaBuffer[] buffers) = SubmitReads(backend, Count);
        backend.Disk.Kick();
        WaitForAll(backend, requests);
        for (int i = 0; i < Count; i++)
        {
            Assert.Equal((IoStatus.Ok, 1), (requests[i].Status, requests[i].Completions));
            Assert.Equal(Pattern(7, Count * 512).AsSpan(i * 512, 512), buffers[i].Span);
        }
        Free(backend, buffers);
        backend.Disk.Remove();
    }

    [Fact]
    public void Nothing_completes_before_a_poll()
    {
        using BlockBackend backend = Open(new());
        DmaBuffer buffer = backend.Allocate(512);
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
        Assert.Equal(IoStatus.InFlight, request.Status);
        backend.Disk.Kick();
        backend.Clock.WaitForInterrupt(backend.Clock.Now + 100_000_000);
        Assert.Equal((IoStatus.InFlight, 0), (request.Status, request.Completions));
        WaitForAll(backend, [request]);
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
        backend.Disk.Dma.Free(buffer);
        backend.Disk.Remove();
    }

    [Fact]
    public void A_request_may_be_submitted_again_from_its_own_completion()
    {
        using BlockBackend backend = Open(new());
        DmaBuffer buffer = backend.Allocate(512);
        TestRequest request = new()
        {
            Then = again =>
            {
                if (again.Completions < 50)
                {
                    again.Prepare(BlockOperation.Read, (ulong)again.Completions, buffer);
                    Assert.Equal(IoStatus.Ok, backend.Disk.Submit(again));
                    backend.Disk.Kick();
                }
            },
        };
        request.Prepare(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
        backend.Disk.Kick();
        Waiting.Until(backend.Disk, backend.Clock, () => request.Completions == 50, "50 reads one after the other");
        Assert.Equal(IoStatus.Ok, request.Status);
        backend.Disk.Dma.Free(buffer);
        backend.Disk.Remove();
    }

    [Fact]
    public void Remove_ends_every_request_in_flight_once_and_takes_no_more()
    {
        using BlockBackend backend = Open(new());
        bool held = backend.TryHoldBack();
        (TestRequest[] requests, DmaBuffer[] buffers) = SubmitReads(backend, 100);
        backend.Disk.Kick();
        backend.Clock.WaitForInterrupt(backend.Clock.Now + 1_000_000);
        backend.Disk.Remove();
        foreach (TestRequest request in requests)
        {
            Assert.Equal(1, request.Completions);
            Assert.True(request.Status == IoStatus.Removed || (!held && request.Status == IoStatus.Ok), $"ended as {request.Status}");
        }
        Assert.Equal(IoStatus.Removed, backend.Disk.Submit(requests[0]));
        backend.Disk.Remove();
        backend.Disk.Poll();
        Assert.All(requests, request => Assert.Equal(1, request.Completions));
        Free(backend, buffers);
    }

    private static void WaitForAll(BlockBackend backend, TestRequest[] requests) =>
        Waiting.Until(backend.Disk, backend.Clock, () => requests.All(request => request.Completions > 0), $"{requests.Length} requests");

    private static (TestRequest[] Requests, DmaBuffer[] Buffers) SubmitReads(BlockBackend backend, int count)
    {
        TestRequest[] requests = new TestRequest[count];
        DmaBuffer[] buffers = new DmaBuffer[count];
        for (int i = 0; i < count; i++)
        {
            buffers[i] = backend.Allocate(512);
            requests[i] = TestRequest.For(BlockOperation.Read, (ulong)i, buffers[i]);
            Assert.Equal(IoStatus.Ok, backend.Disk.Submit(requests[i]));
        }
        return (requests, buffers);
    }

    private static void Free(BlockBackend backend, DmaBuffer[] buffers)
    {
        foreach (DmaBuffer buffer in buffers)
        {
            backend.Disk.Dma.Free(buffer);
        }
    }
}
