// Device status, reserved features and device types (virtio 2.1, 6, 5).
namespace VirtioSharp.Drivers.Virtio;

/// <summary>The bits of device status (virtio 2.1).</summary>
public static class DeviceStatus
{
    /// <summary>The device was noticed.</summary>
    public const byte Acknowledge = 1;

    /// <summary>There is a driver for it.</summary>
    public const byte Driver = 2;

    /// <summary>The driver is ready.</summary>
    public const byte DriverOk = 4;

    /// <summary>Features are agreed on; read again after writing.</summary>
    public const byte FeaturesOk = 8;

    /// <summary>The device can't go on without a reset.</summary>
    public const byte NeedsReset = 64;

    /// <summary>The driver has given up.</summary>
    public const byte Failed = 128;
}

/// <summary>Features that mean the same for every device type (virtio 6).</summary>
public static class VirtioFeature
{
    /// <summary>VIRTIO_F_ANY_LAYOUT: a legacy device takes buffers cut in any way (6.3); always accepted there, and made no use of.</summary>
    public const ulong AnyLayout = 1ul << 27;

    /// <summary>VIRTIO_F_INDIRECT_DESC: descriptors may point to tables of descriptors (2.7.5.3).</summary>
    public const ulong IndirectDescriptors = 1ul << 28;

    /// <summary>VIRTIO_F_EVENT_IDX: each side says at which index it wants to hear (2.7.7, 2.7.10).</summary>
    public const ulong EventIndex = 1ul << 29;

    /// <summary>VIRTIO_F_VERSION_1: the interface of virtio 1.0 and later.</summary>
    public const ulong Version1 = 1ul << 32;

    /// <summary>VIRTIO_F_ACCESS_PLATFORM: the device reaches memory only as the platform allows: by the addresses that a DMA space gives.</summary>
    public const ulong AccessPlatform = 1ul << 33;

    /// <summary>VIRTIO_F_RING_PACKED: the packed virtqueue (2.8).</summary>
    public const ulong RingPacked = 1ul << 34;

    /// <summary>VIRTIO_F_IN_ORDER: buffers are used in the order in which they were made available (2.7.9, 2.8.8).</summary>
    public const ulong InOrder = 1ul << 35;

    /// <summary>VIRTIO_F_ORDER_PLATFORM: memory is ordered as the platform orders it for devices (6.1).</summary>
    public const ulong OrderPlatform = 1ul << 36;

    /// <summary>VIRTIO_F_NOTIFICATION_DATA: notifications say how far the ring is filled (2.9).</summary>
    public const ulong NotificationData = 1ul << 38;

    /// <summary>VIRTIO_F_NOTIF_CONFIG_DATA: the device chooses what stands for the queue in a notification (4.1.4.3).</summary>
    public const ulong NotifConfigData = 1ul << 39;

    /// <summary>VIRTIO_F_RING_RESET: one queue can be reset while the others run (2.6.1).</summary>
    public const ulong RingReset = 1ul << 40;

    /// <summary>The bits that are not the device type's: 24 to 49 (6).</summary>
    public const ulong Reserved = ((1ul << 26) - 1) << 24;

    /// <summary>What this library knows how to use with every device.</summary>
    public const ulong Supported = IndirectDescriptors | EventIndex | Version1 | AccessPlatform | OrderPlatform |
        RingPacked | InOrder | NotificationData | NotifConfigData | RingReset;

    /// <summary>The name of a reserved feature bit in the specification's words; empty for one without a name.</summary>
    public static string NameOf(int bit) => bit switch
    {
        24 => "NOTIFY_ON_EMPTY",
        27 => "ANY_LAYOUT",
        28 => "INDIRECT_DESC",
        29 => "EVENT_IDX",
        32 => "VERSION_1",
        33 => "ACCESS_PLATFORM",
        34 => "RING_PACKED",
        35 => "IN_ORDER",
        36 => "ORDER_PLATFORM",
        37 => "SR_IOV",
        38 => "NOTIFICATION_DATA",
        39 => "NOTIF_CONFIG_DATA",
        40 => "RING_RESET",
        41 => "ADMIN_VQ",
        43 => "SUSPEND",
        _ => "",
    };
}

/// <summary>Device type ids (virtio 5).</summary>
public static class DeviceType
{
    /// <summary>A block device (5.2).</summary>
    public const ushort Block = 2;

    /// <summary>A console (5.3).</summary>
    public const ushort Console = 3;
}
