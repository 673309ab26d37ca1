// Every fence between driver and device, each with the pair it orders. There are no others.
using System.Runtime.CompilerServices;
using System.Threading;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// The order of memory that virtqueues need (virtio 2.7.13, 2.7.14). Written for processors with a weak order; on x86 the release and
/// acquire accesses are plain ones and only the two full fences cost anything.
/// </summary>
internal static unsafe class Barriers
{
    /// <summary>
    /// Publishes the available index. Pairs with the device's read of the index: a device that sees it sees the descriptors and the
    /// ring entries written before.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishAvailableIndex(ushort* index, ushort value) => Volatile.Write(ref *index, value);

    /// <summary>
    /// Between the published index and the look at what the device wishes to hear. Pairs with the device's fence between its wish and
    /// its last look at the index: either the device sees the buffers, or we see the wish.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void BetweenPublishAndWish() => Interlocked.MemoryBarrier();

    /// <summary>
    /// Reads the used index. Pairs with the device's write of it: what it says is used can be read afterwards, elements and data.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ReadUsedIndex(ushort* index) => Volatile.Read(ref *index);

    /// <summary>
    /// Between our wish for an interrupt and the last look at the used index. Pairs with the device's fence between its used index
    /// and its look at the wish: either the device sees the wish, or we see what it used.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void BetweenWishAndLook() => Interlocked.MemoryBarrier();

    /// <summary>Reads a wish of the device exactly once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ReadWish(ushort* wish) => Volatile.Read(ref *wish);
}
