// A virtio block device in service (virtio 5.2.6).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Block;

/// <summary>
/// Requests are cut into parts that the device's limits allow; each part has a slot with its header and status byte, and the slot's
/// number is its token. A request that finds no slot waits in a list until completions make room.
/// </summary>
public sealed unsafe partial class VirtioBlk : BlockDevice
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
