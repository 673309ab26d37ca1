// A virtio block device: what comes back (virtio 5.2.6, 2.7.14).
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    private const int MaxRounds = 16;
    private const int MaxTaken = 1024;

    private bool _comesBack; // the ring could not be emptied, and no interrupt is awaited

    /// <inheritdoc/>
    public override void Poll()
    {
        if (_failure != IoStatus.Ok)
        {
            return;
        }
        if (_queues.Length == 1)
        {
            Poll(_queue);
        }
        else
        {
            PollAll();
        }
        if (_failure == IoStatus.Ok && _virtio.TakeConfigChange())
        {
            OnConfigChange();
        }
    }

    private void PollAll()
    {
        for (int i = 0; i < _queues.Length && _failure == IoStatus.Ok; i++)
        {
            Poll(_queues[i]);
        }
    }

    private void Poll(VirtioBlkQueue queue)
    {
        for (int round = 0; round < MaxRounds; round++)
        {
            bool any = queue.Ring.LookForUsed() && TakeAll(queue);
            if (_failure != IoStatus.Ok)
            {
                return;
            }
            if (queue.Ring.IsBroken)
            {
                Recover(IoStatus.DeviceError, now: 0);
                return;
            }
            if (!any)
            {
                return;
            }
            if (_firstWaiting is not null || _oneByOne)
            {
                IssueWaiting();
                if (_failure != IoStatus.Ok)
                {
                    return;
                }
            }
            Kick();
            if (queue.Ring.TryEnableInterrupts())
            {
                return;
            }
        }
        // The device keeps pace with the driver: others have their turn, and no interrupt is waited for.
        _comesBack = true;
        LookAt = 0;
    }

    /// <summary>Ends all parts that are known to have come back; false when there was none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TakeAll(VirtioBlkQueue queue)
    {
        int took = 0;
        while (took < MaxTaken)
        {
            if (queue.Ring.TryTakeFull(out uint token))
            {
                BlockRequest request = queue.TakeBack(token, out byte status);
                if (status == VirtioBlkFormat.StatusOk)
                {
                    EndWhole(request);
                }
                else
                {
                    EndPart(request, queue.EndOf(token, request, request.Buffer.Length + 1, status));
                }
            }
            else if (_failure != IoStatus.Ok || !queue.Ring.MayHaveMore || !TryEndAny(queue))
            {
                // A completion may have removed the disk; the queue is gone then, and gives nothing.
                break;
            }
            took++;
        }
        return took != 0;
    }

    /// <summary>Ends the next part, whatever it is and whatever became of it; false when there is none.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryEndAny(VirtioBlkQueue queue)
    {
        UsedBuffer used = queue.Ring.TakeUsed();
        if (used.IsNone)
        {
            return false;
        }
        BlockRequest request = queue.TakeBack(used.Token, out byte status);
        if (queue.IsWell(used.Token, request, used.Written, status))
        {
            EndWhole(request);
        }
        else
        {
            EndPart(request, queue.EndOf(used.Token, request, used.Written, status));
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EndPart(BlockRequest request, IoStatus status)
    {
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
        IoStatus status = request.PartStatus;
        _othersDone++;
        if (request.Operation != BlockOperation.Read && status == IoStatus.Ok)
        {
            NoteDurability(request);
        }
        request.PartStatus = IoStatus.Ok; // the next submit finds the request as new
        request.Complete(status);
    }
}
