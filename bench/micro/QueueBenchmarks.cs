// A virtqueue and the plainest device behind it, in one thread: what a buffer costs in each format and at each size.
using System;
using BenchmarkDotNet.Attributes;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Virtio.Queue;

namespace VirtioSharp.MicroBenchmarks;

/// <summary>
/// Adds buffers of one piece, kicks, lets the device use them, and takes them back, with EVENT_IDX. Times are for one buffer and hold the
/// device's half, some ten instructions.
/// </summary>
public class QueueBenchmarks
{
    private const int Rounds = 1024;
    private const uint PieceLength = 64;

    private readonly DoorbellTransport _transport = new();
    private Virtqueue _queue = null!;
    private RacingDevice _device = null!;
    private DmaBuffer _memory;
    private int _batch;

    [Params("split", "packed")]
    public string Format { get; set; } = "";

    [Params(2, 16, 256, 4096, 32768)]
    public int Size { get; set; }

    [GlobalSetup]
    public void Begin()
    {
        bool packed = Format == "packed";
        ulong features = VirtioFeature.EventIndex | (packed ? VirtioFeature.RingPacked : 0);
        if (!Virtqueue.TryCreate(_transport, 0, (ushort)Size, features, out Virtqueue? queue) || !_transport.Dma.TryAllocate((uint)Size * PieceLength, 64, out _memory))
        {
            throw new InvalidOperationException("no memory");
        }
        _queue = queue!;
        Bell interrupt = new();
        _device = packed
            ? new RacingPackedDevice(_queue.Addresses, (ushort)Size, _transport.Doorbell, interrupt)
            : new RacingSplitDevice(_queue.Addresses, (ushort)Size, _transport.Doorbell, interrupt);
        _batch = Math.Min(Size, Rounds);
    }

    [Benchmark(Description = "one buffer at a time", OperationsPerInvoke = Rounds)]
    public int One()
    {
        int sum = 0;
        for (int i = 0; i < Rounds; i++)
        {
            sum += Round(1);
        }
        return sum;
    }

    [Benchmark(Description = "as many as fit, 1024 at most, one kick", OperationsPerInvoke = Rounds)]
    public int Batch()
    {
        int sum = 0;
        for (int i = 0; i < Rounds; i += _batch)
        {
            sum += Round(_batch);
        }
        return sum;
    }

    private int Round(int buffers)
    {
        for (int i = 0; i < buffers; i++)
        {
            DmaBuffer piece = _memory.Slice((uint)i * PieceLength, PieceLength);
            if (!_queue.TryAdd(new ReadOnlySpan<DmaBuffer>(in piece), default, (ushort)i))
            {
                throw new InvalidOperationException("no room");
            }
        }
        _queue.Kick();
        _device.Run(_device.Used + buffers);
        int taken = 0;
        while (_queue.TryTakeUsed(out _, out _))
        {
            taken++;
        }
        return taken == buffers && _queue.TryEnableInterrupts() ? taken : throw new InvalidOperationException(_queue.BrokenReason);
    }
}
