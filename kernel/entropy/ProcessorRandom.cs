// What the processor knows of randomness: RDSEED and RDRAND, and the time stamp counter.
using System.Buffers.Binary;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Entropy;

/// <summary>Where the processor has the instructions, they are believed, as Linux does unless it is told otherwise.</summary>
internal sealed unsafe class ProcessorRandom
{
    private const uint Features = 1;
    private const uint ExtendedFeatures = 7;
    private const uint RdrandBit = 1u << 30; // leaf 1, ECX
    private const uint RdseedBit = 1u << 18; // leaf 7, EBX
    private const int SeedLength = 32;
    private const int RdrandTries = 10; // more failures in a row mean that it is broken
    private const int RdseedTries = 1000; // it may be slow when others draw as well
    private const int CounterReadings = 32;

    private readonly byte[] _seed = new byte[SeedLength];
    private readonly bool _hasRdrand;
    private readonly bool _hasRdseed;

    internal ProcessorRandom()
    {
        uint* registers = stackalloc uint[4];
        Cpu.Identify(0, registers);
        uint most = registers[0];
        Cpu.Identify(Features, registers);
        _hasRdrand = (registers[2] & RdrandBit) != 0;
        if (most >= ExtendedFeatures)
        {
            Cpu.Identify(ExtendedFeatures, registers);
            _hasRdseed = (registers[1] & RdseedBit) != 0;
        }
    }

    /// <summary>True when there is an instruction for it.</summary>
    internal bool IsThere => _hasRdrand || _hasRdseed;

    /// <summary>The instruction that is used, for people.</summary>
    internal string Name => _hasRdseed ? "RDSEED" : _hasRdrand ? "RDRAND" : "no RDRAND";

    /// <summary>How many seeds the generator took from it.</summary>
    internal ulong Seeds { get; private set; }

    /// <summary>Seeds a generator, if there is anything to do it with; the time is mixed in whatever there is, and counts for nothing.</summary>
    internal void Seed(RandomGenerator generator)
    {
        Span<byte> bytes = new(_seed);
        // How long the readings take varies in their low bits, which are laid side by side.
        ulong times = 0;
        for (int i = 0; i < CounterReadings; i++)
        {
            times = (times << 7 | times >> 57) ^ Cpu.ReadTimeStamp();
        }
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, times);
        generator.Mix(bytes.Slice(0, sizeof(ulong)));
        if (TryFill(bytes) && generator.MixSeed(bytes))
        {
            Seeds++;
        }
        bytes.Clear();
    }

    private bool TryFill(Span<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i += sizeof(ulong))
        {
            if (!TryDraw(out ulong value))
            {
                return false;
            }
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.Slice(i), value);
        }
        return true;
    }

    private bool TryDraw(out ulong value)
    {
        ulong drawn = 0;
        for (int i = 0; _hasRdseed && i < RdseedTries; i++)
        {
            if (Cpu.TryReadSeed(&drawn) != 0)
            {
                value = drawn;
                return true;
            }
            Cpu.Pause();
        }
        for (int i = 0; _hasRdrand && i < RdrandTries; i++)
        {
            if (Cpu.TryReadRandom(&drawn) != 0)
            {
                value = drawn;
                return true;
            }
        }
        value = 0;
        return false;
    }
}
