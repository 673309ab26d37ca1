// The jobs by await: one async method for each request at a time.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>For each disk as many workers as the job is deep; each awaits its request and makes the next.</summary>
internal sealed class AwaitBenchmark
{
    private readonly Clock _clock;
    private readonly BenchmarkRun _run;
    private readonly LatencyHistogram _latencies;
    private readonly Worker[] _workers;

    internal AwaitBenchmark(BlockDevice[] disks, Clock clock, BenchmarkRun run, LatencyHistogram latencies, in BenchmarkJob job, in DmaBuffer memory)
    {
        _clock = clock;
        _run = run;
        _latencies = latencies;
        _workers = new Worker[job.Depth * disks.Length];
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Worker(disks[i % disks.Length], memory.Slice((uint)i * job.Length, job.Length));
        }
    }

    /// <summary>Runs until the run says that it is enough and all requests are back.</summary>
    internal async ValueTask RunAsync(bool isTimed)
    {
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i].Task = isTimed ? WorkTimedAsync(_workers[i].Disk, _workers[i].Buffer) : WorkAsync(_workers[i].Disk, _workers[i].Buffer);
        }
        for (int i = 0; i < _workers.Length; i++)
        {
            await _workers[i].Task;
        }
    }

    private sealed class Worker
    {
        internal Worker(BlockDevice disk, DmaBuffer buffer)
        {
            Disk = disk;
            Buffer = buffer;
        }

        internal BlockDevice Disk { get; }

        internal DmaBuffer Buffer { get; }

        internal ValueTask Task { get; set; }
    }

    private async ValueTask WorkAsync(BlockDevice disk, DmaBuffer buffer)
    {
        BenchmarkRun run = _run;
        while (!run.IsStopping)
        {
            ulong sector = run.Next(out bool isWrite);
            IoStatus status = await (isWrite ? disk.WriteAsync(sector, buffer) : disk.ReadAsync(sector, buffer));
            run.End(status);
        }
    }

    private async ValueTask WorkTimedAsync(BlockDevice disk, DmaBuffer buffer)
    {
        while (!_run.IsStopping)
        {
            ulong sector = _run.Next(out bool isWrite);
            ulong begin = _clock.Now;
            IoStatus status = await (isWrite ? disk.WriteAsync(sector, buffer) : disk.ReadAsync(sector, buffer));
            _latencies.Add(_clock.Now - begin);
            _run.End(status);
        }
    }
}
