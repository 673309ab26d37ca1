// A virtqueue as a driver uses it, whatever its format (virtio 2.6).
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// Adds buffers, tells the device, takes back what it used. All calls come from one thread; only <see cref="InterruptHandler.OnInterrupt"/> runs in
/// interrupt context. A token names a buffer: the driver's own number, below <see cref="Size"/>, in flight at most once.
/// Buffers are shared with the device in <see cref="TryAdd"/> and unshared when they come back.
/// </summary>
public abstract class Virtqueue : InterruptHandler
{
    /// <summary>
    /// Allocates a queue in the format that <paramref name="features"/> ask for; false when there is no memory. <paramref name="size"/> is
    /// one that <see cref="TryChooseSize"/> gave. Interrupts are wanted from the start.
    /// </summary>
    public static bool TryCreate(VirtioTransport transport, ushort index, ushort size, ulong features, out Virtqueue? queue)
    {
        if ((features & VirtioFeature.RingPacked) != 0)
        {
            bool made = PackedVirtqueue.TryCreate(transport, index, size, features, out PackedVirtqueue? packed);
            queue = packed;
            return made;
        }
        bool created = SplitVirtqueue.TryCreate(transport, index, size, features, out SplitVirtqueue? split);
        queue = split;
        return created;
    }

    /// <summary>
    /// The size to ask for, given what the device offers and what the driver can use at most: a power of two with a split ring (virtio 2.7),
    /// any size with a packed one (2.8). False when the offer itself is against the rules.
    /// </summary>
    public static bool TryChooseSize(ulong features, ushort offered, ushort wanted, out ushort size)
    {
        size = offered;
        if (offered is 0 or > RingVirtqueue.MaxSize)
        {
            return false;
        }
        if ((features & VirtioFeature.RingPacked) != 0)
        {
            size = Math.Min(offered, wanted);
            return true;
        }
        while (size > wanted)
        {
            size /= 2;
        }
        return (offered & (offered - 1)) == 0;
    }

    /// <summary>The index of the queue in its device.</summary>
    public abstract ushort Index { get; }

    /// <summary>How many descriptors there are, 1 to 32768.</summary>
    public abstract ushort Size { get; }

    /// <summary>Where the areas are for the device.</summary>
    public abstract VirtqueueAddresses Addresses { get; }

    /// <summary>How many descriptors are free. A buffer takes one for each piece, or one in all where an indirect table is used.</summary>
    public abstract int FreeDescriptors { get; }

    /// <summary>How many buffers the device holds.</summary>
    public abstract int InFlight { get; }

    /// <summary>The most pieces that one buffer may consist of.</summary>
    public abstract int MaxPieces { get; }

