// A block device as applications see it.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

/// <summary>Told from <see cref="Device.Poll"/> when something changed at a disk.</summary>
public abstract class BlockListener
{
    /// <summary>The disk has another size; <see cref="BlockDevice.SectorCount"/> is the new one already.</summary>
    public abstract void OnResized(BlockDevice disk);
}

/// <summary>Sectors of 512 bytes, read and written by requests that end in any order.</summary>
public abstract class BlockDevice : Device
{
    /// <summary>The unit of <see cref="SectorCount"/> and <see cref="BlockRequest.Sector"/> in bytes.</summary>
    public const uint SectorSize = 512;

    /// <summary>Told when the disk changed; null when nobody cares.</summary>
    public BlockListener? Listener { get; set; }

    /// <summary>Where buffers for this device come from.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>How many sectors of 512 bytes there are. May change while the disk is in use, see <see cref="BlockListener.OnResized"/>.</summary>
    public abstract ulong SectorCount { get; }

    /// <summary>
    /// The block size in bytes, a power of two, at least 512: first sectors and buffer lengths are multiples of it.
    /// </summary>
    public abstract uint BlockSize { get; }

    /// <summary>True when writing is refused.</summary>
    public abstract bool IsReadOnly { get; }

    /// <summary>True when there is a flush that can be asked for.</summary>
    public abstract bool CanFlush { get; }

    /// <summary>How many requests were completed, as far as this driver counts them.</summary>
    public virtual ulong Completed => 0;

    /// <summary>How many requests of one part each fit at the same time.</summary>
    public abstract int MaxInFlight { get; }

    /// <summary>
    /// True when a write that was completed is safe from a power cut only after a flush; false when completed means durable, as far as
    /// the device says.
    /// </summary>
    public virtual bool HasWriteCache => CanFlush;

    /// <summary>What blocks the medium likes best.</summary>
    public virtual BlockTopology Topology => BlockTopology.Plain(BlockSize);

    /// <summary>Cylinders, heads and sectors, for those who still ask; zeroes when the device does not say.</summary>
    public virtual BlockGeometry Geometry => default;

    /// <summary>The zones of a zoned disk; of <see cref="ZoneModel.None"/> for all others.</summary>
    public virtual ZoneLimits Zones => default;

    /// <summary>True when requests of this kind can be submitted; others are answered with <see cref="IoStatus.Unsupported"/>.</summary>
    public virtual bool Supports(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => true,
        BlockOperation.Write => !IsReadOnly,
        BlockOperation.Flush => CanFlush,
        _ => false,
    };

    /// <summary>
    /// Switches the write cache on or off; false when the device can't. What was written before stays where it was: only a flush makes it
    /// durable.
    /// </summary>
    public virtual bool TrySetWriteCache(bool on) => false;

    /// <summary>
    /// Takes a request. <see cref="IoStatus.Ok"/> promises exactly one completion, from <see cref="Device.Poll"/>; anything else says
    /// why not, and no completion follows. The device is told by <see cref="Kick"/>: many submits, one kick.
    /// </summary>
    public abstract IoStatus Submit(BlockRequest request);

    /// <summary>Tells the device about everything submitted.</summary>
    public abstract void Kick();

    /// <summary>
    /// Calls a request off. True: it ends as <see cref="IoStatus.Cancelled"/>, before this returns, or when those parts of it that the
    /// device already has come back. False: the device has all of it, or it has ended; it ends by itself. A device can't be made to
    /// forget a request, and its buffers stay lent for as long.
    /// </summary>
    public virtual bool TryCancel(BlockRequest request) => false;
}
