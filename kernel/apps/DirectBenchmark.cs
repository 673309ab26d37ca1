// The same jobs without await: Submit, Kick and Poll, from a loop of their own.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Requests that submit themselves again when they end. Nothing else is served while they run.</summary>
internal sealed class DirectBenchmark
{
    private const uint LookAtClockEvery = 4096;

    private readonly BlockDevice _disk;
    private readonly Clock _clock;
    private readonly BenchmarkRun _run;
    private readonly LatencyHistogram _latencies;
    private readonly Request[] _requests;
    private bool _isTimed;
    private int _inFlight;

    internal DirectBenchmark(BlockDevice disk, Clock clock, BenchmarkRun run, LatencyHistogram latencies, in BenchmarkJob job, in DmaBuffer memory)
    {
        _disk = disk;
        _clock = clock;
        _run = run;
        _latencies = latencies;
        _requests = new Request[job.Depth];
        for (int i = 0; i < _requests.Length; i++)
        {
            _requests[i] = new Request(this, memory.Slice((uint)i * job.Length, job.Length));
        }
    }

    /// <summary>Runs until the run says that it is enough and all requests are back.</summary>
    internal void Run(bool isTimed)
    {
        _isTimed = isTimed;
        for (int i = 0; i < _requests.Length; i++)
        {
            _requests[i].Submit();
        }
        _disk.Kick();
        if (_disk.IsPolled)
        {
            Poll();
            return;
        }
        while (_inFlight != 0)
        {
            if (!_clock.WaitForInterrupt(_disk.NextDeadline))
            {
                _disk.OnDeadline(_clock.Now);
            }
            _disk.Poll();
        }
    }

    private void Poll()
    {
        for (uint rounds = 1; _inFlight != 0; rounds++)
        {
            _disk.Poll();
            if (rounds % LookAtClockEvery == 0 && _clock.Now >= _disk.NextDeadline)
            {
                _disk.OnDeadline(_clock.Now);
            }
        }
    }

    private sealed class Request : BlockRequest
    {
        private readonly DirectBenchmark _benchmark;
        private readonly DmaBuffer _buffer;
        private ulong _begin;

        internal Request(DirectBenchmark benchmark, in DmaBuffer buffer)
        {
            _benchmark = benchmark;
            _buffer = buffer;
        }

        internal void Submit()
        {
            DirectBenchmark benchmark = _benchmark;
            ulong sector = benchmark._run.Next(out bool isWrite);
            Prepare(isWrite ? BlockOperation.Write : BlockOperation.Read, sector, _buffer);
            if (benchmark._isTimed)
            {
                _begin = benchmark._clock.Now;
            }
            IoStatus status = benchmark._disk.Submit(this);
            if (status == IoStatus.Ok)
            {
                benchmark._inFlight++;
            }
            else
            {
                benchmark._run.End(status);
            }
        }

        protected override void OnCompleted()
        {
            DirectBenchmark benchmark = _benchmark;
            benchmark._inFlight--;
            if (benchmark._isTimed)
            {
                benchmark._latencies.Add(benchmark._clock.Now - _begin);
            }
            benchmark._run.End(Status);
            if (!benchmark._run.IsStopping)
            {
                Submit();
            }
        }
    }
}
