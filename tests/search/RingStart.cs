// A split queue whose indices are about to wrap, without the 65536 buffers that it takes to come there.
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Search;

/// <summary>Reaches into both sides of a split queue that has not been used yet, and sets all indices.</summary>
internal static class RingStart
{
    /// <summary>Both sides go on as if <paramref name="index"/> buffers had gone round.</summary>
    public static void At(FakeVirtqueueBackend backend, ushort index)
    {
        SplitVirtqueue queue = (SplitVirtqueue)backend.Queue;
        Added(queue) = Told(queue) = Taken(queue) = Seen(queue) = index;
        FakeVirtqueue peer = backend.Peer;
        BinaryPrimitives.WriteUInt16LittleEndian(backend.FakeDma.Raw(peer.DriverArea + 2, 2), index);
        BinaryPrimitives.WriteUInt16LittleEndian(backend.FakeDma.Raw(peer.DriverArea + 4 + 2ul * queue.Size, 2), index);
        peer.Split.StartAt(index);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_added")]
    private static extern ref uint Added(RingVirtqueue queue);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_told")]
    private static extern ref uint Told(RingVirtqueue queue);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_taken")]
    private static extern ref uint Taken(RingVirtqueue queue);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_seen")]
    private static extern ref uint Seen(RingVirtqueue queue);
}
