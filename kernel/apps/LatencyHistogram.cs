// How long requests took: a histogram that allocates nothing while it counts.
using System.Numerics;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Counts nanoseconds in 64 steps for each power of two: percentiles are right within 1.6 %.</summary>
internal sealed class LatencyHistogram
{
    private const int StepBits = 6;
    private const int Steps = 1 << StepBits;

    private readonly uint[] _counts = new uint[(64 - StepBits + 1) * Steps];

    /// <summary>How many were counted.</summary>
    internal ulong Count { get; private set; }

    internal void Clear()
    {
        Count = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            _counts[i] = 0;
        }
    }

    internal void Add(ulong nanoseconds)
    {
        Count++;
        _counts[IndexOf(nanoseconds)]++;
    }

    /// <summary>The nanoseconds that so many of 1000 did not exceed; 0 when nothing was counted.</summary>
    internal ulong Percentile(uint thousandths)
    {
        ulong wanted = Math.Max((Count * thousandths + 999) / 1000, 1);
        ulong seen = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= wanted)
            {
                return Highest(i);
            }
        }
        return 0;
    }

    // Values below 64 are steps of their own; from there on the six bits below the highest one choose the step.
    private static int IndexOf(ulong value)
    {
        if (value < Steps)
        {
            return (int)value;
        }
        int shift = BitOperations.Log2(value) - StepBits;
        return (shift + 1) * Steps + (int)(value >> shift) - Steps;
    }

    private static ulong Highest(int index)
    {
        if (index < Steps)
        {
            return (ulong)index;
        }
        int shift = index / Steps - 1;
        return ((ulong)(index % Steps + Steps) + 1 << shift) - 1;
    }
}
