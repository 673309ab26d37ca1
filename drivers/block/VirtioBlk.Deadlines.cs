// A virtio block device: requests that take too long.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    private const int TickShift = 20;

    private uint _tick;
    private uint _oldestIssue;

    // True when a request since the device was idle brought a timeout of its own.
    private bool _hasOwnTimeouts;

    private uint TimeoutTicks => TicksOf(RequestTimeout);

    /// <summary>Time in units of about a millisecond, which go round in 52 days: only differences mean something. Never 0.</summary>
    private static uint TickOf(ulong now) => Math.Max((uint)(now >> TickShift), 1);

    private static uint TicksOf(ulong nanoseconds) => (uint)Math.Min((nanoseconds >> TickShift) + 1, int.MaxValue);

    private void BeginLooking()
    {
        ulong now = _virtio.Transport.Clock.Now;
        SetTick(TickOf(now));
        _oldestIssue = _tick;
        _hasOwnTimeouts = false;
        LookAt = now + LookAgainInterval;
    }

    private void SetTick(uint tick)
    {
        _tick = tick;
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i].Tick = tick;
        }
    }

    private void NoteTimeout(BlockRequest request)
    {
        request.SubmittedTick = _tick;
        _hasOwnTimeouts = true;
    }

    private bool IsOverdue(BlockRequest request, uint issued, uint tick) => tick - issued >= TimeoutTicks || IsOverdue(request, tick);

    private static bool IsOverdue(BlockRequest request, uint tick) =>
        request.HasTimeout && tick - request.SubmittedTick >= TicksOf(request.Timeout);

    /// <summary>True when a part has been with the device for longer than it may; the slots are looked at only when that can be.</summary>
    private bool IsPartOverdue()
    {
        uint tick = _tick;
        // A request's own time counts from its submit, not from when it was issued.
        if (!_hasOwnTimeouts && tick - _oldestIssue < TimeoutTicks)
        {
            return false;
        }
        uint longest = 0;
        bool overdue = false;
        for (int i = 0; i < _queues.Length; i++)
        {
            for (int j = 0; _queues[i].TryLook(j, out BlockRequest? request, out uint issued); j++)
            {
                if (request is not null)
                {
                    longest = Math.Max(longest, tick - issued);
                    overdue |= IsOverdue(request, issued, tick);
                }
            }
        }
        _oldestIssue = tick - longest;
        return overdue;
    }

    /// <summary>Ends what waited for the device longer than it wanted to; the device has nothing of it.</summary>
    private void EndOverdueWaiting()
    {
        if (!_hasOwnTimeouts)
        {
            return;
        }
        BlockRequest? ended = null;
        BlockRequest? before = null;
        BlockRequest? waiting = _firstWaiting;
        while (waiting is not null)
        {
            BlockRequest? next = waiting.Next;
            if (waiting.PendingParts == 0 && waiting.PartStatus == IoStatus.Ok && IsOverdue(waiting, _tick))
            {
                RemoveWaiting(before, waiting);
                waiting.PartStatus = IoStatus.TimedOut;
                waiting.Next = ended;
                ended = waiting;
            }
            else
            {
                before = waiting;
            }
            waiting = next;
        }
        if (ended is not null)
        {
            EndAll(ended);
            IssueAndKick();
        }
    }
}
