// Devices that lie at random, from a seed, and known lies on machines that interrupt in other ways.
namespace VirtioSharp.Tests.Vhost;

/// <summary>X: random bytes in the ring; Y: a lie of many for each request; and what interrupts by a pin or not at all.</summary>
internal static class VhostRandomCases
{
    private const int Soon = 100;
    private const int Seeds = 12;

    // Those that depend on when the kernel looks.
    private static readonly string[] s_interrupting = ["U01", "U05", "U07", "U13", "U23", "U27", "U29", "K01", "P04", "P09", "P10", "I05b", "I05c", "R12"];

    /// <summary>The cases.</summary>
    internal static IEnumerable<VhostCase> All => [.. Enumerable.Range(0, Seeds).SelectMany(seed => new[] { Bytes(seed), Lies(seed) })];

    /// <summary>Some of <paramref name="cases"/> once more by a pin, and once more polled.</summary>
    internal static IEnumerable<VhostCase> Otherwise(IEnumerable<VhostCase> cases) =>
        cases.Where(each => s_interrupting.Contains(each.Id)).SelectMany(each => new[]
        {
            each with { Id = each.Id + "-pin", Story = each.Story + ", by a pin", Device = ",vectors=0" },
            each with { Id = each.Id + "-polled", Story = each.Story + ", without interrupts", Append = "interrupts=none" },
        });

    /// <summary>Now and then the device writes random bytes at a random place of what it may write.</summary>
    private static VhostCase Bytes(int seed) => new($"X{seed:00}", $"random bytes in the ring, seed {seed}", Verdict.Works, disk =>
    {
        Random random = new(seed);
        disk.MisreadsRings = true;
        disk.OnUsed = (request, length) =>
        {
            if (random.Next(6) == 0)
            {
                disk.Deeds++;
                Scribble(request.Ring, random);
                request.Queue.Signal();
            }
            return (request.Chain.Id, length);
        };
    })
    {
        Or = [Verdict.Recovers, Verdict.Fails, Verdict.FailsAndRecovers, Verdict.TimesOut, Verdict.TimesOutAndBreaks, Verdict.Limps],
        MayRefuseFlush = true,
        Timeout = 3 * Soon,
    };

    /// <summary>Every third request is answered by a lie.</summary>
    private static VhostCase Lies(int seed) => new($"Y{seed:00}", $"lies of all kinds, seed {seed}", Verdict.Limps, disk =>
    {
        Random random = new(1000 + seed);
        disk.MisreadsRings = true;
        disk.OnRequest = request =>
        {
            if (random.Next(3) != 0)
            {
                return false;
            }
            disk.Deeds++;
            return Lie(disk, request, random);
        };
    })
    { Or = [Verdict.GivenUp], Timeout = Soon };

    private static bool Lie(VhostDisk disk, VhostRequest request, Random random)
    {
        switch (random.Next(12))
        {
            case 0:
                request.Ring.Push((uint)random.Next(request.Ring.Size + 2), (uint)random.Next());
                return true;
            case 1:
                request.Ring.Push((uint)random.Next(), (uint)random.Next(), request.Chain.Descriptors);
                return true;
            case 2:
                disk.Finish(request);
                request.Ring.Push(request.Chain.Id, request.HonestLength, request.Chain.Descriptors);
                return true;
            case 3:
                disk.FinishWith(request, status: (byte)random.Next(1, 256));
                return true;
            case 4:
                disk.FinishWith(request, status: null);
                return true;
            case 5:
                disk.FinishWith(request, length: length => (uint)random.Next((int)length));
                return true;
            case 6:
                disk.FinishWith(request, length: length => length + (uint)random.Next());
                return true;
            case 7:
                return true; // never answered
            case 8:
                disk.Backend.After(random.Next(1, 2 * Soon), () => AnswerLate(disk, request));
                return true;
            case 9:
                Scribble(request.Ring, random);
                return false;
            case 10:
                request.Queue.Signal();
                return false;
            default:
                disk.FinishWith(request, length: _ => 0);
                return true;
        }
    }

    /// <summary>In the ring in which it was asked, when that still runs.</summary>
    private static void AnswerLate(VhostDisk disk, VhostRequest request)
    {
        if (request.Queue.Ring == request.Ring)
        {
            disk.Finish(request);
        }
    }

    private static void Scribble(VhostRing ring, Random random)
    {
        (ulong area, int size) = ring is VhostSplitRing split
            ? (split.UsedArea, 6 + 8 * split.Size) : (((VhostPackedRing)ring).DescriptorArea, 16 * ring.Size);
        int bytes = 1 + random.Next(32);
        ring.Scribble(area + (ulong)random.Next(size - bytes), bytes, random);
    }
}
