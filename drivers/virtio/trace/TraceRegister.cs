// Registers of all transports by their names in the specification, with the clauses that are about them (virtio chapter 4).
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>What a register is to whoever follows a driver.</summary>
internal enum RegisterKind : byte
{
    Other,
    Status,
    DeviceFeatureSelect,
    DeviceFeature,
    DriverFeatureSelect,
    DriverFeature,
    QueueSelect,
    OfQueue,
    QueueSize,
    QueueEnable,
    QueueReset,
    DescriptorLow,
    DescriptorHigh,
    DriverLow,
    DriverHigh,
    DeviceLow,
    DeviceHigh,
    PageNumber,
    Notify,
    InterruptStatus,
    Config,
}

/// <summary>Which registers a window shows.</summary>
internal enum WindowKind : byte
{
    None,
    Common,
    Notify,
    Isr,
    Device,
    Legacy,
    Mmio,
}

/// <summary>A register: its name, its clause, what it is.</summary>
internal readonly struct TraceRegister
{
    internal TraceRegister(string name, string clause, RegisterKind kind)
    {
        Name = name;
        Clause = clause;
        Kind = kind;
    }

    internal string Name { get; }

    internal string Clause { get; }

    internal RegisterKind Kind { get; }

    /// <summary>True when what is read and written there depends on the queue that was selected.</summary>
    internal bool IsOfQueue => Kind is >= RegisterKind.OfQueue and <= RegisterKind.PageNumber;

    /// <summary>True for a part of an address, which is another one each time.</summary>
    internal bool IsAddress => Kind is >= RegisterKind.DescriptorLow and <= RegisterKind.PageNumber;

    /// <summary>
    /// The register at an offset of a window. <paramref name="variant"/>: with the legacy interface over PCI, that MSI-X is on, which moves the
    /// configuration (4.1.4.10); over MMIO, that it is version 1.
    /// </summary>
    internal static TraceRegister At(WindowKind window, ulong offset, bool variant) => window switch
    {
        WindowKind.Common => OfCommon(offset),
        WindowKind.Notify => new("notify", "4.1.5.2", RegisterKind.Notify),
        WindowKind.Isr => new("isr", "4.1.4.5", RegisterKind.InterruptStatus),
        WindowKind.Device => new("config", "2.5", RegisterKind.Config),
        WindowKind.Legacy => OfLegacy(offset, variant),
        WindowKind.Mmio => OfMmio(offset, variant),
        _ => new("register", "", RegisterKind.Other),
    };

    /// <summary>struct virtio_pci_common_cfg (4.1.4.3).</summary>
    private static TraceRegister OfCommon(ulong offset) => offset switch
    {
        VirtioPciRegisters.DeviceFeatureSelect => new("device_feature_select", "4.1.4.3", RegisterKind.DeviceFeatureSelect),
        VirtioPciRegisters.DeviceFeature => new("device_feature", "2.2", RegisterKind.DeviceFeature),
        VirtioPciRegisters.DriverFeatureSelect => new("driver_feature_select", "4.1.4.3", RegisterKind.DriverFeatureSelect),
        VirtioPciRegisters.DriverFeature => new("driver_feature", "2.2.1", RegisterKind.DriverFeature),
        VirtioPciRegisters.ConfigMsixVector => new("config_msix_vector", "4.1.5.1.2", RegisterKind.Other),
        VirtioPciRegisters.NumQueues => new("num_queues", "4.1.4.3", RegisterKind.Other),
        VirtioPciRegisters.Status => new("device_status", "2.1", RegisterKind.Status),
        VirtioPciRegisters.ConfigGeneration => new("config_generation", "2.5.1", RegisterKind.Other),
        VirtioPciRegisters.QueueSelect => new("queue_select", "4.1.4.3", RegisterKind.QueueSelect),
        VirtioPciRegisters.QueueSize => new("queue_size", "4.1.5.1.3", RegisterKind.QueueSize),
        VirtioPciRegisters.QueueMsixVector => new("queue_msix_vector", "4.1.5.1.2", RegisterKind.OfQueue),
        VirtioPciRegisters.QueueEnable => new("queue_enable", "4.1.5.1.3", RegisterKind.QueueEnable),
        VirtioPciRegisters.QueueNotifyOffset => new("queue_notify_off", "4.1.4.4", RegisterKind.OfQueue),
        VirtioPciRegisters.QueueDescriptorArea => new("queue_desc", "4.1.5.1.3", RegisterKind.DescriptorLow),
        VirtioPciRegisters.QueueDescriptorArea + 4 => new("queue_desc_high", "4.1.5.1.3", RegisterKind.DescriptorHigh),
        VirtioPciRegisters.QueueDriverArea => new("queue_driver", "4.1.5.1.3", RegisterKind.DriverLow),
        VirtioPciRegisters.QueueDriverArea + 4 => new("queue_driver_high", "4.1.5.1.3", RegisterKind.DriverHigh),
        VirtioPciRegisters.QueueDeviceArea => new("queue_device", "4.1.5.1.3", RegisterKind.DeviceLow),
        VirtioPciRegisters.QueueDeviceArea + 4 => new("queue_device_high", "4.1.5.1.3", RegisterKind.DeviceHigh),
        VirtioPciRegisters.QueueNotifyConfigData => new("queue_notif_config_data", "4.1.4.3", RegisterKind.OfQueue),
        VirtioPciRegisters.QueueReset => new("queue_reset", "2.6.1", RegisterKind.QueueReset),
        _ => new("common", "4.1.4.3", RegisterKind.Other),
    };

    /// <summary>The legacy interface over PCI (4.1.4.10).</summary>
    private static TraceRegister OfLegacy(ulong offset, bool hasVectors) => offset switch
    {
        0 => new("device_features", "2.2", RegisterKind.DeviceFeature),
        4 => new("driver_features", "2.2.1", RegisterKind.DriverFeature),
        8 => new("queue_address", "4.1.5.1.3.1", RegisterKind.PageNumber),
        12 => new("queue_size", "4.1.5.1.3.1", RegisterKind.QueueSize),
        14 => new("queue_select", "4.1.4.10", RegisterKind.QueueSelect),
        16 => new("queue_notify", "4.1.5.2", RegisterKind.Notify),
        18 => new("device_status", "2.1", RegisterKind.Status),
        19 => new("isr_status", "4.1.4.5", RegisterKind.InterruptStatus),
        20 when hasVectors => new("config_msix_vector", "4.1.5.1.2", RegisterKind.Other),
        22 when hasVectors => new("queue_msix_vector", "4.1.5.1.2", RegisterKind.OfQueue),
        _ => new("config", "2.5", RegisterKind.Config),
    };

    /// <summary>Both versions of virtio-mmio (4.2.2, 4.2.4).</summary>
    private static TraceRegister OfMmio(ulong offset, bool isLegacy) => offset switch
    {
        MmioRegisters.MagicValue => new("MagicValue", "4.2.2", RegisterKind.Other),
        MmioRegisters.Version => new("Version", "4.2.2", RegisterKind.Other),
        MmioRegisters.DeviceId => new("DeviceID", "4.2.2", RegisterKind.Other),
        MmioRegisters.DeviceFeatures => new("DeviceFeatures", "2.2", RegisterKind.DeviceFeature),
        MmioRegisters.DeviceFeaturesSelect => new("DeviceFeaturesSel", "4.2.2", RegisterKind.DeviceFeatureSelect),
        MmioRegisters.DriverFeatures => new("DriverFeatures", "2.2.1", RegisterKind.DriverFeature),
        MmioRegisters.DriverFeaturesSelect => new("DriverFeaturesSel", "4.2.2", RegisterKind.DriverFeatureSelect),
        MmioRegisters.GuestPageSize when isLegacy => new("GuestPageSize", "4.2.4", RegisterKind.Other),
        MmioRegisters.QueueSelect => new("QueueSel", "4.2.2", RegisterKind.QueueSelect),
        MmioRegisters.QueueSizeMax => new("QueueNumMax", "4.2.3.2", RegisterKind.OfQueue),
        MmioRegisters.QueueSize => new("QueueNum", "4.2.3.2", RegisterKind.QueueSize),
        MmioRegisters.QueueAlign when isLegacy => new("QueueAlign", "4.2.4", RegisterKind.OfQueue),
        MmioRegisters.QueuePageNumber when isLegacy => new("QueuePFN", "4.2.4", RegisterKind.PageNumber),
        MmioRegisters.QueueReady => new("QueueReady", "4.2.3.2", RegisterKind.QueueEnable),
        MmioRegisters.QueueNotify => new("QueueNotify", "4.2.3.3", RegisterKind.Notify),
        MmioRegisters.InterruptStatus => new("InterruptStatus", "4.2.3.4", RegisterKind.InterruptStatus),
        MmioRegisters.InterruptAcknowledge => new("InterruptACK", "4.2.3.4", RegisterKind.Other),
        MmioRegisters.Status => new("Status", "2.1", RegisterKind.Status),
        MmioRegisters.QueueDescriptorArea => new("QueueDescLow", "4.2.3.2", RegisterKind.DescriptorLow),
        MmioRegisters.QueueDescriptorArea + 4 => new("QueueDescHigh", "4.2.3.2", RegisterKind.DescriptorHigh),
        MmioRegisters.QueueDriverArea => new("QueueDriverLow", "4.2.3.2", RegisterKind.DriverLow),
        MmioRegisters.QueueDriverArea + 4 => new("QueueDriverHigh", "4.2.3.2", RegisterKind.DriverHigh),
        MmioRegisters.QueueDeviceArea => new("QueueDeviceLow", "4.2.3.2", RegisterKind.DeviceLow),
        MmioRegisters.QueueDeviceArea + 4 => new("QueueDeviceHigh", "4.2.3.2", RegisterKind.DeviceHigh),
        MmioRegisters.QueueReset => new("QueueReset", "2.6.1", RegisterKind.QueueReset),
        MmioRegisters.ConfigGeneration => new("ConfigGeneration", "2.5.1", RegisterKind.Other),
        >= MmioRegisters.Config => new("config", "2.5", RegisterKind.Config),
        _ => new("mmio", "4.2.2", RegisterKind.Other),
    };
}
