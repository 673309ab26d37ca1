// A virtio entropy device that failed or is too slow: reset and begun anew, or given up (virtio 2.1.2, 2.4).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Entropy;

public sealed partial class VirtioRng
{
    private int _recoveriesInVain;

    /// <summary>
    /// How often a device that breaks or asks for it is reset and begun anew without a random byte in between, before it is given up; 0 for never.
    /// </summary>
    public int MaxRecoveries { get; set; } = 3;

    /// <summary>How often the device was reset and begun anew.</summary>
    public ulong Recoveries { get; private set; }

    /// <summary>
    /// Resets the device and asks again: a request for random bytes can always be repeated, and keeps what it has. What is past its deadline at
    /// <paramref name="now"/> (0: nothing is) ends as timed out. The device is given up with <paramref name="status"/> when it does not
    /// restart, or not for the first time in vain.
    /// </summary>
    private void Recover(IoStatus status, ulong now)
    {
        if (_recoveriesInVain >= MaxRecoveries || !_virtio.Halt())
        {
            GiveUp(status, now);
            return;
        }
        Log.Write(LogLevel.Warning, "virtio-rng", "the device is reset and begun anew; buffers it held", (ulong)SlotsInFlight);
        // Nothing says how long a host may take to gather randomness: to be too slow is no fault.
        _recoveriesInVain += status == IoStatus.TimedOut ? 0 : 1;
        Recoveries++;
        EntropyRequest? ended = TakeBack(status, now, mayRepeat: true);
        ProbeResult result = _virtio.Restart();
        if (result.IsBound)
        {
            _virtio.Start();
        }
        else
        {
            Log.Write(LogLevel.Error, "virtio-rng", result.Reason, result.Value);
            _failure = status;
        }
        // Those that ended hear of it, and may remove the device or submit again; then the others are repeated.
        EndAll(ended);
        if (!result.IsBound)
        {
            GiveUp(status, now: 0);
        }
        else if (_failure == IoStatus.Ok)
        {
            IssueWaiting();
            _queue.Kick();
        }
    }

    /// <summary>Stops the device for good, ends everything in flight and waiting, once each, and frees the memory last.</summary>
    private void GiveUp(IoStatus status, ulong now)
    {
        if (_failure == IoStatus.Ok)
        {
            _failure = status;
        }
        NextDeadline = ulong.MaxValue;
        if (status != IoStatus.Removed)
        {
            Log.Write(LogLevel.Error, "virtio-rng", "the device is given up; buffers it held", (ulong)SlotsInFlight);
        }
        bool reset = _virtio.Stop();
        EntropyRequest? ended = TakeBack(status, now, mayRepeat: false);
        if (reset)
        {
            // A device that does not come out of reset may still write: its memory is given up instead.
            _virtio.FreeQueues();
            _virtio.Transport.Dma.Free(_memory);
        }
        EndAll(ended);
    }

    /// <summary>
    /// Takes all slots back from a device that was reset. What can be repeated waits, in front of what waited before; the answer is the list of
    /// what has ended.
    /// </summary>
    private EntropyRequest? TakeBack(IoStatus status, ulong now, bool mayRepeat)
    {
        EntropyRequest? waiting = _firstWaiting;
        EntropyRequest? ended = null;
        _firstWaiting = null;
        _lastWaiting = null;
        while (_queue.TryDetach(out ushort slot))
        {
            PoisonSlot(slot);
            Sort(Free(slot), status, now, mayRepeat, ref ended);
        }
        while (waiting is not null)
        {
            EntropyRequest? next = waiting.Next;
            waiting.Next = null;
            Sort(waiting, status, now, mayRepeat, ref ended);
            waiting = next;
        }
        return ended;
    }

    private void Sort(EntropyRequest request, IoStatus status, ulong now, bool mayRepeat, ref EntropyRequest? ended)
    {
        bool isOverdue = now != 0 && IsOverdue(request, now);
        if (mayRepeat && !isOverdue)
        {
            AddWaiting(request);
            return;
        }
        request.Outcome = status;
        request.Next = ended;
        ended = request;
    }

    private static void EndAll(EntropyRequest? ended)
    {
        while (ended is not null)
        {
            EntropyRequest? next = ended.Next;
            ended.Next = null;
            ended.Complete(ended.Outcome);
            ended = next;
        }
    }

    private bool IsOverdue(EntropyRequest request, ulong now) => now - request.BegunAt >= RequestTimeout;

    private bool HasOverdue(EntropyRequest? first, ulong now)
    {
        for (EntropyRequest? request = first; request is not null; request = request.Next)
        {
            if (IsOverdue(request, now))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Ends what has waited too long for a slot: the device does not have it, and is left alone.</summary>
    private void EndOverdueWaiting(ulong now)
    {
        EntropyRequest? waiting = _firstWaiting;
        EntropyRequest? ended = null;
        _firstWaiting = null;
        _lastWaiting = null;
        while (waiting is not null)
        {
            EntropyRequest? next = waiting.Next;
            waiting.Next = null;
            Sort(waiting, IoStatus.TimedOut, now, mayRepeat: true, ref ended);
            waiting = next;
        }
        EndAll(ended);
    }
}