    /// <summary>True once the device broke the rules of the ring: nothing is taken from it and nothing added any more.</summary>
    public bool IsBroken
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Unsafe.As<RingVirtqueue>(this).HasBroken;
    }

    /// <summary>What the device did when it broke the queue, for people; empty before.</summary>
    public abstract string BrokenReason { get; }

    /// <summary>True when buffers were added since the last <see cref="Kick"/>.</summary>
    public bool HasNew
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Unsafe.As<RingVirtqueue>(this).HasUntold;
    }

    /// <summary>How often the device was told.</summary>
    public abstract ulong Notifications { get; }

    /// <summary>How often an interrupt came for this queue.</summary>
    public abstract ulong Interrupts { get; }

    /// <summary>How often the device claimed to have written more than was lent; the claim was clamped.</summary>
    public abstract ulong ClampedLengths { get; }

    /// <summary>
    /// Adds one buffer: pieces that the device reads, then pieces it writes, at least one in all, none of length 0. Not seen by the
    /// device before <see cref="Kick"/> promises it (though it may look earlier). False when there is no room, or the queue is broken.
    /// </summary>
    public abstract bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, ushort token);

    /// <summary>
    /// Says what is around the payload of a token's framed buffers: one piece that the device reads first, one that it writes last (a request's
    /// header and its status). Once for each token that <see cref="TryAddFramed"/> is used with.
    /// </summary>
    public abstract void SetFrame(ushort token, in DmaBuffer first, in DmaBuffer last);

    /// <summary>
    /// The same as <see cref="TryAdd"/> for a buffer of three pieces: the token's frame with <paramref name="payload"/> in it, which the device
    /// writes when <paramref name="isWritable"/>, and reads otherwise. The fastest way to add a buffer.
    /// </summary>
    public abstract bool TryAddFramed(ushort token, in DmaBuffer payload, bool isWritable);

    /// <summary>
    /// The frame of a token that has one. When it <see cref="BufferFrame.IsKept"/>, a buffer can be added in it by
    /// <see cref="AddKept"/>: after the first time.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ref BufferFrame KeptFrame(uint token) => ref Unsafe.As<RingVirtqueue>(this).FrameAt(token);

    /// <summary>
    /// Adds a buffer in a frame that is kept. <paramref name="writableMask"/> is all ones when the device writes the
    /// payload, and 0 otherwise.
    /// </summary>
    internal abstract void AddKept(ref BufferFrame frame, in DmaBuffer payload, uint writableMask);

    /// <summary>The same without a virtual call, for a frame that <see cref="BufferFrame.HasPlace"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void AddKeptInPlace(ref BufferFrame frame, in DmaBuffer payload, uint writableMask) =>
        Unsafe.As<SplitVirtqueue>(this).AddKeptHere(ref frame, payload, writableMask);

    /// <summary>Tells the device about everything added since the last kick, if it wants to be told.</summary>
    public abstract void Kick();

    /// <summary>Tells the device in any case: for a doorbell that may have been lost.</summary>
    public abstract void KickAgain();

    /// <summary>
    /// Takes back one used buffer. <see cref="UsedBuffer.None"/> when there is none, or when the device broke the ring
    /// (<see cref="IsBroken"/>).
    /// </summary>
    public abstract UsedBuffer TakeUsed();

    /// <summary>
    /// Takes back a buffer that <see cref="AddKept"/> added, of which the device wrote all that was lent: its token. False says
    /// nothing but that the next one is not known to be such: <see cref="TakeUsed"/> has to be asked.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTakeFull(out uint token)
    {
        if (Unsafe.As<RingVirtqueue>(this).IsMoreSeen)
        {
            return Unsafe.As<SplitVirtqueue>(this).TryTakeFullHere(out token);
        }
        int there = Unsafe.As<RingVirtqueue>(this).IsPacked ? Unsafe.As<PackedVirtqueue>(this).TakeFullHere() : -1;
        token = (uint)there;
        return there >= 0;
    }

    /// <summary>Looks how far the device has come; false when nothing is there to be taken. A packed ring can't say before it is asked: true.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool LookForUsed() => MayHaveMore || Unsafe.As<SplitVirtqueue>(this).TryLook();

    /// <summary>False when everything was taken that the last look showed. A packed ring can't say: always true.</summary>
    internal bool MayHaveMore
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Unsafe.As<RingVirtqueue>(this).MayHaveUsed;
    }

    /// <summary>The same as <see cref="TakeUsed"/>: token, and how many bytes were written, at most what was lent; false when there is none.</summary>
    public bool TryTakeUsed(out ushort token, out uint written)
    {
        UsedBuffer used = TakeUsed();
        token = used.IsNone ? (ushort)0 : used.Token;
        written = used.IsNone ? 0 : used.Written;
        return !used.IsNone;
    }

    /// <summary>Asks for an interrupt on the next used buffer; false when one came meanwhile: take it and ask again.</summary>
    public abstract bool TryEnableInterrupts();

    /// <summary>Asks for no interrupts; some may come nevertheless.</summary>
    public abstract void DisableInterrupts();

    /// <summary>
    /// Takes back, in any order, a buffer that never came; only after the device was reset. False when there is none left.
    /// </summary>
    public abstract bool TryDetach(out ushort token);

    /// <summary>True when an interrupt came since the last call; clears it.</summary>
    public abstract bool TakeInterrupt();

    /// <summary>
    /// Makes the queue as new, broken or not: the device or this queue was reset, and all buffers were detached. Counters go on.
    /// </summary>
    public abstract void Restart();

    /// <summary>
    /// The device does not come out of reset, so that nobody knows what it does to the ring: nothing is added, told, or looked at any more.
    /// Buffers can be detached; the ring's memory is never given back.
    /// </summary>
    public abstract void Abandon();

    /// <summary>Gives the ring's memory back; the device was reset and all buffers detached.</summary>
    public abstract void Free();
}
