// The jobs by await: one async method for each request at a time.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>As many workers as the job is deep; each awaits its request and makes the next.</summary>
internal sealed class AwaitBenchmark
{
    private readonly BlockDevice _disk;
    private readonly Clock _clock;
    private readonly BenchmarkRun _run;
    private readonly LatencyHistogram _latencies;
    private readonly Worker[] _workers;

    internal AwaitBenchmark(BlockDevice disk, Clock clock, BenchmarkRun run, LatencyHistogram latencies, in BenchmarkJob job, in DmaBuffer memory)
    {
        _disk = disk;
        _clock = clock;
        _run = run;
        _latencies = latencies;
        _workers = new Worker[job.Depth];
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Worker(memory.Slice((uint)i * job.Length, job.Length));
        }
    }

    /// <summary>Runs until the run says that it is enough and all requests are back.</summary>
    internal async ValueTask RunAsync(bool isTimed)
    {
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i].Task = isTimed ? WorkTimedAsync(_workers[i].Buffer) : WorkAsync(_workers[i].Buffer);
        }
        for (int i = 0; i < _workers.Length; i++)
        {
            await _workers[i].Task;
        }
    }

    private sealed class Worker
    {
        internal Worker(DmaBuffer buffer) => Buffer = buffer;

        internal DmaBuffer Buffer { get; }

        internal ValueTask Task { get; set; }
    }

    private async ValueTask WorkAsync(DmaBuffer buffer)
    {
        BlockDevice disk = _disk;
        BenchmarkRun run = _run;
        while (!run.IsStopping)
        {
            ulong sector = run.Next(out bool isWrite);
            run.End(await (isWrite ? disk.WriteAsync(sector, buffer) : disk.ReadAsync(sector, buffer)));
        }
    }

    private async ValueTask WorkTimedAsync(DmaBuffer buffer)
    {
        while (!_run.IsStopping)
        {
            ulong sector = _run.Next(out bool isWrite);
            ulong begin = _clock.Now;
            IoStatus status = await (isWrite ? _disk.WriteAsync(sector, buffer) : _disk.ReadAsync(sector, buffer));
            _latencies.Add(_clock.Now - begin);
            _run.End(status);
        }
    }
}
