// One request queue of a virtio block device: how parts of requests are given to the device (virtio 5.2.6).
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Block;

internal sealed unsafe partial class VirtioBlkQueue
{
    /// <summary>
    /// One request of the protocol with one piece of data: type 0, a read, or 1, a write (so type - 1 is all ones for a read). A read counts
    /// only if the device writes all of it. False when there is no room.
    /// </summary>
    internal bool TryIssueWhole(BlockRequest request, uint type, ulong sector, in DmaBuffer data)
    {
        if (IsFull)
        {
            return false;
        }
        uint number = _firstFree;
        ref Slot slot = ref _slots[number];
        if (slot.Request != request)
        {
            slot.Request = request;
        }
        WriteHeader(number, type, sector);
        if (!Ring.TryAddFramed((ushort)number, data, isWritable: type == (uint)BlockOperation.Read))
        {
            return false;
        }
        Hold(ref slot);
        return true;
    }

    /// <summary>
    /// The same where it can be done without a call: in a slot that was used before, by the same request. False says nothing but that it
    /// can't be done so.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryIssueAgain(BlockRequest request, uint type, ulong sector, in DmaBuffer data)
    {
        uint number = _firstFree;
        ref Slot slot = ref SlotAt(number);
        if (slot.Request != request)
        {
            return false;
        }
        Virtqueue ring = Ring;
        ref BufferFrame frame = ref ring.KeptFrame(number);
        if (!frame.HasPlace)
        {
            return frame.IsKept && IssueInFrame(number, type, sector, data);
        }
        WriteHeader(number, type, sector);
        Hold(ref slot);
        ring.AddKeptInPlace(ref frame, data, type - 1);
        return true;
    }

    /// <summary>The same for a packed ring; always true.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool IssueInFrame(uint number, uint type, ulong sector, in DmaBuffer data)
    {
        WriteHeader(number, type, sector);
        Hold(ref SlotAt(number));
        Ring.AddKept(ref Ring.KeptFrame(number), data, type - 1);
        return true;
    }

    /// <summary>
    /// One request of the protocol: header, the first <paramref name="count"/> pieces, which the device writes when <paramref name="isRead"/>,
    /// status byte. It counts only if the device writes at least <paramref name="readLength"/> bytes before the status. False when there is no room.
    /// </summary>
    internal bool TryIssue(BlockRequest request, uint type, ulong sector, int count, uint readLength, bool isRead)
    {
        if (IsFull)
        {
            return false;
        }
        uint number = _firstFree;
        WriteHeader(number, type, sector);
        bool added;
        if (isRead)
        {
            _outer[0] = HeaderOf(number);
            _segments[count] = StatusOf(number);
            added = Ring.TryAdd(_outer, new ReadOnlySpan<DmaBuffer>(_segments, 0, count + 1), (ushort)number);
        }
        else
        {
            added = TryAddWrite(number, StatusOf(number), count);
        }
        if (!added)
        {
            return false;
        }
        HoldPart(request, number, readLength);
        return true;
    }

    /// <summary>A command for one range (5.2.6, struct virtio_blk_discard_write_zeroes); see <see cref="TryIssue"/>.</summary>
    internal bool TryIssueRange(BlockRequest request, uint type, ulong sector, uint sectors, bool mayUnmap)
    {
        if (IsFull)
        {
            return false;
        }
        DmaBuffer range = _memory.Slice(_firstFree * SlotLength + RangeOffset, VirtioBlkFormat.RangeLength);
        *(ulong*)(range.Pointer + VirtioBlkFormat.RangeSectorOffset) = sector;
        *(uint*)(range.Pointer + VirtioBlkFormat.RangeCountOffset) = sectors;
        *(uint*)(range.Pointer + VirtioBlkFormat.RangeFlagsOffset) = mayUnmap ? VirtioBlkFormat.RangeUnmap : 0;
        _segments[0] = range;
        return TryIssue(request, type, 0, 1, 0, isRead: false);
    }

    /// <summary>A zone append, whose answer has a sector before the status (5.2.6, struct virtio_blk_req_za); see <see cref="TryIssue"/>.</summary>
    internal bool TryIssueAppend(BlockRequest request, uint type, ulong sector, int count)
    {
        if (IsFull)
        {
            return false;
        }
        uint number = _firstFree;
        WriteHeader(number, type, sector);
        DmaBuffer answer = _memory.Slice(number * SlotLength + AppendOffset, VirtioBlkFormat.AppendSectorLength + 1);
        answer.Span.Fill(VirtioBlkFormat.StatusPoison);
        if (!TryAddWrite(number, answer, count))
        {
            return false;
        }
        HoldPart(request, number, VirtioBlkFormat.AppendSectorLength);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteHeader(uint number, uint type, ulong sector)
    {
        byte* slot = _memory.Pointer + number * SlotLength;
        *(ulong*)(slot + VirtioBlkFormat.TypeOffset) = type;
        *(ulong*)(slot + VirtioBlkFormat.SectorOffset) = sector;
        *(slot + StatusOffset) = VirtioBlkFormat.StatusPoison;
    }

    /// <summary>The device has what is in the first free slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Hold(ref Slot slot)
    {
        slot.IssuedTick = Tick;
        _firstFree = slot.NextFree;
    }

    /// <summary>The device has a part of a request, or one that is no read or write.</summary>
    private void HoldPart(BlockRequest request, uint number, uint readLength)
    {
        ref Slot slot = ref _slots[number];
        slot.Request = request;
        slot.PartLength = readLength;
        Hold(ref slot);
        request.PendingParts++;
    }

    private bool TryAddWrite(uint number, in DmaBuffer answer, int count)
    {
        // The header goes in front: the pieces move up by one.
        for (int i = count; i > 0; i--)
        {
            _segments[i] = _segments[i - 1];
        }
        _segments[0] = HeaderOf(number);
        _outer[0] = answer;
        if (Ring.TryAdd(new ReadOnlySpan<DmaBuffer>(_segments, 0, count + 1), _outer, (ushort)number))
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
}
