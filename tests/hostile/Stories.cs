// The stages of hostile cases that take a story: a device at any place, its driver, and an end that is part of each story.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Entropy;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>
/// The device can be changed until the driver is used for the first time. At the end the driver is removed; no rule may have been broken, no
/// memory, message or handler be left over, and the device not be able to reach memory.
/// </summary>
public abstract class Story : IDisposable
{
    private readonly int _messages;

    /// <summary>A millisecond of the machine's time.</summary>
    protected internal const ulong Millisecond = 1_000_000;

    /// <summary>Makes the stage.</summary>
    protected Story(string place, Subject subject, int queues = 1)
    {
        Scene = new HostileScene(Place.Named(place), subject, queues);
        _messages = Machine.Messages;
    }

    /// <summary>The stage.</summary>
    public HostileScene Scene { get; }

    /// <summary>The machine.</summary>
    public FakeMachine Machine => Scene.Machine;

    /// <summary>The device's first queue.</summary>
    public FakeVirtqueue Queue => Scene.Queue;

    /// <summary>The driver, which is attached when it is used for the first time.</summary>
    protected Device Driver
    {
        get
        {
            if (Scene.InService is null)
            {
                ProbeResult? result = Scene.Attach();
                Assert.True(Scene.InService is not null, $"{result?.Reason} (0x{result?.Value:X})");
            }
            return Scene.InService;
        }
    }

    /// <summary>Waits as the run loop does.</summary>
    public void Until(Func<bool> done, string what)
    {
        _ = Driver;
        Scene.Until(done, what);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Driver.Remove();
            FreeBuffers();
            Machine.Violations.AssertEmpty();
            Assert.Equal((0, _messages), (Machine.HandlerCount, Machine.Messages));
            Assert.False(Scene.AnyFunction is { IsPresent: true, IsBusMaster: true }, "the device was left able to reach memory");
            Machine.AssertNothingLeaked();
        }
        finally
        {
            Scene.Dispose();
        }
    }

    /// <summary>Frees what the story itself allocated.</summary>
    protected virtual void FreeBuffers()
    {
    }
}

/// <summary>A disk of 256 sectors.</summary>
public sealed class DiskStory(string place, int queues = 1) : Story(place, Subject.Disk, queues)
{
    private readonly List<DmaBuffer> _buffers = [];

    /// <summary>The device.</summary>
    public FakeBlockDevice Device => Scene.Disk;

    /// <summary>The driver.</summary>
    public VirtioBlk Disk => (VirtioBlk)Driver;

    /// <summary>Allocates a buffer, which is freed at the end.</summary>
    public DmaBuffer Allocate(uint length)
    {
        Assert.True(Machine.Dma.TryAllocate(length, 512, out DmaBuffer buffer));
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Submits reads of one sector each, with buffers of their own.</summary>
    public TestRequest[] Read(ulong sector, int count) => [.. Enumerable.Range(0, count).Select(i => Read(sector + (ulong)i))];

    /// <summary>Submits a read of one sector with a buffer of its own.</summary>
    public TestRequest Read(ulong sector)
    {
        TestRequest request = TestRequest.For(BlockOperation.Read, sector, Allocate(512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        return request;
    }

    /// <summary>The same, and the device takes them and keeps them.</summary>
    public TestRequest[] ReadHeld(ulong sector, int count)
    {
        Device.HoldsBack = true;
        TestRequest[] requests = Read(sector, count);
        Disk.Kick();
        Machine.Run();
        Assert.Equal(count, Device.HeldBack.Count);
        return requests;
    }

    /// <summary>Kicks, and runs until all have ended.</summary>
    public void Finish(params TestRequest[] requests)
    {
        Disk.Kick();
        Until(() => requests.All(request => request.Completions > 0), "requests");
    }

    /// <summary>The device asks for a reset, and gets it: at once, or without an interrupt when the driver looks by itself.</summary>
    public void AskForReset()
    {
        ulong before = Disk.Recoveries;
        Device.AskForReset();
        Until(() => Disk.Recoveries > before, "the reset");
    }

    /// <summary>Each ended once, and none of them well with other data than the disk has.</summary>
    public void EndedOnceAndNotWrong(params TestRequest[] requests)
    {
        foreach (TestRequest request in requests)
        {
            Assert.Equal(1, request.Completions);
            bool isRight = request.Buffers[0].Span.SequenceEqual(Device.Disk.AsSpan((int)request.Sector * 512, 512));
            Assert.True(isRight || request.Status != IoStatus.Ok, $"the read of sector {request.Sector} ended well with other data");
        }
    }

    /// <summary>Each ended once, and well.</summary>
    public void EndedWell(params TestRequest[] requests)
    {
        EndedOnceAndNotWrong(requests);
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, request.Status));
    }

    /// <summary>The disk can be read.</summary>
    public void Works()
    {
        TestRequest request = Read(7);
        Finish(request);
        EndedWell(request);
    }

    /// <inheritdoc/>
    protected override void FreeBuffers() => _buffers.ForEach(buffer => Machine.Dma.Free(buffer));
}

/// <summary>A console with one port, or one with room for four of which the second is plugged in.</summary>
public sealed class ConsoleStory(string place, bool hasPorts = false) : Story(place, hasPorts ? Subject.Ports : Subject.Console)
{
    /// <summary>The device.</summary>
    public FakeConsoleDevice Device => Scene.Console;

