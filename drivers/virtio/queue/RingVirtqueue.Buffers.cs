// What the virtqueue formats have in common: the slots of buffers, indirect tables, lending, batches (virtio 2.7.5.3, 2.7.9, 2.8.7, 2.8.8).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Queue;

public abstract unsafe partial class RingVirtqueue
{
    private protected const ushort None = 0xFFFF;
    private protected const ulong NotInFlight = ulong.MaxValue;
    private const ulong InNoFrame = 1u << 31;
    private const int TablePieces = 16;
    private const uint TableLength = TablePieces * 16;
    private const uint TableAlignment = 64;

    private readonly bool _indirect;
    private readonly DmaBuffer _tables;
    private readonly Slot[] _slots;
    private readonly Slot* _firstSlot; // the array stays where it is
    private readonly DmaBuffer[] _pieces;
    private readonly DmaBuffer[] _tablePieces;

    // With IN_ORDER: the buffer that comes next, the last one of the batch that is being taken (or None), and what was written to it.
    private ushort _oldest;
    private ushort _batchLast;
    private uint _batchWritten;

    /// <summary>What the driver knows of a descriptor: the next one of its buffer or of the free list; of a first one also the buffer.</summary>
    private protected struct Slot
    {
        internal ushort Next;
        internal ushort Last;
        internal ushort Token;
        internal ushort Descriptors;
        internal ushort Pieces;
        internal ushort ReadablePieces;

        /// <summary>True when the slots stay those of a frame (see <see cref="BufferFrame"/>) when the buffer comes back.</summary>
        internal bool IsKept;

        /// <summary>
        /// What the device says when it is done with the buffer and wrote all that was lent: the number of the slot, in the upper half the
        /// length. Bit 31 is set, which no true id has, when the buffer is in no frame, and in <see cref="NotInFlight"/>.
        /// </summary>
        internal ulong Expected;

        internal readonly bool IsInFlight => Expected != NotInFlight;

        /// <summary>How many bytes were lent for writing.</summary>
        internal readonly uint Writable => (uint)(Expected >> 32);
    }

    /// <summary>True while a batch was taken in part.</summary>
    private protected bool IsInBatch => _batchLast != None;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected ref Slot SlotAt(uint number) => ref _firstSlot[number];

    /// <summary>Chains are faster for the device, tables are smaller for the ring: tables when the ring gets full.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected bool UsesTable(int count) => _indirect && count > 1 && count <= TablePieces && _free - count < _size / 4;

