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
    private VirtioBlkLimits _limits;
    private readonly DmaBuffer _memory;
    private readonly Slot[] _slots;
    private readonly ushort[] _freeSlots;
    private readonly DmaBuffer[] _segments;
    private readonly DmaBuffer[] _outer = new DmaBuffer[1];
    private readonly int _maxSegments;
    private readonly bool _ignoresLengths;
    private int _freeCount;
    private BlockRequest? _firstWaiting;
    private BlockRequest? _lastWaiting;
    private ulong _lookAt = ulong.MaxValue;
    private uint _tick;
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
        internal uint IssuedTick; // the slot has 64 bytes with it
    }

    private VirtioBlk(VirtioDevice virtio, Virtqueue queue, in VirtioBlkLimits limits, in DmaBuffer memory)
    {
        _virtio = virtio;
        _queue = queue;
        _limits = limits;
        _ignoresLengths = virtio.Transport.IsLegacy;
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

    /// <summary>
    /// After how many nanoseconds with the device a part of a request is given up: the request ends as timed out, and the device is reset.
    /// It is looked at every 10 ms, and a part may be given up that much too early.
    /// </summary>
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

    /// <inheritdoc/>
    public override bool IsPolled => _virtio.IsPolled;

    /// <inheritdoc/>
    public override bool WantsPolling => _virtio.IsPolled && PartsInFlight != 0 && _failure == IoStatus.Ok;

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
        if (_cacheInDoubt && request.Operation == BlockOperation.Flush)
        {
            _cacheInDoubt = false;
            return IoStatus.DeviceError;
        }
        request.Begin();
        request.PendingParts = 0;
        request.PartStatus = IoStatus.Ok;
        request.IssuedBytes = 0;
        request.WasIssued = false;
        request.Next = null;
        if (_lookAt == ulong.MaxValue)
        {
            ulong now = _virtio.Transport.Clock.Now;
            _tick = TickOf(now);
            _oldestIssue = _tick;
            _lookAt = now + LookAgainInterval;
        }
        if (_firstWaiting is null && TryIssue(request))
        {
            return IoStatus.Ok;
        }
        AddWaiting(request);
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
                Recover(IoStatus.DeviceError, now: 0);
                return;
            }
            if (!any)
            {
                break;
            }
            IssueWaiting();
            if (_failure != IoStatus.Ok)
            {
                return;
            }
            _queue.Kick();
        }
        while (!_queue.TryEnableInterrupts());
        if (_virtio.TakeConfigChange())
        {
            OnConfigChange();
        }
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
        _tick = TickOf(now);
        _lookAt = now + LookAgainInterval;
        if (_virtio.NeedsReset())
        {
            Recover(IoStatus.DeviceError, now: 0);
            return;
        }
        if (_virtio.IsPolled && _virtio.TryReadConfig64(VirtioBlkFormat.CapacityOffset, out ulong sectors))
        {
            NoteCapacity(sectors);
        }
        if (IsPartOverdue(now))
        {
            Recover(IoStatus.TimedOut, now);
            return;
        }
        if (_partsDone != _partsDoneAtLook)
        {
            _toldSinceLook = false;
        }
        else if (!_toldSinceLook)
        {
            // Nothing moved for a whole interval: the doorbell may have been lost. Once is enough until something moves.
            _toldSinceLook = true;
            _queue.KickAgain();
            LostDoorbells++;
        }
        _partsDoneAtLook = _partsDone;
    }

    /// <inheritdoc/>
    public override void Remove()
    {
        if (_failure == IoStatus.Ok)
        {
            GiveUp(IoStatus.Removed, now: 0);
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
        if (status == IoStatus.Ok)
        {
            _recoveriesInVain = 0;
        }
        if (request.PartStatus == IoStatus.Ok)
        {
            request.PartStatus = status;
        }
        if (--request.PendingParts == 0 && request != _firstWaiting)
        {
            End(request);
        }
    }

    private void End(BlockRequest request)
    {
        Completed++;
        if (request.Operation != BlockOperation.Read && request.PartStatus == IoStatus.Ok)
        {
            NoteDurability(request);
        }
        request.Complete(request.PartStatus);
    }

    private void AddWaiting(BlockRequest request)
    {
        if (_lastWaiting is null)
        {
            _firstWaiting = request;
        }
        else
        {
            _lastWaiting.Next = request;
        }
        _lastWaiting = request;
    }

    private void IssueWaiting()
    {
        while (_firstWaiting is not null)
        {
            BlockRequest request = _firstWaiting;
            if (_oneByOne && PartsInFlight != request.PendingParts)
            {
                return;
            }
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
                End(request);
            }
        }
        _oneByOne = false;
    }
}
