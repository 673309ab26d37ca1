// The packed virtqueue: one ring of descriptors that both sides write, and two event suppression structures (virtio 2.8).
using System.Runtime.CompilerServices;
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// A packed virtqueue. Of what the device can write only the flags, id and length of the next used descriptor and the device's wish are
/// ever read, each once, each checked; how far a used descriptor reaches is taken from the driver's own notes of the buffer it names.
/// </summary>
public sealed unsafe class PackedVirtqueue : RingVirtqueue
{
    // No pair of state bits: what is compared with it is never used.
    private const ushort Nothing = 1;

    // Shared with the device.
    private readonly RingDescriptor* _descriptors;
    private readonly uint* _driverEvent;
    private readonly uint* _deviceEvent;

    // The driver's own: where the next descriptor goes and where the next used one comes, each with the state bits that it has in this
    // round (2.8.1): available is AVAIL = wrap counter, USED = its inverse; used is both = wrap counter.
    private ushort _next;
    private ushort _nextState;
    private ushort _used;
    private ushort _usedState;
    private uint _untold;

    private PackedVirtqueue(VirtioTransport transport, ushort index, ushort size, ulong features, in DmaBuffer memory, in DmaBuffer tables)
        : base(transport, index, size, features, memory, tables)
    {
        _descriptors = (RingDescriptor*)memory.Pointer;
        _driverEvent = (uint*)(memory.Pointer + PackedLayout.DriverEventOffset(size));
        _deviceEvent = (uint*)(memory.Pointer + PackedLayout.DeviceEventOffset(size));
        BeginRing();
    }

    /// <inheritdoc/>
    public override VirtqueueAddresses Addresses => new(
        _memory.DeviceAddress,
        _memory.DeviceAddress + PackedLayout.DriverEventOffset(_size),
        _memory.DeviceAddress + PackedLayout.DeviceEventOffset(_size));

    /// <summary>Offset and wrap counter of the next descriptor (2.9).</summary>
    private protected override ushort Position => (ushort)(_next | (_nextState & PackedLayout.DescriptorAvailable) << 8);

    /// <summary>
    /// Allocates a queue of <paramref name="size"/> descriptors, 1 to 32768; false when there is no memory. Interrupts are wanted from the
    /// start.
    /// </summary>
    public static bool TryCreate(VirtioTransport transport, ushort index, ushort size, ulong features, out PackedVirtqueue? queue)
    {
        Contract.Require(size is > 0 and <= MaxSize, "the size of a packed virtqueue is 1 to 32768");
        queue = null;
        uint length = PackedLayout.TotalLength(size);
        if (!TryAllocate(transport.Dma, length, transport.RingAlignment, size, features, out DmaBuffer memory, out DmaBuffer tables))
        {
            return false;
        }
        queue = new PackedVirtqueue(transport, index, size, features, memory, tables);
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
        uint at = _next;
        uint state = _nextState;
        RingDescriptor* first = _descriptors + at;
        RingDescriptor* target = first;
        uint firstFlags = state | (count > 1 ? PackedLayout.DescriptorNext : 0u) | (readable.Length == 0 ? PackedLayout.DescriptorWrite : 0u);
        // The first descriptor makes the whole buffer valid (2.8.6): until all is ready its state bits are equal, and so it is not available.
        uint rest = head;
        uint lastRest = rest;
        for (int i = 0; i < readable.Length; i++)
        {
            last = next;
            next = SlotAt(last).Next;
            target = _descriptors + at;
            lastRest = rest;
            Fill(target, PieceAt(readable, i), lastRest);
            Step(ref at, ref state);
            rest = (state | PackedLayout.DescriptorNext) << 16 | head;
        }
        for (int i = 0; i < writable.Length; i++)
        {
            ref readonly DmaBuffer piece = ref PieceAt(writable, i);
            last = next;
            next = SlotAt(last).Next;
            total += piece.Length;
            target = _descriptors + at;
            lastRest = rest | (uint)PackedLayout.DescriptorWrite << 16;
            Fill(target, piece, lastRest);
            Step(ref at, ref state);
            rest = (state | PackedLayout.DescriptorNext) << 16 | head;
        }
        _next = (ushort)at;
        _nextState = (ushort)state;
        // The last one is followed by none.
        target->Rest = lastRest & ~((uint)PackedLayout.DescriptorNext << 16);
        Note(head, last, next, count, total, token, readable, writable);
        _untold += (uint)count;
        _added++;
        Barriers.PublishDescriptor((ushort*)((byte*)first + PackedLayout.FlagsOffset), (ushort)firstFlags);
        return true;
    }

