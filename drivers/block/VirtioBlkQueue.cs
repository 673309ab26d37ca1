// One request queue of a virtio block device, with the slots of its requests (virtio 5.2.2, 5.2.6).
using System.Runtime.CompilerServices;
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Block;

/// <summary>
/// What is on its way in one queue. Each part of a request has a slot with its header and its status byte; the slot's number is its token.
/// </summary>
internal sealed unsafe class VirtioBlkQueue
{
    // A slot's memory: the header, then where a zone append is answered, the status, and the range of a command that has one.
    private const uint SlotLength = 64;
    private const uint AppendOffset = 16;
    private const uint StatusOffset = 24;
    private const uint RangeOffset = 32;

    private readonly DmaSpace _dma;
    private readonly DmaBuffer _memory;
    private readonly Slot[] _slots;
    private readonly ushort[] _freeSlots;
    private readonly DmaBuffer[] _segments;
    private readonly DmaBuffer[] _outer = new DmaBuffer[1];
    private readonly bool _ignoresLengths;
    private readonly uint _zoneSectors;
    private int _freeCount;
    private bool _hasNew;

    /// <summary>A part of a request that is on its way.</summary>
    private struct Slot
    {
        internal BlockRequest? Request;
        internal DmaBuffer Header;
        internal DmaBuffer Status;
        internal uint ReadLength;
        internal uint IssuedTick; // the slot has 64 bytes with it
    }

    private VirtioBlkQueue(Virtqueue ring, DmaSpace dma, in DmaBuffer memory, DmaBuffer[] segments, bool ignoresLengths, uint zoneSectors)
    {
        Ring = ring;
        _dma = dma;
        _memory = memory;
        _segments = segments;
        _ignoresLengths = ignoresLengths;
        _zoneSectors = zoneSectors;
        _slots = new Slot[ring.Size];
        _freeSlots = new ushort[ring.Size];
        for (int i = 0; i < _slots.Length; i++)
        {
            DmaBuffer slot = memory.Slice((uint)i * SlotLength, SlotLength);
            _slots[i].Header = slot.Slice(0, VirtioBlkFormat.HeaderLength);
            _slots[i].Status = slot.Slice(StatusOffset, 1);
            _freeSlots[_freeCount++] = (ushort)(_slots.Length - 1 - i);
        }
    }

    /// <summary>The ring.</summary>
    internal readonly Virtqueue Ring;

    /// <summary>When parts are issued, in ticks: set now and then by the one who looks at the clock.</summary>
    internal uint Tick;

    /// <summary>How many parts are with the device.</summary>
    internal int InFlight => _slots.Length - _freeCount;

    /// <summary>
    /// Makes the slots of a ring. <paramref name="segments"/> is where the caller puts the pieces of a part, one more than there can be;
    /// lengths of used buffers are ignored when <paramref name="ignoresLengths"/>; zones have <paramref name="zoneSectors"/>, 0 when there are
    /// none. False when there is no memory.
    /// </summary>
    internal static bool TryCreate(
        Virtqueue ring, DmaSpace dma, DmaBuffer[] segments, bool ignoresLengths, uint zoneSectors, out VirtioBlkQueue? queue)
    {
        queue = null;
        if (!dma.TryAllocate(ring.Size * SlotLength, SlotLength, out DmaBuffer memory))
        {
            return false;
        }
        queue = new VirtioBlkQueue(ring, dma, memory, segments, ignoresLengths, zoneSectors);
        return true;
    }

    /// <summary>
    /// One request of the protocol: header, the first <paramref name="count"/> pieces, which the device writes when <paramref name="isRead"/>,
    /// status byte. It counts only if the device writes at least <paramref name="readLength"/> bytes before the status. False when there is no room.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryIssue(BlockRequest request, uint type, ulong sector, int count, uint readLength, bool isRead)
    {
        if (_freeCount == 0)
        {
            return false;
        }
        ushort number = _freeSlots[_freeCount - 1];
        ref Slot slot = ref _slots[number];
        byte* header = slot.Header.Pointer;
        *(ulong*)(header + VirtioBlkFormat.TypeOffset) = type;
        *(ulong*)(header + VirtioBlkFormat.SectorOffset) = sector;
        *slot.Status.Pointer = VirtioBlkFormat.StatusPoison;
        bool added;
        if (isRead)
        {
            _outer[0] = slot.Header;
            _segments[count] = slot.Status;
            added = Ring.TryAdd(_outer, new ReadOnlySpan<DmaBuffer>(_segments, 0, count + 1), number);
        }
        else
        {
            added = TryAddWrite(ref slot, slot.Status, count, number);
        }
        if (!added)
        {
            return false;
        }
        Hold(request, ref slot, readLength);
        return true;
    }

