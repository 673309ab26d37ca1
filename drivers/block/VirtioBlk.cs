// A virtio block device in service (virtio 5.2.6).
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Block;

/// <summary>
/// Requests are cut into parts that the device's limits allow; each part has a slot with its header and status byte, and the slot's
/// number is its token. A request that finds no slot waits in a list until completions make room.
/// </summary>
public sealed unsafe class VirtioBlk : BlockDevice
{
    private const uint SlotLength = 64;
    private const uint StatusOffset = 16;
    private const ulong LookAgainInterval = 10_000_000;
    private const ulong DefaultTimeout = 30_000_000_000;
    private const int MaxPartSegments = 126;

    private readonly VirtioDevice _virtio;
    private readonly Virtqueue _queue;
    private readonly VirtioBlkLimits _limits;
    private readonly DmaBuffer _memory;
    private readonly Slot[] _slots;
    private readonly ushort[] _freeSlots;
    private readonly DmaBuffer[] _segments;
    private readonly DmaBuffer[] _outer = new DmaBuffer[1];
    private readonly int _maxSegments;
    private int _freeCount;
    private BlockRequest? _firstWaiting;
    private BlockRequest? _lastWaiting;
    private ulong _lookAt = ulong.MaxValue;
    private ulong _lastProgress;
    private ulong _partsDone;
    private ulong _partsDoneAtLook;
    private bool _toldSinceLook;
    private IoStatus _failure;

    /// <summary>A part of a request that is on its way.</summary>
    private struct Slot
    {
        internal BlockRequest? Request;
        internal DmaBuffer Header;
        internal DmaBuffer Status;
        internal uint ReadLength;
    }

    private VirtioBlk(VirtioDevice virtio, Virtqueue queue, in VirtioBlkLimits limits, in DmaBuffer memory)
    {
        _virtio = virtio;
        _queue = queue;
        _limits = limits;
        _memory = memory;
        _slots = new Slot[queue.Size];
        _freeSlots = new ushort[queue.Size];
        _maxSegments = (int)Math.Min(Math.Min(limits.SegmentMax, (uint)queue.MaxPieces - 2), MaxPartSegments);
        _segments = new DmaBuffer[_maxSegments + 1];
        for (int i = 0; i < _slots.Length; i++)
        {
            DmaBuffer slot = memory.Slice((uint)i * SlotLength, SlotLength);
            _slots[i].Header = slot.Slice(0, VirtioBlkFormat.HeaderLength);
            _slots[i].Status = slot.Slice(StatusOffset, 1);
            _freeSlots[_freeCount++] = (ushort)(_slots.Length - 1 - i);
        }
    }

    /// <summary>The virtio device under it, for those who list what was agreed on.</summary>
    public VirtioDevice Virtio => _virtio;

    /// <inheritdoc/>
    public override DmaSpace Dma => _virtio.Transport.Dma;

    /// <inheritdoc/>
    public override ulong SectorCount => _limits.SectorCount;

    /// <inheritdoc/>
    public override uint BlockSize => _limits.BlockSize;

    /// <inheritdoc/>
    public override bool IsReadOnly => _limits.IsReadOnly;

    /// <inheritdoc/>
    public override bool CanFlush => _limits.HasFlush;

    /// <inheritdoc/>
    public override int MaxInFlight => _queue.Size / 3;

    /// <summary>After how many nanoseconds in which no part of any request was done the device is given up.</summary>
    public ulong RequestTimeout { get; set; } = DefaultTimeout;

    /// <summary>How many requests were completed.</summary>
    public ulong Completed { get; private set; }

    /// <summary>How often a doorbell or an interrupt had to be made good for.</summary>
    public ulong LostDoorbells { get; private set; }

    /// <summary>How often the queue was kicked into telling the device.</summary>
    public ulong Notifications => _queue.Notifications;

    /// <summary>How many interrupts came.</summary>
    public ulong Interrupts => _queue.Interrupts;

    /// <summary>How many parts are with the device.</summary>
    public int PartsInFlight => _slots.Length - _freeCount;

    /// <inheritdoc/>
    public override ulong NextDeadline => _lookAt;

    internal static bool TryCreate(VirtioDevice virtio, Virtqueue queue, in VirtioBlkLimits limits, out VirtioBlk? disk)
    {
        disk = null;
        if (!virtio.Transport.Dma.TryAllocate(queue.Size * SlotLength, SlotLength, out DmaBuffer memory))
        {
            return false;
        }
        disk = new VirtioBlk(virtio, queue, limits, memory);
        return true;
    }

    /// <inheritdoc/>
    public override IoStatus Submit(BlockRequest request)
    {
        if (_failure != IoStatus.Ok)
        {
            return _failure;
        }
        IoStatus status = Check(request);
        if (status != IoStatus.Ok)
        {
            return status;
        }
        request.Begin();
        request.PendingParts = 0;
        request.PartStatus = IoStatus.Ok;
        request.IssuedBytes = 0;
        request.Next = null;
        if (_lookAt == ulong.MaxValue)
        {
            _lastProgress = _virtio.Transport.Clock.Now;
            _lookAt = _lastProgress + LookAgainInterval;
        }
        if (_firstWaiting is null && TryIssue(request))
        {
            return IoStatus.Ok;
        }
        if (_lastWaiting is null)
        {
            _firstWaiting = request;
        }
        else
        {
            _lastWaiting.Next = request;
        }
        _lastWaiting = request;
        return IoStatus.Ok;
    }

