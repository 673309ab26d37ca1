// What the tests of the contract of virtqueues have in common: a queue and its buffers.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

public abstract partial class VirtqueueContract
{
    /// <summary>One test's queue and its buffers; ends both.</summary>
    protected sealed class Run(VirtqueueBackend backend) : IDisposable
    {
        private readonly List<DmaBuffer> _buffers = [];
        private bool _reset;

        public VirtqueueBackend Backend => backend;

        public Virtqueue Queue => backend.Queue;

        public DmaBuffer Allocate(ReadOnlySpan<byte> content)
        {
            Assert.True(backend.Dma.TryAllocate((uint)content.Length, 16, out DmaBuffer buffer));
            content.CopyTo(buffer.Span);
            _buffers.Add(buffer);
            return buffer;
        }

        public void Add(ushort token, int writable = 0) => Assert.True(TryAdd(token, writable));

        public bool TryAdd(ushort token, int writable = 0)
        {
            DmaBuffer[] one = [Allocate(new byte[writable == 0 ? 8 : writable])];
            return writable == 0 ? Queue.TryAdd(one, default, token) : Queue.TryAdd(default, one, token);
        }

        public void Reset()
        {
            _reset = true;
            backend.Reset();
        }

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
}