    internal override void AddKept(ref BufferFrame frame, in DmaBuffer payload, uint writableMask)
    {
        ushort head = frame.Head;
        uint length = payload.Length;
        uint writeFlag = writableMask & (uint)PackedLayout.DescriptorWrite << 16;
        uint at = _next;
        uint state = _nextState;
        uint flags = state;
        RingDescriptor* first = _descriptors + at;
        if (frame.State == FrameState.Table)
        {
            RingDescriptor* entry = PayloadInTable(head);
            entry->Address = payload.DeviceAddress;
            entry->Length = length;
            entry->Rest = writeFlag;
            first->Address = TableAddress(head);
            first->Length = FramePieces * PackedLayout.DescriptorLength;
            flags |= PackedLayout.DescriptorIndirect;
            _untold++;
        }
        else
        {
            first->Address = frame.First.DeviceAddress;
            first->Length = frame.First.Length;
            flags |= PackedLayout.DescriptorNext;
            Step(ref at, ref state);
            RingDescriptor* target = _descriptors + at;
            target->Address = payload.DeviceAddress;
            target->Length = length;
            target->Rest = (state | PackedLayout.DescriptorNext) << 16 | writeFlag | head;
            Step(ref at, ref state);
            target = _descriptors + at;
            target->Address = frame.Last.DeviceAddress;
            target->Length = frame.Last.Length;
            target->Rest = (state | PackedLayout.DescriptorWrite) << 16 | head;
            _untold += FramePieces;
        }
        first->Rest = head; // its state bits are equal: not available yet
        Step(ref at, ref state);
        _next = (ushort)at;
        _nextState = (ushort)state;
        ref Slot slot = ref SlotAt(head);
        slot.Expected = (ulong)(frame.Last.Length + (length & writableMask)) << 32 | head;
        _added++;
        Barriers.PublishDescriptor((ushort*)((byte*)first + PackedLayout.FlagsOffset), (ushort)flags);
    }

    /// <inheritdoc/>
    public override void Kick()
    {
        uint added = _untold;
        if (added == 0 || _broken)
        {
            return;
        }
        _untold = 0;
        _told = _added;
        Barriers.BetweenPublishAndWish();
        if (Wants(Barriers.ReadWish(_deviceEvent), added))
        {
            Tell(Position);
        }
    }

    /// <summary>See <see cref="Virtqueue.TryTakeFull"/>; -1 when there is none.</summary>
    internal int TakeFullHere()
    {
        if (_broken)
        {
            return -1;
        }
        if (ReadState() != _usedState)
        {
            return -1;
        }
        RingDescriptor* descriptor = _descriptors + _used;
        // Length and id at once: what is not exactly what was expected is read again, and looked at, by TakeUsed.
        ulong entry = Volatile.Read(ref *(ulong*)&descriptor->Length);
        ushort id = (ushort)(entry >> 32);
        if (id >= _size || SlotAt(id).Expected != (entry << 32 | id))
        {
            return -1;
        }
        ref Slot slot = ref SlotAt(id);
        slot.Expected = NotInFlight;
        _seen = ++_taken;
        StepUsed(slot.Descriptors);
        return slot.Token;
    }

