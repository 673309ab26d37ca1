// The split virtqueue: descriptor table, available ring, used ring (virtio 2.7).
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// A split virtqueue. What the driver needs to know of a buffer in flight it keeps in memory of its own; of what the device can write
/// only the used ring and the two wishes are ever read, each value once, each checked.
/// </summary>
public sealed unsafe partial class SplitVirtqueue : Virtqueue
{
    /// <summary>The most descriptors a split virtqueue may have (virtio 2.7).</summary>
    public const ushort MaxSize = 32768;

    private const int IndirectPieces = 16;
    private const ushort None = 0xFFFF;

    private readonly VirtioTransport _transport;
    private readonly DmaSpace _dma;
    private readonly DmaBuffer _memory;
    private readonly DmaBuffer _indirectMemory;
    private readonly ushort _index;
    private readonly ushort _size;
    private readonly ushort _mask;
    private readonly bool _eventIndex;
    private readonly bool _indirect;
    private readonly bool _sharing;

    // Shared with the device.
    private readonly SplitDescriptor* _descriptors;
    private readonly ushort* _availableFlags;
    private readonly ushort* _availableIndex;
    private readonly ushort* _availableRing;
    private readonly ushort* _usedEvent;
    private readonly ushort* _usedFlags;
    private readonly ushort* _usedIndex;
    private readonly byte* _usedRing;
    private readonly ushort* _availableEvent;

    // The driver's own.
    private readonly Slot[] _slots;
    private readonly DmaBuffer[] _pieces;
    private readonly DmaBuffer[] _indirectPieces;
    private int _free;
    private int _inFlight;
    private ushort _firstFree;
    private ushort _added;
    private ushort _published;
    private ushort _taken;
    private ushort _seen;
    private bool _broken;
    private string _brokenReason = "";
    private bool _interruptNoted;
    private ulong _notifications;
    private ulong _interrupts;
    private ulong _clamped;

    /// <summary>What the driver knows of a descriptor: the next one of its chain or of the free list; of a head also the buffer.</summary>
    private struct Slot
    {
        internal ushort Next;
        internal ushort Last;
        internal ushort Token;
        internal ushort Descriptors;
        internal ushort Pieces;
        internal ushort ReadablePieces;
        internal bool InFlight;
        internal uint Writable;
    }

    private SplitVirtqueue(VirtioTransport transport, ushort index, ushort size, bool eventIndex, in DmaBuffer memory, in DmaBuffer indirect)
    {
        _transport = transport;
        _dma = transport.Dma;
        _memory = memory;
        _indirectMemory = indirect;
        _index = index;
        _size = size;
        _mask = (ushort)(size - 1);
        _eventIndex = eventIndex;
        _indirect = indirect.Length != 0;
        _sharing = _dma.NeedsSharing;
        byte* start = memory.Pointer;
        byte* available = start + SplitLayout.AvailableOffset(size);
        byte* used = start + SplitLayout.UsedOffset(size, transport.RingAlignment);
        _descriptors = (SplitDescriptor*)start;
        _availableFlags = (ushort*)available;
        _availableIndex = (ushort*)(available + 2);
        _availableRing = (ushort*)(available + SplitLayout.AvailableHeader);
        _usedEvent = (ushort*)(available + SplitLayout.AvailableHeader + 2 * size);
        _usedFlags = (ushort*)used;
        _usedIndex = (ushort*)(used + 2);
        _usedRing = used + SplitLayout.UsedHeader;
        _availableEvent = (ushort*)(used + SplitLayout.UsedHeader + SplitLayout.UsedElementLength * size);
        _slots = new Slot[size];
        _pieces = new DmaBuffer[_sharing ? size : 0];
        _indirectPieces = new DmaBuffer[_sharing && _indirect ? size * IndirectPieces : 0];
        LinkFreeDescriptors();
    }

    /// <inheritdoc/>
    public override VirtqueueAddresses Addresses => new(
        _memory.DeviceAddress,
        _memory.DeviceAddress + SplitLayout.AvailableOffset(_size),
        _memory.DeviceAddress + SplitLayout.UsedOffset(_size, _transport.RingAlignment));

    /// <inheritdoc/>
    public override ushort Index => _index;

    /// <inheritdoc/>
    public override ushort Size => _size;

    /// <inheritdoc/>
    public override int FreeDescriptors => _free;

