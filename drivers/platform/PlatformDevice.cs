// A device without a bus: registers at a place that somebody knows, and one interrupt line.
namespace VirtioSharp.Drivers.Platform;

/// <summary>A device that is on no bus that could be asked: firmware, a command line or a test says where it is.</summary>
public abstract class PlatformDevice
{
    /// <summary>The address of its registers, for people and logs.</summary>
    public abstract ulong Address { get; }

    /// <summary>Its registers.</summary>
    public abstract IoRegion Registers { get; }

    /// <summary>The memory it can reach.</summary>
    public abstract DmaSpace Dma { get; }

    /// <summary>The time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>Calls <paramref name="handler"/> for its interrupt line; false when the line leads nowhere.</summary>
    public abstract bool TryAttachInterrupt(InterruptHandler handler);

    /// <summary>Ends what <see cref="TryAttachInterrupt"/> began.</summary>
    public abstract void DetachInterrupt(InterruptHandler handler);
}
