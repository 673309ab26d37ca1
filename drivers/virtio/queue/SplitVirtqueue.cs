// The split virtqueue: descriptor table, available ring, used ring (virtio 2.7).
using System.Runtime.CompilerServices;
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// A split virtqueue. What the driver needs to know of a buffer in flight it keeps in memory of its own; of what the device can write
/// only the used ring and the two wishes are ever read, each value once, each checked.
/// </summary>
public sealed unsafe class SplitVirtqueue : RingVirtqueue
{
    private readonly uint _mask;

    // Shared with the device.
    private readonly RingDescriptor* _descriptors;
    private readonly ushort* _availableFlags;
    private readonly ushort* _availableIndex;
    private readonly ushort* _availableRing;
    private readonly ushort* _usedEvent;
    private readonly ushort* _usedFlags;
    private readonly ushort* _usedIndex;
    private readonly byte* _usedRing;
    private readonly ushort* _availableEvent;

    private SplitVirtqueue(VirtioTransport transport, ushort index, ushort size, ulong features, in DmaBuffer memory, in DmaBuffer tables)
        : base(transport, index, size, features, memory, tables)
    {
        _mask = size - 1u;
        byte* start = memory.Pointer;
        byte* available = start + SplitLayout.AvailableOffset(size);
        byte* used = start + SplitLayout.UsedOffset(size, transport.RingAlignment);
        _descriptors = (RingDescriptor*)start;
        _availableFlags = (ushort*)available;
        _availableIndex = (ushort*)(available + 2);
        _availableRing = (ushort*)(available + SplitLayout.AvailableHeader);
        _usedEvent = (ushort*)(available + SplitLayout.AvailableHeader + 2 * size);
        _usedFlags = (ushort*)used;
        _usedIndex = (ushort*)(used + 2);
        _usedRing = used + SplitLayout.UsedHeader;
        _availableEvent = (ushort*)(used + SplitLayout.UsedHeader + SplitLayout.UsedElementLength * size);
    }

    /// <inheritdoc/>
    public override VirtqueueAddresses Addresses => new(
        _memory.DeviceAddress,
        _memory.DeviceAddress + SplitLayout.AvailableOffset(_size),
        _memory.DeviceAddress + SplitLayout.UsedOffset(_size, _transport.RingAlignment));

    /// <summary>The available index (2.9); this and the used index are the lower halves of what the base counts, and wrap at 65536.</summary>
    private protected override ushort Position => (ushort)_told;

    /// <summary>
    /// Allocates a queue of <paramref name="size"/> descriptors, a power of two up to 32768; false when there is no memory. Interrupts are
    /// wanted from the start.
    /// </summary>
    public static bool TryCreate(VirtioTransport transport, ushort index, ushort size, ulong features, out SplitVirtqueue? queue)
    {
        Contract.Require(size is > 0 and <= MaxSize && (size & (size - 1)) == 0, "the size of a split virtqueue is a power of two");
        queue = null;
        uint alignment = transport.RingAlignment;
        uint length = SplitLayout.TotalLength(size, alignment);
        if (!TryAllocate(transport.Dma, length, alignment, size, features, out DmaBuffer memory, out DmaBuffer tables))
        {
            return false;
        }
        queue = new SplitVirtqueue(transport, index, size, features, memory, tables);
        return true;
    }

