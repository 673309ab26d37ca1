// The split virtqueue in memory (virtio 2.7): offsets, sizes, flags.
namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>Where the three areas of a split virtqueue of a given size lie in one block, and what is in them.</summary>
internal static class SplitLayout
{
    internal const uint DescriptorLength = 16;
    internal const uint AvailableHeader = 4;
    internal const uint UsedHeader = 4;
    internal const uint UsedElementLength = 8;

    // Descriptor flags (2.7.5).
    internal const uint DescriptorNext = 1;
    internal const uint DescriptorWrite = 2;
    internal const uint DescriptorIndirect = 4;

    // Available ring flags (2.7.6) and used ring flags (2.7.8).
    internal const ushort NoInterrupt = 1;
    internal const ushort NoNotify = 1;

    /// <summary>The descriptor table comes first, aligned to 16.</summary>
    internal static uint AvailableOffset(uint size) => size * DescriptorLength;

    /// <summary>
    /// The available ring with its event word, then the used ring: aligned to 64 to keep both sides' lines apart, or to 4096 where the
    /// legacy layout has it so (2.7.2).
    /// </summary>
    internal static uint UsedOffset(uint size, uint alignment) =>
        (AvailableOffset(size) + AvailableHeader + 2 * size + 2 + alignment - 1) & ~(alignment - 1);

    /// <summary>The whole block in bytes, padded to the alignment as 2.7.2 has it.</summary>
    internal static uint TotalLength(uint size, uint alignment) =>
        (UsedOffset(size, alignment) + UsedHeader + UsedElementLength * size + 2 + alignment - 1) & ~(alignment - 1);
}