    /// <summary>A command for one range (5.2.6, struct virtio_blk_discard_write_zeroes); see <see cref="TryIssue"/>.</summary>
    internal bool TryIssueRange(BlockRequest request, uint type, ulong sector, uint sectors, bool mayUnmap)
    {
        if (_freeCount == 0)
        {
            return false;
        }
        DmaBuffer range = _memory.Slice(_freeSlots[_freeCount - 1] * SlotLength + RangeOffset, VirtioBlkFormat.RangeLength);
        *(ulong*)(range.Pointer + VirtioBlkFormat.RangeSectorOffset) = sector;
        *(uint*)(range.Pointer + VirtioBlkFormat.RangeCountOffset) = sectors;
        *(uint*)(range.Pointer + VirtioBlkFormat.RangeFlagsOffset) = mayUnmap ? VirtioBlkFormat.RangeUnmap : 0;
        _segments[0] = range;
        return TryIssueApart(request, type, 0, 1, 0, isRead: false);
    }

    /// <summary>The same as <see cref="TryIssue"/>, for callers that are not in a hurry.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal bool TryIssueApart(BlockRequest request, uint type, ulong sector, int count, uint readLength, bool isRead) =>
        TryIssue(request, type, sector, count, readLength, isRead);

    /// <summary>A zone append, whose answer has a sector before the status (5.2.6, struct virtio_blk_req_za); see <see cref="TryIssue"/>.</summary>
    internal bool TryIssueAppend(BlockRequest request, uint type, ulong sector, int count)
    {
        if (_freeCount == 0)
        {
            return false;
        }
        ushort number = _freeSlots[_freeCount - 1];
        ref Slot slot = ref _slots[number];
        byte* header = slot.Header.Pointer;
        *(ulong*)(header + VirtioBlkFormat.TypeOffset) = type;
        *(ulong*)(header + VirtioBlkFormat.SectorOffset) = sector;
        DmaBuffer answer = _memory.Slice(number * SlotLength + AppendOffset, VirtioBlkFormat.AppendSectorLength + 1);
        answer.Span.Fill(VirtioBlkFormat.StatusPoison);
        if (!TryAddWrite(ref slot, answer, count, number))
        {
            return false;
        }
        Hold(request, ref slot, VirtioBlkFormat.AppendSectorLength);
        return true;
    }

    /// <summary>Tells the device what was issued since the last call; false when that is nothing.</summary>
    internal bool TryKick()
    {
        bool hasNew = _hasNew;
        if (hasNew)
        {
            _hasNew = false;
            Ring.Kick();
        }
        return hasNew;
    }

    /// <summary>Takes back one part that the device is done with, and says what became of it; false when there is none, or the ring broke.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTake(out BlockRequest? request, out IoStatus status)
    {
        if (!Ring.TryTakeUsed(out ushort number, out uint written))
        {
            request = null;
            status = IoStatus.InFlight;
            return false;
        }
        ref Slot slot = ref _slots[number];
        request = slot.Request!;
        status = StatusOf(ref slot, written);
        if (request.Operation > BlockOperation.Write && status == IoStatus.Ok)
        {
            status = ReadAnswer(request, ref slot, written);
        }
        slot.Request = null;
        _freeSlots[_freeCount++] = number;
        return true;
    }

    /// <summary>Takes back one part that never came, after a reset; false when there is none.</summary>
    internal bool TryDetach(out BlockRequest? request, out uint issuedTick)
    {
        request = null;
        issuedTick = 0;
        if (!Ring.TryDetach(out ushort number))
        {
            return false;
        }
        request = _slots[number].Request;
        issuedTick = _slots[number].IssuedTick;
        _slots[number].Request = null;
        _freeSlots[_freeCount++] = number;
        return true;
    }

