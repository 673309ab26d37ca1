// What a benchmark does to a disk, and what is known of a job while it runs.
using System.Numerics;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Apps;

/// <summary>One kind of load: blocks of a length in bytes, how many at once, and where.</summary>
internal readonly struct BenchmarkJob
{
    internal const int Count = 9;
    private const uint AllWrites = 1024;

    private BenchmarkJob(string name, uint writes, bool isSequential, uint length, int depth)
    {
        Name = name;
        Writes = writes;
        IsSequential = isSequential;
        Length = length;
        Depth = depth;
    }

    internal string Name { get; }

    /// <summary>How many of 1024 requests are writes.</summary>
    internal uint Writes { get; }

    internal bool IsSequential { get; }

    internal uint Length { get; }

    internal int Depth { get; }

    internal static BenchmarkJob At(int index) => index switch
    {
        0 => new BenchmarkJob("randread_4k_qd1", 0, false, 4096, 1),
        1 => new BenchmarkJob("randread_4k_qd16", 0, false, 4096, 16),
        2 => new BenchmarkJob("randread_4k_qd32", 0, false, 4096, 32),
        3 => new BenchmarkJob("randread_4k_qd128", 0, false, 4096, 128),
        4 => new BenchmarkJob("read_128k_qd8", 0, true, 131072, 8),
        5 => new BenchmarkJob("read_1m_qd4", 0, true, 1 << 20, 4),
        6 => new BenchmarkJob("randwrite_4k_qd16", AllWrites, false, 4096, 16),
        7 => new BenchmarkJob("randwrite_4k_qd32", AllWrites, false, 4096, 32),
        _ => new BenchmarkJob("mixed_70_30_4k_qd32", 307, false, 4096, 32),
    };
}

/// <summary>Where the next request goes, and whether there is one.</summary>
internal sealed class BenchmarkRun
{
    private const ulong LookAtClockEvery = 64;

    private readonly Clock _clock;
    private readonly ulong _mask;
    private readonly uint _sectors;
    private readonly uint _writes;
    private readonly bool _isSequential;
    private ulong _random = 88172645463325252;
    private ulong _sequence;
    private ulong _lookAt;
    private ulong _end;

    internal BenchmarkRun(in BenchmarkJob job, BlockDevice disk, Clock clock)
    {
        _clock = clock;
        _sectors = job.Length / BlockDevice.SectorSize;
        // A power of two below: no division on the way.
        _mask = (1ul << BitOperations.Log2(disk.SectorCount / _sectors)) - 1;
        _writes = job.Writes;
        _isSequential = job.IsSequential;
    }

    /// <summary>True when no further request is to be made.</summary>
    internal bool IsStopping { get; private set; }

    /// <summary>How many requests have ended.</summary>
    internal ulong Done { get; private set; }

    internal ulong Errors { get; private set; }

    /// <summary>Begins anew: for so many requests, or where that is 0, for so many nanoseconds.</summary>
    internal void Begin(ulong requests, ulong nanoseconds)
    {
        IsStopping = false;
        Done = 0;
        _lookAt = requests == 0 ? LookAtClockEvery : requests;
        _end = requests == 0 ? _clock.Now + nanoseconds : 0;
    }

    /// <summary>The first sector of the next request, and what it does.</summary>
    internal ulong Next(out bool isWrite)
    {
        if (_isSequential)
        {
            isWrite = _writes != 0;
            return (_sequence++ & _mask) * _sectors;
        }
        ulong x = _random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        _random = x;
        isWrite = _writes != 0 && (x >> 48 & 1023) < _writes;
        return (x & _mask) * _sectors;
    }

    /// <summary>Notes that a request ended.</summary>
    internal void End(IoStatus status)
    {
        if (++Done >= _lookAt || status != IoStatus.Ok)
        {
            Look(status);
        }
    }

    private void Look(IoStatus status)
    {
        if (status != IoStatus.Ok)
        {
            Errors++;
            IsStopping = true;
        }
        _lookAt = Done + LookAtClockEvery;
        if (_end == 0 || _clock.Now >= _end)
        {
            IsStopping = true;
        }
    }
}
