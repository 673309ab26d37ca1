// What is done with devices while their traces are recorded.
using System.Text;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Traces;

/// <summary>Short stories with everything in them that replay has to understand.</summary>
internal static class Scenarios
{
    /// <summary>Reads, writes, flushes, several requests at once, one in many pieces, and the end.</summary>
    internal static void UseDisk(BlockBackend backend)
    {
        BlockDevice disk = backend.Disk;
        DmaBuffer buffer = backend.Allocate(16 * 512);
        buffer.Span.Fill(0x5A);
        Do(backend, TestRequest.For(BlockOperation.Write, 8, buffer.Slice(0, 4096)));
        Do(backend, TestRequest.For(BlockOperation.Read, 8, buffer.Slice(0, 512)));
        if (disk.CanFlush)
        {
            Do(backend, TestRequest.For(BlockOperation.Flush, 0, default));
        }
        Do(backend, TestRequest.For(BlockOperation.GetId, 0, buffer.Slice(512, 20)));
        TestRequest[] several = [.. Enumerable.Range(0, 4).Select(i => TestRequest.For(BlockOperation.Read, (ulong)i, buffer.Slice((uint)i * 1024, 512)))];
        foreach (TestRequest request in several)
        {
            Assert.Equal(IoStatus.Ok, disk.Submit(request));
        }
        Finish(backend, several);
        TestRequest scattered = new();
        scattered.Prepare(BlockOperation.Read, 32, [buffer.Slice(0, 512), buffer.Slice(2048, 1024), buffer.Slice(6144, 512)]);
        Do(backend, scattered);
        // Each end asks for more, as an application that awaits does.
        int left = 3;
        TestRequest? chained = null;
        chained = new TestRequest { Then = again => _ = --left > 0 && disk.Submit(again) == IoStatus.Ok };
        chained.Prepare(BlockOperation.Read, 5, buffer.Slice(512, 512));
        Assert.Equal(IoStatus.Ok, disk.Submit(chained));
        disk.Kick();
        Waiting.Until(disk, backend.Clock, () => left == 0, "the requests in a row");
        disk.Remove();
        disk.Dma.Free(buffer);
    }

    /// <summary>Text out and in, twice, and the end.</summary>
    internal static void UseConsole(ConsoleBackend backend)
    {
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(6u, backend.Port.Write("hello\n"u8));
            Waiting.Until(backend.Device, backend.Clock, () => !backend.Port.HasUnsent, "the text");
            byte[] text = Encoding.ASCII.GetBytes(round == 0 ? "good morning" : new string('x', 300));
            backend.HostSends(text);
            List<byte> received = [];
            byte[] some = new byte[4096];
            Waiting.Until(backend.Device, backend.Clock, () =>
            {
                received.AddRange(some.AsSpan(0, (int)backend.Port.Read(some)));
                return received.Count == text.Length;
            }, "the answer");
            Assert.Equal(text, received);
        }
        backend.Device.Remove();
    }

    private static void Do(BlockBackend backend, TestRequest request)
    {
        Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
        Finish(backend, request);
    }

    private static void Finish(BlockBackend backend, params TestRequest[] requests)
    {
        backend.Disk.Kick();
        Waiting.Until(backend.Disk, backend.Clock, () => requests.All(request => request.Completions > 0), "requests");
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, request.Status));
    }
}
