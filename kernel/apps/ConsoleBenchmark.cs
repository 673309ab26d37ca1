// Measures console ports: bytes out, bytes in, and the way of one byte from port to port.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// The ports are found by their names: <c>bench.sink</c> takes everything, and what is written to <c>bench.there</c> comes out of
/// <c>bench.back</c>.
/// </summary>
internal sealed class ConsoleBenchmark
{
    private const uint WaitMilliseconds = 500;
    private const int ChunkLength = 65536;
    private const int LineLength = 64;
    private const ulong WarmUpRequests = 16;

    private readonly SystemInformation _system;
    private readonly Benchmark _benchmark;
    private readonly LatencyHistogram _latencies;
    private readonly byte[] _buffer = new byte[ChunkLength];
    private readonly BlockDevice[] _none = [];
    private ulong _written;

    internal ConsoleBenchmark(SystemInformation system, Benchmark benchmark, LatencyHistogram latencies)
    {
        _system = system;
        _benchmark = benchmark;
        _latencies = latencies;
    }

    private enum Work
    {
        /// <summary>Bytes out, one write after the other.</summary>
        Write,

        /// <summary>Bytes out of one port and in by the other, at the same time.</summary>
        Loop,

        /// <summary>The same, but the next write waits for the bytes of the last one.</summary>
        Trip,
    }

    internal async ValueTask<bool> RunAsync()
    {
        return await RunJobAsync("console_write_64k", Work.Write, "bench.sink", "", ChunkLength) &
            await RunJobAsync("console_write_64", Work.Write, "bench.sink", "", LineLength) &
            await RunJobAsync("console_loop_64k", Work.Loop, "bench.there", "bench.back", ChunkLength) &
            await RunJobAsync("console_trip_1", Work.Trip, "bench.there", "bench.back", 1);
    }

    private async ValueTask<bool> RunJobAsync(string job, Work work, string firstName, string secondName, int length)
    {
        AsyncPort? first = await OpenAsync(firstName);
        AsyncPort? second = secondName.Length == 0 ? first : await OpenAsync(secondName);
        if (first is null || second is null)
        {
            _benchmark.Skip(job, "a port is missing; ports lists them");
            return true;
        }
        Clock clock = _system.Loop.Clock;
        BenchmarkRun run = new(clock);
        run.Begin(WarmUpRequests, 0);
        await WorkAsync(work, first, second, length, run, isTimed: true);
        Benchmark.Counts before = Count();
        _benchmark.BeginCounting(run);
        await WorkAsync(work, first, second, length, run, isTimed: false);
        Benchmark.Counts counts = Benchmark.EndCounting(before, Count(), run);
        if (_benchmark.BeginLatencies(run))
        {
            await WorkAsync(work, first, second, length, run, isTimed: true);
        }
        _benchmark.Write(job, counts, run.Errors, (uint)length, "await", isPolled: false);
        first.Port.Close();
        second.Port.Close();
        return run.Errors == 0;
    }

    private Benchmark.Counts Count()
    {
        Benchmark.Counts counts = _benchmark.CountsOf(_none);
        counts.Interrupts = _system.Machine.Interrupts.Delivered;
        return counts;
    }

    private async ValueTask<AsyncPort?> OpenAsync(string name)
    {
        ConsolePort? port = await ConsolePorts.FindAsync(_system.Loop, name, WaitMilliseconds);
        if (port is null)
        {
            return null;
        }
        port.Open();
        AsyncPort opened = new(port);
        await opened.WhenOpened();
        return opened;
    }

    private async ValueTask WorkAsync(Work work, AsyncPort first, AsyncPort second, int length, BenchmarkRun run, bool isTimed)
    {
        Clock clock = _system.Loop.Clock;
        ValueTask writer = work == Work.Loop ? WriteAsync(first, length, run) : default;
        while (!run.IsStopping)
        {
            ulong begin = isTimed ? clock.Now : 0;
            bool good = work == Work.Loop || await first.WriteAsync(_buffer, 0, length);
            if (work != Work.Write)
            {
                good &= await ReadAsync(second, length);
            }
            if (isTimed)
            {
                _latencies.Add(clock.Now - begin);
            }
            run.End(good ? IoStatus.Ok : IoStatus.DeviceError);
        }
        // The writer is ahead: what it has begun to write is to come, too.
        for (ulong read = run.Done; run.Errors == 0 && work == Work.Loop && (!writer.IsCompleted || read < _written); read++)
        {
            await ReadAsync(second, length);
        }
        await writer;
        await first.FlushAsync();
    }

    private async ValueTask WriteAsync(AsyncPort port, int length, BenchmarkRun run)
    {
        _written = 0;
        while (!run.IsStopping && await port.WriteAsync(_buffer, 0, length))
        {
            _written++;
        }
    }

    private async ValueTask<bool> ReadAsync(AsyncPort port, int length)
    {
        int got = 0;
        while (got < length)
        {
            int read = await port.ReadAsync(_buffer, got, length - got);
            if (read == 0)
            {
                return false;
            }
            got += read;
        }
        return true;
    }
}
