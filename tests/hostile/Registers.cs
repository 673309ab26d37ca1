// Registers by what they are for, whatever their place is on a transport.
namespace VirtioSharp.Tests.Hostile;

/// <summary>What the faults are about.</summary>
public enum Register
{
    /// <summary>Any other.</summary>
    Other,

    /// <summary>32 of the features that the device offers.</summary>
    DeviceFeature,

    /// <summary>num_queues.</summary>
    NumQueues,

    /// <summary>Which queue the others are about.</summary>
    QueueSelect,

    /// <summary>How large a queue is, or can be.</summary>
    QueueSize,

    /// <summary>queue_enable, QueueReady.</summary>
    QueueEnable,

    /// <summary>queue_notify_off.</summary>
    QueueNotifyOffset,

    /// <summary>The page of a legacy queue.</summary>
    QueuePage,

    /// <summary>The vector of configuration changes.</summary>
    ConfigVector,

    /// <summary>The vector of a queue.</summary>
    QueueVector,

    /// <summary>The device status.</summary>
    Status,

    /// <summary>The generation of the configuration.</summary>
    Generation,

    /// <summary>The ISR status, InterruptStatus.</summary>
    InterruptStatus,
}

/// <summary>Where they are.</summary>
internal static class Registers
{
    /// <summary>In the common configuration (virtio 4.1.4.3).</summary>
    internal static Register OfCommon(uint offset) => offset switch
    {
        4 => Register.DeviceFeature,
        16 => Register.ConfigVector,
        18 => Register.NumQueues,
        20 => Register.Status,
        21 => Register.Generation,
        22 => Register.QueueSelect,
        24 => Register.QueueSize,
        26 => Register.QueueVector,
        28 => Register.QueueEnable,
        30 => Register.QueueNotifyOffset,
        _ => Register.Other,
    };

    /// <summary>In the legacy header (virtio 4.1.4.10).</summary>
    internal static Register OfLegacy(uint offset) => offset switch
    {
        0 => Register.DeviceFeature,
        8 => Register.QueuePage,
        12 => Register.QueueSize,
        14 => Register.QueueSelect,
        18 => Register.Status,
        19 => Register.InterruptStatus,
        20 => Register.ConfigVector,
        22 => Register.QueueVector,
        _ => Register.Other,
    };

    /// <summary>Over MMIO (virtio 4.2.2, 4.2.4).</summary>
    internal static Register OfMmio(uint offset) => offset switch
    {
        0x010 => Register.DeviceFeature,
        0x030 => Register.QueueSelect,
        0x034 or 0x038 => Register.QueueSize,
        0x040 => Register.QueuePage,
        0x044 => Register.QueueEnable,
        0x060 => Register.InterruptStatus,
        0x070 => Register.Status,
        0x0FC => Register.Generation,
        _ => Register.Other,
    };
}
