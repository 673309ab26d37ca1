// A block device as applications see it.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

/// <summary>Sectors of 512 bytes, read and written by requests that end in any order.</summary>
public abstract class BlockDevice : Device
{
    /// <summary>The unit of <see cref="SectorCount"/> and <see cref="BlockRequest.Sector"/> in bytes.</summary>
    public const uint SectorSize = 512;

    /// <summary>Where buffers for this device come from.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>How many sectors of 512 bytes there are.</summary>
    public abstract ulong SectorCount { get; }

    /// <summary>
    /// The block size in bytes, a power of two, at least 512: first sectors and buffer lengths are multiples of it.
    /// </summary>
    public abstract uint BlockSize { get; }

    /// <summary>True when writing is refused.</summary>
    public abstract bool IsReadOnly { get; }

    /// <summary>True when written data may sit in a cache until a flush.</summary>
    public abstract bool CanFlush { get; }

    /// <summary>How many requests of one part each fit at the same time.</summary>
    public abstract int MaxInFlight { get; }

    /// <summary>
    /// Takes a request. <see cref="IoStatus.Ok"/> promises exactly one completion, from <see cref="Device.Poll"/>; anything else says
    /// why not, and no completion follows. The device is told by <see cref="Kick"/>: many submits, one kick.
    /// </summary>
    public abstract IoStatus Submit(BlockRequest request);

    /// <summary>Tells the device about everything submitted.</summary>
    public abstract void Kick();
}
