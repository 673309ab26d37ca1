// A virtio block device: how requests come in, and the short way that most of them go (virtio 5.2.6).
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    // Requests up to this operation may go the short way: reads, or reads and writes, or none while it is closed.
    private const BlockOperation NonePlain = (BlockOperation)(-1);
    private readonly BlockOperation _lastPlainWhenOpen;
    private BlockOperation _lastPlain = NonePlain;

    /// <summary>When the clock is looked at next; never while nothing is under way.</summary>
    private ulong LookAt
    {
        get => NextDeadline;
        set
        {
            NextDeadline = value;
            SetShortWay();
        }
    }

    /// <summary>The short way is open while somebody looks at the clock, nobody waits, and nobody has to be alone with the device.</summary>
    private void SetShortWay() => _lastPlain = LookAt != ulong.MaxValue && _firstWaiting is null && !_oneByOne ? _lastPlainWhenOpen : NonePlain;

    /// <inheritdoc/>
    public override IoStatus Submit(BlockRequest request)
    {
        if (!IsPlain(request))
        {
            return SubmitAny(request);
        }
        request.Begin();
        return _queue.TryIssueAgain(request, (uint)request.Operation, request.DeviceSector, request.Buffer) ? IoStatus.Ok : SubmitPlain(request);
    }

    /// <summary>
    /// True for what most requests are: one buffer that is read or written at once, on a disk where nobody waits and somebody looks at the
    /// clock. All else, and what is wrong, goes the long way. What must not be negative is asked in one question, whose answer is its sign.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsPlain(BlockRequest request)
    {
        long length = request.Buffer.Length;
        long sector = (long)request.DeviceSector;
        long odd = request.Oddity | ((length | sector * SectorSize) & _blockMask);
        long sign = -odd | (length - 1) | (_limits.SizeMax - length) | sector | sector << 1 | ((long)_limits.SectorCount - (length >> 9) - sector) |
            ((long)_lastPlain - (long)request.Operation);
        return sign >= 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private IoStatus SubmitPlain(BlockRequest request) =>
        _queue.TryIssueWhole(request, (uint)request.Operation, request.DeviceSector, request.Buffer) ? IoStatus.Ok : SubmitAny(request);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private IoStatus SubmitAny(BlockRequest request)
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
        request.IssuedBytes = 0;
        request.WasIssued = false;
        request.IsSuspect = false;
        if (LookAt == ulong.MaxValue)
        {
            BeginLooking();
        }
        if (request.HasTimeout)
        {
            NoteTimeout(request);
        }
        if (_firstWaiting is null && !_oneByOne && TryIssue(request))
        {
            return IoStatus.Ok;
        }
        AddWaiting(request);
        return IoStatus.Ok;
    }

    /// <summary>A read or a write that had one part, which was done well.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void EndWhole(BlockRequest request)
    {
        _wholeDone++;
        NoteWrites((uint)request.Operation);
        request.Complete(IoStatus.Ok);
    }
}
