// A virtio block device: how a request is cut into parts and given to the device (virtio 5.2.6).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    /// <summary>Gives the device as many parts of the request as there is room for; true when that was the last.</summary>
    private bool TryIssue(BlockRequest request)
    {
        BlockOperation operation = request.Operation;
        if (operation > BlockOperation.Write)
        {
            return TryIssueCommand(request);
        }
        bool isRead = operation == BlockOperation.Read;
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        if (buffers.Length == 1 && buffers[0].Length <= _limits.SizeMax)
        {
            return TryIssueWhole(request);
        }
        return TryIssueCut(request, isRead, buffers);
    }

    /// <summary>A request of one buffer that need not be cut.</summary>
    private bool TryIssueWhole(BlockRequest request)
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            if (_queue.TryIssueWhole(request, (uint)request.Operation, request.DeviceSector, request.Buffer))
            {
                return true;
            }
            UseNextQueue();
        }
        return false;
    }

    private bool TryIssueCommand(BlockRequest request)
    {
        switch (request.Operation)
        {
            case BlockOperation.Flush:
                request.WritesBefore = _writesDone;
                return TryIssuePart(request, 0, 0, 0, isRead: true);
            case BlockOperation.GetId:
                return TryIssueAnswer(request, 0, VirtioBlkFormat.IdLength, VirtioBlkFormat.IdLength);
            case BlockOperation.GetLifetime:
                return TryIssueAnswer(request, 0, BlockLifetime.Length, BlockLifetime.Length);
            case BlockOperation.ReportZones:
                return TryIssueAnswer(request, request.DeviceSector, request.Buffers[0].Length, ZoneReport.HeaderLength - 1);
            case BlockOperation.Discard:
            case BlockOperation.WriteZeroes:
            case BlockOperation.SecureErase:
                return TryIssueRange(request);
            case BlockOperation.AppendZone:
                return TryIssueAppend(request);
            default:
                return TryIssuePart(request, request.DeviceSector, 0, 0, isRead: true);
        }
    }

    /// <summary>Devices write what they have to say and may leave the rest alone: it has to be 0 before.</summary>
    private bool TryIssueAnswer(BlockRequest request, ulong sector, uint length, uint least)
    {
        DmaBuffer answer = request.Buffers[0].Slice(0, length);
        answer.Span.Clear();
        _segments[0] = answer;
        return TryIssuePart(request, sector, 1, least, isRead: true);
    }

    /// <summary>A range is cut where the device wants it, and where a single command ends.</summary>
    private bool TryIssueRange(BlockRequest request)
    {
        VirtioBlkRangeLimits limits = _limits.RangeOf(request.Operation);
        uint type = VirtioBlkFormat.TypeOf(request.Operation);
        ulong done = request.IssuedBytes / SectorSize;
        while (done < request.RangeSectors)
        {
            ulong start = request.DeviceSector + done;
            ulong left = request.RangeSectors - done;
            uint count = (uint)Math.Min(left, limits.MaxSectors);
            if (count < left && limits.Alignment > 1)
            {
                uint over = (uint)((start + count) % limits.Alignment);
                count -= over < count && (over & (_limits.BlockSectors - 1)) == 0 ? over : 0;
            }
            if (!TryIssueRangePart(request, type, start, count))
            {
                return false;
            }
            done += count;
            request.IssuedBytes = done * SectorSize;
        }
        return true;
    }

    /// <summary>The general way: several buffers, or more than the device takes at once.</summary>
    private bool TryIssueCut(BlockRequest request, bool isRead, ReadOnlySpan<DmaBuffer> buffers)
    {
        uint maxSegment = _limits.SizeMax - _limits.SizeMax % _pieceUnit;
        int index = 0;
        ulong passed = 0;
        while (index < buffers.Length && passed + buffers[index].Length <= request.IssuedBytes)
        {
            passed += buffers[index++].Length;
        }
        uint offset = (uint)(request.IssuedBytes - passed);
        while (index < buffers.Length)
        {
            if (_inSequence && !isRead && request.PendingParts != 0)
            {
                return false; // parts end in any order, and a zone is written in one
            }
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
            if (!TryIssuePart(request, request.DeviceSector + request.IssuedBytes / SectorSize, segments, length, isRead))
            {
                return false;
            }
            request.IssuedBytes += length;
            index = nextIndex;
            offset = nextOffset;
        }
        return true;
    }

    /// <summary>One request of the protocol, with the first <paramref name="segments"/> of <see cref="_segments"/>.</summary>
    private bool TryIssuePart(BlockRequest request, ulong sector, int segments, uint length, bool isRead) =>
        _queue.TryIssue(request, VirtioBlkFormat.TypeOf(request.Operation), sector, segments, isRead ? length : 0, isRead) ||
        (_queues.Length > 1 && TryIssueElsewhere(request, sector, segments, length, isRead));

    /// <summary>Without room in one queue the next may have some.</summary>
    private bool TryIssueElsewhere(BlockRequest request, ulong sector, int segments, uint length, bool isRead)
    {
        for (int i = 1; i < _queues.Length; i++)
        {
            UseNextQueue();
            if (_queue.TryIssue(request, VirtioBlkFormat.TypeOf(request.Operation), sector, segments, isRead ? length : 0, isRead))
            {
                return true;
            }
        }
        return false;
    }

    private bool TryIssueRangePart(BlockRequest request, uint type, ulong sector, uint sectors)
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            if (_queue.TryIssueRange(request, type, sector, sectors, request.MayUnmap && request.Operation == BlockOperation.WriteZeroes))
            {
                return true;
            }
            UseNextQueue();
        }
        return false;
    }

    private bool TryIssueAppend(BlockRequest request)
    {
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        buffers.CopyTo(_segments);
        for (int i = 0; i < _queues.Length; i++)
        {
            if (_queue.TryIssueAppend(request, VirtioBlkFormat.TypeOf(BlockOperation.AppendZone), request.DeviceSector, buffers.Length))
            {
                return true;
            }
            UseNextQueue();
        }
        return false;
    }

    private void UseNextQueue()
    {
        _turn = _turn + 1 == _queues.Length ? 0 : _turn + 1;
        _queue = _queues[_turn];
    }
}
