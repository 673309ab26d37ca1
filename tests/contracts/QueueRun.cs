// What the tests of virtqueues have in common: a queue and its buffers.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>One test's queue and its buffers; ends both.</summary>
public sealed class QueueRun(VirtqueueBackend backend) : IDisposable
{
    private readonly List<DmaBuffer> _buffers = [];
    private bool _reset;

    /// <summary>Both sides.</summary>
    public VirtqueueBackend Backend => backend;

    /// <summary>The driver's side.</summary>
    public Virtqueue Queue => backend.Queue;

    /// <summary>Memory with something in it, freed at the end.</summary>
    public DmaBuffer Allocate(ReadOnlySpan<byte> content)
    {
        Assert.True(backend.Dma.TryAllocate((uint)content.Length, 16, out DmaBuffer buffer));
        content.CopyTo(buffer.Span);
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Adds a buffer of 8 bytes to read, or of some to write.</summary>
    public void Add(ushort token, int writable = 0) => Assert.True(TryAdd(token, writable));

    /// <summary>The same, when there is room.</summary>
    public bool TryAdd(ushort token, int writable = 0)
    {
        DmaBuffer[] one = [Allocate(new byte[writable == 0 ? 8 : writable])];
        return writable == 0 ? Queue.TryAdd(one, default, token) : Queue.TryAdd(default, one, token);
    }

    /// <summary>Resets the device.</summary>
    public void Reset()
    {
        _reset = true;
        backend.Reset();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_reset)
        {
            Reset();
        }
        while (Queue.TryDetach(out _))
        {
        }
        foreach (DmaBuffer buffer in _buffers)
        {
            backend.Dma.Free(buffer);
        }
        backend.Dispose();
    }
}
