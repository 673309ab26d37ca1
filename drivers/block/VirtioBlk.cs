// A virtio block device in service (virtio 5.2.6).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Block;

/// <summary>
/// Requests are cut into parts that the device's limits allow, which go to its queues, from kick to kick to another one. A request that finds
/// no room waits in a list until completions make some.
/// </summary>
public sealed partial class VirtioBlk : BlockDevice
{
    private const ulong LookAgainInterval = 10_000_000;
    private const ulong DefaultTimeout = 30_000_000_000;
    private const int MaxPartSegments = 126;

    private readonly VirtioDevice _virtio;
    private readonly VirtioBlkQueue[] _queues;
    private readonly DmaBuffer[] _segments;
    private readonly int _maxSegments;
    private readonly uint _pieceUnit;
    private readonly uint _blockMask;
    private readonly bool _inSequence;
    private VirtioBlkLimits _limits;
    private VirtioBlkQueue _queue;
    private int _turn;
    private ulong _wholeDone; // requests of one part that were done well
    private ulong _othersDone; // all other requests
    private ulong _partsDone; // the parts of these
    private ulong _partsDoneAtLook;
    private bool _toldSinceLook;
    private IoStatus _failure;

    private VirtioBlk(VirtioDevice virtio, VirtioBlkQueue[] queues, DmaBuffer[] segments, in VirtioBlkLimits limits)
    {
        _virtio = virtio;
        _queues = queues;
        _queue = queues[0];
        _segments = segments;
        _maxSegments = segments.Length - 1;
        _limits = limits;
        _blockMask = limits.BlockSize - 1;
        _inSequence = limits.Zones.Model != ZoneModel.None;
        _lastPlainWhenOpen = limits.IsReadOnly || _inSequence ? BlockOperation.Read : BlockOperation.Write;
        _pieceUnit = limits.Zones.Model == ZoneModel.HostManaged ? Math.Max(limits.BlockSize, limits.Zones.WriteGranularity) : limits.BlockSize;
        ReadWriteCache();
    }

    /// <summary>The virtio device under it, for those who list what was agreed on.</summary>
    public VirtioDevice Virtio => _virtio;

    /// <inheritdoc/>
    public override object? Hardware => _virtio;

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
    public override BlockTopology Topology => _limits.Topology;

    /// <inheritdoc/>
    public override BlockGeometry Geometry => _limits.Geometry;

    /// <inheritdoc/>
    public override ZoneLimits Zones => _limits.Zones;

    /// <summary>How many request queues are used.</summary>
    public int QueueCount => _queues.Length;

    /// <inheritdoc/>
    public override int MaxInFlight
    {
        get
        {
            int sum = 0;
            for (int i = 0; i < _queues.Length; i++)
            {
                sum += _queues[i].Ring.Size / 3;
            }
            return sum;
        }
    }

    /// <summary>
    /// After how many nanoseconds with the device a part of a request is given up: the request ends as timed out, and the device is reset.
    /// It is looked at every 10 ms, and a part may be given up that much too early.
    /// </summary>
    public ulong RequestTimeout { get; set; } = DefaultTimeout;

    /// <inheritdoc/>
    public override ulong Completed => _wholeDone + _othersDone;

    /// <summary>How often a doorbell or an interrupt had to be made good for.</summary>
    public ulong LostDoorbells { get; private set; }

    /// <summary>How often the device was told.</summary>
    public ulong Notifications
    {
        get
        {
            ulong sum = 0;
            for (int i = 0; i < _queues.Length; i++)
            {
                sum += _queues[i].Ring.Notifications;
            }
            return sum;
        }
    }

    /// <summary>How many interrupts came.</summary>
    public ulong Interrupts
    {
        get
        {
            ulong sum = 0;
            for (int i = 0; i < _queues.Length; i++)
            {
                sum += _queues[i].Ring.Interrupts;
            }
            return sum;
        }
    }

