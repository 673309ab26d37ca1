// Where memory for devices comes from, and who owns it at any moment.
namespace VirtioSharp.Drivers.Platform;

/// <summary>Which way the bytes of a shared buffer go.</summary>
public enum DmaDirection
{
    /// <summary>The device only reads.</summary>
    ToDevice,

    /// <summary>The device only writes.</summary>
    FromDevice,

    /// <summary>The device reads and writes: rings.</summary>
    Both,
}

/// <summary>
/// A device's view of memory. Between <see cref="Share"/> and <see cref="Unshare"/> the device owns the bytes in the given
/// direction; outside of that it may not touch them, and an IOMMU or a fake machine sees to it.
/// </summary>
public abstract class DmaSpace
{
    /// <summary>
    /// Allocates zeroed memory, contiguous for the device. <paramref name="length"/> is at least 1 byte, <paramref name="alignment"/>
    /// a power of two that both addresses honour. False when there is none left.
    /// </summary>
    public abstract bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer);

    /// <summary>Gives back exactly what <see cref="TryAllocate"/> gave; it must not be shared any more.</summary>
    public abstract void Free(in DmaBuffer buffer);

    /// <summary>
    /// False where <see cref="Share"/> and <see cref="Unshare"/> do nothing, because devices reach all memory anyway: they need not be
    /// called then. The answer never changes.
    /// </summary>
    public virtual bool NeedsSharing => true;

    /// <summary>From here on the device owns the bytes.</summary>
    public abstract void Share(in DmaBuffer buffer, DmaDirection direction);

    /// <summary>From here on the driver owns the bytes again; same buffer and direction as in <see cref="Share"/>.</summary>
    public abstract void Unshare(in DmaBuffer buffer, DmaDirection direction);
}