    /// <summary>
    /// Writes the indirect table that belongs to a slot and answers with its address. <paramref name="writeFlag"/> goes into the last word of
    /// writable entries, <paramref name="nextFlag"/> with the number of the next entry into that of all but the last; 0 where they are not linked.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected ulong FillTable(
        ushort number, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, uint writeFlag, uint nextFlag, out uint total)
    {
        uint offset = number * TableLength;
        RingDescriptor* entry = (RingDescriptor*)(_tables.Pointer + offset);
        uint rest = nextFlag == 0 ? 0 : nextFlag | 1 << 16;
        uint step = nextFlag == 0 ? 0u : 1 << 16;
        for (int i = 0; i < readable.Length; i++)
        {
            Fill(entry++, PieceAt(readable, i), rest);
            rest += step;
        }
        rest |= writeFlag;
        uint sum = 0;
        for (int i = 0; i < writable.Length; i++)
        {
            ref readonly DmaBuffer piece = ref PieceAt(writable, i);
            sum += piece.Length;
            Fill(entry++, piece, rest);
            rest += step;
        }
        (entry - 1)->Rest = writable.Length != 0 ? writeFlag : 0;
        total = sum;
        return _tables.DeviceAddress + offset;
    }

    /// <summary>One of the pieces, in a loop that ends with them: without a second look at their number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected static ref readonly DmaBuffer PieceAt(ReadOnlySpan<DmaBuffer> pieces, int index) =>
        ref Unsafe.Add(ref MemoryMarshal.GetReference(pieces), index);

    /// <summary>Writes a whole descriptor that the device does not look at yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected static void Fill(RingDescriptor* target, in DmaBuffer piece, uint rest)
    {
        target->Address = piece.DeviceAddress;
        target->Length = piece.Length;
        target->Rest = rest;
    }

    /// <summary>Notes a buffer whose descriptors are written but not published, and lends its pieces; <paramref name="next"/> is free then.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void Note(
        ushort head, ushort last, ushort next, int descriptors, uint total, ushort token,
        ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        ref Slot slot = ref SlotAt(head);
        slot.Last = last;
        slot.Token = token;
        slot.Descriptors = (ushort)descriptors;
        slot.Pieces = (ushort)(readable.Length + writable.Length);
        slot.ReadablePieces = (ushort)readable.Length;
        slot.Expected = (ulong)total << 32 | InNoFrame | head;
        _firstFree = next;
        _free -= descriptors;
        if (_sharing)
        {
            SharePieces(head, readable, writable);
        }
    }

    /// <summary>A buffer came back: its slots are linked into the free list, which they are not with IN_ORDER.</summary>
    private protected void Release(ushort head, ref Slot slot)
    {
        if (slot.IsKept)
        {
            slot.Expected = NotInFlight;
            return;
        }
        End(head, ref slot);
        SlotAt(slot.Last).Next = _firstFree;
        _firstFree = head;
    }

    /// <summary>Takes the pieces of a buffer back from the device.</summary>
    private void End(ushort head, ref Slot slot)
    {
        if (_sharing)
        {
            UnsharePieces(head);
        }
        slot.Expected = NotInFlight;
        _free += slot.Descriptors;
    }

    /// <summary>What was written, at most what was lent; the excess that a device claims is counted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected uint Clamp(uint length, uint writable)
    {
        if (length > writable)
        {
            length = writable;
            _clamped++;
        }
        return length;
    }

    /// <summary>
    /// With IN_ORDER one used entry stands for all buffers up to the one it names (virtio 2.7.9, 2.8.8), which is in flight. False when
    /// these are more than <paramref name="most"/>.
    /// </summary>
    private protected bool TryBeginBatch(ushort last, uint length, int most)
    {
        ushort at = _oldest;
        for (int count = 1; at != last; count++)
        {
            if (count >= most)
            {
                return false;
            }
            at = Behind(at);
        }
        _batchLast = last;
        _batchWritten = Clamp(length, SlotAt(last).Writable);
        return true;
    }

    private void EndBatch() => _batchLast = None;

    /// <summary>
    /// Takes the oldest buffer of the batch and says how many descriptors it had. Those that no entry was written for
    /// "are assumed to have been used (read or written) by the device completely" (2.7.9, 2.8.8).
    /// </summary>
    private protected ushort TakeOfBatch(out UsedBuffer used)
    {
        ushort head = _oldest;
        ref Slot slot = ref SlotAt(head);
        uint written = slot.Writable;
        if (head == _batchLast)
        {
            written = _batchWritten;
            EndBatch();
        }
        used = new UsedBuffer(slot.Token, written);
        _oldest = Behind(head);
        End(head, ref slot);
        return slot.Descriptors;
    }

    /// <summary>With IN_ORDER: the slot behind those of a buffer.</summary>
    private ushort Behind(ushort head)
    {
        int next = head + SlotAt(head).Descriptors;
        return (ushort)(next >= _size ? next - _size : next);
    }

    /// <summary>
    /// All slots are free. With IN_ORDER they are linked in a circle and never otherwise, so that descriptors are used in the order in which
    /// they lie in the table (2.7.5): what comes back is always what was taken longest ago.
    /// </summary>
    private void LinkSlots()
    {
        for (int i = 0; i < _size; i++)
        {
            _slots[i].Next = (ushort)(i + 1);
            _slots[i].IsKept = false;
            _slots[i].Expected = NotInFlight;
        }
        _slots[_size - 1].Next = _inOrder ? (ushort)0 : None;
        _firstFree = 0;
        _free = _size;
        _kept = 0;
        _reclaimFailedAt = uint.MaxValue;
        _oldest = 0;
        EndBatch();
    }

    private void SharePieces(ushort head, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        bool table = _slots[head].Descriptors != _slots[head].Pieces;
        ushort number = head;
        for (int i = 0; i < readable.Length + writable.Length; i++)
        {
            bool write = i >= readable.Length;
            DmaBuffer piece = write ? writable[i - readable.Length] : readable[i];
            _dma.Share(piece, write ? DmaDirection.FromDevice : DmaDirection.ToDevice);
            if (table)
            {
                _tablePieces[head * TablePieces + i] = piece;
            }
            else
            {
                _pieces[number] = piece;
                number = _slots[number].Next;
            }
        }
    }

    private void UnsharePieces(ushort head)
    {
        ref Slot slot = ref _slots[head];
        bool table = slot.Descriptors != slot.Pieces;
        ushort number = head;
        for (int i = 0; i < slot.Pieces; i++)
        {
            DmaBuffer piece = table ? _tablePieces[head * TablePieces + i] : _pieces[number];
            _dma.Unshare(piece, i >= slot.ReadablePieces ? DmaDirection.FromDevice : DmaDirection.ToDevice);
            number = table ? number : _slots[number].Next;
        }
    }
}
