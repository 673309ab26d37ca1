// Measures through the public APIs: await, or Submit and Poll; with interrupts, or polling where there are none.
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Runs jobs and prints a line for each: requests a second, errors, then notifications, interrupts and bytes allocated for each request,
/// and percentiles of the latency, which a second run of the job finds: looking at the clock twice for each request would cost the first
/// one speed.
/// </summary>
internal sealed class Benchmark
{
    private const ulong WarmUp = 20_000_000;
    private const ulong WarmUpRequests = 4;
    private const uint LatencyShare = 4;

    private readonly SystemInformation _system;
    private readonly Terminal _output;
    private readonly BootOptions _options;
    private readonly LatencyHistogram _latencies = new();

    internal Benchmark(SystemInformation system, Terminal output, BootOptions options)
    {
        _system = system;
        _output = output;
        _options = options;
    }

    /// <summary>Runs what the words ask for: <c>bench [await|direct] [all] [JOB]</c>, <c>bench console</c>.</summary>
    internal async ValueTask<bool> RunAsync(string[] words)
    {
        int next = 1;
        if (words.Length > next && words[next] == "console")
        {
            return await new ConsoleBenchmark(_system, this, _latencies).RunAsync();
        }
        bool isDirect = words.Length > next && words[next] == "direct";
        next += isDirect || (words.Length > next && words[next] == "await") ? 1 : 0;
        bool all = words.Length > next && words[next] == "all";
        next += all ? 1 : 0;
        BlockDevice[] disks = FindDisks(all);
        if (disks.Length == 0)
        {
            _output.Write("no disk to measure (qemu: -blockdev null-co,... -device virtio-blk-pci,...)\n");
            return false;
        }
        if (isDirect && all)
        {
            _output.Write("one disk at a time without await\n");
            return false;
        }
        if (words.Length > next)
        {
            return await RunJobAsync(words[next], disks, isDirect);
        }
        bool good = true;
        for (int i = 0; i < BenchmarkJob.Count; i++)
        {
            good &= await RunJobAsync(BenchmarkJob.At(i), disks, isDirect);
        }
        return good;
    }

    private BlockDevice[] FindDisks(bool all)
    {
        int count = 0;
        while (_system.FindDisk((ulong)count) is not null && (all || count == 0))
        {
            count++;
        }
        BlockDevice[] disks = new BlockDevice[count];
        for (int i = 0; i < count; i++)
        {
            disks[i] = _system.FindDisk((ulong)i)!;
        }
        return disks;
    }

    private async ValueTask<bool> RunJobAsync(string name, BlockDevice[] disks, bool isDirect)
    {
        if (!BenchmarkJob.TryParse(name, out BenchmarkJob job))
        {
            _output.Write("no such job: ").Write(name).Write("; jobs are like randread_4k_qd16, kinds read, randread, write, randwrite and mixed\n");
            return false;
        }
        uint buffers = (uint)(job.Depth * disks.Length);
        ulong sectors = SmallestOf(disks);
        if (sectors < job.Length / BlockDevice.SectorSize || (ulong)job.Length * buffers > uint.MaxValue ||
            !disks[0].Dma.TryAllocate(job.Length * buffers, 4096, out DmaBuffer memory))
        {
            _output.Write("SKIP ").Write(name).Write(": the disk or the memory is too small\n");
            return true;
        }
        for (int i = 0; i < disks.Length; i++)
        {
            if (job.Writes != 0 && (disks[i].IsReadOnly || (!_options.BenchmarkWrites && await HasContentAsync(disks[i], memory))))
            {
                disks[0].Dma.Free(memory);
                _output.Write("SKIP ").Write(name).Write(": the disk is read-only or has content; bench-writes=yes overwrites it\n");
                return true;
            }
        }
        BenchmarkRun run = new(job, sectors, _system.Loop.Clock);
        DirectBenchmark? direct = isDirect ? new DirectBenchmark(disks[0], _system.Loop.Clock, run, _latencies, job, memory) : null;
        AwaitBenchmark workers = new(disks, _system.Loop.Clock, run, _latencies, job, memory);
        // The first round makes boxes and requests; what is counted begins after it.
        run.Begin(_options.JobRequests == 0 ? 0 : buffers * WarmUpRequests, WarmUp);
        await RunAsync(direct, workers, isTimed: false);

        Counts before = CountsOf(disks);
        BeginCounting(run);
        await RunAsync(direct, workers, isTimed: false);
        Counts counts = EndCounting(before, CountsOf(disks), run);

        if (BeginLatencies(run))
        {
            await RunAsync(direct, workers, isTimed: true);
        }
        disks[0].Dma.Free(memory);
        Write(name, counts, run.Errors, job.Length, isDirect ? "direct" : "await", disks[0].IsPolled);
        return run.Errors == 0;
    }

