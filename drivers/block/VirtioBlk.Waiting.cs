// A virtio block device: requests that find no room wait, in their order, until completions make some.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    private BlockRequest? _firstWaiting;
    private BlockRequest? _lastWaiting;

    /// <inheritdoc/>
    public override bool TryCancel(BlockRequest request)
    {
        BlockRequest? before = null;
        BlockRequest? waiting = _firstWaiting;
        while (waiting is not null && waiting != request)
        {
            before = waiting;
            waiting = waiting.Next;
        }
        if (waiting is null || request.PartStatus != IoStatus.Ok)
        {
            return false;
        }
        request.PartStatus = IoStatus.Cancelled;
        if (request.PendingParts == 0)
        {
            RemoveWaiting(before, request);
            End(request);
        }
        return true;
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
        SetShortWay();
    }

    private void RemoveWaiting(BlockRequest? before, BlockRequest request)
    {
        if (before is null)
        {
            _firstWaiting = request.Next;
        }
        else
        {
            before.Next = request.Next;
        }
        if (_lastWaiting == request)
        {
            _lastWaiting = before;
        }
        request.Next = null;
        SetShortWay();
    }

    /// <summary>After requests have ended, whose callers may have submitted others, or removed the disk.</summary>
    private void IssueAndKick()
    {
        if (_failure == IoStatus.Ok)
        {
            IssueWaiting();
        }
        if (_failure == IoStatus.Ok)
        {
            Kick();
        }
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
            // Those behind the suspects need not go alone.
            _oneByOne &= request.IsSuspect;
            // After an error the rest of a request is not worth asking for.
            bool hasFailed = request.PartStatus != IoStatus.Ok;
            if (!hasFailed && !TryIssue(request))
            {
                return;
            }
            RemoveWaiting(null, request);
            if (hasFailed && request.PendingParts == 0)
            {
                End(request);
            }
        }
        // While the last suspect is with the device nothing may join it.
        _oneByOne &= PartsInFlight != 0;
        SetShortWay();
    }
}
