// What a disk has to do in a hostile case: reads and writes in flight together, and one more when they have ended.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Six requests of two sectors, every third of them a write.</summary>
internal static class DiskWork
{
    /// <summary>How many requests are in flight together.</summary>
    internal const int Requests = 6;

    private const uint Length = 2 * 512;
    private const byte Filler = 0xEE;

    /// <summary>Does the work, and removes the disk.</summary>
    internal static void Do(HostileCase fault, Outcome expected, HostileScene scene, bool mayRecover)
    {
        VirtioBlk disk = scene.BlockDriver;
        disk.MaxRecoveries = mayRecover ? disk.MaxRecoveries : 0;
        scene.Disk.AfterReset += mayRecover ? () => scene.Disk.HoldsBack = false : () => { };
        byte[] before = scene.Disk.Disk[..(Requests * 4 * 512)];
        DmaBuffer[] buffers = new DmaBuffer[Requests];
        TestRequest[] requests = new TestRequest[Requests];
        IoStatus[] answers = new IoStatus[Requests];
        for (int i = 0; i < Requests; i++)
        {
            Assert.True(disk.Dma.TryAllocate(Length, 512, out buffers[i]));
            bool isWrite = i % 3 == 2 && !disk.IsReadOnly;
            buffers[i].Span.Fill(isWrite ? (byte)i : Filler);
            requests[i] = TestRequest.For(isWrite ? BlockOperation.Write : BlockOperation.Read, (ulong)i * 4, buffers[i]);
            answers[i] = disk.Submit(requests[i]);
        }
        disk.Kick();
        Assert.All(answers, answer => Assert.Equal(expected == Outcome.Empty ? IoStatus.OutOfRange : IoStatus.Ok, answer));
        if (expected != Outcome.Empty)
        {
            scene.Machine.Run();
            scene.DuringRequests?.Invoke();
            Wait(scene, requests);
            CheckData(fault, scene, requests, buffers, before);
            if (mayRecover)
            {
                CheckRecovery(fault, expected, scene, requests);
            }
            else
            {
                CheckOutcome(fault, expected, scene, requests);
            }
            fault.Then?.Invoke(scene);
        }
        disk.Remove();
        disk.Poll();
        Assert.All(requests, request => Assert.True(request.Completions <= 1, "a request ended twice"));
        foreach (DmaBuffer buffer in buffers)
        {
            disk.Dma.Free(buffer);
        }
    }

    /// <summary>Does one request to its end, and says how it ended or why it was not taken. Its buffers are freed.</summary>
    internal static IoStatus One(HostileScene scene, TestRequest request)
    {
        VirtioBlk disk = scene.BlockDriver;
        IoStatus status = disk.Submit(request);
        if (status == IoStatus.Ok)
        {
            disk.Kick();
            Wait(scene, request);
            status = request.Status;
        }
        foreach (DmaBuffer buffer in request.Buffers)
        {
            disk.Dma.Free(buffer);
        }
        return status;
    }

    /// <summary>A request with a buffer of its own, unless that has no length.</summary>
    internal static TestRequest New(HostileScene scene, BlockOperation operation, ulong sector = 0, uint length = 0)
    {
        DmaBuffer buffer = default;
        Assert.True(length == 0 || scene.Machine.Dma.TryAllocate(length, 512, out buffer));
        return TestRequest.For(operation, sector, buffer);
    }

    /// <summary>Lets the disk work until the requests have ended, however long that takes in the time of the machine.</summary>
    internal static void Wait(HostileScene scene, params TestRequest[] requests) =>
        scene.Until(() => requests.All(request => request.Completions > 0), "requests");

    private static void CheckData(HostileCase fault, HostileScene scene, TestRequest[] requests, DmaBuffer[] buffers, byte[] before)
    {
        for (int i = 0; i < Requests; i++)
        {
            Assert.Equal(1, requests[i].Completions);
            ReadOnlySpan<byte> there = (requests[i].Operation == BlockOperation.Read ? before : scene.Disk.Disk).AsSpan(i * 4 * 512, (int)Length);
            ReadOnlySpan<byte> mine = buffers[i].Span;
            if (requests[i].Status == IoStatus.Ok)
            {
                bool isRight = fault.MayOmitData ? IsPartOf(mine, there) : mine.SequenceEqual(there);
                Assert.True(isRight, $"request {i} ended well with other data");
            }
        }
    }

    /// <summary>What is in a buffer is what is on the disk, or what the caller had there: nothing of anybody else.</summary>
    private static bool IsPartOf(ReadOnlySpan<byte> mine, ReadOnlySpan<byte> there)
    {
        bool isPart = true;
        for (int i = 0; i < mine.Length; i++)
        {
            isPart &= mine[i] == there[i] || mine[i] == Filler;
        }
        return isPart;
    }

    private static void CheckOutcome(HostileCase fault, Outcome expected, HostileScene scene, TestRequest[] requests)
    {
        string statuses = string.Join(", ", requests.Select(request => request.Status));
        switch (expected)
        {
            case Outcome.Works:
                Assert.True(requests.All(request => request.Status == IoStatus.Ok), statuses);
                break;
            case Outcome.Fails:
                Assert.True(requests.Any(request => request.Status is IoStatus.DeviceError or IoStatus.Unsupported), statuses);
                scene.Disk.OnStatus = null;
                scene.Disk.Knows = null;
                scene.Disk.BadSectors.Clear();
                scene.Queue.OnUsed = null;
                Assert.Equal(IoStatus.Ok, One(scene, New(scene, BlockOperation.Read, length: 512)));
                break;
            case Outcome.Breaks:
                Assert.True(requests.Any(request => request.Status == IoStatus.DeviceError), statuses);
                Assert.Equal(IoStatus.DeviceError, One(scene, New(scene, BlockOperation.Read, length: 512)));
                break;
            case Outcome.Contained:
                Assert.Equal(fault.Endings, requests.Select(request => request.Status));
                Assert.Equal(IoStatus.TimedOut, One(scene, New(scene, BlockOperation.Read, length: 512)));
                break;
            case Outcome.TimesOut:
                Assert.True(requests.All(request => request.Status == IoStatus.TimedOut), statuses);
                Assert.Equal(IoStatus.TimedOut, One(scene, New(scene, BlockOperation.Read, length: 512)));
                break;
        }
    }

    /// <summary>The device was reset once; what was in flight is repeated, unless it was too late already.</summary>
    private static void CheckRecovery(HostileCase fault, Outcome expected, HostileScene scene, TestRequest[] requests)
    {
        IoStatus status = expected == Outcome.Breaks ? IoStatus.Ok : IoStatus.TimedOut;
        IEnumerable<IoStatus> endings = expected == Outcome.Contained ? fault.Endings : Enumerable.Repeat(status, Requests);
        Assert.Equal(endings, requests.Select(request => request.Status));
        Assert.Equal(1ul, scene.BlockDriver.Recoveries);
        Assert.InRange(scene.BlockDriver.Repeats, status == IoStatus.Ok ? 1ul : 0, (ulong)Requests);
        Assert.Equal(IoStatus.Ok, One(scene, New(scene, BlockOperation.Read, length: 512)));
    }
}
