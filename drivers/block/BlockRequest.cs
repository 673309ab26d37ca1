// One request to a block device, and what becomes of it.
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

/// <summary>What a block device is asked to do.</summary>
public enum BlockOperation
{
    /// <summary>Reads sectors into the buffers.</summary>
    Read,

    /// <summary>Writes sectors from the buffers.</summary>
    Write,

    /// <summary>Makes everything that was completed before durable.</summary>
    Flush,

    /// <summary>Reads the device's identification, 20 bytes of ASCII, padded with NUL.</summary>
    GetId,

    /// <summary>Reads the wear of the medium, see <see cref="BlockLifetime"/>.</summary>
    GetLifetime,

    /// <summary>The range is not needed any more; what reads of it give afterwards is not said.</summary>
    Discard,

    /// <summary>Reads of the range give zeroes afterwards.</summary>
    WriteZeroes,

    /// <summary>The content of the range can't be got back afterwards, by whatever means.</summary>
    SecureErase,

    /// <summary>Describes zones, from the one that holds the sector on, see <see cref="ZoneReport"/>.</summary>
    ReportZones,

    /// <summary>Opens the zone that begins at the sector.</summary>
    OpenZone,

    /// <summary>Closes the zone that begins at the sector.</summary>
    CloseZone,

    /// <summary>Makes the zone that begins at the sector full.</summary>
    FinishZone,

    /// <summary>Empties the zone that begins at the sector.</summary>
    ResetZone,

    /// <summary>Empties all zones; the sector is 0.</summary>
    ResetAllZones,

    /// <summary>Writes at the write pointer of the zone that begins at the sector; <see cref="BlockRequest.AppendedAt"/> says where that was.</summary>
    AppendZone,
}

/// <summary>
/// A request. The one who made it derives, fills it, submits it, and leaves it and its buffers alone until <see cref="OnCompleted"/>,
/// which comes exactly once for each submit that was answered <see cref="IoStatus.Ok"/>; afterwards it can be used again.
/// </summary>
public abstract class BlockRequest
{
    private DmaBuffer _buffer;
    private DmaBuffer[]? _list;
    private Rare? _rare;
    private int _timeoutMark; // 1 while there is a timeout
    private int _listCount; // of more buffers than one, which are in the list; 0 otherwise

    /// <summary>What few requests need: apart, so that the others fit into few cache lines.</summary>
    private sealed class Rare
    {
        internal ulong RangeSectors;
        internal ulong Timeout;
        internal ulong AppendedAt;
        internal ulong WritesBefore;
        internal uint SubmittedTick;
        internal bool MayUnmap;
    }

    /// <summary>What to do.</summary>
    public BlockOperation Operation { get; private set; }

    /// <summary>The first sector, in units of 512 bytes whatever the block size.</summary>
    public ulong Sector { get; private set; }

    /// <summary>How many sectors a range has that is given without buffers (<see cref="PrepareRange"/>); 0 for others.</summary>
    public ulong RangeSectors => _rare is null || Operation <= BlockOperation.Write ? 0 : _rare.RangeSectors;

    /// <summary>For <see cref="BlockOperation.WriteZeroes"/>: true when the device may give the space back.</summary>
    public bool MayUnmap => _rare is not null && _rare.MayUnmap;

    /// <summary>
    /// After how many nanoseconds from its submit the request is given up, 0 for what the device thinks best. It is looked at every 10 ms.
    /// A request that the device holds is taken back by a reset, which others in flight survive. Set while it is not in flight; stays set.
    /// </summary>
    public ulong Timeout
    {
        get => _rare is null ? 0 : _rare.Timeout;
        set
        {
            if (value != Timeout)
            {
                Details.Timeout = value;
                _timeoutMark = value != 0 ? 1 : 0;
            }
        }
    }

