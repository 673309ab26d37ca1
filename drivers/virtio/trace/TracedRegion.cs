// Registers that are written down as they are accessed.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>A BAR, or the registers of a device without a bus.</summary>
internal sealed class TracedRegion : IoRegion
{
    private readonly IoRegion _region;
    private readonly DeviceTrace _trace;
    private readonly int _bar;

    internal TracedRegion(IoRegion region, DeviceTrace trace, int bar)
    {
        _region = region;
        _trace = trace;
        _bar = bar;
    }

    /// <inheritdoc/>
    public override ulong Length => _region.Length;

    /// <inheritdoc/>
    public override byte Read8(ulong offset)
    {
        _trace.BeforeRead();
        byte value = _region.Read8(offset);
        _trace.AfterRead(_bar, offset, 1, value);
        return value;
    }

    /// <inheritdoc/>
    public override ushort Read16(ulong offset)
    {
        _trace.BeforeRead();
        ushort value = _region.Read16(offset);
        _trace.AfterRead(_bar, offset, 2, value);
        return value;
    }

    /// <inheritdoc/>
    public override uint Read32(ulong offset)
    {
        _trace.BeforeRead();
        uint value = _region.Read32(offset);
        _trace.AfterRead(_bar, offset, 4, value);
        return value;
    }

    /// <inheritdoc/>
    public override void Write8(ulong offset, byte value)
    {
        _trace.BeforeWrite(_bar, offset, 1, value);
        _region.Write8(offset, value);
    }

    /// <inheritdoc/>
    public override void Write16(ulong offset, ushort value)
    {
        _trace.BeforeWrite(_bar, offset, 2, value);
        _region.Write16(offset, value);
    }

    /// <inheritdoc/>
    public override void Write32(ulong offset, uint value)
    {
        _trace.BeforeWrite(_bar, offset, 4, value);
        _region.Write32(offset, value);
    }
}
