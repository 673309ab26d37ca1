// Lies that only a packed ring allows.
namespace VirtioSharp.Tests.Vhost;

/// <summary>P: state bits, places, events (virtio 2.8).</summary>
internal static class VhostPackedCases
{
    private const ushort AvailableAndUsed = VhostPackedRing.Available | VhostPackedRing.Used;
    private const string Neither = "a descriptor is neither available nor used";
    private const int Soon = 500;

    /// <summary>The cases.</summary>
    internal static IEnumerable<VhostCase> All => Cases.Select(each => each with { Rings = VhostRings.Packed });

    private static IEnumerable<VhostCase> Cases =>
    [
        new("P04", "a descriptor is marked as of the round before", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Packed.WriteFlags(queue.Packed.UsedOffset, 0))) { Says = Neither },
        new("P04b", "a descriptor is marked as used and not available", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Packed.WriteFlags(queue.Packed.UsedOffset, VhostPackedRing.Used))) { Says = Neither },
        new("P04c", "each used descriptor has the wrap bit of the round before", Verdict.GivenUp, disk => disk.From(2, request =>
        {
            VhostPackedRing ring = (VhostPackedRing)request.Ring;
            request.Execute();
            request.WriteStatus(VhostRequest.Ok);
            ring.WriteUsed(ring.UsedOffset, request.Chain.Id, request.HonestLength, (ushort)(ring.UsedFlags ^ AvailableAndUsed));
            ring.SkipUsed(request.Chain.Descriptors);
        })) { Timeout = Soon, Says = Neither },
        new("P05", "a descriptor is marked as used that was never offered", Verdict.Works, disk =>
            disk.Bear(queue => queue.Packed.WriteFlags(100, AvailableAndUsed))),
        new("P05b", "the descriptor behind the last that was offered is marked as used", Verdict.Works, disk =>
            disk.Bear(queue => queue.Packed.WriteFlags((int)(queue.Packed.Base & 0x7FFF), AvailableAndUsed)))
        { Or = [Verdict.Recovers, Verdict.Fails], EndsWell = true },
        new("P07", "a used descriptor is written one too far", Verdict.TimesOut, disk => disk.Lie(queue =>
        {
            VhostPackedRing ring = queue.Packed;
            ring.WriteUsed(ring.UsedOffset + 1, disk.Held[0].Chain.Id, 4097, ring.UsedFlags);
        })) { Timeout = Soon },
        new("P08", "the flags of a used descriptor are there before id and length", Verdict.Fails, disk => disk.Lie(queue =>
        {
            queue.Packed.WriteFlags(queue.Packed.UsedOffset, queue.Packed.UsedFlags);
            disk.Backend.After(5, () => disk.FinishHeld());
        })) { Or = [Verdict.Works], EndsWell = true },
        new("P09", "the device event has the reserved mode", Verdict.Works, disk => Ask(disk, ring => ring.WriteEvent(0, 3))),
        new("P09b", "the device waits for a descriptor far beyond the ring", Verdict.Works, disk =>
            Ask(disk, ring => ring.WriteEvent(0x7FFF, VhostPackedRing.EventDescriptor))),
        new("P09c", "the device waits for a descriptor of another round", Verdict.Works, disk =>
            Ask(disk, ring => ring.WriteEvent((ushort)(ring.Base ^ 0x8000), VhostPackedRing.EventDescriptor))),
        new("P09d", "the device event is all ones", Verdict.Works, disk => Ask(disk, ring => ring.WriteEvent(0xFFFF, 0xFFFF))),
        new("P09e", "the device event is garbage", Verdict.Works, disk =>
        {
            Random random = new(9);
            Ask(disk, ring => ring.WriteEvent((ushort)random.Next(), (ushort)random.Next()));
        }),
        new("P10", "no doorbell is ever wanted, and the device sleeps", Verdict.Works, disk => Ask(disk, ring => ring.SuppressNotifications())),
        new("P11", "the device does not skip the descriptors of a chain that it used", Verdict.Limps, disk => disk.From(2, request =>
        {
            request.Execute();
            request.WriteStatus(VhostRequest.Ok);
            request.Ring.Push(request.Chain.Id, request.HonestLength, descriptors: 1);
        })) { Or = [Verdict.GivenUp], Timeout = 100 },
        new("P12", "a batch is answered by one entry without IN_ORDER", Verdict.TimesOut, disk => disk.Lie(queue =>
        {
            int descriptors = disk.Held.Sum(request => request.Chain.Descriptors);
            queue.Running.Push(disk.Held[^1].Chain.Id, 4097, descriptors);
        })) { Timeout = Soon, EndsWell = true },
        new("P13", "the queue has 7 descriptors", Verdict.Works, disk => Size(disk, 7)),
        new("P13b", "the queue has 5 descriptors", Verdict.Works, disk => Size(disk, 5)),
        new("P13c", "the queue has 100 descriptors", Verdict.Works, disk => Size(disk, 100)),
        new("P13d", "the queue has 1023 descriptors", Verdict.Works, disk => Size(disk, 1023)),
    ];

    private static void Ask(VhostDisk disk, Action<VhostPackedRing> how) => disk.OnAsk = queue =>
    {
        disk.Deeds++;
        how(queue.Packed);
    };

    private static void Size(VhostDisk disk, int size)
    {
        disk.Options = $",queue-size={size}";
        disk.OnStart = queue => disk.Deeds += queue.Size == size ? 1 : 0;
    }
}
