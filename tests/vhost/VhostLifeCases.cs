// Lies over the life of a device: resets, connections, firmware.
using System.Threading;

namespace VirtioSharp.Tests.Vhost;

/// <summary>M, R: resets that take long, breaking again and again, a backend that leaves and comes back.</summary>
internal static class VhostLifeCases
{
    private const int Soon = 500;
    private const int Later = 2500;

    /// <summary>The cases.</summary>
    internal static IEnumerable<VhostCase> All =>
    [
        new("M02", "a reset takes 300 ms", Verdict.Recovers, disk =>
        {
            disk.OnStop = _ => Thread.Sleep(300);
            disk.Lie(queue => queue.Running.Push((uint)queue.Size, 1));
        }),
        new("R04", "the device is reset with requests in flight, and answers them later", Verdict.Recovers, disk =>
        {
            VhostRequest[] kept = [];
            disk.Lie(queue => queue.Running.Push((uint)queue.Size, 1));
            disk.OnStop = _ => kept = [.. disk.Held];
            disk.OnStart = queue => disk.Backend.After(10, () =>
            {
                foreach (VhostRequest request in kept)
                {
                    // Not their status: it may be that of a new request by now, and whoever says that it is well is believed (K06).
                    queue.Ring?.Push(request.Chain.Id, 4097, request.Chain.Descriptors);
                }
                kept = [];
                queue.Signal();
            });
        })
        {
            Or = [Verdict.FailsAndRecovers, Verdict.TimesOut, Verdict.TimesOutAndBreaks, Verdict.Limps],
            MayRefuseFlush = true,
            Timeout = Later,
        },
        new("R07", "every tenth request breaks the ring", Verdict.Limps, disk => disk.OnRequest = request =>
        {
            if (request.Number % 10 != 0)
            {
                return false;
            }
            disk.Deeds++;
            request.Ring.Push((uint)request.Queue.Size, 1);
            return true;
        }) { IsNeverLate = true },
        new("R07b", "every second request breaks the ring", Verdict.Limps, disk => disk.OnRequest = request =>
        {
            if (request.Number % 2 != 0)
            {
                return false;
            }
            disk.Deeds++;
            request.Ring.Push((uint)request.Queue.Size, 1);
            return true;
        }) { IsNeverLate = true },
        new("R08", "the firmware has used the device before", Verdict.Works, disk => disk.OnStart = queue => disk.Deeds += queue.Starts == 2 ? 1 : 0)
        { Machine = "q35" },
        new("R12", "the backend leaves with requests in flight", Verdict.GivenUp, disk => disk.WhileHeld(_ => disk.Backend.Drop())) { Timeout = Soon },
        new("R12b", "the backend leaves with the first request", Verdict.GivenUp, disk => disk.At(1, _ => disk.Backend.Drop())) { Timeout = Soon },
        new("R12c", "the backend leaves and comes back", Verdict.TimesOut, disk => disk.WhileHeld(_ => disk.Backend.Drop()))
        { Or = [Verdict.Works], Timeout = Later, Socket = ",reconnect=1", EndsWell = true },
        new("R12d", "the backend leaves between requests and comes back", Verdict.Works, disk => disk.OnRequest = request =>
        {
            if (request.Number == 30)
            {
                disk.Deeds++;
                disk.Finish(request);
                request.Queue.Signal();
                disk.Backend.Drop();
                return true;
            }
            return false;
        }) { Or = [Verdict.TimesOut], MayRefuseFlush = true, Timeout = Later, Socket = ",reconnect=1", EndsWell = true },
        new("R12e", "the backend leaves while it is reset", Verdict.GivenUp, disk =>
        {
            disk.Lie(queue => queue.Running.Push((uint)queue.Size, 1));
            disk.OnStop = _ => disk.Backend.After(0, disk.Backend.Drop);
        }) { Timeout = Soon },
    ];
}
