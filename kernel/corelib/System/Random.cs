// Random numbers for simulations and tests: fast, and with a seed the same as in .NET.
using System.Buffers.Binary;
using System.Numerics;
using Internal.Runtime;

namespace System;

/// <summary>
/// Without a seed: xoshiro256** by Blackman and Vigna, begun with bytes of the kernel's generator. With a seed: the subtractive generator of
/// Knuth (TAOCP 2, 3.2.2) with the constants that .NET has had from the beginning, which gives the same numbers there.
/// </summary>
public class Random
{
    private const int Lag = 21;
    private const int Numbers = 56;
    private const double Unit = 1.0 / int.MaxValue;

    private static Random? s_shared;

    // Without a seed.
    private ulong _s0, _s1, _s2, _s3;

    // With a seed.
    private readonly int[]? _numbers;
    private int _next;
    private int _nextLag = Lag;

    public Random()
    {
        Span<byte> seed = stackalloc byte[4 * sizeof(ulong)];
        do
        {
            RandomSource.Current.Fill(seed);
            _s0 = BinaryPrimitives.ReadUInt64LittleEndian(seed);
            _s1 = BinaryPrimitives.ReadUInt64LittleEndian(seed.Slice(8));
            _s2 = BinaryPrimitives.ReadUInt64LittleEndian(seed.Slice(16));
            _s3 = BinaryPrimitives.ReadUInt64LittleEndian(seed.Slice(24));
        }
        while ((_s0 | _s1 | _s2 | _s3) == 0);
    }

    public Random(int Seed)
    {
        int[] numbers = new int[Numbers];
        int last = 161803398 - (Seed == int.MinValue ? int.MaxValue : Math.Abs(Seed));
        numbers[Numbers - 1] = last;
        int number = 1;
        int place = 0;
        for (int i = 1; i < Numbers - 1; i++)
        {
            place += Lag;
            place -= place >= Numbers - 1 ? Numbers - 1 : 0;
            numbers[place] = number;
            number = last - number;
            number += number < 0 ? int.MaxValue : 0;
            last = numbers[place];
        }
        for (int round = 1; round < 5; round++)
        {
            for (int i = 1; i < Numbers; i++)
            {
                int other = i + 30;
                other -= other >= Numbers - 1 ? Numbers - 1 : 0;
                numbers[i] -= numbers[1 + other];
                numbers[i] += numbers[i] < 0 ? int.MaxValue : 0;
            }
        }
        _numbers = numbers;
    }

    public static Random Shared => s_shared ??= new Random();

    public virtual int Next()
    {
        if (_numbers is not null)
        {
            return NextSeeded();
        }
        while (true)
        {
            int result = (int)(NextBits() >> 33);
            if (result != int.MaxValue)
            {
                return result;
            }
        }
    }

    public virtual int Next(int maxValue)
    {
        Require(maxValue >= 0);
        return _numbers is not null ? (int)(NextSeeded() * Unit * maxValue) : (int)Below((ulong)maxValue);
    }

    public virtual int Next(int minValue, int maxValue)
    {
        Require(minValue <= maxValue);
        long range = (long)maxValue - minValue;
        return _numbers is null ? (int)((long)Below((ulong)range) + minValue)
            : range <= int.MaxValue ? (int)(NextSeeded() * Unit * range) + minValue
            : (int)((long)(NextLargeSample() * range) + minValue);
    }

    public virtual long NextInt64()
    {
        while (true)
        {
            ulong result = NextBits() >> 1;
            if (result != long.MaxValue)
            {
                return (long)result;
            }
        }
    }

    public virtual long NextInt64(long maxValue)
    {
        Require(maxValue >= 0);
        return (long)Below((ulong)maxValue);
    }

    public virtual long NextInt64(long minValue, long maxValue)
    {
        Require(minValue <= maxValue);
        return (long)Below((ulong)(maxValue - minValue)) + minValue;
    }

    public virtual double NextDouble() => _numbers is not null ? NextSeeded() * Unit : (long)(NextBits() >> 11) * (1.0 / (1L << 53));

    public virtual void NextBytes(byte[] buffer) => NextBytes(new Span<byte>(buffer));

    public virtual void NextBytes(Span<byte> buffer)
    {
        for (int i = 0; i < buffer.Length; i++)
        {
            buffer[i] = (byte)(_numbers is not null ? NextSeeded() : (int)(NextBits() >> 56));
        }
    }

    public void Shuffle<T>(T[] values) => Shuffle(new Span<T>(values));

    public void Shuffle<T>(Span<T> values)
    {
        for (int i = 0; i < values.Length - 1; i++)
        {
            int j = Next(i, values.Length);
            if (i != j)
            {
                T value = values[i];
                values[i] = values[j];
                values[j] = value;
            }
        }
    }

    /// <summary>A number below a bound, all of them as likely; 0 for the bounds 0 and 1.</summary>
    private ulong Below(ulong bound)
    {
        if (bound <= 1)
        {
            return 0;
        }
        int bits = BitOperations.Log2(bound) + (BitOperations.IsPow2(bound) ? 0 : 1);
        while (true)
        {
            ulong result = NextBits() >> (64 - bits);
            if (result < bound)
            {
                return result;
            }
        }
    }

    private ulong NextBits()
    {
        if (_numbers is not null)
        {
            return (uint)Next(1 << 22) | (ulong)(uint)Next(1 << 22) << 22 | (ulong)(uint)Next(1 << 20) << 44;
        }
        ulong result = RotateLeft(_s1 * 5, 7) * 9;
        ulong shifted = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= shifted;
        _s3 = RotateLeft(_s3, 45);
        return result;
    }

    private int NextSeeded()
    {
        int[] numbers = _numbers!;
        _next = _next + 1 >= Numbers ? 1 : _next + 1;
        _nextLag = _nextLag + 1 >= Numbers ? 1 : _nextLag + 1;
        int result = numbers[_next] - numbers[_nextLag];
        result -= result == int.MaxValue ? 1 : 0;
        result += result < 0 ? int.MaxValue : 0;
        numbers[_next] = result;
        return result;
    }

    private double NextLargeSample()
    {
        int result = NextSeeded();
        result = NextSeeded() % 2 == 0 ? -result : result;
        return (result + (double)(int.MaxValue - 1)) / (2u * (double)int.MaxValue - 1);
    }

    private static ulong RotateLeft(ulong value, int count) => value << count | value >> (64 - count);

    private static void Require(bool isRight)
    {
        if (!isRight)
        {
            FatalError.Stop("the bounds of a random number are the wrong way round");
        }
    }
}