    /// <inheritdoc/>
    public override void Kick() => _queue.Kick();

    /// <inheritdoc/>
    public override void Poll()
    {
        if (_failure != IoStatus.Ok)
        {
            return;
        }
        bool any = false;
        do
        {
            // A completion may remove the disk; the queue is gone then.
            while (_failure == IoStatus.Ok && _queue.TryTakeUsed(out ushort slot, out uint written))
            {
                any = true;
                EndPart(slot, StatusOf(slot, written));
            }
            if (_failure != IoStatus.Ok)
            {
                return;
            }
            if (_queue.IsBroken)
            {
                FailEverything(IoStatus.DeviceError);
                return;
            }
            if (!any)
            {
                return;
            }
            IssueWaiting();
            if (_failure != IoStatus.Ok)
            {
                return;
            }
            _queue.Kick();
        }
        while (!_queue.TryEnableInterrupts());
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        if (_failure != IoStatus.Ok)
        {
            _lookAt = ulong.MaxValue;
            return;
        }
        // Something may have been used without an interrupt: take it first.
        Poll();
        if (_failure != IoStatus.Ok)
        {
            return;
        }
        if (PartsInFlight == 0 && _firstWaiting is null)
        {
            _lookAt = ulong.MaxValue;
            _toldSinceLook = false;
            return;
        }
        if (_partsDone != _partsDoneAtLook)
        {
            _lastProgress = now;
            _toldSinceLook = false;
        }
        else if (now - _lastProgress >= RequestTimeout || _virtio.NeedsReset())
        {
            FailEverything(_virtio.NeedsReset() ? IoStatus.DeviceError : IoStatus.TimedOut);
            return;
        }
        else if (!_toldSinceLook)
        {
            // Nothing moved for a whole interval: the doorbell may have been lost. Once is enough until something moves.
            _toldSinceLook = true;
            _queue.KickAgain();
            LostDoorbells++;
        }
        _partsDoneAtLook = _partsDone;
        _lookAt = now + LookAgainInterval;
    }

    /// <inheritdoc/>
    public override void Remove()
    {
        if (_failure == IoStatus.Ok)
        {
            FailEverything(IoStatus.Removed);
        }
        _failure = IoStatus.Removed;
    }

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
            return written > slot.ReadLength || slot.ReadLength == 0 ? IoStatus.Ok : IoStatus.DeviceError;
        }
        return status == VirtioBlkFormat.StatusUnsupported ? IoStatus.Unsupported : IoStatus.DeviceError;
    }

    private void EndPart(ushort number, IoStatus status)
    {
        ref Slot slot = ref _slots[number];
        BlockRequest request = slot.Request!;
        slot.Request = null;
        _freeSlots[_freeCount++] = number;
        _partsDone++;
        if (request.PartStatus == IoStatus.Ok)
        {
            request.PartStatus = status;
        }
        if (--request.PendingParts == 0 && request != _firstWaiting)
        {
            Completed++;
            request.Complete(request.PartStatus);
        }
    }

    private void IssueWaiting()
    {
        while (_firstWaiting is not null)
        {
            BlockRequest request = _firstWaiting;
            // After an error the rest of a request is not worth asking for.
            bool done = request.PartStatus != IoStatus.Ok || TryIssue(request);
            if (!done)
            {
                return;
            }
            _firstWaiting = request.Next;
            request.Next = null;
            if (_firstWaiting is null)
            {
                _lastWaiting = null;
            }
            if (request.PendingParts == 0)
            {
                Completed++;
                request.Complete(request.PartStatus);
            }
        }
    }

    /// <summary>Resets the device, ends everything in flight and waiting, once each, and frees the memory last.</summary>
    private void FailEverything(IoStatus status)
    {
        _failure = status;
        _lookAt = ulong.MaxValue;
        bool reset = _virtio.Stop();
        BlockRequest? waiting = _firstWaiting;
        _firstWaiting = null;
        _lastWaiting = null;
        while (_queue.TryDetach(out ushort number))
        {
            BlockRequest request = _slots[number].Request!;
            _slots[number].Request = null;
            _freeSlots[_freeCount++] = number;
            if (--request.PendingParts == 0 && request != waiting)
            {
                request.Complete(request.PartStatus == IoStatus.Ok ? status : request.PartStatus);
            }
        }
        while (waiting is not null)
        {
            BlockRequest? next = waiting.Next;
            waiting.Next = null;
            waiting.Complete(status);
            waiting = next;
        }
        if (reset)
        {
            // A device that does not come out of reset may still write: its memory is given up instead.
            _virtio.FreeQueues();
            Dma.Free(_memory);
        }
    }
}