    /// <inheritdoc/>
    public override bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, ushort token)
    {
        int count = readable.Length + writable.Length;
        Contract.Require(count > 0 && count <= _size, "a buffer of no pieces, or of more than the queue has descriptors");
        if (_broken)
        {
            return false;
        }
        if (UsesTable(count))
        {
            return TryAddTable(readable, writable, token);
        }
        if (count > _free && !TryReclaim(count))
        {
            return false;
        }
        ushort head = _firstFree;
        ushort last = head;
        ushort next = head;
        uint total = 0;
        for (int i = 0; i < readable.Length; i++)
        {
            last = next;
            next = SlotAt(last).Next;
            Fill(_descriptors + last, PieceAt(readable, i), SplitLayout.DescriptorNext | (uint)next << 16);
        }
        for (int i = 0; i < writable.Length; i++)
        {
            ref readonly DmaBuffer piece = ref PieceAt(writable, i);
            last = next;
            next = SlotAt(last).Next;
            total += piece.Length;
            Fill(_descriptors + last, piece, SplitLayout.DescriptorNext | SplitLayout.DescriptorWrite | (uint)next << 16);
        }
        // The last one is followed by none.
        _descriptors[last].Rest = writable.Length != 0 ? SplitLayout.DescriptorWrite : 0u;
        Note(head, last, next, count, total, token, readable, writable);
        _availableRing[_added++ & _mask] = head;
        return true;
    }

    internal override void AddKept(ref BufferFrame frame, in DmaBuffer payload, uint writableMask) =>
        AddKeptHere(ref frame, payload, writableMask);

    /// <summary>See <see cref="Virtqueue.AddKept"/>; a mask, so that there is no branch.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void AddKeptHere(ref BufferFrame frame, in DmaBuffer payload, uint writableMask)
    {
        RingDescriptor* target = frame.Payload;
        uint head = frame.Head;
        uint length = payload.Length;
        target->Address = payload.DeviceAddress;
        target->Length = length;
        target->Rest = frame.Rest | (writableMask & SplitLayout.DescriptorWrite);
        *frame.Expected = (ulong)(frame.Last.Length + (length & writableMask)) << 32 | head;
        _availableRing[_added++ & _mask] = (ushort)head;
    }

    /// <inheritdoc/>
    public override void Kick()
    {
        ushort added = (ushort)_added;
        ushort before = (ushort)_told;
        if (added == before || _broken)
        {
            return;
        }
        _told = _added;
        Barriers.PublishAvailableIndex(_availableIndex, added);
        Barriers.BetweenPublishAndWish();
        // With EVENT_IDX the device names an index: it wants to hear when that one has been passed (2.7.10), with the wrap in mind.
        bool wanted = _eventIndex
            ? (ushort)(added - Barriers.ReadWish(_availableEvent) - 1) < (ushort)(added - before)
            : (Barriers.ReadWish(_usedFlags) & SplitLayout.NoNotify) == 0;
        if (wanted)
        {
            Tell(added);
        }
    }

    /// <summary>See <see cref="Virtqueue.TryTakeFull"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTakeFullHere(out uint token)
    {
        token = 0;
        uint taken = _taken;
        // Both halves at once: what is not exactly what was expected is read again, and looked at, by TakeUsed.
        ulong element = Unsafe.ReadUnaligned<ulong>(_usedRing + (taken & _mask) * SplitLayout.UsedElementLength);
        ref Slot slot = ref SlotAt((uint)element & _mask);
        // The uppermost bit of an id marks what is in no frame or not in flight, and a device may say that as well.
        if (((slot.Expected ^ element) | (uint)element >> 31) != 0)
        {
            return false;
        }
        slot.Expected = NotInFlight;
        _taken = taken + 1;
        token = slot.Token;
        return true;
    }

    /// <inheritdoc/>
    public override UsedBuffer TakeUsed()
    {
        if (_taken == _seen && !TryLook())
        {
            return UsedBuffer.None;
        }
        if (_inOrder && IsInBatch)
        {
            return TakeOfBatch();
        }
        byte* element = _usedRing + (_taken & _mask) * SplitLayout.UsedElementLength;
        uint id = Volatile.Read(ref *(uint*)element);
        uint length = Volatile.Read(ref *(uint*)(element + 4));
        if (id >= _size)
        {
            return Break("a used id is beyond the queue", id);
        }
        ref Slot slot = ref SlotAt(id);
        if (!slot.IsInFlight)
        {
            return Break("a used id was not in flight", id);
        }
        if (_inOrder)
        {
            // The entry names the last buffer of a batch, and the used index has gone on by as many as there are in it (2.7.9).
            return TryBeginBatch((ushort)id, length, (int)(_seen - _taken))
                ? TakeOfBatch()
                : Break("a used id is of a buffer that the used index has not passed", id);
        }
        _taken++;
        UsedBuffer used = new(slot.Token, Clamp(length, slot.Writable));
        Release((ushort)id, ref slot);
        return used;
    }

    private UsedBuffer TakeOfBatch()
    {
        TakeOfBatch(out UsedBuffer used);
        _taken++;
        return used;
    }

    /// <summary>Reads how far the device has come; false when nothing is there to be taken.</summary>
    internal bool TryLook()
    {
        if (_broken)
        {
            return false;
        }
        ushort seen = Barriers.ReadUsedIndex(_usedIndex);
        ushort count = (ushort)(seen - _taken);
        if (count > (ushort)(_told - _taken))
        {
            Break("the used index says that more buffers were used than were made available", seen);
            return false;
        }
        _seen = _taken + count;
        return count != 0;
    }

    /// <inheritdoc/>
    public override bool TryEnableInterrupts()
    {
        if (_eventIndex)
        {
            Barriers.WriteWish(_usedEvent, (ushort)_taken);
        }
        else
        {
            Barriers.WriteWish(_availableFlags, 0);
        }
        Barriers.BetweenWishAndLook();
        return _broken || Barriers.ReadUsedIndex(_usedIndex) == (ushort)_taken;
    }

    /// <inheritdoc/>
    public override void DisableInterrupts()
    {
        if (_eventIndex)
        {
            // An index that is farthest from being reached; with this feature the flag has to stay 0 (2.7.7.1).
            Barriers.WriteWish(_usedEvent, (ushort)(_taken - 1));
        }
        else
        {
            Barriers.WriteWish(_availableFlags, SplitLayout.NoInterrupt);
        }
    }

    private protected override void EndRing() => _seen = _taken;

    private protected override void WriteFrame(ref BufferFrame frame)
    {
        RingDescriptor* first = _descriptors + frame.Head;
        if (frame.State == FrameState.Table)
        {
            frame.Payload = WriteFrameTable(frame, SplitLayout.DescriptorWrite, SplitLayout.DescriptorNext);
            frame.Rest = SplitLayout.DescriptorNext | 2 << 16;
            first->Address = TableAddress(frame.Head);
            first->Length = FramePieces * SplitLayout.DescriptorLength;
            first->Rest = SplitLayout.DescriptorIndirect;
            return;
        }
        ushort middle = NextSlot(frame.Head);
        ushort last = NextSlot(middle);
        Fill(first, frame.First, SplitLayout.DescriptorNext | (uint)middle << 16);
        Fill(_descriptors + last, frame.Last, SplitLayout.DescriptorWrite);
        frame.Payload = _descriptors + middle;
        frame.Rest = SplitLayout.DescriptorNext | (uint)last << 16;
    }

    /// <summary>Adds a buffer by an indirect table, which takes one descriptor.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryAddTable(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, ushort token)
    {
        if (_free == 0 && !TryReclaim(1))
        {
            return false;
        }
        ushort head = _firstFree;
        RingDescriptor* target = _descriptors + head;
        target->Address = FillTable(head, readable, writable, SplitLayout.DescriptorWrite, SplitLayout.DescriptorNext, out uint total);
        target->Length = (uint)(readable.Length + writable.Length) * SplitLayout.DescriptorLength;
        target->Rest = SplitLayout.DescriptorIndirect;
        Note(head, head, SlotAt(head).Next, 1, total, token, readable, writable);
        _availableRing[_added++ & _mask] = head;
        return true;
    }
}
