// The registers of virtio over MMIO, of both versions (virtio 4.2.2, 4.2.4). All but the configuration are 32 bits wide.
namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Offsets, and what the first registers say.</summary>
internal static class MmioRegisters
{
    internal const uint Magic = 0x74726976; // "virt"
    internal const uint LegacyVersion = 1;
    internal const uint ModernVersion = 2;

    // Of both versions.
    internal const ulong MagicValue = 0x000;
    internal const ulong Version = 0x004;
    internal const ulong DeviceId = 0x008;
    internal const ulong DeviceFeatures = 0x010;
    internal const ulong DeviceFeaturesSelect = 0x014;
    internal const ulong DriverFeatures = 0x020;
    internal const ulong DriverFeaturesSelect = 0x024;
    internal const ulong QueueSelect = 0x030;
    internal const ulong QueueSizeMax = 0x034;
    internal const ulong QueueSize = 0x038;
    internal const ulong QueueNotify = 0x050;
    internal const ulong InterruptStatus = 0x060;
    internal const ulong InterruptAcknowledge = 0x064;
    internal const ulong Status = 0x070;
    internal const ulong Config = 0x100;

    // Of version 2.
    internal const ulong QueueReady = 0x044;
    internal const ulong QueueDescriptorArea = 0x080;
    internal const ulong QueueDriverArea = 0x090;
    internal const ulong QueueDeviceArea = 0x0A0;
    internal const ulong QueueReset = 0x0C0;
    internal const ulong ConfigGeneration = 0x0FC;

    // Of version 1.
    internal const ulong GuestPageSize = 0x028;
    internal const ulong QueueAlign = 0x03C;
    internal const ulong QueuePageNumber = 0x040;

    /// <summary>The defined bits of the interrupt status: used buffers, configuration change (4.2.2).</summary>
    internal const uint InterruptBits = 3;
}
