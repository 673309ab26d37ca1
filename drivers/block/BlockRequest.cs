// One request to a block device, and what becomes of it.
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
}

/// <summary>
/// A request. The one who made it derives, fills it, submits it, and leaves it and its buffers alone until <see cref="OnCompleted"/>,
/// which comes exactly once for each submit that was answered <see cref="IoStatus.Ok"/>; afterwards it can be used again.
/// </summary>
public abstract class BlockRequest
{
    private DmaBuffer[] _buffers = new DmaBuffer[1];
    private int _bufferCount;

    /// <summary>What to do.</summary>
    public BlockOperation Operation { get; private set; }

    /// <summary>The first sector, in units of 512 bytes whatever the block size.</summary>
    public ulong Sector { get; private set; }

    /// <summary>How it ended; <see cref="IoStatus.InFlight"/> before.</summary>
    public IoStatus Status { get; private set; }

    /// <summary>The buffers, in the order of the sectors.</summary>
    public ReadOnlySpan<DmaBuffer> Buffers => new(_buffers, 0, _bufferCount);

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

    /// <summary>Used by the driver that holds the request: for a flush, how many writes had been completed when it was issued.</summary>
    internal ulong WritesBefore;

    /// <summary>Prepares the request with one buffer; a flush has none (<c>default</c>).</summary>
    public void Prepare(BlockOperation operation, ulong sector, in DmaBuffer buffer)
    {
        Operation = operation;
        Sector = sector;
        _bufferCount = buffer.Length == 0 ? 0 : 1;
        _buffers[0] = buffer;
    }

    /// <summary>Prepares the request with several buffers (scatter-gather); allocates only when there are more than ever before.</summary>
    public void Prepare(BlockOperation operation, ulong sector, ReadOnlySpan<DmaBuffer> buffers)
    {
        Operation = operation;
        Sector = sector;
        if (buffers.Length > _buffers.Length)
        {
            _buffers = new DmaBuffer[buffers.Length];
        }
        for (int i = 0; i < buffers.Length; i++)
        {
            _buffers[i] = buffers[i];
        }
        _bufferCount = buffers.Length;
    }

    /// <summary>Called from <see cref="Device.Poll"/> or <see cref="Device.Remove"/>, never from a submit. May submit again.</summary>
    protected abstract void OnCompleted();

    /// <summary>Notes that a driver took the request.</summary>
    internal void Begin() => Status = IoStatus.InFlight;

    /// <summary>Ends the request; the driver calls this exactly once.</summary>
    internal void Complete(IoStatus status)
    {
        Contract.Require(Status == IoStatus.InFlight, "a block request was completed twice");
        Status = status;
        OnCompleted();
    }
}
