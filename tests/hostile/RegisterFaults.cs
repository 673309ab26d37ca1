// Faults in the common configuration, features and the device configuration.
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Hostile;

/// <summary>M: the common configuration. F: features. G: configuration and generation.</summary>
public static class RegisterFaults
{
    private const uint NumQueues = 18;
    private const uint QueueSize = 24;
    private const uint QueueEnable = 28;
    private const uint QueueSelect = 22;
    private const uint DeviceFeature = 4;
    private const uint QueueNotifyOffset = 30;
    private const ulong AccessPlatform = 1ul << 33;

    /// <summary>The cases.</summary>
    public static IEnumerable<FaultCase> All =>
    [
        new("M01", "the status never becomes 0", Outcome.Refused, scene => scene.Disk.OnReadStatus = status => (byte)(status | 1)),
        new("M02", "the status becomes 0 after 50 looks", Outcome.Works, scene =>
        {
            scene.Disk.LeaveRunning();
            scene.Disk.ResetReads = 50;
        }) { Requirements = "CORE-RESET-1 PCI-COMMON-5" },
        new("M03", "the status is all ones", Outcome.Refused, scene => scene.Disk.OnReadStatus = _ => 0xFF),
        new("M04", "FEATURES_OK is refused", Outcome.Refused, scene => scene.Disk.RefusesFeatures = _ => true)
        { Requirements = "CORE-INIT-1 CORE-INIT-5 CORE-INIT-6" },
        new("M05", "DRIVER_OK is not shown", Outcome.Works, scene => scene.Disk.OnReadStatus = status => (byte)(status & ~4)),
        new("M06", "DEVICE_NEEDS_RESET is set from the beginning", Outcome.Refused, scene =>
            scene.Disk.OnReadStatus = status => (byte)(status == 0 ? 0 : status | 64)),
        new("M07", "DEVICE_NEEDS_RESET comes with requests in flight", Outcome.Breaks, scene => scene.Lie(scene.Disk.AskForReset))
        { Requirements = "CORE-STATUS-4" },
        new("M08", "there are no queues", Outcome.Refused, scene => scene.Show(NumQueues, 0)),
        new("M09", "there are 65535 queues", Outcome.Works, scene => scene.Show(NumQueues, 0xFFFF)),
        new("M10", "the queue has no descriptors", Outcome.Refused, scene => scene.Show(QueueSize, 0)),
        new("M11", "the queue size is no power of two", Outcome.Refused, scene => scene.Show(QueueSize, 100))
        { Ring = FaultRing.Split },
        new("M12", "the queue size is 65535", Outcome.Refused, scene => scene.Show(QueueSize, 0xFFFF)),
        new("M12b", "the queue has 32768 descriptors", Outcome.Works, scene => scene.Queue.Size = scene.Queue.MaxSize = 32768),
        new("M12c", "the queue has one descriptor", Outcome.Refused, scene => scene.Queue.Size = scene.Queue.MaxSize = 1),
        new("M12d", "the queue has four descriptors", Outcome.Works, scene => scene.Queue.Size = scene.Queue.MaxSize = 4),
        new("M13", "the queue can't be made smaller", Outcome.Refused, scene =>
        {
            scene.Queue.Size = scene.Queue.MaxSize = 4096;
            scene.Function.OnWriteCommon = (offset, _, _) => offset == QueueSize;
        }),
        new("M14", "the queue is enabled after the reset", Outcome.Refused, scene => scene.Show(QueueEnable, 1)),
        new("M15", "the queue does not let itself be enabled", Outcome.Refused, scene =>
            scene.Function.OnWriteCommon = (offset, _, _) => offset == QueueEnable),
        new("M15b", "the queue is enabled, but does not say so", Outcome.Refused, scene => scene.Show(QueueEnable, 0)),
        new("M16", "the doorbell lies outside of its region", Outcome.Refused, scene => scene.Show(QueueNotifyOffset, 0xFFFF)),
        new("M17a", "the doorbells' multiplier is 1", Outcome.Refused, scene => scene.Function.Set32(scene.Function.NotifyCapability + 16, 1)),
        new("M17b", "the doorbells' multiplier is 6", Outcome.Refused, scene => scene.Function.Set32(scene.Function.NotifyCapability + 16, 6)),
        new("M17c", "the doorbells' multiplier is all ones", Outcome.Refused, scene =>
            scene.Function.Set32(scene.Function.NotifyCapability + 16, uint.MaxValue)),
        new("M18", "no vector can be mapped", Outcome.Works, scene => scene.Function.RefusesVector = _ => true)
        { NeedsMsix = true, Requirements = "PCI-MSIX-5 PCI-MSIX-6" },
        new("M19", "the device stays at a queue that does not exist", Outcome.Refused, scene =>
        {
            scene.Function.OnWriteCommon = (offset, _, _) => offset == QueueSelect;
            scene.Function.OnReadCommon = (offset, _, value) => offset is QueueSize or QueueEnable ? 0 : value;
        }),
        new("M22", "only the lower half of the features is shown", Outcome.Refused, scene =>
            scene.Function.OnReadCommon = (offset, _, value) => offset == DeviceFeature ? (uint)scene.Disk.OfferedFeatures : value),
        new("M22b", "only the upper half of the features is shown", Outcome.Works, scene =>
            scene.Function.OnReadCommon = (offset, _, value) => offset == DeviceFeature ? (uint)(scene.Disk.OfferedFeatures >> 32) : value)
        { Ring = FaultRing.Split },
        new("F01", "a modern device without VERSION_1", Outcome.Refused, scene => scene.Disk.OfferedFeatures &= ~FakeVirtioDevice.Version1)
        { Requirements = "CORE-RSVD-2" },
        new("F02", "every feature is offered, but for those that change the device", Outcome.Works, scene =>
            scene.Disk.OfferedFeatures = ulong.MaxValue & ~(FakeBlockDevice.ReadOnly | FakeBlockDevice.SegMax | FakeBlockDevice.SizeMax))
        { Requirements = "CORE-FEAT-4 CORE-FEAT-5 CORE-FEAT-8 CORE-RSVD-1 CORE-RSVD-10" },
        new("F03", "only unknown features are offered", Outcome.Refused, scene => scene.Disk.OfferedFeatures = 0xFFF0_0000_0000_0000)
        { Requirements = "CORE-FEAT-7 CORE-INIT-5" },
        new("F04", "the features are gone at the second look", Outcome.Refused, scene =>
        {
            int looks = 0;
            scene.Disk.OnReadFeatures = features => looks++ > 0 ? 0 : features;
        }),
        new("F04b", "the features are others after they were agreed on", Outcome.Works, scene => scene.WhileHeld(() =>
            scene.Disk.OnReadFeatures = _ => ulong.MaxValue)),
        new("F05", "RING_PACKED without VERSION_1", Outcome.Refused, scene => scene.Disk.OfferedFeatures = 1ul << 34),
        new("F07", "ACCESS_PLATFORM has to be accepted", Outcome.Works, scene =>
        {
            scene.Disk.OfferedFeatures |= AccessPlatform;
            scene.Disk.RefusesFeatures = features => (features & AccessPlatform) == 0;
        }),
        new("F10a", "seg_max is 0", Outcome.Refused, scene => scene.Disk.OfferedFeatures |= FakeBlockDevice.SegMax),
        new("F10b", "size_max is 0", Outcome.Refused, scene => scene.Disk.OfferedFeatures |= FakeBlockDevice.SizeMax),
        new("F10c", "size_max is 1", Outcome.Refused, scene => scene.Disk.Limit(0, 1)),
        new("F10d", "seg_max is all ones", Outcome.Works, scene => scene.Disk.Limit(uint.MaxValue, uint.MaxValue)),
        new("F11", "the device acts on EVENT_IDX, which was not agreed on", Outcome.Works, scene =>
        {
            scene.Disk.OfferedFeatures &= ~FakeVirtioDevice.EventIndex;
            scene.WhileHeld(() => scene.Queue.Split.WriteAvailableEvent(0x7777));
        }) { Ring = FaultRing.Split },
        new("F13a", "the block size is 0", Outcome.Works, scene => scene.Disk.SetBlockSize(0)),
        new("F13b", "the block size is 3", Outcome.Works, scene => scene.Disk.SetBlockSize(3)),
        new("F13c", "the block size is 2 GiB", Outcome.Works, scene => scene.Disk.SetBlockSize(1u << 31)),
        new("G01", "the generation changes with every look", Outcome.Refused, scene =>
        {
            byte generation = 0;
            scene.Disk.OnReadGeneration = _ => generation++;
        }) { Requirements = "CORE-CONFIG-1 CORE-CONFIG-2" },
        new("G02", "the capacity is torn once, and the generation says so", Outcome.Works, scene =>
        {
            bool torn = false;
            scene.Disk.OnReadGeneration = _ => torn ? (byte)1 : (byte)0;
            scene.Disk.OnReadConfig = (offset, _, value) =>
            {
                bool first = offset == 4 && !torn;
                torn |= first;
                return first ? 0xDEAD_BEEF : value;
            };
        }) { Requirements = "CORE-CONFIG-1 CORE-CONFIG-2" },
        new("G04a", "the configuration ends within the capacity", Outcome.Refused, scene =>
            scene.Place(scene.Function.ConfigCapability, FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.ConfigOffset, 7)),
        new("G04b", "the configuration ends before seg_max, which is offered", Outcome.Refused, scene =>
        {
            scene.Disk.Limit(4, 0);
            scene.Place(scene.Function.ConfigCapability, FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.ConfigOffset, 12);
        }) { Requirements = "CORE-CONFIG-5" },
        new("G05", "the capacity is 0", Outcome.Empty, scene => scene.Disk.SetCapacity(0)),
        new("G06", "the capacity in bytes does not fit 64 bits", Outcome.Refused, scene => scene.Disk.SetCapacity(ulong.MaxValue)),
        new("G08", "a storm of configuration interrupts without a change", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                scene.Disk.ChangeConfig(_ => { });
            }
        })),
        new("R08", "firmware left the device running", Outcome.Works, scene => scene.Disk.LeaveRunning()),
    ];
}
