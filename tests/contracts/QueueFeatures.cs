// The format of a virtqueue, and the features that change what it does.
using VirtioSharp.Drivers.Virtio;
using Xunit;

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

/// <summary>The sets of features that tests are run with.</summary>
public static class QueueSets
{
    private const int Count = 1 << 5;

    /// <summary>Every format with every set of features.</summary>
    public static TheoryData<QueueFeatures> Every => With(QueueFeatures.Split);

    /// <summary>Those with EVENT_IDX.</summary>
    public static TheoryData<QueueFeatures> WithEventIndex => With(QueueFeatures.EventIndex);

    /// <summary>Those with IN_ORDER.</summary>
    public static TheoryData<QueueFeatures> WithInOrder => With(QueueFeatures.InOrder);

    /// <summary>Every format with every set of features, at every size of interest that the format may have.</summary>
    public static TheoryData<QueueFeatures, int> EverySize
    {
        get
        {
            TheoryData<QueueFeatures, int> data = [];
            for (int bits = 0; bits < Count; bits++)
            {
                int[] sizes = ((QueueFeatures)bits).HasFlag(QueueFeatures.Packed) ? [1, 2, 3, 100, 256, 1024, 32768] : [1, 2, 256, 1024, 32768];
                foreach (int size in sizes)
                {
                    data.Add((QueueFeatures)bits, size);
                }
            }
            return data;
        }
    }

    private static TheoryData<QueueFeatures> With(QueueFeatures one) =>
        [.. Enumerable.Range(0, Count).Select(bits => (QueueFeatures)bits).Where(features => features.HasFlag(one))];
}
