// The packed virtqueue in memory (virtio 2.8): offsets, sizes, flags.
namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>Where the descriptor ring and the two event suppression structures lie in one block, and what is in them.</summary>
internal static class PackedLayout
{
    internal const uint DescriptorLength = 16;
    internal const uint EventLength = 4;

    // Where a descriptor has its id and its flags (2.8.13).
    internal const uint IdOffset = 12;
    internal const uint FlagsOffset = 14;

    // Descriptor flags (2.8.1, 2.8.3, 2.8.6, 2.8.7).
    internal const ushort DescriptorNext = 1;
    internal const ushort DescriptorWrite = 2;
    internal const ushort DescriptorIndirect = 4;
    internal const ushort DescriptorAvailable = 1 << 7;
    internal const ushort DescriptorUsed = 1 << 15;
    internal const ushort DescriptorState = DescriptorAvailable | DescriptorUsed;

    // An event suppression structure as one word (2.8.14): offset, wrap counter, mode.
    internal const uint EventOffset = 0x7FFF;
    internal const uint EventWrap = 0x8000;
    internal const int EventModeShift = 16;
    internal const uint EventModeMask = 3;
    internal const uint EventEnable = 0;
    internal const uint EventDisable = 1;
    internal const uint EventDescriptor = 2;

    // Each structure has a line of its own: one is written by the driver, the other by the device.
    private const uint LineLength = 64;

    /// <summary>The descriptor ring comes first, aligned to 16; then what the driver wishes to hear, aligned to 4.</summary>
    internal static uint DriverEventOffset(uint size) => (size * DescriptorLength + LineLength - 1) & ~(LineLength - 1);

    /// <summary>What the device wishes to hear.</summary>
    internal static uint DeviceEventOffset(uint size) => DriverEventOffset(size) + LineLength;

    /// <summary>The whole block in bytes.</summary>
    internal static uint TotalLength(uint size) => DeviceEventOffset(size) + EventLength;
}