    /// <inheritdoc/>
    public override int InFlight => _inFlight;

    /// <inheritdoc/>
    public override int MaxPieces => _size;

    /// <inheritdoc/>
    public override bool IsBroken => _broken;

    /// <inheritdoc/>
    public override string BrokenReason => _brokenReason;

    /// <inheritdoc/>
    public override ulong Notifications => _notifications;

    /// <inheritdoc/>
    public override ulong Interrupts => _interrupts;

    /// <inheritdoc/>
    public override ulong ClampedLengths => _clamped;

    /// <summary>
    /// Allocates a queue of <paramref name="size"/> descriptors, a power of two up to 32768; false when there is no memory. Interrupts are
    /// wanted from the start.
    /// </summary>
    public static bool TryCreate(VirtioTransport transport, ushort index, ushort size, ulong features, out SplitVirtqueue? queue)
    {
        bool eventIndex = (features & VirtioFeature.EventIndex) != 0;
        bool indirect = (features & VirtioFeature.IndirectDescriptors) != 0;
        Contract.Require(size is > 0 and <= MaxSize && (size & (size - 1)) == 0, "the size of a split virtqueue is a power of two");
        queue = null;
        DmaSpace dma = transport.Dma;
        uint alignment = transport.RingAlignment;
        if (!dma.TryAllocate(SplitLayout.TotalLength(size, alignment), alignment, out DmaBuffer memory))
        {
            return false;
        }
        DmaBuffer tables = default;
        if (indirect && !dma.TryAllocate((uint)size * IndirectPieces * SplitLayout.DescriptorLength, 64, out tables))
        {
            dma.Free(memory);
            return false;
        }
        dma.Share(memory, DmaDirection.Both);
        if (indirect)
        {
            dma.Share(tables, DmaDirection.Both); // the driver fills tables while the device reads others: shared as a ring is
        }
        queue = new SplitVirtqueue(transport, index, size, eventIndex, memory, tables);
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
        // Chains are faster for the device, tables are smaller for the ring: tables when the ring gets full.
        bool table = _indirect && count > 1 && count <= IndirectPieces && _free - count < _size / 4;
        int descriptors = table ? 1 : count;
        if (descriptors > _free)
        {
            return false;
        }
        ushort head = _firstFree;
        ref Slot slot = ref SlotAt(head);
        uint total = 0;
        ushort last = head;
        if (table)
        {
            FillTable(head, readable, writable, out total);
            _firstFree = slot.Next;
        }
        else
        {
            ushort next = head;
            int left = count;
            for (int i = 0; i < readable.Length; i++)
            {
                last = next;
                next = FillDescriptor(last, readable[i], --left == 0 ? (ushort)0 : SplitLayout.DescriptorNext);
            }
            for (int i = 0; i < writable.Length; i++)
            {
                last = next;
                total += writable[i].Length;
                ushort flags = (ushort)(SplitLayout.DescriptorWrite | (--left == 0 ? 0 : SplitLayout.DescriptorNext));
                next = FillDescriptor(last, writable[i], flags);
            }
            _firstFree = next;
        }
        slot.Last = last;
        slot.Token = token;
        slot.Descriptors = (ushort)descriptors;
        slot.Pieces = (ushort)count;
        slot.ReadablePieces = (ushort)readable.Length;
        slot.Writable = total;
        slot.InFlight = true;
        if (_sharing)
        {
            SharePieces(head, readable, writable, table);
        }
        _free -= descriptors;
        _inFlight++;
        _availableRing[_added & _mask] = head;
        _added++;
        return true;
    }

    /// <inheritdoc/>
    public override void Kick()
    {
        ushort added = _added;
        ushort before = _published;
        if (added == before || _broken)
        {
            return;
        }
        _published = added;
        Barriers.PublishAvailableIndex(_availableIndex, added);
        Barriers.BetweenPublishAndWish();
        // With EVENT_IDX the device names an index: it wants to hear when that one has been passed (2.7.10), with the wrap in mind.
        bool wanted = _eventIndex
            ? (ushort)(added - Barriers.ReadWish(_availableEvent) - 1) < (ushort)(added - before)
            : (Barriers.ReadWish(_usedFlags) & SplitLayout.NoNotify) == 0;
        if (wanted)
        {
            _notifications++;
            _transport.Notify(_index);
        }
    }

