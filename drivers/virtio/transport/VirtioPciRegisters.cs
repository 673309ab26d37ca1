// The structures of virtio over PCI: capability fields and the common configuration (virtio 4.1.4).
namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>Ids and offsets of virtio over PCI.</summary>
internal static class VirtioPciRegisters
{
    // Ids (4.1.2).
    internal const ushort VendorId = 0x1AF4;
    internal const ushort FirstTransitionalId = 0x1000;
    internal const ushort FirstModernId = 0x1040;
    internal const ushort LastModernId = 0x107F;

    // struct virtio_pci_cap (4.1.4).
    internal const int CapabilityLengthField = 2;
    internal const int CapabilityTypeField = 3;
    internal const int CapabilityBarField = 4;
    internal const int CapabilityIdField = 5;
    internal const int CapabilityOffsetField = 8;
    internal const int CapabilitySizeField = 12;
    internal const int CapabilityLength = 16;
    internal const int NotifyMultiplierField = 16;
    internal const int NotifyCapabilityLength = 20;
    internal const int AccessDataField = 16;
    internal const int AccessCapabilityLength = 20;
    internal const int OffsetHighField = 16;
    internal const int SizeHighField = 20;
    internal const int SharedMemoryCapabilityLength = 24;

    // cfg_type.
    internal const byte CommonConfiguration = 1;
    internal const byte NotifyConfiguration = 2;
    internal const byte IsrConfiguration = 3;
    internal const byte DeviceConfiguration = 4;
    internal const byte PciConfiguration = 5;
    internal const byte SharedMemoryConfiguration = 8;

    // struct virtio_pci_common_cfg (4.1.4.3).
    internal const ulong DeviceFeatureSelect = 0;
    internal const ulong DeviceFeature = 4;
    internal const ulong DriverFeatureSelect = 8;
    internal const ulong DriverFeature = 12;
    internal const ulong ConfigMsixVector = 16;
    internal const ulong NumQueues = 18;
    internal const ulong Status = 20;
    internal const ulong ConfigGeneration = 21;
    internal const ulong QueueSelect = 22;
    internal const ulong QueueSize = 24;
    internal const ulong QueueMsixVector = 26;
    internal const ulong QueueEnable = 28;
    internal const ulong QueueNotifyOffset = 30;
    internal const ulong QueueDescriptorArea = 32;
    internal const ulong QueueDriverArea = 40;
    internal const ulong QueueDeviceArea = 48;
    internal const ulong QueueNotifyConfigData = 56; // as of 1.2, with NOTIF_CONFIG_DATA
    internal const ulong QueueReset = 58; // as of 1.2, with RING_RESET
    internal const uint MinCommonLength = 56;
    internal const uint MaxCommonLength = 64; // as of 1.3, with the fields of administration queues
}
