// Lies in the answers of a disk.
namespace VirtioSharp.Tests.Vhost;

/// <summary>K: status bytes, data, identification, what is refused (virtio 5.2.6).</summary>
internal static class VhostRequestCases
{
    /// <summary>The cases.</summary>
    internal static IEnumerable<VhostCase> All =>
    [
        new("K01", "a request is used, but its status was not written", Verdict.Fails, disk =>
            disk.At(5, request => disk.FinishWith(request, status: null))) { Failed = 1 },
        new("K01b", "no status is ever written", Verdict.Fails, disk => Status(disk, _ => null)) { Failed = 80 },
        new("K01c", "the status of a write is not written", Verdict.Fails, disk =>
            disk.At(12, request => disk.FinishWith(request, status: null))) { Failed = 1 },
        new("K02", "a status that does not exist: 3", Verdict.Fails, disk => disk.At(5, request => disk.FinishWith(request, status: 3))) { Failed = 1 },
        new("K02b", "a status that does not exist: 254", Verdict.Fails, disk => Status(disk, _ => 254)) { Failed = 80 },
        new("K02c", "each status is another one, from 1 on", Verdict.Fails, disk =>
        {
            byte next = 0;
            Status(disk, _ => next = (byte)(next % 255 + 1));
        }) { Failed = 80 },
        new("K03", "every request fails", Verdict.Fails, disk => Status(disk, _ => VhostRequest.Error)) { Failed = 80 },
        new("K03b", "one request of a burst fails", Verdict.Fails, disk =>
            disk.At(5, request => disk.FinishWith(request, status: VhostRequest.Error))) { Failed = 1 },
        new("K03c", "every write fails", Verdict.Fails, disk =>
            Status(disk, request => request.Type == VhostRequest.TypeOut ? VhostRequest.Error : VhostRequest.Ok)) { Failed = 9 },
        new("K04", "no request is known", Verdict.Fails, disk => Status(disk, _ => VhostRequest.Unsupported)) { Failed = 80 },
        new("K04b", "only reads are known", Verdict.Fails, disk =>
            Status(disk, request => request.Type == VhostRequest.TypeIn ? VhostRequest.Ok : VhostRequest.Unsupported)) { Failed = 12 },
        new("K06", "a read is well, but the device left half of the buffer as it was", Verdict.Deceives, disk => disk.At(5, request =>
        {
            request.WriteWritable(new byte[2048]);
            request.WriteStatus(VhostRequest.Ok);
            request.Ring.Push(request.Chain.Id, 4097, request.Chain.Descriptors);
        })),
        new("K07", "the status is written after the request was used", Verdict.Fails, disk => disk.At(5, request =>
        {
            disk.FinishWith(request, status: null);
            disk.Backend.After(20, () => request.WriteStatus(VhostRequest.Ok));
        })) { Failed = 1 },
        new("K07b", "the status is written, and a bad one after the request was used", Verdict.Fails, disk => disk.From(2, request =>
        {
            disk.Finish(request);
            request.Queue.Signal();
            request.WriteStatus(VhostRequest.Error);
        })),
        new("K09", "the identification has no end", Verdict.Works, disk => Identity(disk, Enumerable.Repeat((byte)0xFF, 20))),
        new("K09b", "the identification has characters that control terminals", Verdict.Works, disk => Identity(disk, "\e[2J\e]0;evil\a\r\n\0\b"u8.ToArray())),
        new("K09c", "the identification is short and says so", Verdict.Fails, disk => disk.OnUsed = (request, length) =>
        {
            bool isIdentity = request.Type == VhostRequest.TypeGetId;
            disk.Deeds += isIdentity ? 1 : 0;
            return (request.Chain.Id, isIdentity ? 6 : length);
        }) { Failed = 1 },
        new("K13", "flushes fail", Verdict.Fails, disk =>
            Status(disk, request => request.Type == VhostRequest.TypeFlush ? VhostRequest.Error : VhostRequest.Ok)) { Failed = 1 },
        new("K14", "there is no flush", Verdict.Works, disk => Offer(disk, disk.Features & ~VhostDisk.Flush)) { Requests = 79 },
        new("K15", "a request may have one piece", Verdict.Works, disk => Limit(disk, VhostDisk.SegMaxField, 1)),
        new("K15b", "a piece may have 512 bytes", Verdict.Works, disk =>
        {
            Limit(disk, VhostDisk.SizeMaxField, 512);
            disk.Features |= VhostDisk.SizeMax;
        }),
        new("K15c", "a piece may have 600 bytes, a request 2", Verdict.Works, disk =>
        {
            Limit(disk, VhostDisk.SizeMaxField, 600);
            disk.Set32(VhostDisk.SegMaxField, 2);
            disk.Features |= VhostDisk.SizeMax;
        }),
        new("K16", "a command may zero 3 sectors", Verdict.Works, disk =>
        {
            disk.Set32(VhostDisk.MaxZeroesField, 3);
            disk.OnStatus = (request, status) =>
            {
                disk.Deeds += request.Type == VhostRequest.TypeWriteZeroes ? 1 : 0;
                return status;
            };
        }),
        new("F08", "the disk is read-only", Verdict.Works, disk => Offer(disk, disk.Features | VhostDisk.ReadOnly)) { Refused = 9, Requests = 79 },
        new("I01", "interrupts with nothing behind them", Verdict.Works, disk => disk.OnRequest = request => Signal(disk, request.Queue, 3)),
        new("I01b", "interrupts with nothing behind them, by a pin", Verdict.Works, disk =>
        {
            disk.Options = ",vectors=0";
            disk.OnRequest = request => Signal(disk, request.Queue, 3);
        }),
        new("I02", "a storm of interrupts", Verdict.Works, disk => disk.Bear(queue => Signal(disk, queue, 50_000))),
        new("I02b", "a storm of interrupts, by a pin", Verdict.Works, disk =>
        {
            disk.Options = ",vectors=0";
            disk.Bear(queue => Signal(disk, queue, 50_000));
        }),
        new("I02c", "interrupts every millisecond, for ever", Verdict.Works, disk => disk.OnStart = queue => SignalAgain(disk, queue)),
        new("I02d", "a storm of interrupts without end, and a request that is never answered", Verdict.TimesOut, disk =>
        {
            disk.At(5, _ => { });
            disk.OnStart = queue => SignalAgain(disk, queue, times: 200);
        }) { Timeout = 500 },
        new("I04", "interrupts while the device is reset", Verdict.Recovers, disk =>
        {
            disk.OnStop = queue => Signal(disk, queue, 1000);
            disk.Lie(queue => queue.Running.Push((uint)queue.Size, 1));
        }),
        new("I05", "no interrupt ever arrives", Verdict.Works, disk => disk.OnSignal = _ => Count(disk)),
        new("I05b", "a doorbell gets lost", Verdict.Works, disk => disk.OnKick = _ => disk.Deeds == 0 && Count(disk)),
        new("I05c", "every second doorbell gets lost", Verdict.Works, disk =>
        {
            int rung = 0;
            disk.OnKick = _ => ++rung % 2 == 0 && Count(disk);
        }),
        new("I10", "interrupts come before what they are for, and none afterwards", Verdict.Works, disk =>
        {
            disk.OnRequest = request => Signal(disk, request.Queue, 1);
            disk.OnSignal = _ => true;
        }),
        new("I11", "the interrupts of a queue come on the vector of another", Verdict.Works, disk => disk.OnSignal = queue =>
        {
            disk.Backend.Queues.First(each => each != queue).Signal();
            return Count(disk);
        }) { Queues = 2 },
        new("I13", "an interrupt for each buffer, while others are taken", Verdict.Works, disk => disk.OnRequest = request =>
        {
            disk.Finish(request);
            request.Queue.Signal();
            return Count(disk);
        }),
    ];

