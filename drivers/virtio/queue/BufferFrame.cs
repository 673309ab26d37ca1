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

    /// <summary>Split: the last word of the payload's entry, when the device reads it.</summary>
    internal uint Rest;
    internal ushort Head;
    internal FrameState State;

    /// <summary>True when only the payload's entry has to be written.</summary>
    internal readonly bool IsKept => Payload != null;
}

/// <summary>What a frame keeps.</summary>
internal enum FrameState : byte
{
    Nothing,
    Chain,
    Table,
}
