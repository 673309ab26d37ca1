// Faults in the used ring, whatever its format, and in what else the device writes there.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>U: used entries, and the parts of the split ring. R: life cycle.</summary>
public static class RingFaults
{
    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All => Cases.Select(fault => fault with { IsAboutRings = true, IsPlayedBare = true });

    private static IEnumerable<HostileCase> Cases =>
    [
        new("U01", "a used id is the queue size", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(scene.Queue.Size, 0))),
        new("U02", "a used id is all ones", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(uint.MaxValue, 0))),
        new("U03", "a used id is right in its low 16 bits only", Outcome.Breaks, scene => scene.Lie(() =>
            scene.Queue.PushUsed(0x10000u | scene.Disk.HeldBack[0].Head, 513)))
        { Rings = Rings.AnySplit },
        new("U04", "a used id was never given", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.PushUsed(scene.Queue.Size - 1u, 0))),
        new("U05", "the same buffer is used twice", Outcome.Breaks, scene => scene.Lie(() =>
        {
            ushort head = scene.Disk.HeldBack[0].Head;
            scene.Disk.Complete(0);
            scene.Queue.PushUsed(head, 513);
        })),
        new("U06", "a used id names the middle of a chain", Outcome.Breaks, scene => scene.Lie(() =>
            scene.Queue.PushUsed(scene.Disk.HeldBack[0].Head + 1u, 513))),
        new("U07", "the used index jumps beyond what is in flight", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.Split.WriteUsedIndex(1000)))
        { Rings = Rings.AnySplit },
        new("U08", "the used index goes backwards", Outcome.Breaks, scene => scene.Lie(() => scene.Queue.Split.WriteUsedIndex(0xFFFF)))
        { Rings = Rings.AnySplit },
        new("U10", "the used index goes on before the entry is there", Outcome.Contained, scene => scene.Lie(() => scene.Queue.Split.WriteUsedIndex(1)))
        { Rings = Rings.AnySplit, Endings = HostileCase.OnlyTheFirst(IoStatus.DeviceError) },
        new("U11", "a used length is one too long", Outcome.Works, scene => scene.Queue.OnUsed = (id, length) => (id, length == 0 ? 2 : length + 1)),
        new("U12", "a used length is all ones", Outcome.Works, scene => scene.Queue.OnUsed = (id, _) => (id, uint.MaxValue)),
        new("U13", "a read was well, but nothing was written", Outcome.Fails, scene => scene.Queue.OnUsed = (id, _) => (id, 0))
        { OnLegacy = Outcome.Works, Requirements = "BLK-LEGACY-4 SPLIT-LEGACY-6" },
        new("U14", "a read was well, but a byte is missing", Outcome.Fails, scene =>
            scene.Queue.OnUsed = (id, length) => (id, length > 1 ? length - 2 : 0))
        { OnLegacy = Outcome.Works, Requirements = "SPLIT-USED-1 SPLIT-USED-2" },
        new("U15", "a legacy device says that it wrote into what it can only read", Outcome.Works, scene =>
            scene.Queue.OnUsed = (id, length) => (id, length + 1024)) { Machines = Machines.Legacy, Requirements = "BLK-LEGACY-4 SPLIT-LEGACY-6" },
        new("U16", "used entries become others once they were read", Outcome.Works, RewriteWhatWasRead)
        { IsAboutLending = true },
        new("U17", "the device rewrites the descriptor table", Outcome.Works, scene =>
        {
            scene.Disk.IsTamperingAllowed = true;
            scene.WhileHeld(() => scene.Machine.FakeDma.Raw(scene.Queue.DescriptorArea, 16 * scene.Queue.Size).Fill(0xFF));
        }) { Rings = Rings.AnySplit, Then = FillAgainAndAgain },
        new("U18", "the device rewrites the available ring", Outcome.Works, scene => scene.WhileHeld(() =>
            scene.Machine.FakeDma.Raw(scene.Queue.DriverArea + 4, 2 * scene.Queue.Size).Fill(0xFF)))
        { Rings = Rings.AnySplit },
        new("U18b", "the device rewrites the available index", Outcome.Works, scene => scene.WhileHeld(() =>
            scene.Machine.FakeDma.Raw(scene.Queue.DriverArea + 2, 2).Fill(0x77)))
        { Rings = Rings.AnySplit, Then = scene => Assert.Equal(IoStatus.Ok, DiskWork.One(scene, DiskWork.New(scene, BlockOperation.Read, 9, 512))) },
        new("U20", "the used flags are garbage", Outcome.Works, scene => scene.WhileHeld(() => scene.Queue.Split.WriteUsedFlags(0xFFFE)))
        { Requirements = "SPLIT-AVAILNOTIF-5", Rings = Rings.AnySplit },
        new("U20b", "the used flags ask for no notifications, and the device does not look by itself", Outcome.Works, scene =>
            scene.BeforeDriverOk(() => scene.Queue.Split.WriteUsedFlags(1))) { Rings = Rings.AnySplit },
        new("U21a", "the available event is far ahead", Outcome.Works, scene => scene.WhileHeld(() => scene.Queue.Split.WriteAvailableEvent(32767)))
        { Rings = Rings.AnySplit },
        new("U21b", "the available event is far behind", Outcome.Works, scene => scene.WhileHeld(() => scene.Queue.Split.WriteAvailableEvent(0x8000)))
        { Rings = Rings.AnySplit },
        new("U21c", "the available event is wrong from the beginning", Outcome.Works, scene =>
            scene.BeforeDriverOk(() => scene.Queue.Split.WriteAvailableEvent(0x7FFF))) { Rings = Rings.AnySplit },
        new("U23", "requests are done backwards", Outcome.Works, scene => scene.WhileHeld(() => scene.Disk.CompleteAll(backwards: true)))
        { Rings = Rings.All & ~Rings.InOrder },
        new("U23b", "with IN_ORDER an entry names a buffer behind those that the index says are used", Outcome.Breaks, scene => scene.Lie(() =>
            scene.Queue.PushUsed(scene.Disk.HeldBack[^1].Head, 513))) { Rings = Rings.SplitInOrder },
        new("U23c", "with IN_ORDER an entry stands for a batch of which nothing was done", Outcome.Contained, scene => scene.Lie(() => ClaimBatch(scene)))
        { Rings = Rings.InOrder, Endings = [.. Enumerable.Repeat(IoStatus.DeviceError, DiskWork.Requests - 1), IoStatus.TimedOut] },
        new("U25", "an entry is in the ring before DRIVER_OK", Outcome.Breaks, EntryTooSoon) { Rings = Rings.AnySplit },
        new("U25b", "an entry is in the ring before DRIVER_OK, and makes the round wrong", Outcome.TimesOut, EntryTooSoon) { Rings = Rings.AnyPacked },
        new("U27", "nothing is ever done", Outcome.TimesOut, scene => scene.Disk.HoldsBack = true),
        new("U29", "everything is done at once", Outcome.Works, scene => scene.WhileHeld(() => { })),
        new("R01", "the device is pulled with requests in flight", Outcome.Breaks, scene => scene.WhileHeld(scene.Pull, letGo: false))
        { Machines = Machines.Pci, IsGone = true },
        new("R12", "the backend dies with requests in flight, and asks for a reset when it is back", Outcome.Breaks, scene => scene.Lie(() =>
        {
            scene.Disk.Forget();
            scene.Disk.AskForReset();
        })) { Requirements = "CORE-STATUS-4" },
        new("R12b", "the backend dies with requests in flight, and comes back knowing nothing of them", Outcome.TimesOut, scene => scene.Lie(() =>
        {
            scene.Disk.Forget();
            scene.Disk.HoldsBack = false;
        })),
        new("R11", "the registers vanish after they were mapped, with requests in flight", Outcome.Breaks, scene => scene.WhileHeld(
            () =>
            {
                scene.OnRead((_, _) => uint.MaxValue);
                scene.OnWrite((_, _) => true);
            },
            letGo: false)) { MayLeak = true, IsGone = true },
        new("R11b", "config space vanishes with requests in flight, and the rest does not", Outcome.Breaks, scene => scene.Lie(() =>
        {
            scene.AnyFunction!.OnConfigRead = (_, _, _) => uint.MaxValue;
            scene.Disk.AskForReset();
        })) { Machines = Machines.ModernPci | Machines.LegacyPci },
    ];

    private static void EntryTooSoon(HostileScene scene)
    {
        scene.Disk.IsTamperingAllowed = true;
        scene.BeforeDriverOk(() => scene.Queue.PushUsed(0, 1025));
    }

    /// <summary>One entry for all that is held but the last.</summary>
    private static void ClaimBatch(HostileScene scene)
    {
        FakeChain[] batch = [.. scene.Disk.HeldBack.SkipLast(1)];
        if (scene.Place.IsPacked)
        {
            scene.Queue.PushUsed(batch[^1].Head, batch[^1].WritableLength);
            return;
        }
        scene.Queue.Split.WriteUsedElement(scene.Queue.Split.UsedIndex, batch[^1].Head, batch[^1].WritableLength);
        scene.Queue.Split.WriteUsedIndex((ushort)(scene.Queue.Split.UsedIndex + batch.Length));
    }

    /// <summary>In the middle of taking each used entry, when its buffer comes back, the entry becomes nonsense.</summary>
    private static void RewriteWhatWasRead(HostileScene scene) => scene.WhileHeld(() =>
    {
        while (scene.Disk.HeldBack.Count > 0)
        {
            int place = scene.Place.IsPacked ? scene.Queue.Packed.UsedOffset : scene.Queue.Split.UsedIndex;
            scene.Disk.Complete(0);
            scene.Machine.FakeDma.AfterUnshare = () =>
            {
                if (scene.Place.IsPacked)
                {
                    scene.Queue.Packed.WriteElement(place, 0xFFFF, 0);
                }
                else
                {
                    scene.Queue.Split.WriteUsedElement((ushort)place, uint.MaxValue, 0);
                }
            };
            scene.BlockDriver.Poll();
            scene.Machine.FakeDma.AfterUnshare = null;
        }
    });

    /// <summary>
    /// More requests than there is room for, three times. What a queue keeps in its descriptors without an IOMMU a device can change, to its own harm.
    /// </summary>
    private static void FillAgainAndAgain(HostileScene scene)
    {
        for (int round = 0; round < 3 && scene.Place.Memory == Memories.Lent; round++)
        {
            TestRequest[] requests = [.. Enumerable.Range(0, 25).Select(i => DiskWork.New(scene, BlockOperation.Read, (ulong)i, 512))];
            Assert.All(requests, request => Assert.Equal(IoStatus.Ok, scene.BlockDriver.Submit(request)));
            scene.BlockDriver.Kick();
            DiskWork.Wait(scene, requests);
            foreach (TestRequest request in requests)
            {
                Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
                scene.Machine.Dma.Free(request.Buffers[0]);
            }
        }
    }
}
