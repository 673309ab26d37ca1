// What the virtqueue formats have in common: the slots of buffers, indirect tables, lending, batches (virtio 2.7.5.3, 2.7.9, 2.8.7, 2.8.8).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Queue;

public abstract unsafe partial class RingVirtqueue
{
    private protected const ushort None = 0xFFFF;
    private const int TablePieces = 16;
    private const uint TableLength = TablePieces * 16;
    private const uint TableAlignment = 64;

    private readonly bool _indirect;
    private readonly DmaBuffer _tables;
    private readonly Slot[] _slots;
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

        /// <summary>How many buffers were added before it, modulo 65536: split with IN_ORDER.</summary>
        internal ushort Order;
        internal bool InFlight;
        internal uint Writable;
    }

    /// <summary>True while a batch was taken in part.</summary>
    private protected bool IsInBatch => _batchLast != None;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected ref Slot SlotAt(ushort number) => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_slots), number);

    /// <summary>Chains are faster for the device, tables are smaller for the ring: tables when the ring gets full.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected bool UsesTable(int count) => _indirect && count > 1 && count <= TablePieces && _free - count < _size / 4;

    /// <summary>
    /// Writes the indirect table that belongs to a slot. <paramref name="writeFlag"/> goes into the last word of writable entries,
    /// <paramref name="nextFlag"/> with the number of the next entry into that of all but the last; 0 where entries are not linked.
    /// </summary>
    private protected DmaBuffer FillTable(
        ushort number, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, uint writeFlag, uint nextFlag, out uint total)
    {
        int count = readable.Length + writable.Length;
        DmaBuffer memory = _tables.Slice(number * TableLength, (uint)count * 16);
        RingDescriptor* table = (RingDescriptor*)memory.Pointer;
        total = 0;
        for (int i = 0; i < count; i++)
        {
            bool write = i >= readable.Length;
            ref readonly DmaBuffer piece = ref write ? ref writable[i - readable.Length] : ref readable[i];
            total += write ? piece.Length : 0;
            table[i].Address = piece.DeviceAddress;
            table[i].Length = piece.Length;
            table[i].Rest = (write ? writeFlag : 0) | (nextFlag != 0 && i + 1 < count ? nextFlag | (uint)(i + 1) << 16 : 0);
        }
        return memory;
    }

    /// <summary>Notes a buffer whose descriptors are written but not published, and lends its pieces; <paramref name="next"/> is free then.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void Note(
        ushort head, ref Slot slot, ushort last, ushort next, int descriptors, uint total, ushort token,
        ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        slot.Last = last;
        slot.Token = token;
        slot.Descriptors = (ushort)descriptors;
        slot.Pieces = (ushort)(readable.Length + writable.Length);
        slot.ReadablePieces = (ushort)readable.Length;
        slot.Writable = total;
        slot.InFlight = true;
        if (_sharing)
        {
            SharePieces(head, readable, writable, descriptors != slot.Pieces);
        }
        _firstFree = next;
        _free -= descriptors;
        _inFlight++;
    }

    /// <summary>A buffer came back: its slots are linked into the free list, which they are not with IN_ORDER.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void Release(ushort head, ref Slot slot)
    {
        End(head, ref slot);
        SlotAt(slot.Last).Next = _firstFree;
        _firstFree = head;
    }

    /// <summary>Takes the pieces of a buffer back from the device.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void End(ushort head, ref Slot slot)
    {
        if (_sharing)
        {
            UnsharePieces(head);
        }
        slot.InFlight = false;
        _free += slot.Descriptors;
        _inFlight--;
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

    /// <summary>With IN_ORDER one used entry stands for all buffers up to the one it names (virtio 2.7.9, 2.8.8).</summary>
    private protected void BeginBatch(ushort last, uint length)
    {
        _batchLast = last;
        _batchWritten = Clamp(length, SlotAt(last).Writable);
    }

    private void EndBatch() => _batchLast = None;

    /// <summary>
    /// Takes the oldest buffer of the batch and says how many descriptors it had. Those that no entry was written for
    /// "are assumed to have been used (read or written) by the device completely" (2.7.9, 2.8.8).
    /// </summary>
    private protected ushort TakeOfBatch(out ushort token, out uint written)
    {
        ushort head = _oldest;
        ref Slot slot = ref SlotAt(head);
        written = slot.Writable;
        if (head == _batchLast)
        {
            written = _batchWritten;
            EndBatch();
        }
        token = slot.Token;
        int next = head + slot.Descriptors;
        _oldest = (ushort)(next >= _size ? next - _size : next);
        End(head, ref slot);
        return slot.Descriptors;
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
        }
        _slots[_size - 1].Next = _inOrder ? (ushort)0 : None;
        _firstFree = 0;
        _free = _size;
        _oldest = 0;
        EndBatch();
    }

    private void SharePieces(ushort head, ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, bool table)
    {
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
