// What a benchmark does to a disk, and what is known of a job while it runs.
using System.Numerics;
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Apps;

/// <summary>One kind of load: blocks of a length in bytes, how many at once, and where.</summary>
internal readonly struct BenchmarkJob
{
    internal const int Count = 9;
    private const uint AllWrites = 1024;
    private const uint MixedWrites = 307;
    private const uint MostAtOnce = 4096;
    private const uint MostBytes = 64 << 20;

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

    /// <summary>The jobs that are run when none is named.</summary>
    internal static string At(int index) => index switch
    {
        0 => "randread_4k_qd1",
        1 => "randread_4k_qd16",
        2 => "randread_4k_qd32",
        3 => "randread_4k_qd128",
        4 => "read_128k_qd8",
        5 => "read_1m_qd4",
        6 => "randwrite_4k_qd16",
        7 => "randwrite_4k_qd32",
        _ => "mixed_4k_qd32",
    };

    /// <summary>
    /// Reads a name: <c>randread</c>, <c>read</c>, <c>randwrite</c>, <c>write</c> or <c>mixed</c> (70 % reads, 30 % writes), the length of a
    /// request with <c>k</c> or <c>m</c> behind it, and <c>qd</c> with how many there are at once.
    /// </summary>
    internal static bool TryParse(string name, out BenchmarkJob job)
    {
        job = default;
        int first = name.IndexOf('_');
        int second = first < 0 ? -1 : first + 1 + name.Substring(first + 1).IndexOf('_');
        if (second <= first || second + 3 > name.Length || name[second + 1] != 'q' || name[second + 2] != 'd')
        {
            return false;
        }
        string kind = name.Substring(0, first);
        uint writes = kind switch
        {
            "randread" or "read" => 0,
            "randwrite" or "write" => AllWrites,
            "mixed" => MixedWrites,
            _ => uint.MaxValue,
        };
        if (writes == uint.MaxValue || !TryParseLength(name.Substring(first + 1, second - first - 1), out uint length) ||
            !uint.TryParse(name.Substring(second + 3), out uint depth) || depth - 1 >= MostAtOnce)
        {
            return false;
        }
        job = new BenchmarkJob(name, writes, kind is "read" or "write", length, (int)depth);
        return true;
    }

    private static bool TryParseLength(string text, out uint length)
    {
        length = 0;
        uint unit = text.Length == 0 ? 0u : text[text.Length - 1] == 'k' ? 1024u : text[text.Length - 1] == 'm' ? 1u << 20 : 1;
        string digits = unit <= 1 ? text : text.Substring(0, text.Length - 1);
        if (!uint.TryParse(digits, out uint count) || count > MostBytes / Math.Max(unit, 1))
        {
            return false;
        }
        length = count * unit;
        return length != 0 && length % BlockDevice.SectorSize == 0;
    }
}

/// <summary>Where the next request goes, and whether there is one.</summary>
internal sealed class BenchmarkRun
{
    private const ulong LookAtClockEvery = 64;

    private const ulong Multiplier = 6364136223846793005; // Knuth's, MMIX
    private const int WriteShift = 20;

    private readonly Clock _clock;

    // Places are the upper bits of a linear congruential sequence: random ones, or with a multiplier of 1 one after the other.
    private readonly ulong _multiplier;
    private readonly ulong _increment;
    private readonly int _shift;
    private readonly uint _sectors;
    private readonly uint _writes;
    private ulong _place;
    private ulong _lookAt;
    private ulong _end;

    /// <summary>A run that only counts.</summary>
    internal BenchmarkRun(Clock clock) => _clock = clock;

    /// <summary>A run of a job on disks with so many sectors.</summary>
    internal BenchmarkRun(in BenchmarkJob job, ulong sectorCount, Clock clock)
    {
        _clock = clock;
        _sectors = job.Length / BlockDevice.SectorSize;
        // A power of two of the disk's blocks: no division on the way.
        int bits = BitOperations.Log2(sectorCount / _sectors);
        _shift = 63 - bits;
        _multiplier = job.IsSequential ? 1 : Multiplier;
        _increment = !job.IsSequential ? 1442695040888963407 : bits == 0 ? 0 : 1ul << (64 - bits);
        _writes = job.Writes;
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
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong Next(out bool isWrite)
    {
        ulong x = _place * _multiplier + _increment;
        _place = x;
        isWrite = ((uint)(x >> WriteShift) & 1023) < _writes;
        return (x >> 1 >> _shift) * _sectors;
    }

    /// <summary>Notes that a request ended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void End(IoStatus status)
    {
        if (++Done >= _lookAt || status != IoStatus.Ok)
        {
            Look(status);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
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
