// Measures a disk through the public APIs: await, or Submit and Poll; with interrupts, or polling where there are none.
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Runs jobs of a block size, a depth and a direction, and prints a line for each: requests a second, errors, then notifications,
/// interrupts and bytes allocated for each request, and percentiles of the latency, which a second run of the job finds: looking at
/// the clock twice for each request would cost the first one speed.
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
    private BlockDevice _disk = null!;

    internal Benchmark(SystemInformation system, Terminal output, BootOptions options)
    {
        _system = system;
        _output = output;
        _options = options;
    }

    /// <summary>Runs the jobs, or the one of a name, by await or directly.</summary>
    internal async ValueTask<bool> RunAsync(bool isDirect, string only)
    {
        BlockDevice? disk = _system.FindDisk(0);
        if (disk is null)
        {
            _output.Write("no disk to measure (qemu: -blockdev null-co,... -device virtio-blk-pci,...)\n");
            return false;
        }
        _disk = disk;
        bool any = false;
        bool good = true;
        for (int i = 0; i < BenchmarkJob.Count; i++)
        {
            BenchmarkJob job = BenchmarkJob.At(i);
            if (only.Length == 0 || only == job.Name)
            {
                any = true;
                good &= await RunJobAsync(job, isDirect);
            }
        }
        if (!any)
        {
            _output.Write("no such job: ").Write(only).EndLine();
        }
        return any && good;
    }

    private async ValueTask<bool> RunJobAsync(BenchmarkJob job, bool isDirect)
    {
        if (_disk.SectorCount < job.Length / BlockDevice.SectorSize || !_disk.Dma.TryAllocate(job.Length * (uint)job.Depth, 4096, out DmaBuffer memory))
        {
            _output.Write("SKIP ").Write(job.Name).Write(": the disk or the memory is too small\n");
            return true;
        }
        if (job.Writes != 0 && (_disk.IsReadOnly || (!_options.BenchmarkWrites && await HasContentAsync(memory))))
        {
            _disk.Dma.Free(memory);
            _output.Write("SKIP ").Write(job.Name).Write(": the disk is read-only or has content; bench-writes=yes overwrites it\n");
            return true;
        }
        Clock clock = _system.Loop.Clock;
        BenchmarkRun run = new(job, _disk, clock);
        DirectBenchmark? direct = isDirect ? new DirectBenchmark(_disk, clock, run, _latencies, job, memory) : null;
        AwaitBenchmark workers = new(_disk, clock, run, _latencies, job, memory);
        // The first round makes boxes and requests; what is counted begins after it.
        run.Begin(_options.JobRequests == 0 ? 0 : (ulong)job.Depth * WarmUpRequests, WarmUp);
        await RunAsync(direct, workers, isTimed: false);

        VirtioBlk? virtio = _disk as VirtioBlk;
        ulong kicks = virtio?.Notifications ?? 0;
        ulong interrupts = virtio?.Interrupts ?? 0;
        ulong allocated = RuntimeHeap.BytesAllocated;
        ulong begin = clock.Now;
        run.Begin(_options.JobRequests, _options.JobMilliseconds * 1_000_000ul);
        Cpu.MarkBegin();
        await RunAsync(direct, workers, isTimed: false);
        Cpu.MarkEnd();
        ulong elapsed = clock.Now - begin;
        ulong done = run.Done;
        allocated = RuntimeHeap.BytesAllocated - allocated;
        kicks = (virtio?.Notifications ?? 0) - kicks;
        interrupts = (virtio?.Interrupts ?? 0) - interrupts;

        _latencies.Clear();
        if (_options.JobRequests == 0)
        {
            run.Begin(0, _options.JobMilliseconds * 1_000_000ul / LatencyShare);
            await RunAsync(direct, workers, isTimed: true);
        }
        ulong iops = done * 1_000_000 / (elapsed / 1000 + 1);
        _output.Write("JOB ").Write(job.Name).Write(" iops=").Write(iops).Write(" errs=").Write(run.Errors);
        WriteRatio(" kicks_per_io=", kicks, done);
        WriteRatio(" irqs_per_io=", interrupts, done);
        WriteRatio(" alloc_bytes_per_io=", allocated, done);
        _output.Write(" ios=").Write(done).Write(" lost_doorbells=").Write(virtio?.LostDoorbells ?? 0)
            .Write(" api=").Write(isDirect ? "direct" : "await").Write(" mode=").Write(_disk.IsPolled ? "polling" : "interrupts")
            .Write(" kb_per_s=").Write(iops * job.Length / 1000).Write(" p50_ns=").Write(_latencies.Percentile(500))
            .Write(" p99_ns=").Write(_latencies.Percentile(990)).Write(" p999_ns=").Write(_latencies.Percentile(999)).EndLine();
        _disk.Dma.Free(memory);
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

    private async ValueTask<bool> HasContentAsync(DmaBuffer memory)
    {
        DmaBuffer sector = memory.Slice(0, _disk.BlockSize);
        if (await _disk.ReadAsync(0, sector) != IoStatus.Ok)
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
