// The format of a virtqueue, and the features that change what it does.
using VirtioSharp.Drivers.Virtio;

namespace VirtioSharp.Tests.Contracts;

/// <summary>Everything that the contract of virtqueues is run with, in every combination.</summary>
[Flags]
public enum QueueFeatures
{
    /// <summary>The split format with nothing.</summary>
    Split = 0,

    /// <summary>The packed format.</summary>
    Packed = 1,

    /// <summary>EVENT_IDX.</summary>
    EventIndex = 2,

    /// <summary>Indirect descriptors.</summary>
    Indirect = 4,

    /// <summary>IN_ORDER.</summary>
    InOrder = 8,

    /// <summary>NOTIFICATION_DATA.</summary>
    NotificationData = 16,
}

/// <summary>The bits of features.</summary>
public static class QueueFeaturesExtensions
{
    /// <summary>As they are negotiated.</summary>
    public static ulong Bits(this QueueFeatures features)
    {
        ulong bits = features.HasFlag(QueueFeatures.Packed) ? VirtioFeature.RingPacked : 0;
        bits |= features.HasFlag(QueueFeatures.EventIndex) ? VirtioFeature.EventIndex : 0;
        bits |= features.HasFlag(QueueFeatures.Indirect) ? VirtioFeature.IndirectDescriptors : 0;
        bits |= features.HasFlag(QueueFeatures.InOrder) ? VirtioFeature.InOrder : 0;
        return bits | (features.HasFlag(QueueFeatures.NotificationData) ? VirtioFeature.NotificationData : 0);
    }
}