    /// <inheritdoc/>
    public override void KickAgain()
    {
        if (!_broken)
        {
            Kick();
            _notifications++;
            _transport.Notify(_index);
        }
    }

    /// <inheritdoc/>
    public override bool TryTakeUsed(out ushort token, out uint written)
    {
        token = 0;
        written = 0;
        ushort taken = _taken;
        if (taken == _seen)
        {
            if (_broken)
            {
                return false;
            }
            ushort seen = Barriers.ReadUsedIndex(_usedIndex);
            if (seen == taken)
            {
                return false;
            }
            if ((ushort)(seen - taken) > _inFlight)
            {
                return Break("the used index says that more buffers were used than were in flight", seen);
            }
            _seen = seen;
        }
        byte* element = _usedRing + (uint)(taken & _mask) * SplitLayout.UsedElementLength;
        uint id = Volatile.Read(ref *(uint*)element);
        uint length = Volatile.Read(ref *(uint*)(element + 4));
        if (id >= _size)
        {
            return Break("a used id is beyond the queue", id);
        }
        ref Slot slot = ref SlotAt((ushort)id);
        if (!slot.InFlight)
        {
            return Break("a used id was not in flight", id);
        }
        _taken = (ushort)(taken + 1);
        if (length > slot.Writable)
        {
            length = slot.Writable;
            _clamped++;
        }
        token = slot.Token;
        written = length;
        Release((ushort)id, ref slot);
        return true;
    }

    /// <inheritdoc/>
    public override bool TryEnableInterrupts()
    {
        if (_eventIndex)
        {
            Volatile.Write(ref *_usedEvent, _taken);
        }
        else
        {
            Volatile.Write(ref *_availableFlags, 0);
        }
        Barriers.BetweenWishAndLook();
        return _broken || Barriers.ReadUsedIndex(_usedIndex) == _taken;
    }

    /// <inheritdoc/>
    public override void DisableInterrupts()
    {
        if (_eventIndex)
        {
            // An index that is farthest from being reached; with this feature the flag has to stay 0 (2.7.7.1).
            Volatile.Write(ref *_usedEvent, (ushort)(_taken - 1));
        }
        else
        {
            Volatile.Write(ref *_availableFlags, SplitLayout.NoInterrupt);
        }
    }

    /// <inheritdoc/>
    public override bool TryDetach(out ushort token)
    {
        token = 0;
        if (_inFlight == 0)
        {
            return false;
        }
        for (int i = 0; i < _slots.Length; i++)
        {
            if (_slots[i].InFlight)
            {
                token = _slots[i].Token;
                Release((ushort)i, ref _slots[i]);
                return true;
            }
        }
        return false;
    }

    /// <inheritdoc/>
    public override bool OnInterrupt()
    {
        _interrupts++;
        _interruptNoted = true;
        return true;
    }

    /// <inheritdoc/>
    public override bool TakeInterrupt()
    {
        bool noted = _interruptNoted;
        _interruptNoted = false;
        return noted;
    }

    /// <inheritdoc/>
    public override void Restart()
    {
        Contract.Require(_inFlight == 0, "a queue was restarted while buffers were in flight");
        _memory.Span.Clear();
        _added = 0;
        _published = 0;
        _taken = 0;
        _seen = 0;
        _broken = false;
        _brokenReason = "";
        _interruptNoted = false;
        LinkFreeDescriptors();
    }

    /// <inheritdoc/>
    public override void Free()
    {
        Contract.Require(_inFlight == 0, "a queue was freed while buffers were in flight");
        _broken = true;
        _seen = _taken; // nothing of the ring is looked at any more
        _dma.Unshare(_memory, DmaDirection.Both);
        _dma.Free(_memory);
        if (_indirect)
        {
            _dma.Unshare(_indirectMemory, DmaDirection.Both);
            _dma.Free(_indirectMemory);
        }
    }

    private void LinkFreeDescriptors()
    {
        for (int i = 0; i < _size; i++)
        {
            _slots[i].Next = (ushort)(i + 1);
        }
        _slots[_size - 1].Next = None;
        _firstFree = 0;
        _free = _size;
    }

    private bool Break(string reason, uint value)
    {
        _broken = true;
        _brokenReason = reason;
        _seen = _taken;
        Log.Write(LogLevel.Error, "virtqueue", reason, value);
        return false;
    }
}
