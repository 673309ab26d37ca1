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
        bool table = UsesTable(count);
        int descriptors = table ? 1 : count;
        if (descriptors > _free)
        {
            return false;
        }
        ushort head = _firstFree;
        ref Slot slot = ref SlotAt(head);
        RingDescriptor* first = _descriptors + _next;
        ushort state = _nextState;
        ushort last = head;
        ushort next = slot.Next;
        uint total = 0;
        ushort flags;
        if (table)
        {
            DmaBuffer entries = FillTable(head, readable, writable, (uint)PackedLayout.DescriptorWrite << 16, 0, out uint inTable);
            total = inTable;
            FillFirst(first, entries, head);
            flags = PackedLayout.DescriptorIndirect;
        }
        else
        {
            // The first descriptor gets all but its flags: it is what makes the others valid (2.8.6).
            bool write = readable.Length == 0;
            ref readonly DmaBuffer piece = ref write ? ref writable[0] : ref readable[0];
            total = write ? piece.Length : 0;
            FillFirst(first, piece, head);
            flags = FlagsOf(write, count > 1);
            for (int i = 1; i < readable.Length; i++)
            {
                last = next;
                next = FillNext(readable[i], last, head, FlagsOf(write: false, i + 1 < count));
            }
            for (int i = write ? 1 : 0; i < writable.Length; i++)
            {
                last = next;
                total += writable[i].Length;
                next = FillNext(writable[i], last, head, FlagsOf(write: true, i + 1 < writable.Length));
            }
        }
        Step();
        Note(head, ref slot, last, next, descriptors, total, token, readable, writable);
        _untold += (uint)descriptors;
        Barriers.PublishDescriptor((ushort*)((byte*)first + PackedLayout.FlagsOffset), (ushort)(flags | state));
        return true;
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
        Barriers.BetweenPublishAndWish();
        if (Wants(Barriers.ReadWish(_deviceEvent), added))
        {
            Tell(Position);
        }
    }

    /// <inheritdoc/>
    public override bool TryTakeUsed(out ushort token, out uint written)
    {
        token = 0;
        written = 0;
        if (IsInBatch)
        {
            return TakeInOrder(out token, out written);
        }
        byte* descriptor = (byte*)(_descriptors + _used);
        ushort state = (ushort)(Barriers.ReadDescriptorFlags((ushort*)(descriptor + PackedLayout.FlagsOffset)) & PackedLayout.DescriptorState);
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
        if (!slot.InFlight)
        {
            return Break("a used id was not in flight", id);
        }
        if (_inOrder)
        {
            BeginBatch(id, length);
            return TakeInOrder(out token, out written);
        }
        token = slot.Token;
        written = Clamp(length, slot.Writable);
        StepUsed(slot.Descriptors);
        Release(id, ref slot);
        return true;
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
        ushort flags = Barriers.ReadDescriptorFlags((ushort*)((byte*)(_descriptors + _used) + PackedLayout.FlagsOffset));
        return !IsInBatch && (flags & PackedLayout.DescriptorState) != _usedState;
    }

    /// <inheritdoc/>
    public override void DisableInterrupts() => Barriers.WriteWish(_driverEvent, PackedLayout.EventDisable << PackedLayout.EventModeShift);

    /// <summary>With IN_ORDER a used descriptor names the last buffer of a batch; the next one comes behind all of them (2.8.8).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TakeInOrder(out ushort token, out uint written)
    {
        StepUsed(TakeOfBatch(out token, out written));
        return true;
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort FlagsOf(bool write, bool more) =>
        (ushort)((write ? PackedLayout.DescriptorWrite : 0) | (more ? PackedLayout.DescriptorNext : 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FillFirst(RingDescriptor* first, in DmaBuffer piece, ushort id)
    {
        first->Address = piece.DeviceAddress;
        first->Length = piece.Length;
        *(ushort*)((byte*)first + PackedLayout.IdOffset) = id;
    }

    /// <summary>Writes one of the further descriptors of a buffer, whole, and answers with the next free slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ushort FillNext(in DmaBuffer piece, ushort slot, ushort id, ushort flags)
    {
        Step();
        RingDescriptor* target = _descriptors + _next;
        target->Address = piece.DeviceAddress;
        target->Length = piece.Length;
        target->Rest = id | (uint)(flags | _nextState) << 16;
        return SlotAt(slot).Next;
    }

    /// <summary>Goes on to the next descriptor; behind the last one the wrap counter changes (2.8.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Step()
    {
        if (++_next == _size)
        {
            _next = 0;
            _nextState ^= PackedLayout.DescriptorState;
        }
    }

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
    private bool NothingUsed(ushort state)
    {
        if (_broken || _inFlight == 0 || state == (_usedState ^ PackedLayout.DescriptorUsed))
        {
            return false;
        }
        return Break("a descriptor is neither available nor used", state);
    }
}
