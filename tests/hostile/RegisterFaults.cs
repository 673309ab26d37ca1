// Faults in the common configuration, features and the device configuration.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>M: the common configuration. F: features. G: configuration and generation.</summary>
public static class RegisterFaults
{
    private const ulong AccessPlatform = 1ul << 33;

    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All =>
    [
        new("M01", "the status never becomes 0", Outcome.Refused, scene => scene.Disk.OnReadStatus = status => (byte)(status | 1)),
        new("M02", "the status becomes 0 after 50 looks", Outcome.Works, scene =>
        {
            scene.Disk.LeaveRunning();
            scene.Disk.ResetReads = 50;
        }) { Requirements = "CORE-RESET-1 PCI-COMMON-5" },
        new("M03", "the status is all ones", Outcome.Refused, scene => scene.Disk.OnReadStatus = _ => 0xFF),
        new("M04", "FEATURES_OK is refused", Outcome.Refused, scene => scene.Disk.RefusesFeatures = _ => true)
        { Machines = Machines.Modern, Requirements = "CORE-INIT-1 CORE-INIT-5 CORE-INIT-6" },
        new("M05", "DRIVER_OK is not shown", Outcome.Works, scene => scene.Disk.OnReadStatus = status => (byte)(status & ~4)),
        new("M06", "DEVICE_NEEDS_RESET is set from the beginning", Outcome.Refused, scene =>
            scene.Disk.OnReadStatus = status => (byte)(status == 0 ? 0 : status | 64))
        { OnLegacy = Outcome.Works },
        new("M07", "DEVICE_NEEDS_RESET comes with requests in flight", Outcome.Breaks, scene => scene.Lie(scene.Disk.AskForReset))
        { Requirements = "CORE-STATUS-4" },
        new("M08", "there are no queues", Outcome.Refused, scene => scene.Show(Register.NumQueues, 0)) { Machines = Machines.ModernFunction },
        new("M09", "there are 65535 queues", Outcome.Works, scene => scene.Show(Register.NumQueues, 0xFFFF)) { Machines = Machines.ModernFunction },
        new("M10", "the queue has no descriptors", Outcome.Refused, scene => scene.Show(Register.QueueSize, 0)),
        new("M11", "the queue size is no power of two", Outcome.Refused, scene => scene.Show(Register.QueueSize, 100))
        { Rings = Rings.AnySplit },
        new("M12", "the queue size is 65535", Outcome.Refused, scene => scene.Show(Register.QueueSize, 0xFFFF)),
        new("M12b", "the queue has 32768 descriptors", Outcome.Works, scene => scene.Queue.Size = scene.Queue.MaxSize = 32768),
        new("M12c", "the queue has one descriptor", Outcome.Refused, scene => scene.Queue.Size = scene.Queue.MaxSize = 1),
        new("M12d", "the queue has four descriptors", Outcome.Works, scene => scene.Queue.Size = scene.Queue.MaxSize = 4),
        new("M13", "the queue can't be made smaller", Outcome.Refused, scene =>
        {
            scene.Queue.Size = scene.Queue.MaxSize = 4096;
            scene.Swallow(Register.QueueSize);
        }) { Machines = Machines.ModernFunction },
        new("M13b", "a legacy queue is smaller at the second look", Outcome.Refused, scene =>
        {
            int looks = 0;
            scene.OnRead((register, value) => register == Register.QueueSize && looks++ > 0 ? value / 2 : value);
        }) { Machines = Machines.LegacyPci },
        new("M14", "the queue is enabled after the reset", Outcome.Refused, scene => scene.Show(Register.QueueEnable, 1)) { Machines = Machines.Modern },
        new("M15", "the queue does not let itself be enabled", Outcome.Refused, scene => scene.Swallow(Register.QueueEnable))
        { Machines = Machines.Modern },
        new("M15b", "the queue is enabled, but does not say so", Outcome.Refused, scene => scene.Show(Register.QueueEnable, 0)) { Machines = Machines.Modern },
        new("M15c", "a legacy queue does not take its page", Outcome.Refused, scene => scene.Swallow(Register.QueuePage)) { Machines = Machines.Legacy },
        new("M16", "the doorbell lies outside of its region", Outcome.Refused, scene => scene.Show(Register.QueueNotifyOffset, 0xFFFF))
        { Machines = Machines.ModernFunction },
        new("M17a", "the doorbells' multiplier is 1", Outcome.Refused, scene => SetMultiplier(scene, 1)) { Machines = Machines.ModernFunction },
        new("M17b", "the doorbells' multiplier is 6", Outcome.Refused, scene => SetMultiplier(scene, 6)) { Machines = Machines.ModernFunction },
        new("M17c", "the doorbells' multiplier is all ones", Outcome.Refused, scene => SetMultiplier(scene, uint.MaxValue))
        { Machines = Machines.ModernFunction },
        new("M18", "no vector can be mapped", Outcome.Works, scene => scene.Function.RefusesVector = _ => true)
        { Machines = Machines.ModernPci, Ways = Ways.MsiX, Requirements = "PCI-MSIX-5 PCI-MSIX-6" },
        new("M18b", "no vector of a legacy device can be mapped: its configuration moves back", Outcome.Works, scene =>
            scene.OnRead((register, value) => register is Register.ConfigVector or Register.QueueVector ? 0xFFFFu : value))
        { Machines = Machines.LegacyPci, Ways = Ways.MsiX, Requirements = "PCI-LEGACY-7" },
        new("M19", "the device stays at a queue that does not exist", Outcome.Refused, scene =>
        {
            scene.Swallow(Register.QueueSelect);
            scene.OnRead((register, value) => register is Register.QueueSize or Register.QueueEnable or Register.QueuePage ? 0 : value);
        }),
        new("M19b", "the choice of a queue does not stick, and there is only one", Outcome.Works, scene => scene.Swallow(Register.QueueSelect)),
        new("M22", "only the lower half of the features is shown", Outcome.Refused, scene =>
            scene.Show(Register.DeviceFeature, (uint)scene.Disk.OfferedFeatures)) { Machines = Machines.Modern },
        new("M22b", "only the upper half of the features is shown", Outcome.Works, scene =>
            scene.Show(Register.DeviceFeature, (uint)(scene.Disk.OfferedFeatures >> 32))) { Machines = Machines.Modern, Rings = Rings.AnySplit },
        new("F01", "a modern device without VERSION_1", Outcome.Refused, scene => scene.Disk.OfferedFeatures &= ~FakeVirtioDevice.Version1)
        { Machines = Machines.Modern, Requirements = "CORE-RSVD-2" },
        new("F02", "every feature is offered, but for those that change the device", Outcome.Works, scene =>
            scene.Disk.OfferedFeatures = ulong.MaxValue & ~(FakeBlockDevice.ReadOnly | FakeBlockDevice.SegMax | FakeBlockDevice.SizeMax))
        { Machines = Machines.Modern, Requirements = "CORE-FEAT-4 CORE-FEAT-5 CORE-FEAT-8 CORE-RSVD-1 CORE-RSVD-10" },
        new("F02b", "every legacy feature is offered, but for those that change the device", Outcome.Works, scene =>
            scene.Disk.OfferedFeatures = uint.MaxValue & ~(FakeBlockDevice.ReadOnly | FakeBlockDevice.SegMax | FakeBlockDevice.SizeMax))
        { Machines = Machines.Legacy, Requirements = "CORE-LEGACY-6 CORE-LEGACY-7" },
        new("F03", "only unknown features are offered", Outcome.Refused, scene => scene.Disk.OfferedFeatures = 0xFFF0_0000_0000_0000)
        { Machines = Machines.Modern, Requirements = "CORE-FEAT-7 CORE-INIT-5" },
        new("F03b", "a legacy device offers no feature", Outcome.Works, scene => scene.Disk.OfferedFeatures = 0) { Machines = Machines.Legacy },
        new("F04", "the features are gone at the second look", Outcome.Refused, scene =>
        {
            int looks = 0;
            scene.Disk.OnReadFeatures = features => looks++ > 0 ? 0 : features;
        }) { Machines = Machines.Modern },
        new("F04b", "the features are others after they were agreed on", Outcome.Works, scene => scene.WhileHeld(() =>
            scene.Disk.OnReadFeatures = _ => ulong.MaxValue)),
        new("F05", "RING_PACKED without VERSION_1", Outcome.Refused, scene => scene.Disk.OfferedFeatures = 1ul << 34)
        { Machines = Machines.Modern },
        new("F07", "ACCESS_PLATFORM has to be accepted", Outcome.Works, scene =>
        {
            scene.Disk.OfferedFeatures |= AccessPlatform;
            scene.Disk.RefusesFeatures = features => (features & AccessPlatform) == 0;
        }) { Machines = Machines.Modern },
        new("F10a", "seg_max is 0", Outcome.Refused, scene => scene.Disk.OfferedFeatures |= FakeBlockDevice.SegMax),
        new("F10b", "size_max is 0", Outcome.Refused, scene => scene.Disk.OfferedFeatures |= FakeBlockDevice.SizeMax),
        new("F10c", "size_max is 1", Outcome.Refused, scene => scene.Disk.Limit(0, 1)),
        new("F10d", "seg_max is all ones", Outcome.Works, scene => scene.Disk.Limit(uint.MaxValue, uint.MaxValue))
        { Then = ReadsManyPieces },
        new("F11", "the device acts on EVENT_IDX, which was not agreed on", Outcome.Works, scene =>
            scene.WhileHeld(() => scene.Queue.Split.WriteAvailableEvent(0x7777))) { Rings = Rings.Split },
        new("F11b", "the device waits for a descriptor, which was not agreed on", Outcome.Works, scene =>
            scene.WhileHeld(() => scene.Queue.Packed.WriteEvent(7, 2))) { Rings = Rings.Packed },
        new("F13a", "the block size is 0", Outcome.Works, scene => scene.Disk.SetBlockSize(0)),
        new("F13b", "the block size is 3", Outcome.Works, scene => scene.Disk.SetBlockSize(3)),
        new("F13c", "the block size is 2 GiB", Outcome.Works, scene => scene.Disk.SetBlockSize(1u << 31)),
        new("G01", "the generation changes with every look", Outcome.Refused, scene =>
        {
            byte generation = 0;
            scene.Disk.OnReadGeneration = _ => generation++;
        }) { Machines = Machines.Modern, Requirements = "CORE-CONFIG-1 CORE-CONFIG-2" },
        new("G01b", "a legacy capacity changes with every look", Outcome.Refused, scene =>
        {
            uint looks = 0;
            scene.Disk.OnReadConfig = (offset, _, value) => offset < 8 ? looks++ : value;
        }) { Machines = Machines.Legacy, Requirements = "CORE-LEGACY-4" },
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
        }) { Machines = Machines.Modern, Requirements = "CORE-CONFIG-1 CORE-CONFIG-2" },
        new("G03", "a legacy capacity is torn once, and nothing says so", Outcome.Works, scene =>
        {
            bool torn = false;
            scene.Disk.OnReadConfig = (offset, _, value) =>
            {
                bool first = offset == 4 && !torn;
                torn |= first;
                return first ? 0xDEAD_BEEF : value;
            };
        }) { Machines = Machines.Legacy, Requirements = "CORE-LEGACY-4 PCI-LEGACY-10" },
        new("G04a", "the configuration ends within the capacity", Outcome.Refused, scene =>
            scene.SetStructure(scene.Function.ConfigCapability, FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.ConfigOffset, 7))
        { Machines = Machines.ModernFunction },
        new("G04b", "the configuration ends before seg_max, which is offered", Outcome.Refused, scene =>
        {
            scene.Disk.Limit(4, 0);
            scene.SetStructure(scene.Function.ConfigCapability, FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.ConfigOffset, 12);
        }) { Machines = Machines.ModernFunction, Requirements = "CORE-CONFIG-5" },
        new("G05", "the capacity is 0", Outcome.Empty, scene => scene.Disk.SetCapacity(0)),
        new("G06", "the capacity in bytes does not fit 64 bits", Outcome.Refused, scene => scene.Disk.SetCapacity(ulong.MaxValue)),
        new("G08", "a storm of configuration interrupts without a change", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                scene.Disk.ChangeConfig(_ => { });
            }
        })),
        new("M21a", "a legacy queue has a page after the reset", Outcome.Refused, scene => scene.Show(Register.QueuePage, 0x1234))
        { Machines = Machines.Legacy, Requirements = "MMIO-LEGACY-8" },
        new("M21b", "the ring lies above what a page number can say", Outcome.Refused, scene => scene.Machine.FakeDma.Skip(1ul << 44))
        { Machines = Machines.Legacy, IsFinal = true, Requirements = "PCI-LEGACY-17" },
        new("M21c", "the ring lies below what a page number can just say", Outcome.Works, scene =>
            scene.Machine.FakeDma.Skip((1ul << 44) - (8ul << 20))) { Machines = Machines.Legacy, IsFinal = true },
        new("R08", "firmware left the device running", Outcome.Works, scene => scene.Disk.LeaveRunning()),
    ];

    /// <summary>The device finds chains of more pieces than it has descriptors.</summary>
    private static void ReadsManyPieces(HostileScene scene)
    {
        const int Pieces = 200;
        DmaBuffer[] buffers = new DmaBuffer[Pieces];
        for (int i = 0; i < Pieces; i++)
        {
            Assert.True(scene.Machine.Dma.TryAllocate(512, 512, out buffers[i]));
        }
        TestRequest request = new();
        request.Prepare(BlockOperation.Read, 0, buffers);
        Assert.Equal(IoStatus.Ok, DiskWork.One(scene, request));
    }

    private static void SetMultiplier(HostileScene scene, uint multiplier) => scene.Function.Set32(scene.Function.NotifyCapability + 16, multiplier);
}
