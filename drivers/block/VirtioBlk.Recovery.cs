// A virtio block device that failed: reset and begun anew, or given up (virtio 2.1.2, 2.4).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    private int _recoveriesInVain;
    private ulong _wholeDoneAtRecovery;

    // After a reset requests are repeated one by one, so that one that breaks the device takes no other with it: until the last of them is back.
    private bool _oneByOne;

    /// <summary>
    /// How often the device is reset and begun anew without a single part done well in between, before it is given up; 0 for never.
    /// </summary>
    public int MaxRecoveries { get; set; } = 3;

    /// <summary>How often the device was reset and begun anew.</summary>
    public ulong Recoveries { get; private set; }

    /// <summary>How many requests were begun anew after a reset.</summary>
    public ulong Repeats { get; private set; }

    /// <summary>How often the capacity changed.</summary>
    public ulong CapacityChanges { get; private set; }

    /// <summary>
    /// Resets the device, agrees on the same features, and repeats what can be: reads, writes and identification, and flushes unless
    /// completed writes may have been lost. What is past its deadline at <paramref name="now"/> (0: nothing is) ends as timed out, what was
    /// with the device for the second time, alone, with <paramref name="status"/>. The device is given up when it does not restart, or not
    /// for the first time in vain.
    /// </summary>
    private void Recover(IoStatus status, ulong now)
    {
        if (_wholeDone != _wholeDoneAtRecovery)
        {
            _wholeDoneAtRecovery = _wholeDone;
            _recoveriesInVain = 0;
        }
        if (_recoveriesInVain >= MaxRecoveries || !_virtio.Halt())
        {
            GiveUp(status, now);
            return;
        }
        Log.Write(LogLevel.Warning, "virtio-blk", "the device is reset and begun anew; parts of requests it held", (ulong)PartsInFlight);
        _recoveriesInVain++;
        Recoveries++;
        // 1. Everything comes back. A flush can promise nothing once completed writes may have been lost with the device's cache.
        _cacheInDoubt |= CanFlush && _writesDone != _writesFlushed;
        _writesFlushed = _writesDone;
        BlockRequest? ended = TakeBack(status, now, mayRepeat: true);
        _oneByOne = true;
        SetShortWay();
        _toldSinceLook = false; // the doorbell for what is repeated may be lost as well
        // 2. The device begins anew; it has to be the one it was.
        bool restarted = TryRestart();
        if (!restarted)
        {
            _failure = status;
            LookAt = ulong.MaxValue;
        }
        // 3. Those that ended hear of it, and may remove the disk or submit again; then the others are repeated.
        EndAll(ended);
        if (!restarted)
        {
            GiveUp(status, now: 0);
        }
        else
        {
            IssueAndKick();
        }
    }

    private bool TryRestart()
    {
        ProbeResult result = _virtio.Restart();
        VirtioBlkLimits limits = default;
        if (result.IsBound)
        {
            result = VirtioBlkLimits.Read(_virtio, out limits);
        }
        if (result.IsBound && !limits.Suits(_limits))
        {
            result = ProbeResult.Failed("the device came back with other limits", limits.SizeMax);
        }
        if (!result.IsBound)
        {
            Log.Write(LogLevel.Error, "virtio-blk", result.Reason, result.Value);
            return false;
        }
        RestoreWriteCache();
        _virtio.Start();
        NoteCapacity(limits.SectorCount);
        return true;
    }

    /// <summary>Stops the device for good, ends everything in flight and waiting, once each, and frees the memory last.</summary>
    private void GiveUp(IoStatus status, ulong now)
    {
        if (_failure == IoStatus.Ok)
        {
            _failure = status;
        }
        LookAt = ulong.MaxValue;
        if (status != IoStatus.Removed)
        {
            Log.Write(LogLevel.Error, "virtio-blk", "the device is given up; parts of requests it held", (ulong)PartsInFlight);
        }
        bool reset = _virtio.Stop();
        EndAll(TakeBack(status, now, mayRepeat: false));
        if (reset)
        {
            // A device that does not come out of reset may still write: its memory is given up instead.
            _virtio.FreeQueues();
            for (int i = 0; i < _queues.Length; i++)
            {
                _queues[i].Free();
            }
        }
    }

    /// <summary>
    /// Takes all parts back from a device that was reset. What can be repeated waits, in front of what waited before; the answer is the list
    /// of what has ended.
    /// </summary>
    private BlockRequest? TakeBack(IoStatus status, ulong now, bool mayRepeat)
    {
        BlockRequest? waiting = _firstWaiting;
        BlockRequest? ended = null;
        _firstWaiting = null;
        _lastWaiting = null;
        SetShortWay();
        for (int i = 0; i < _queues.Length; i++)
        {
            while (_queues[i].TryDetach(out BlockRequest? detached, out uint issued))
            {
                BlockRequest request = detached!;
                if (now != 0 && IsOverdue(request, issued, TickOf(now)) && request.PartStatus == IoStatus.Ok)
                {
                    request.PartStatus = IoStatus.TimedOut;
                }
                request.WasIssued = true;
                if (--request.PendingParts == 0 && request != waiting)
                {
                    Sort(request, status, mayRepeat, ref ended);
                }
            }
        }
        while (waiting is not null)
        {
            BlockRequest? next = waiting.Next;
            waiting.Next = null;
            Sort(waiting, status, mayRepeat, ref ended);
            waiting = next;
        }
        return ended;
    }

    private void Sort(BlockRequest request, IoStatus status, bool mayRepeat, ref BlockRequest? ended)
    {
        bool isLostFlush = request.Operation == BlockOperation.Flush && _cacheInDoubt;
        // What was appended may have been, and would be there twice.
        bool isLostAppend = request.Operation == BlockOperation.AppendZone && request.WasIssued;
        bool repeats = mayRepeat && request.PartStatus == IoStatus.Ok && !isLostFlush && !isLostAppend && !(request.WasIssued && _oneByOne);
        if (repeats)
        {
            if (request.WasIssued)
            {
                Repeats++;
            }
            request.IsSuspect |= request.WasIssued;
            request.WasIssued = false;
            request.IssuedBytes = 0;
            AddWaiting(request);
            return;
        }
        if (request.PartStatus == IoStatus.Ok)
        {
            request.PartStatus = status;
        }
        request.Next = ended;
        ended = request;
    }

    private void EndAll(BlockRequest? ended)
    {
        BlockRequest? any = ended;
        while (any is not null)
        {
            // Told once: the doubt is the caller's now.
            _cacheInDoubt &= any.Operation != BlockOperation.Flush;
            any = any.Next;
        }
        while (ended is not null)
        {
            BlockRequest? next = ended.Next;
            ended.Next = null;
            End(ended);
            ended = next;
        }
    }

    /// <summary>The device said that something changed: its status, or its capacity (5.2.5.2).</summary>
    private void OnConfigChange()
    {
        if (_virtio.NeedsReset())
        {
            Recover(IoStatus.DeviceError, now: 0);
        }
        else if (_virtio.TryReadConfig64(VirtioBlkFormat.CapacityOffset, out ulong sectors))
        {
            NoteCapacity(sectors);
        }
    }

    private void NoteCapacity(ulong sectors)
    {
        if (sectors != _limits.SectorCount && sectors <= VirtioBlkLimits.MaxSectorCount)
        {
            Log.Write(LogLevel.Information, "virtio-blk", "the capacity is now, in sectors", sectors);
            _limits.SectorCount = sectors;
            CapacityChanges++;
            Listener?.OnResized(this);
        }
    }
}