    private static void Status(VhostDisk disk, Func<VhostRequest, byte?> choose) => disk.OnStatus = (request, _) =>
    {
        disk.Deeds++;
        return choose(request);
    };

    private static void Identity(VhostDisk disk, IEnumerable<byte> id)
    {
        disk.Id = [.. id];
        disk.OnStatus = (request, status) =>
        {
            disk.Deeds += request.Type == VhostRequest.TypeGetId ? 1 : 0;
            return status;
        };
    }

    private static void Offer(VhostDisk disk, ulong features)
    {
        disk.Features = features;
        disk.OnStart = _ => disk.Deeds++;
    }

    private static void Limit(VhostDisk disk, int field, uint value)
    {
        disk.Set32(field, value);
        disk.OnStart = _ => disk.Deeds++;
    }

    private static bool Signal(VhostDisk disk, VhostQueue queue, int times)
    {
        for (int i = 0; i < times; i++)
        {
            queue.Signal();
        }
        Count(disk);
        return false;
    }

    private static void SignalAgain(VhostDisk disk, VhostQueue queue, int times = 1)
    {
        if (queue.Ring is not null)
        {
            Signal(disk, queue, times);
            disk.Backend.After(1, () => SignalAgain(disk, queue, times));
        }
    }

    private static bool Count(VhostDisk disk)
    {
        disk.Deeds++;
        return true;
    }
}