    /// <inheritdoc/>
    public override UsedBuffer TakeUsed()
    {
        if (IsInBatch)
        {
            return TakeInOrder();
        }
        if (_broken)
        {
            return UsedBuffer.None;
        }
        byte* descriptor = (byte*)(_descriptors + _used);
        ushort state = ReadState();
        if (state != _usedState)
        {
            return NothingUsed(state);
        }
        ushort id = Volatile.Read(ref *(ushort*)(descriptor + PackedLayout.IdOffset));
        uint length = Volatile.Read(ref ((RingDescriptor*)descriptor)->Length);
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
            TryBeginBatch(id, length, InFlight);
            return TakeInOrder();
        }
        UsedBuffer used = new(slot.Token, Clamp(length, slot.Writable));
        _seen = ++_taken;
        StepUsed(slot.Descriptors);
        Release(id, ref slot);
        return used;
    }

    /// <inheritdoc/>
    public override bool TryEnableInterrupts()
    {
        // With EVENT_IDX: when the descriptor is used that is looked at next, in this round (2.8.10).
        uint wish = _eventIndex
            ? PackedLayout.EventDescriptor << PackedLayout.EventModeShift | (_usedState & PackedLayout.EventWrap) | _used
            : PackedLayout.EventEnable << PackedLayout.EventModeShift;
        Barriers.WriteWish(_driverEvent, wish);
        Barriers.BetweenWishAndLook();
        if (_broken)
        {
            return true;
        }
        ushort state = ReadState();
        return !IsInBatch && state != _usedState;
    }

    /// <inheritdoc/>
    public override void DisableInterrupts() => Barriers.WriteWish(_driverEvent, PackedLayout.EventDisable << PackedLayout.EventModeShift);

    /// <summary>With IN_ORDER a used descriptor names the last buffer of a batch; the next one comes behind all of them (2.8.8).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private UsedBuffer TakeInOrder()
    {
        StepUsed(TakeOfBatch(out UsedBuffer used));
        _seen = ++_taken;
        return used;
    }

    private protected override void BeginRing()
    {
        // Both wrap counters begin with 1 (2.8.1).
        _next = 0;
        _nextState = PackedLayout.DescriptorAvailable;
        _used = 0;
        _usedState = PackedLayout.DescriptorState;
        _untold = 0;
    }

    private protected override void EndRing() => _usedState = Nothing;

    private protected override void WriteFrame(ref BufferFrame frame)
    {
        if (frame.State == FrameState.Table)
        {
            WriteFrameTable(frame, (uint)PackedLayout.DescriptorWrite << 16, 0);
        }
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
        uint at = _next;
        uint state = _nextState;
        RingDescriptor* target = _descriptors + at;
        uint flags = state | PackedLayout.DescriptorIndirect;
        target->Address = FillTable(head, readable, writable, (uint)PackedLayout.DescriptorWrite << 16, 0, out uint total);
        target->Length = (uint)(readable.Length + writable.Length) * PackedLayout.DescriptorLength;
        target->Rest = head; // its state bits are equal: not available yet
        Step(ref at, ref state);
        _next = (ushort)at;
        _nextState = (ushort)state;
        Note(head, head, SlotAt(head).Next, 1, total, token, readable, writable);
        _untold++;
        _added++;
        Barriers.PublishDescriptor((ushort*)((byte*)target + PackedLayout.FlagsOffset), (ushort)flags);
        return true;
    }

    /// <summary>Goes on to the next descriptor; behind the last one the wrap counter changes (2.8.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Step(ref uint at, ref uint state)
    {
        if (++at == _size)
        {
            at = 0;
            state ^= PackedLayout.DescriptorState;
        }
    }

    /// <summary>What the flags of the descriptor that is looked at next say of its state; id, length and data can be read afterwards.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ushort ReadState() =>
        (ushort)(Barriers.ReadDescriptorFlags((ushort*)((byte*)(_descriptors + _used) + PackedLayout.FlagsOffset)) & PackedLayout.DescriptorState);

    /// <summary>Goes on behind the descriptors of a buffer that was used, or of one of a batch (2.8.6, 2.8.8).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void StepUsed(ushort descriptors)
    {
        int used = _used + descriptors;
        if (used >= _size)
        {
            used -= _size;
            _usedState ^= PackedLayout.DescriptorState;
        }
        _used = (ushort)used;
    }

    /// <summary>True when the device wants to hear of the last <paramref name="added"/> descriptors (2.8.10).</summary>
    private bool Wants(uint wish, uint added)
    {
        uint mode = wish >> PackedLayout.EventModeShift & PackedLayout.EventModeMask;
        if (mode == PackedLayout.EventDisable)
        {
            return false;
        }
        if (mode != PackedLayout.EventDescriptor || !_eventIndex)
        {
            return true; // also with the reserved mode: a notification too many does no harm
        }
        // How many descriptors behind the last one lies the one it waits for? It may be one of the round before.
        int behind = _next - 1 - (int)(wish & PackedLayout.EventOffset);
        if (((wish ^ Position) & PackedLayout.EventWrap) != 0)
        {
            behind += _size;
        }
        return (uint)behind < Math.Min(added, _size);
    }

    /// <summary>
    /// Nothing was used, or the state bits make no sense: as long as something is in flight, the descriptor looked at is one that was made
    /// available in this round.
    /// </summary>
    private UsedBuffer NothingUsed(ushort state)
    {
        if (_broken || InFlight == 0 || state == (_usedState ^ PackedLayout.DescriptorUsed))
        {
            return UsedBuffer.None;
        }
        return Break("a descriptor is neither available nor used", state);
    }
}
