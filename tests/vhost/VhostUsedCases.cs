// Lies in what was used, and in what the device wishes, of both ring formats and of split ones.
namespace VirtioSharp.Tests.Vhost;

/// <summary>U: used entries (virtio 2.7.8, 2.8.6), events, the order of things.</summary>
internal static class VhostUsedCases
{
    private const string Beyond = "a used id is beyond the queue";
    private const string NotInFlight = "a used id was not in flight";
    private const string Jumped = "the used index says that more buffers were used than were made available";
    private const int Soon = 500;
    private const int Later = 2500; // where a busy machine must not look like a device that does not answer

    /// <summary>The cases.</summary>
    internal static IEnumerable<VhostCase> All =>
    [
        new("U01", "a used id is the queue size", Verdict.Recovers, disk => disk.Lie(queue => queue.Running.Push((uint)queue.Size, 1))) { Says = Beyond },
        new("U01b", "each used id is the queue size", Verdict.GivenUp, disk =>
            disk.From(2, request => request.Ring.Push((uint)request.Queue.Size, request.HonestLength))) { Says = Beyond },
        new("U02", "a used id is all ones", Verdict.Recovers, disk => disk.Lie(queue => queue.Running.Push(uint.MaxValue, 1))) { Says = Beyond },
        new("U03", "a used id has garbage in its upper half", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Running.Push(0x10000 | disk.Held[0].Chain.Id, 4097))) { Rings = VhostRings.Split, Says = Beyond },
        new("U04", "a used id was never given", Verdict.Recovers, disk => disk.Lie(queue => queue.Running.Push((uint)queue.Size - 1, 1)))
        { Says = NotInFlight },
        new("U05", "a buffer is used twice", Verdict.Recovers, disk => disk.Lie(queue =>
        {
            disk.Finish(disk.Held[0]);
            queue.Running.Push(disk.Held[0].Chain.Id, 4097);
        })) { Says = NotInFlight },
        new("U05b", "each buffer is used twice", Verdict.GivenUp, disk =>
        {
            disk.MisreadsRings = true; // the second entry of a packed ring lies over what is available
            disk.From(2, request =>
            {
                disk.Finish(request);
                request.Ring.Push(request.Chain.Id, 4097, request.Chain.Descriptors);
            });
        }) { Or = [Verdict.Limps, Verdict.TimesOutAndBreaks], Timeout = Soon },
        new("U06", "a used id is that of a descriptor in the middle of a chain", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Running.Push(disk.Held[2].Chain.Members[1], 4097))) { Rings = VhostRings.Split, Says = NotInFlight },
        new("U07", "the used index is one too far", Verdict.Recovers, disk => disk.Lie(queue => queue.Split.WriteIndex((ushort)(queue.Split.UsedIndex + 9))))
        { Rings = VhostRings.Split, Says = Jumped },
        new("U07b", "the used index jumps by 1000", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Split.WriteIndex((ushort)(queue.Split.UsedIndex + 1000)))) { Rings = VhostRings.Split, Says = Jumped },
        new("U08", "the used index goes backwards", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Split.WriteIndex((ushort)(queue.Split.UsedIndex - 1)))) { Rings = VhostRings.Split, Says = Jumped },
        new("U08b", "the used index goes back by half of its range", Verdict.Recovers, disk =>
            disk.Lie(queue => queue.Split.WriteIndex((ushort)(queue.Split.UsedIndex + 0x8000)))) { Rings = VhostRings.Split, Says = Jumped },
        new("U10", "the used index goes on before the entries are there", Verdict.FailsAndRecovers, disk => disk.Lie(queue =>
        {
            queue.Split.WriteIndex((ushort)(queue.Split.UsedIndex + 1));
            disk.Backend.After(5, () => disk.FinishHeld());
        })) { Rings = VhostRings.Split, Or = [Verdict.Recovers], EndsWell = true },
        new("U11", "each used length is one too long", Verdict.Works, disk => Length(disk, length => length + 1)) { Cuts = true },
        new("U12", "each used length is all ones", Verdict.Works, disk => Length(disk, _ => uint.MaxValue)) { Cuts = true },
        new("U13", "a read was well, but nothing was written", Verdict.Fails, disk =>
            disk.At(5, request => disk.FinishWith(request, length: _ => 0))) { Failed = 1 },
        new("U13b", "reads are well, but nothing was written", Verdict.Fails, disk => Length(disk, _ => 0)) { Failed = 69 },
        new("U14", "a read was well, but a byte is missing", Verdict.Fails, disk =>
            disk.At(5, request => disk.FinishWith(request, length: length => length - 2))) { Failed = 1 },
        new("U14b", "a read was well, but half of it is missing", Verdict.Fails, disk =>
            disk.At(5, request => disk.FinishWith(request, length: length => length / 2))) { Failed = 1 },
        new("U16", "used entries change after they were seen", Verdict.GivenUp, disk => disk.From(2, request =>
        {
            disk.Finish(request);
            request.Queue.Signal();
            Overwrite(request);
        })) { Or = [Verdict.Limps, Verdict.FailsAndRecovers], Timeout = Soon },
        // Descriptors that the driver keeps for the next request are not written again: the device finds its own garbage in them.
        new("U17", "the device rewrites the descriptors", Verdict.Works, disk =>
        {
            disk.MisreadsRings = true;
            disk.Bear(Rewrite);
        }) { Or = [Verdict.TimesOut], Timeout = Later, EndsWell = true },
        new("U18", "the device rewrites the available ring", Verdict.Works, disk => disk.Bear(queue =>
            queue.Split.Scribble(queue.Split.AvailableArea + 4, 2 * queue.Size, new Random(18)))) { Rings = VhostRings.Split },
        new("U19", "the device rewrites indirect tables", Verdict.Works, disk =>
        {
            disk.MisreadsRings = true;
            disk.Options = ",queue-size=16";
            disk.Bear(queue =>
            {
                VhostPiece[] tables = [.. disk.Held.Select(request => request.Chain.Table).Where(table => table.Length != 0)];
                disk.Deeds = tables.Length; // there have to be some
                foreach (VhostPiece table in tables)
                {
                    queue.Running.Scribble(table.Address, (int)table.Length, new Random(19));
                }
            });
        }) { Or = [Verdict.TimesOut], Timeout = Later, EndsWell = true },
        new("U20", "the used flags are garbage, with EVENT_IDX", Verdict.Works, disk => Ask(disk, queue => queue.Split.WriteFlags(0xFFFF)))
        { Rings = VhostRings.Split },
        new("U20b", "the used flags are garbage, without EVENT_IDX", Verdict.Works, disk =>
        {
            disk.Options = ",event_idx=off";
            Ask(disk, queue => queue.Split.WriteFlags(0xFFFE));
        }) { Rings = VhostRings.Split },
        new("U20c", "no doorbell is ever wanted, without EVENT_IDX, and the device sleeps", Verdict.Works, disk =>
        {
            disk.Options = ",event_idx=off";
            Ask(disk, queue => queue.Running.SuppressNotifications());
        }),
        new("U21", "the available event is far ahead", Verdict.Works, disk =>
            Ask(disk, queue => queue.Split.WriteAvailableEvent((ushort)(queue.Split.Base + 32767)))) { Rings = VhostRings.Split },
        new("U21b", "the available event is far behind", Verdict.Works, disk =>
            Ask(disk, queue => queue.Split.WriteAvailableEvent((ushort)(queue.Split.Base - 32768)))) { Rings = VhostRings.Split },
        new("U21c", "the available event is garbage", Verdict.Works, disk =>
        {
            Random random = new(21);
            Ask(disk, queue => queue.Split.WriteAvailableEvent((ushort)random.Next()));
        }) { Rings = VhostRings.Split },
        new("U23", "requests are done backwards", Verdict.Works, disk => disk.WhileHeld(_ => disk.FinishHeld(backwards: true))),
        new("U24", "the device does not wait for doorbells", Verdict.Works, disk =>
        {
            disk.OnKick = _ => true;
            disk.OnStart = queue => LookAgain(disk, queue);
        }),
        new("U26", "the device goes on writing into its ring after a reset", Verdict.Recovers, disk =>
        {
            VhostRing? old = null;
            disk.MisreadsRings = true; // what it writes late lies over what is available now
            disk.Lie(queue => (old = queue.Running).Push((uint)queue.Size, 1));
            disk.OnStop = _ =>
            {
                VhostRing? late = old;
                for (int i = 1; i <= 5; i++)
                {
                    disk.Backend.After(5 * i, () => late?.Push(3, 4097));
                }
                old = null;
            };
        })
        {
            Or = [Verdict.FailsAndRecovers, Verdict.TimesOut, Verdict.TimesOutAndBreaks, Verdict.GivenUp],
            MayRefuseFlush = true,
            Timeout = Later,
        },
        new("U27", "a request is never answered", Verdict.TimesOut, disk => disk.At(5, _ => { })) { Timeout = Soon },
        new("U27b", "nothing is ever answered", Verdict.GivenUp, disk => disk.From(2, _ => { })) { Timeout = Soon },
        new("U27c", "each answer takes 20 ms", Verdict.Works, disk => disk.From(1, request => disk.Backend.After(20, () => disk.Finish(request)))),
        // The flush behind it is refused: what the device had cached may be lost with its reset (decision 18).
        new("U27d", "a write is never answered", Verdict.TimesOut, disk => disk.At(12, _ => { })) { Timeout = Soon, Refused = 1 },
        new("U27e", "a write is done and never answered", Verdict.TimesOut, disk => disk.At(12, request => request.Execute())) { Timeout = Soon, Refused = 1 },
        new("U27f", "one queue of four answers nothing", Verdict.Limps, disk => disk.OnRequest = request =>
        {
            bool isDead = request.Queue.Index == 2;
            disk.Deeds += isDead ? 1 : 0;
            return isDead;
        }) { Timeout = Soon, Queues = 4 },
        new("U28", "a request is answered in the ring that was begun anew", Verdict.TimesOut, disk =>
        {
            VhostRequest? stale = null;
            disk.At(5, request => stale = request);
            disk.OnStart = queue =>
            {
                if (stale is not null)
                {
                    queue.Running.Push(stale.Chain.Id, 4097, stale.Chain.Descriptors);
                    queue.Signal();
                    stale = null;
                }
            };
        }) { Or = [Verdict.TimesOutAndBreaks], Timeout = Later, EndsWell = true },
        new("U29", "everything is done at once", Verdict.Works, disk => disk.Bear(_ => { })),
        new("U30", "a buffer is used in the ring of another queue", Verdict.Recovers, disk => disk.WhileHeld(queue =>
        {
            VhostQueue other = disk.Backend.Queues.First(each => each != queue);
            other.Running.Push(disk.Held[0].Chain.Id, 4097);
            other.Signal();
        })) { Queues = 4 },
    ];

    private static void Length(VhostDisk disk, Func<uint, uint> change) => disk.OnUsed = (request, length) =>
    {
        disk.Deeds++;
        return (request.Chain.Id, change(length));
    };

    private static void Ask(VhostDisk disk, Action<VhostQueue> how) => disk.OnAsk = queue =>
    {
        disk.Deeds++;
        how(queue);
    };

    private static void Rewrite(VhostQueue queue)
    {
        Random random = new(17);
        if (queue.Running is VhostSplitRing split)
        {
            split.Scribble(split.DescriptorArea, 16 * split.Size, random);
            return;
        }
        for (int i = 0; i < queue.Size; i++)
        {
            queue.Packed.Scribble(queue.Packed.DescriptorArea + 16ul * (uint)i, 14, random); // all but the flags
        }
    }

    private static void Overwrite(VhostRequest request)
    {
        if (request.Ring is VhostSplitRing split)
        {
            split.WriteElement((ushort)(split.UsedIndex - 1), 0xFFFF_FFFF, 0);
        }
        else
        {
            VhostPackedRing packed = (VhostPackedRing)request.Ring;
            packed.WriteIdAndLength(packed.UsedOffset + packed.Size - request.Chain.Descriptors, 0xFFFF, 0);
        }
    }

    private static void LookAgain(VhostDisk disk, VhostQueue queue)
    {
        if (queue.Ring is null)
        {
            return;
        }
        int before = disk.Taken;
        disk.Backend.Look(queue);
        disk.Deeds += disk.Taken - before;
        disk.Backend.After(1, () => LookAgain(disk, queue));
    }
}
