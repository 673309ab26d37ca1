// Each fence between driver and device, each with the pair it orders. There are no others.
using System.Runtime.CompilerServices;
using System.Threading;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// The order of memory that virtqueues need (virtio 2.7.13, 2.7.14, 2.8.21, 2.8.22). Written for processors with a weak order; on x86 the
/// release and acquire accesses are plain ones and only the two full fences cost anything.
/// </summary>
internal static unsafe class Barriers
{
    /// <summary>
    /// Split: publishes the available index. Pairs with the device's read of the index: a device that sees it sees the descriptors and the
    /// ring entries written before.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishAvailableIndex(ushort* index, ushort value) => Volatile.Write(ref *index, value);

    /// <summary>
    /// Packed: publishes the first descriptor of a buffer. Pairs with the device's read of its flags: a device that sees them sees the
    /// rest of it and the buffer's other descriptors, written before.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishDescriptor(ushort* flags, ushort value) => Volatile.Write(ref *flags, value);

    /// <summary>
    /// Between what was published (index, flags) and the look at what the device wishes to hear. Pairs with the device's fence between its
    /// wish and its last look at the ring: either the device sees the buffers, or we see the wish.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void BetweenPublishAndWish() => Interlocked.MemoryBarrier();

    /// <summary>
    /// Split: reads the used index. Pairs with the device's write of it: what it says is used can be read afterwards, elements and data.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ReadUsedIndex(ushort* index) => Volatile.Read(ref *index);

    /// <summary>
    /// Packed: reads the flags of a descriptor. Pairs with the device's write of them: once they say that it is used, id, length and data can
    /// be read afterwards.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ReadDescriptorFlags(ushort* flags) => Volatile.Read(ref *flags);

    /// <summary>
    /// Between our wish for an interrupt and the last look at the ring. Pairs with the device's fence between what it used (index, flags)
    /// and its look at the wish: either the device sees the wish, or we see what it used.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void BetweenWishAndLook() => Interlocked.MemoryBarrier();

    /// <summary>Split: reads a wish of the device exactly once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ReadWish(ushort* wish) => Volatile.Read(ref *wish);

    /// <summary>Packed: reads a wish of the device exactly once, both halves together.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ReadWish(uint* wish) => Volatile.Read(ref *wish);

    /// <summary>Split: writes our wish; <see cref="BetweenWishAndLook"/> follows where it matters.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WriteWish(ushort* wish, ushort value) => Volatile.Write(ref *wish, value);

    /// <summary>Packed: writes our wish, both halves together: the device never sees the offset of one wish with the mode of another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WriteWish(uint* wish, uint value) => Volatile.Write(ref *wish, value);
}
