// Faults in the packed ring.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>P: the packed ring (virtio 2.8).</summary>
public static class PackedRingFaults
{
    private const ushort Available = 0x80;
    private const ushort Used = 0x8000;
    private const ushort Disable = 1;
    private const ushort Descriptor = 2;

    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All =>
        Cases.Select(fault => fault with { Rings = fault.Rings & Rings.AnyPacked, IsAboutRings = true, IsPlayedBare = true });

    private static IEnumerable<HostileCase> Cases =>
    [
        new("P01", "a used id is the queue size", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(scene.Queue.Size, 0))),
        new("P01b", "a used id is all ones", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(0xFFFF, 0))),
        new("P02", "a used id was never given", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(scene.Queue.Size - 1u, 0))),
        new("P03", "the same buffer is used twice", Outcome.Breaks, scene => scene.Lie(() =>
        {
            ushort id = scene.Disk.HeldBack[0].Head;
            scene.Disk.Complete(0);
            scene.Queue.PushUsed(id, 513);
        })),
        new("P04", "a descriptor is marked as of the round before", Outcome.Breaks, scene => Tamper(scene, ring => ring.WriteFlags(ring.UsedOffset, 0))),
        new("P04b", "a descriptor is marked as used and not available", Outcome.Breaks, scene =>
            Tamper(scene, ring => ring.WriteFlags(ring.UsedOffset, Used))),
        new("P05", "a descriptor is marked as used that was never offered", Outcome.Works, scene =>
            scene.WhileHeld(() => scene.Queue.Packed.WriteFlags(40, Available | Used))),
        new("P05b", "the descriptor behind the last that was offered is marked as used", Outcome.Works, scene =>
            scene.WhileHeld(() => scene.Queue.Packed.WriteFlags(scene.Queue.Ring.Position & 0x7FFF, Available | Used))),
        new("P06", "a used length is one too long", Outcome.Works, scene => scene.Queue.OnUsed = (id, length) => (id, length == 0 ? 2 : length + 1)),
        new("P06b", "a used length is all ones", Outcome.Works, scene => scene.Queue.OnUsed = (id, _) => (id, uint.MaxValue)),
        new("P07", "a used descriptor is written one too far", Outcome.TimesOut, scene =>
            Tamper(scene, ring => ring.WriteUsedDescriptor(ring.UsedOffset + 1, scene.Disk.HeldBack[0].Head, 1025))),
        new("P08", "the flags of a used descriptor are there before id and length", Outcome.Contained, scene =>
            Tamper(scene, ring => ring.WriteFlags(ring.UsedOffset, Available | Used))) { Endings = HostileCase.OnlyTheFirst(IoStatus.DeviceError) },
        new("P09", "the device event has the reserved mode", Outcome.Works, scene => FromTheStart(scene, ring => ring.WriteEvent(0, 3))),
        new("P09b", "the device waits for a descriptor far beyond the ring", Outcome.Works, scene =>
            FromTheStart(scene, ring => ring.WriteEvent(0x7FFF, Descriptor))),
        new("P09c", "the device waits for a descriptor of another round", Outcome.Works, scene =>
            FromTheStart(scene, ring => ring.WriteEvent(0, Descriptor))),
        new("P09d", "the device event is all ones", Outcome.Works, scene => FromTheStart(scene, ring => ring.WriteEvent(0xFFFF, 0xFFFF))),
        new("P10", "the device never wants to be notified, and does not look by itself", Outcome.Works, scene => scene.Queue.NeverAsks = true),
        new("P10b", "the device stops wanting notifications with requests in flight", Outcome.Works, scene =>
            scene.WhileHeld(() => scene.Queue.Packed.WriteEvent(0, Disable))),
        new("P11", "the device does not skip the descriptors of a list that it used", Outcome.Contained, scene =>
            Tamper(scene, ring =>
            {
                int next = ring.UsedOffset + 1;
                scene.Disk.Complete(0);
                ring.WriteUsedDescriptor(next, scene.Disk.HeldBack[0].Head, 1025);
            })) { Endings = HostileCase.OnlyTheFirst(IoStatus.Ok) },
        new("P12", "a batch is completed by one entry without IN_ORDER", Outcome.Contained, scene =>
        {
            scene.Queue.WritesBatches = true;
            scene.Queue.BatchesAnyway = true;
        }) { Endings = [.. Enumerable.Repeat(IoStatus.TimedOut, 5), IoStatus.Ok], Rings = Rings.AnyPacked & ~Rings.PackedInOrder },
        new("P12b", "with IN_ORDER a batch is completed by one entry", Outcome.Works, scene => scene.Queue.WritesBatches = true)
        { Rings = Rings.PackedInOrder, Then = scene => Assert.InRange(scene.Queue.Entries, 1, DiskWork.Requests - 1) },
        new("P13", "the queue has 7 descriptors", Outcome.Works, scene => scene.Queue.MaxSize = scene.Queue.Size = 7),
        new("U17b", "the device rewrites all of the descriptors but their flags", Outcome.Works, scene =>
        {
            scene.Disk.IsTamperingAllowed = true;
            scene.WhileHeld(() =>
            {
                for (ulong i = 0; i < scene.Queue.Size; i++)
                {
                    scene.Machine.FakeDma.Raw(scene.Queue.DescriptorArea + 16 * i, 14).Fill(0xFF);
                }
            });
        }),
    ];

    /// <summary>With requests in flight the device writes where it should not, and says that there is something.</summary>
    private static void Tamper(HostileScene scene, Action<FakePackedRing> what)
    {
        scene.Disk.IsTamperingAllowed = true;
        scene.Lie(() => what(scene.Queue.Packed));
    }

    /// <summary>The device does something with its queue before the driver uses it.</summary>
    private static void FromTheStart(HostileScene scene, Action<FakePackedRing> what) => scene.BeforeDriverOk(() => what(scene.Queue.Packed));
}
