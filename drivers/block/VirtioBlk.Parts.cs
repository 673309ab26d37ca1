// A virtio block device: what is refused, and how a request is cut into parts and given to the device (virtio 5.2.6).
using System.Threading;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed unsafe partial class VirtioBlk
{
    /// <summary>Everything that can be refused is refused here, before the device sees anything (virtio 5.2.6.1).</summary>
    private IoStatus Check(BlockRequest request)
    {
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        ulong length = 0;
        for (int i = 0; i < buffers.Length; i++)
        {
            if (buffers[i].Length == 0 || ((buffers[i].Length & (_limits.BlockSize - 1)) != 0 && request.Operation != BlockOperation.GetId))
            {
                return IoStatus.Misaligned;
            }
            length += buffers[i].Length;
        }
        switch (request.Operation)
        {
            case BlockOperation.Flush:
                // Without the feature a device keeps nothing in a cache that a flush would empty (5.2.6.2); there is nothing to ask for.
                return buffers.Length != 0 ? IoStatus.Misaligned : _limits.HasFlush ? IoStatus.Ok : IoStatus.Unsupported;
            case BlockOperation.GetId:
                return buffers.Length == 1 && length >= VirtioBlkFormat.IdLength ? IoStatus.Ok : IoStatus.Misaligned;
            case BlockOperation.Write when _limits.IsReadOnly:
                return IoStatus.ReadOnly;
        }
        if (length == 0 || (request.Sector & (_limits.BlockSize / SectorSize - 1)) != 0)
        {
            return IoStatus.Misaligned;
        }
        ulong sectors = length / SectorSize;
        return sectors > _limits.SectorCount || request.Sector > _limits.SectorCount - sectors ? IoStatus.OutOfRange : IoStatus.Ok;
    }

    /// <summary>Gives the device as many parts of the request as there is room for; true when that was the last.</summary>
    private bool TryIssue(BlockRequest request)
    {
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        if (request.Operation is BlockOperation.Flush or BlockOperation.GetId)
        {
            DmaBuffer data = request.Operation == BlockOperation.GetId ? buffers[0].Slice(0, VirtioBlkFormat.IdLength) : default;
            // Devices write the text and may leave the rest alone: it has to be NUL before.
            data.Span.Clear();
            _segments[0] = data;
            request.WritesBefore = _writesDone;
            uint type = request.Operation == BlockOperation.Flush ? VirtioBlkFormat.TypeFlush : VirtioBlkFormat.TypeGetId;
            return TryIssuePart(request, type, 0, data.Length == 0 ? 0 : 1, data.Length, isRead: true);
        }
        bool isRead = request.Operation == BlockOperation.Read;
        uint requestType = isRead ? VirtioBlkFormat.TypeIn : VirtioBlkFormat.TypeOut;
        if (buffers.Length == 1 && buffers[0].Length <= _limits.SizeMax)
        {
            _segments[0] = buffers[0];
            return TryIssuePart(request, requestType, request.Sector, 1, buffers[0].Length, isRead);
        }
        return TryIssueCut(request, requestType, isRead, buffers);
    }

    /// <summary>The general way: several buffers, or more than the device takes at once.</summary>
    private bool TryIssueCut(BlockRequest request, uint type, bool isRead, ReadOnlySpan<DmaBuffer> buffers)
    {
        uint maxSegment = _limits.SizeMax & ~(_limits.BlockSize - 1);
        int index = 0;
        ulong passed = 0;
        while (index < buffers.Length && passed + buffers[index].Length <= request.IssuedBytes)
        {
            passed += buffers[index++].Length;
        }
        uint offset = (uint)(request.IssuedBytes - passed);
        while (index < buffers.Length)
        {
            int nextIndex = index;
            uint nextOffset = offset;
            int segments = 0;
            uint length = 0;
            while (segments < _maxSegments && nextIndex < buffers.Length)
            {
                uint piece = Math.Min(buffers[nextIndex].Length - nextOffset, maxSegment);
                if (length > int.MaxValue - piece)
                {
                    break;
                }
                _segments[segments++] = buffers[nextIndex].Slice(nextOffset, piece);
                length += piece;
                nextOffset += piece;
                if (nextOffset == buffers[nextIndex].Length)
                {
                    nextIndex++;
                    nextOffset = 0;
                }
            }
            if (!TryIssuePart(request, type, request.Sector + request.IssuedBytes / SectorSize, segments, length, isRead))
            {
                return false;
            }
            request.IssuedBytes += length;
            index = nextIndex;
            offset = nextOffset;
        }
        return true;
    }

    /// <summary>One request of the protocol: header, the first <paramref name="segments"/> of <see cref="_segments"/>, status byte.</summary>
    private bool TryIssuePart(BlockRequest request, uint type, ulong sector, int segments, uint length, bool isRead)
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
            _segments[segments] = slot.Status;
            added = _queue.TryAdd(_outer, new ReadOnlySpan<DmaBuffer>(_segments, 0, segments + 1), number);
        }
        else
        {
            // The header goes in front: the segments move up by one.
            added = TryAddWrite(ref slot, segments, number);
        }
        if (!added)
        {
            return false;
        }
        _freeCount--;
        slot.Request = request;
        slot.ReadLength = isRead ? length : 0;
        slot.IssuedTick = _tick;
        request.PendingParts++;
        return true;
    }

    private bool TryAddWrite(ref Slot slot, int segments, ushort number)
    {
        for (int i = segments; i > 0; i--)
        {
            _segments[i] = _segments[i - 1];
        }
        _segments[0] = slot.Header;
        _outer[0] = slot.Status;
        return _queue.TryAdd(new ReadOnlySpan<DmaBuffer>(_segments, 0, segments + 1), _outer, number);
    }

    /// <summary>Reads the status byte once. A read counts only when all of it was written (2.7.8.3: beyond len nothing may be assumed).</summary>
    private IoStatus StatusOf(ushort number, uint written)
    {
        ref Slot slot = ref _slots[number];
        byte status = Volatile.Read(ref *slot.Status.Pointer);
        if (status == VirtioBlkFormat.StatusOk)
        {
            // Legacy devices often report lengths that are wrong, and are not to be asked (5.2.6.3).
            return written > slot.ReadLength || slot.ReadLength == 0 || _ignoresLengths ? IoStatus.Ok : IoStatus.DeviceError;
        }
        return status == VirtioBlkFormat.StatusUnsupported ? IoStatus.Unsupported : IoStatus.DeviceError;
    }
}
