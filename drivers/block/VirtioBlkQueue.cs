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
internal sealed unsafe partial class VirtioBlkQueue
{
    // A slot's memory: the header, then where a zone append is answered, the status, and the range of a command that has one.
    private const uint SlotLength = 64;
    private const uint AppendOffset = 16;
    private const uint StatusOffset = 24;
    private const uint RangeOffset = 32;
    private const uint Whole = uint.MaxValue;

    private readonly DmaSpace _dma;
    private readonly DmaBuffer _memory;
    private readonly Slot[] _slots;
    private readonly DmaBuffer[] _segments;
    private readonly DmaBuffer[] _outer = new DmaBuffer[1];
    private readonly bool _ignoresLengths;
    private readonly uint _zoneSectors;
    private uint _firstFree;

    /// <summary>A part of a request that is on its way.</summary>
    private struct Slot
    {
        // Stays when the part has come back: the same request is often the next one here.
        internal BlockRequest? Request;

        // Of a part that is not all of a read or a write: how many bytes the device has to write at least, without the status. Whole otherwise.
        internal uint PartLength;

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
        _zoneSectors = zoneSectors;
        // One slot more than there are: it stands for none, and no request is ever in it.
        _slots = new Slot[ring.Size + 1];
        for (uint number = 0; number < ring.Size; number++)
        {
            ring.SetFrame((ushort)number, HeaderOf(number), StatusOf(number));
            _slots[number].NextFree = number + 1;
            _slots[number].PartLength = Whole;
        }
    }

    /// <summary>The ring.</summary>
    internal readonly Virtqueue Ring;

    /// <summary>When parts are issued, in ticks and not 0: set now and then by the one who looks at the clock.</summary>
    internal uint Tick;

    private bool IsFull => _firstFree == Ring.Size;

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

    /// <summary>Tells the device what was issued since the last call; false when that is nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryKick()
    {
        if (!Ring.HasNew)
        {
            return false;
        }
        Ring.Kick();
        return true;
    }

    /// <summary>
    /// Takes back the slot of a part that the device is done with. <paramref name="status"/> is its status byte, which is read here and only
    /// once.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal BlockRequest TakeBack(uint number, out byte status)
    {
        ref Slot slot = ref SlotAt(number);
        status = Volatile.Read(ref *(_memory.Pointer + number * SlotLength + StatusOffset));
        Release(ref slot, number);
        return slot.Request!;
    }

    /// <summary>True when a part that <see cref="TakeBack"/> took is all of a read or a write, and was done well.</summary>
    internal bool IsWell(uint number, BlockRequest request, uint written, byte status) =>
        status == VirtioBlkFormat.StatusOk && _slots[number].PartLength == Whole && IsEnough(written, LengthOf(request));

    /// <summary>What became of any other part that <see cref="TakeBack"/> took. Called before another one is issued, and once.</summary>
    internal IoStatus EndOf(uint number, BlockRequest request, uint written, byte status)
    {
        uint least = CountPart(ref _slots[number], request);
        if (status != VirtioBlkFormat.StatusOk)
        {
            return ErrorOf(status);
        }
        if (!IsEnough(written, least))
        {
            return IoStatus.DeviceError;
        }
        return request.Operation > BlockOperation.Write ? ReadAnswer(request, number, written) : IoStatus.Ok;
    }

    // A read counts only when all of it was written: beyond len nothing may be assumed (2.7.8.3). Legacy devices often report lengths that are
    // wrong, and are not to be asked (5.2.6.3).
    private bool IsEnough(uint written, uint least) => written > least || least == 0 || _ignoresLengths;

    private static uint LengthOf(BlockRequest request) => request.Operation == BlockOperation.Read ? request.Buffer.Length : 0;

    /// <summary>
    /// Whole requests are not counted as parts as long as nothing goes wrong: here they are. The answer is how many bytes have to be written
    /// at least, without the status.
    /// </summary>
    private static uint CountPart(ref Slot slot, BlockRequest request)
    {
        uint length = slot.PartLength;
        slot.PartLength = Whole;
        if (length != Whole)
        {
            return length;
        }
        request.PendingParts++;
        return LengthOf(request);
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
        CountPart(ref slot, request);
        issuedTick = slot.IssuedTick;
        Release(ref slot, number);
        return true;
    }

    /// <summary>The part in slot <paramref name="index"/>, from 0, if there is one; false at the end of the slots.</summary>
    internal bool TryLook(int index, out BlockRequest? request, out uint issuedTick)
    {
        request = null;
        issuedTick = 0;
        if (index >= Ring.Size)
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

    /// <summary>What was in the slot has come back; it is the next one to be used.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Release(ref Slot slot, uint number)
    {
        slot.IssuedTick = 0;
        slot.NextFree = _firstFree;
        _firstFree = number;
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
    private IoStatus ReadAnswer(BlockRequest request, uint number, uint written)
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
