// What is around the payload of a buffer, and stays (virtio 2.7.5, 2.8.6).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// The pieces around a payload. Once used, a frame keeps its descriptors, or one and its table, until others need them: of these only the
/// payload's is written again.
/// </summary>
internal unsafe struct BufferFrame
{
    internal DmaBuffer First;
    internal DmaBuffer Last;

    /// <summary>Split: where the payload's entry is written. Null while nothing is kept, and with a packed ring always.</summary>
    internal RingDescriptor* Payload;

    /// <summary>Split: where it is noted what the device says when it is done, see <c>Slot.Expected</c>. Of use only as long as Payload is.</summary>
    internal ulong* Expected;

    /// <summary>Split: the last word of the payload's entry, when the device reads it.</summary>
    internal uint Rest;
    internal ushort Head;
    internal FrameState State;

    /// <summary>True when the payload's entry has a place that stays: with split rings.</summary>
    internal readonly bool HasPlace => Payload != null;

    /// <summary>True when the frame has its descriptors.</summary>
    internal readonly bool IsKept => State != FrameState.Nothing;
}

/// <summary>What a frame keeps.</summary>
internal enum FrameState : byte
{
    Nothing,
    Chain,
    Table,
}