    /// <summary>The part in slot <paramref name="index"/>, from 0, if there is one; false at the end of the slots.</summary>
    internal bool TryLook(int index, out BlockRequest? request, out uint issuedTick)
    {
        request = null;
        issuedTick = 0;
        if (index >= _slots.Length)
        {
            return false;
        }
        request = _slots[index].Request;
        issuedTick = _slots[index].IssuedTick;
        return true;
    }

    /// <summary>Gives the slots' memory back; the device was reset, and nothing is in flight.</summary>
    internal void Free() => _dma.Free(_memory);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Hold(BlockRequest request, ref Slot slot, uint readLength)
    {
        _freeCount--;
        _hasNew = true;
        slot.Request = request;
        slot.ReadLength = readLength;
        slot.IssuedTick = Tick;
        request.PendingParts++;
    }

    private bool TryAddWrite(ref Slot slot, in DmaBuffer answer, int count, ushort number)
    {
        // The header goes in front: the pieces move up by one.
        for (int i = count; i > 0; i--)
        {
            _segments[i] = _segments[i - 1];
        }
        _segments[0] = slot.Header;
        _outer[0] = answer;
        if (Ring.TryAdd(new ReadOnlySpan<DmaBuffer>(_segments, 0, count + 1), _outer, number))
        {
            return true;
        }
        // Back again: another queue may be tried.
        for (int i = 0; i < count; i++)
        {
            _segments[i] = _segments[i + 1];
        }
        return false;
    }

    /// <summary>Reads the status byte once. A read counts only when all of it was written (2.7.8.3: beyond len nothing may be assumed).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IoStatus StatusOf(ref Slot slot, uint written)
    {
        byte status = Volatile.Read(ref *slot.Status.Pointer);
        if (status != VirtioBlkFormat.StatusOk)
        {
            return ErrorOf(status);
        }
        // Legacy devices often report lengths that are wrong, and are not to be asked (5.2.6.3).
        return written > slot.ReadLength || slot.ReadLength == 0 || _ignoresLengths ? IoStatus.Ok : IoStatus.DeviceError;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private IoStatus ErrorOf(byte status) =>
        status switch
        {
            VirtioBlkFormat.StatusUnsupported => IoStatus.Unsupported,
            _ when _zoneSectors == 0 => IoStatus.DeviceError,
            VirtioBlkFormat.StatusZoneInvalid => IoStatus.ZoneInvalid,
            VirtioBlkFormat.StatusZoneUnaligned => IoStatus.ZoneUnaligned,
            VirtioBlkFormat.StatusZoneOpen => IoStatus.ZoneOpenLimit,
            VirtioBlkFormat.StatusZoneActive => IoStatus.ZoneActiveLimit,
            _ => IoStatus.DeviceError,
        };

    /// <summary>What some commands answer besides their status, checked.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private IoStatus ReadAnswer(BlockRequest request, ref Slot slot, uint written)
    {
        if (request.Operation == BlockOperation.AppendZone)
        {
            ulong at = *(ulong*)(slot.Status.Pointer - VirtioBlkFormat.AppendSectorLength);
            ulong zone = request.DeviceSector;
            ulong length = 0;
            for (int i = 0; i < request.Buffers.Length; i++)
            {
                length += request.Buffers[i].Length;
            }
            // Within the zone that was asked for: the length was checked to fit into one.
            if (at < zone || at - zone > _zoneSectors - length / BlockDevice.SectorSize)
            {
                return IoStatus.DeviceError;
            }
            request.AppendedAt = at - request.Origin;
        }
        else if (request.Operation == BlockOperation.ReportZones)
        {
            // What the device says and did not write is not there.
            DmaBuffer report = request.Buffers[0];
            ulong room = (_ignoresLengths ? report.Length : Math.Min(written, report.Length)) - ZoneReport.HeaderLength;
            ulong count = *(ulong*)report.Pointer;
            *(ulong*)report.Pointer = Math.Min(count, room / ZoneReport.ZoneLength);
        }
        return IoStatus.Ok;
    }
}
