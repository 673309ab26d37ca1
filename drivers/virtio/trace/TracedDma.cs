// Memory of a device whose trace is written.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>
/// Wants to hear of everything that is lent, also where the machine does not care: what is lent is about to be made available, and what comes
/// back was used.
/// </summary>
internal sealed class TracedDma : DmaSpace
{
    private readonly DmaSpace _dma;
    private readonly DeviceTrace _trace;

    internal TracedDma(DmaSpace dma, DeviceTrace trace)
    {
        _dma = dma;
        _trace = trace;
    }

    /// <inheritdoc/>
    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        bool worked = _dma.TryAllocate(length, alignment, out buffer);
        _trace.OnAllocated(length, buffer, worked);
        return worked;
    }

    /// <inheritdoc/>
    public override void Free(in DmaBuffer buffer)
    {
        _trace.OnFreed(buffer);
        _dma.Free(buffer);
    }

    /// <inheritdoc/>
    public override void Share(in DmaBuffer buffer, DmaDirection direction)
    {
        _trace.OnShared(buffer, direction);
        _dma.Share(buffer, direction);
    }

    /// <inheritdoc/>
    public override void Unshare(in DmaBuffer buffer, DmaDirection direction)
    {
        _dma.Unshare(buffer, direction);
        _trace.OnUnshared(buffer, direction);
    }
}