    /// <summary>True when the request has a timeout of its own.</summary>
    internal bool HasTimeout
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _timeoutMark != 0;
    }

    /// <summary>After a <see cref="BlockOperation.AppendZone"/> that ended well: the first sector that was written.</summary>
    public ulong AppendedAt
    {
        get => _rare is null ? 0 : _rare.AppendedAt;
        internal set => Details.AppendedAt = value;
    }

    /// <summary>How it ended; <see cref="IoStatus.InFlight"/> before.</summary>
    public IoStatus Status { get; private set; }

    /// <summary>The buffers, in the order of the sectors.</summary>
    public ReadOnlySpan<DmaBuffer> Buffers =>
        _listCount != 0 ? new(_list, 0, _listCount) : _buffer.Length != 0 ? new ReadOnlySpan<DmaBuffer>(in _buffer) : default;

    /// <summary>0 when there is at most one buffer, and no timeout; positive otherwise.</summary>
    internal uint Oddity
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (uint)(_listCount | _timeoutMark);
    }

    /// <summary>The buffer of a request that has one; of no length when it has none.</summary>
    internal ref readonly DmaBuffer Buffer
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _buffer;
    }

    /// <summary>Used by a device that is a range of another one: where the range begins there, in sectors; 0 once the request ended.</summary>
    internal ulong Origin;

    /// <summary>Used by the driver that holds the request: when it was submitted, in ticks of the driver, if it has a timeout.</summary>
    internal uint SubmittedTick
    {
        get => _rare is null ? 0 : _rare.SubmittedTick;
        set => Details.SubmittedTick = value;
    }

    /// <summary>Used by the driver that holds the request: the parts it was split into that have not come back.</summary>
    internal int PendingParts;

    /// <summary>Used by the driver that holds the request: the first error of a part.</summary>
    internal IoStatus PartStatus;

    /// <summary>Used by the driver that holds the request: the next one waiting.</summary>
    internal BlockRequest? Next;

    /// <summary>Used by the driver that holds the request: how many bytes have been handed to the device so far.</summary>
    internal ulong IssuedBytes;

    /// <summary>Used by the driver that holds the request: true when the device had a part of it before a reset.</summary>
    internal bool WasIssued;

    /// <summary>Used by the driver that holds the request: true while it waits to be repeated, since the device had it at a reset.</summary>
    internal bool IsSuspect;

    /// <summary>Used by the driver that holds the request: for a flush, how many writes had been completed when it was issued.</summary>
    internal ulong WritesBefore
    {
        get => _rare is null ? 0 : _rare.WritesBefore;
        set => Details.WritesBefore = value;
    }

    private Rare Details => _rare ??= new Rare();

    /// <summary>The sector as the device counts, not the range of it that the request was given to.</summary>
    internal ulong DeviceSector => Sector + Origin;

    /// <summary>Prepares the request with one buffer; a flush has none (<c>default</c>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prepare(BlockOperation operation, ulong sector, in DmaBuffer buffer)
    {
        Operation = operation;
        Sector = sector;
        _listCount = 0;
        _buffer = buffer;
        if (operation > BlockOperation.Write && _rare is not null)
        {
            _rare.RangeSectors = 0;
        }
    }

    /// <summary>Prepares the request with several buffers (scatter-gather); allocates only when there are more than ever before.</summary>
    public void Prepare(BlockOperation operation, ulong sector, ReadOnlySpan<DmaBuffer> buffers)
    {
        Prepare(operation, sector, buffers.Length == 1 ? buffers[0] : default);
        if (buffers.Length > 1)
        {
            if (_list is null || buffers.Length > _list.Length)
            {
                _list = new DmaBuffer[buffers.Length];
            }
            buffers.CopyTo(_list);
            _listCount = buffers.Length;
        }
    }

    /// <summary>Prepares a request for a range of sectors that has no buffers: discard, write zeroes, secure erase.</summary>
    public void PrepareRange(BlockOperation operation, ulong sector, ulong sectors, bool mayUnmap = false)
    {
        Prepare(operation, sector, default(DmaBuffer));
        Details.RangeSectors = sectors;
        Details.MayUnmap = mayUnmap;
    }

    /// <summary>Who waits for the request; called once, instead of <see cref="OnCompleted"/>, and forgotten.</summary>
    protected Action? Continuation;

    /// <summary>
    /// Called from <see cref="Device.Poll"/>, <see cref="Device.Remove"/> or <see cref="BlockDevice.TryCancel"/>, never from a submit. May submit again.
    /// </summary>
    protected abstract void OnCompleted();

    /// <summary>For derived requests: notes that a submit was refused, as <see cref="Status"/>.</summary>
    protected void NoteRefusal(IoStatus status) => Status = status;

    /// <summary>Notes that a driver took the request.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Begin() => Status = IoStatus.InFlight;

    /// <summary>Ends the request; the driver calls this exactly once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Complete(IoStatus status)
    {
        Contract.Require(Status == IoStatus.InFlight, "a block request was completed twice");
        Status = status;
        Origin = 0;
        Action? continuation = Continuation;
        if (continuation is null)
        {
            OnCompleted();
            return;
        }
        Continuation = null;
        continuation();
    }
}
