// A descriptor in memory: 16 bytes in both formats (virtio 2.7.5, 2.8.13).
using System.Runtime.InteropServices;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>Address and length stand in the same place in both formats; the last four bytes are each format's own.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RingDescriptor
{
    internal ulong Address;
    internal uint Length;

    /// <summary>Split: flags, then next. Packed: id, then flags.</summary>
    internal uint Rest;
}