    /// <summary>How many parts are with the device.</summary>
    public int PartsInFlight
    {
        get
        {
            int sum = 0;
            for (int i = 0; i < _queues.Length; i++)
            {
                sum += _queues[i].InFlight;
            }
            return sum;
        }
    }

    /// <inheritdoc/>
    public override bool IsPolled => _virtio.IsPolled;

    /// <inheritdoc/>
    public override bool WantsPolling => _virtio.IsPolled && PartsInFlight != 0 && _failure == IoStatus.Ok;

    /// <summary>Makes a disk of queues that were created; false when there is no memory for the requests.</summary>
    internal static bool TryCreate(VirtioDevice virtio, Virtqueue[] rings, in VirtioBlkLimits limits, out VirtioBlk? disk)
    {
        disk = null;
        int pieces = MaxPartSegments + 2;
        for (int i = 0; i < rings.Length; i++)
        {
            pieces = Math.Min(pieces, rings[i].MaxPieces);
        }
        DmaBuffer[] segments = new DmaBuffer[(int)Math.Min(limits.SegmentMax, (uint)pieces - 2) + 1];
        VirtioBlkQueue[] queues = new VirtioBlkQueue[rings.Length];
        for (int i = 0; i < rings.Length; i++)
        {
            DmaSpace dma = virtio.Transport.Dma;
            if (!VirtioBlkQueue.TryCreate(rings[i], dma, segments, virtio.Transport.IsLegacy, limits.Zones.ZoneSectors, out VirtioBlkQueue? queue))
            {
                while (--i >= 0)
                {
                    queues[i].Free();
                }
                return false;
            }
            queues[i] = queue!;
        }
        disk = new VirtioBlk(virtio, queues, segments, limits);
        return true;
    }

    /// <inheritdoc/>
    public override void Kick()
    {
        if (_queues.Length != 1)
        {
            KickAll();
        }
        else
        {
            _queue.TryKick();
        }
    }

    /// <summary>What is submitted together has one doorbell; the next goes to the next queue.</summary>
    private void KickAll()
    {
        bool isTold = false;
        for (int i = 0; i < _queues.Length; i++)
        {
            isTold |= _queues[i].TryKick();
        }
        if (isTold)
        {
            UseNextQueue();
        }
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        if (_failure != IoStatus.Ok)
        {
            LookAt = ulong.MaxValue;
            return;
        }
        // Something may have been used without an interrupt: take it first.
        _comesBack = false;
        Poll();
        if (_failure != IoStatus.Ok)
        {
            return;
        }
        SetTick(TickOf(now));
        EndOverdueWaiting();
        if (_failure != IoStatus.Ok)
        {
            return;
        }
        if (PartsInFlight == 0 && _firstWaiting is null)
        {
            LookAt = ulong.MaxValue;
            _toldSinceLook = false;
            return;
        }
        LookAt = _comesBack ? now : now + LookAgainInterval;
        if (_virtio.NeedsReset())
        {
            Recover(IoStatus.DeviceError, now: 0);
            return;
        }
        if (_virtio.IsPolled && _virtio.TryReadConfig64(VirtioBlkFormat.CapacityOffset, out ulong sectors))
        {
            NoteCapacity(sectors);
        }
        if (IsPartOverdue())
        {
            Log.Write(LogLevel.Warning, "virtio-blk", "a request was not done in time; requests that were done before", Completed);
            Recover(IoStatus.TimedOut, now);
            return;
        }
        if (_wholeDone + _partsDone != _partsDoneAtLook)
        {
            _toldSinceLook = false;
        }
        else if (!_toldSinceLook)
        {
            // Nothing moved for a whole interval: the doorbell may have been lost. Once is enough until something moves.
            _toldSinceLook = true;
            for (int i = 0; i < _queues.Length; i++)
            {
                if (_queues[i].InFlight != 0)
                {
                    _queues[i].Ring.KickAgain();
                }
            }
            LostDoorbells++;
        }
        _partsDoneAtLook = _wholeDone + _partsDone;
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
}
