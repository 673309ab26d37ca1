// One request queue of a virtio block device, with the slots of its requests (virtio 5.2.2, 5.2.6).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
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
    private const uint Other = uint.MaxValue;
    private const uint None = uint.MaxValue;

    private readonly DmaSpace _dma;
    private readonly DmaBuffer _memory;
    private readonly Slot[] _slots;
    private readonly DmaBuffer[] _segments;
    private readonly DmaBuffer[] _outer = new DmaBuffer[1];
    private readonly bool _ignoresLengths;
    private readonly uint _lengthMask;
    private readonly uint _zoneSectors;
    private uint _firstFree;

    /// <summary>A part of a request that is on its way.</summary>
    private struct Slot
    {
        // Stays when the part has come back: the same request is often the next one here.
        internal BlockRequest? Request;

        // How many bytes the device has to write, status included, for a whole read or write to be done well; Other for all that needs a closer look.
        internal uint Least;
        internal uint ReadLength;

        // Never 0 while the device has the part, always 0 otherwise.
        internal uint IssuedTick;

        // The next one that is free; those that were freed last come first.
        internal uint NextFree;
    }

    private VirtioBlkQueue(Virtqueue ring, DmaSpace dma, in DmaBuffer memory, DmaBuffer[] segments, bool ignoresLengths, uint zoneSectors)
    {
        Ring = ring;
        _dma = dma;
        _memory = memory;
        _segments = segments;
        _ignoresLengths = ignoresLengths;
        // Legacy devices often report lengths that are wrong, and are not to be asked (5.2.6.3).
        _lengthMask = ignoresLengths ? 0 : uint.MaxValue;
        _zoneSectors = zoneSectors;
        _slots = new Slot[ring.Size];
        for (uint number = 0; number < _slots.Length; number++)
        {
            ring.SetFrame((ushort)number, HeaderOf(number), StatusOf(number));
            _slots[number].NextFree = number + 1 == _slots.Length ? None : number + 1;
        }
    }

    /// <summary>The ring.</summary>
    internal readonly Virtqueue Ring;

    /// <summary>When parts are issued, in ticks and not 0: set now and then by the one who looks at the clock.</summary>
    internal uint Tick;

    /// <summary>How many parts are with the device.</summary>
    internal int InFlight => Ring.InFlight;

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
    /// One request of the protocol with one piece of data: type 0, a read, or 1, a write (so type - 1 is all ones for a read). A read counts
    /// only if the device writes all of it. False when there is no room.
    /// </summary>
    internal bool TryIssueWhole(BlockRequest request, uint type, ulong sector, in DmaBuffer data)
    {
        if (_firstFree == None)
        {
            return false;
        }
        uint number = _firstFree;
        ref Slot slot = ref _slots[number];
        slot.Request = request;
        WriteHeader(number, type, sector);
        if (!Ring.TryAddFramed((ushort)number, data, isWritable: type == (uint)BlockOperation.Read))
        {
            return false;
        }
        HoldWhole(ref slot, type, data.Length);
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
        if (number == None)
        {
            return false;
        }
        ref Slot slot = ref SlotAt(number);
        if (slot.Request != request)
        {
            return false;
        }
        WriteHeader(number, type, sector);
        if (!Ring.TryAddKept(number, data, type - 1))
        {
            return false;
        }
        HoldWhole(ref slot, type, data.Length);
        return true;
    }

    /// <summary>
    /// One request of the protocol: header, the first <paramref name="count"/> pieces, which the device writes when <paramref name="isRead"/>,
    /// status byte. It counts only if the device writes at least <paramref name="readLength"/> bytes before the status. False when there is no room.
    /// </summary>
    internal bool TryIssue(BlockRequest request, uint type, ulong sector, int count, uint readLength, bool isRead)
    {
        if (_firstFree == None)
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
        if (_firstFree == None)
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
        if (_firstFree == None)
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

    /// <summary>Tells the device what was issued since the last call; false when that is nothing.</summary>
    internal bool TryKick()
    {
        bool hasNew = Ring.HasNew;
        Ring.Kick();
        return hasNew;
    }

    /// <summary>
    /// Takes a part back that the device is done with. <paramref name="status"/> is its status byte, which is read here and only once. True
    /// when it is all of a read or a write, and was done well. For all others <see cref="EndOf"/> says what became of them.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsWell(UsedBuffer used, out BlockRequest request, out byte status)
    {
        uint number = used.Token;
        ref Slot slot = ref SlotAt(number);
        status = Volatile.Read(ref *(_memory.Pointer + number * SlotLength + StatusOffset));
        slot.IssuedTick = 0;
        request = slot.Request!;
        slot.NextFree = _firstFree;
        _firstFree = number;
        // Beyond len nothing may be assumed to have been written (2.7.8.3).
        return status == VirtioBlkFormat.StatusOk && used.Written >= slot.Least;
    }

    /// <summary>What became of a part that <see cref="IsWell"/> took back. Called before another one is issued.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal IoStatus EndOf(BlockRequest request, UsedBuffer used, byte status)
    {
        ref Slot slot = ref _slots[used.Token];
        request.PendingParts += slot.Least != Other ? 1 : 0; // a whole one is not counted before something goes wrong
        if (status != VirtioBlkFormat.StatusOk)
        {
            return ErrorOf(status);
        }
        if (slot.Least != Other || (used.Written <= slot.ReadLength && slot.ReadLength != 0 && !_ignoresLengths))
        {
            return IoStatus.DeviceError;
        }
        return request.Operation > BlockOperation.Write ? ReadAnswer(request, used.Token, used.Written) : IoStatus.Ok;
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
        ref Slot slot = ref _slots[number];
        request = slot.Request!;
        request.PendingParts += slot.Least != Other ? 1 : 0;
        issuedTick = slot.IssuedTick;
        slot.IssuedTick = 0;
        slot.NextFree = _firstFree;
        _firstFree = number;
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
        issuedTick = _slots[index].IssuedTick;
        request = issuedTick == 0 ? null : _slots[index].Request;
        return true;
    }

    /// <summary>Gives the slots' memory back; the device was reset, and nothing is in flight.</summary>
    internal void Free() => _dma.Free(_memory);

    /// <summary>A slot by its number, which is the driver's own.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Slot SlotAt(uint number) => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_slots), (nint)number);

    private DmaBuffer HeaderOf(uint number) => _memory.Slice(number * SlotLength, VirtioBlkFormat.HeaderLength);

    private DmaBuffer StatusOf(uint number) => _memory.Slice(number * SlotLength + StatusOffset, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteHeader(uint number, uint type, ulong sector)
    {
        byte* slot = _memory.Pointer + number * SlotLength;
        *(ulong*)(slot + VirtioBlkFormat.TypeOffset) = type;
        *(ulong*)(slot + VirtioBlkFormat.SectorOffset) = sector;
        *(slot + StatusOffset) = VirtioBlkFormat.StatusPoison;
    }

    /// <summary>The device has a whole request.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void HoldWhole(ref Slot slot, uint type, uint length)
    {
        slot.Least = (length + 1) & _lengthMask & (type - 1); // nothing can be asked of a write
        slot.IssuedTick = Tick;
        _firstFree = slot.NextFree;
    }

    /// <summary>The device has a part of a request, or one that is no read or write.</summary>
    private void HoldPart(BlockRequest request, uint number, uint readLength)
    {
        ref Slot slot = ref _slots[number];
        slot.Request = request;
        slot.Least = Other;
        slot.ReadLength = readLength;
        slot.IssuedTick = Tick;
        _firstFree = slot.NextFree;
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
    private IoStatus ReadAnswer(BlockRequest request, ushort number, uint written)
    {
        if (request.Operation == BlockOperation.AppendZone)
        {
            ulong at = *(ulong*)(_memory.Pointer + number * SlotLength + AppendOffset);
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