    private static ValueTask RunAsync(DirectBenchmark? direct, AwaitBenchmark workers, bool isTimed)
    {
        if (direct is null)
        {
            return workers.RunAsync(isTimed);
        }
        direct.Run(isTimed);
        return default;
    }

    /// <summary>What is counted from here on belongs to the run.</summary>
    internal void BeginCounting(BenchmarkRun run)
    {
        run.Begin(_options.JobRequests, _options.JobMilliseconds * 1_000_000ul);
        Cpu.MarkBegin();
    }

    /// <summary>The counts of the run: the differences, and how many requests there were.</summary>
    internal static Counts EndCounting(Counts before, Counts after, BenchmarkRun run)
    {
        Cpu.MarkEnd();
        return new Counts
        {
            Time = after.Time - before.Time,
            Allocated = after.Allocated - before.Allocated,
            Kicks = after.Kicks - before.Kicks,
            Interrupts = after.Interrupts - before.Interrupts,
            LostDoorbells = after.LostDoorbells - before.LostDoorbells,
            Done = run.Done,
        };
    }

    /// <summary>Begins the run in which latencies are measured; false when there is none, because only counts are asked for.</summary>
    internal bool BeginLatencies(BenchmarkRun run)
    {
        _latencies.Clear();
        run.Begin(0, _options.JobMilliseconds * 1_000_000ul / LatencyShare);
        return _options.JobRequests == 0;
    }

    /// <summary>The counts at this moment; kicks and interrupts of disks.</summary>
    internal Counts CountsOf(BlockDevice[] disks)
    {
        Counts counts = new() { Time = _system.Loop.Clock.Now, Allocated = RuntimeHeap.BytesAllocated };
        for (int i = 0; i < disks.Length; i++)
        {
            if (disks[i] is VirtioBlk virtio)
            {
                counts.Kicks += virtio.Notifications;
                counts.Interrupts += virtio.Interrupts;
                counts.LostDoorbells += virtio.LostDoorbells;
            }
        }
        return counts;
    }

    /// <summary>What is counted.</summary>
    internal struct Counts
    {
        internal ulong Time;
        internal ulong Allocated;
        internal ulong Kicks;
        internal ulong Interrupts;
        internal ulong LostDoorbells;
        internal ulong Done;
    }

    /// <summary>Writes the line of a job.</summary>
    internal void Write(string name, in Counts counts, ulong errors, uint length, string api, bool isPolled)
    {
        ulong iops = counts.Done * 1_000_000 / (counts.Time / 1000 + 1);
        _output.Write("JOB ").Write(name).Write(" iops=").Write(iops).Write(" errs=").Write(errors);
        WriteRatio(" kicks_per_io=", counts.Kicks, counts.Done);
        WriteRatio(" irqs_per_io=", counts.Interrupts, counts.Done);
        WriteRatio(" alloc_bytes_per_io=", counts.Allocated, counts.Done);
        _output.Write(" ios=").Write(counts.Done).Write(" lost_doorbells=").Write(counts.LostDoorbells)
            .Write(" api=").Write(api).Write(" mode=").Write(isPolled ? "polling" : "interrupts").Write(" kb_per_s=").Write(iops * length / 1000);
        if (_latencies.Count != 0)
        {
            _output.Write(" p50_ns=").Write(_latencies.Percentile(500)).Write(" p99_ns=").Write(_latencies.Percentile(990))
                .Write(" p999_ns=").Write(_latencies.Percentile(999));
        }
        _output.EndLine();
    }

    /// <summary>Says that a job is not run, and why.</summary>
    internal void Skip(string name, string reason) => _output.Write("SKIP ").Write(name).Write(": ").Write(reason).EndLine();

    private static ulong SmallestOf(BlockDevice[] disks)
    {
        ulong sectors = disks[0].SectorCount;
        for (int i = 1; i < disks.Length; i++)
        {
            sectors = Math.Min(sectors, disks[i].SectorCount);
        }
        return sectors;
    }

    private static async ValueTask<bool> HasContentAsync(BlockDevice disk, DmaBuffer memory)
    {
        DmaBuffer sector = memory.Slice(0, disk.BlockSize);
        if (await disk.ReadAsync(0, sector) != IoStatus.Ok)
        {
            return true;
        }
        return sector.Span[510] == 0x55 && sector.Span[511] == 0xAA;
    }

    /// <summary>Writes a number for each request with three decimals.</summary>
    private void WriteRatio(string name, ulong count, ulong requests)
    {
        ulong thousandths = requests == 0 ? 0 : count * 1000 / requests;
        _output.Write(name).Write(thousandths / 1000).Write(".").Write(thousandths / 100 % 10).Write(thousandths / 10 % 10).Write(thousandths % 10);
    }
}