    /// <summary>The driver; a console with several ports has learnt of the one that is there.</summary>
    public VirtioConsole Console
    {
        get
        {
            bool isNew = Scene.InService is null;
            VirtioConsole console = (VirtioConsole)Driver;
            if (isNew)
            {
                ConsoleWork.Settle(Scene);
            }
            return console;
        }
    }

    /// <summary>The only port.</summary>
    public ConsolePort Port => Console.Port(0);

    /// <summary>Lets both sides work until nobody has anything to say.</summary>
    public void Settle()
    {
        _ = Console;
        ConsoleWork.Settle(Scene);
    }

    /// <summary>The device asks for a reset, and gets it: at once, or without an interrupt when the driver looks by itself.</summary>
    public void AskForReset()
    {
        ulong before = Console.Recoveries;
        Device.AskForReset();
        Until(() => Console.Recoveries > before, "the reset");
    }

    /// <summary>Writes, and the device takes it and keeps it.</summary>
    public void WriteHeld(ReadOnlySpan<byte> bytes)
    {
        ConsolePort port = Port;
        FakePort host = ConsoleWork.PortOf(Scene).Host;
        host.TransmitCredit = 0;
        Assert.Equal((uint)bytes.Length, port.Write(bytes));
        Machine.Run();
        Assert.NotEmpty(host.Transmit);
    }

    /// <summary>The host takes bytes again, and they go both ways.</summary>
    public void Works()
    {
        _ = Console;
        ConsoleWork.PortOf(Scene).Host.TransmitCredit = int.MaxValue;
        Settle();
        Assert.False(Console.IsFailed);
        ConsoleWork.PortWorks(Scene);
    }

    /// <summary>The console is out of service: nobody is called, nothing is taken, nothing comes.</summary>
    public void IsGivenUp()
    {
        Assert.True(Console.IsFailed);
        Assert.Equal(0, Machine.HandlerCount);
        for (int i = 0; i < Console.PortCount; i++)
        {
            Assert.True(Console.Port(i).IsFailed);
            Assert.Equal((0u, 0u), (Console.Port(i).Write("x"u8), Console.Port(i).Read(new byte[1])));
        }
    }
}

/// <summary>A source of random bytes.</summary>
public sealed class EntropyStory(string place) : Story(place, Subject.Entropy)
{
    /// <summary>The device.</summary>
    public FakeEntropyDevice Device => (FakeEntropyDevice)Scene.Device;

    /// <summary>The driver.</summary>
    public VirtioRng Source => (VirtioRng)Driver;

    /// <summary>Submits a request, which is taken.</summary>
    public TestEntropyRequest Submit(int length)
    {
        TestEntropyRequest request = new(length);
        Assert.Equal(IoStatus.Ok, Source.Submit(request));
        return request;
    }

    /// <summary>Waits for the end of a request, which comes once.</summary>
    public void Finish(TestEntropyRequest request, IoStatus expected = IoStatus.Ok)
    {
        Until(() => request.Completions > 0, "the end of a request");
        Assert.Equal((expected, 1), (request.Status, request.Completions));
        Assert.True(request.KeptToItsRoom);
    }

    /// <summary>Asks for some bytes that the host has, and gets them.</summary>
    public void Works()
    {
        byte[] given = EntropyScene.Bytes(100, seed: 77);
        Device.Give(given);
        TestEntropyRequest request = Submit(100);
        Finish(request);
        Assert.Equal(given, request.Bytes);
    }
}
