// How fast the time stamp counter and the local APIC's timer run.
namespace VirtioSharp.Kernel.Machine;

/// <summary>Frequencies in Hz, measured against the 8254 timer chip.</summary>
internal readonly struct ClockFrequencies
{
    private const ulong ChipFrequency = 1193182;
    private const ulong VirtualTimerFrequency = 1_000_000_000;
    private const ulong ShortTime = 250; // microseconds
    private const ulong LongTime = 3000;
    private const int Attempts = 4;
    private const int SampleAttempts = 5;
    private const int SampleLimit = 1_000_000;
    private const ushort ChipCounter = 0x40;
    private const ushort ChipControl = 0x43;
    private const byte LatchCounter = 0;
    private const byte CountOver = 0x34;
    private const byte CountOnce = 0x30;

    private ClockFrequencies(ulong counter, ulong timer)
    {
        Counter = counter;
        Timer = timer;
    }

    /// <summary>Ticks of the time stamp counter in a second.</summary>
    internal ulong Counter { get; }

    /// <summary>Ticks of the local APIC's timer in a second.</summary>
    internal ulong Timer { get; }

    /// <summary>
    /// Measures both. The timer of a virtual local APIC runs at 1 GHz; where that comes out, the timer is the better measure, and a short
    /// time is enough. Otherwise the slowest result of several long ones counts: what disturbs a measurement (the chip counts modulo
    /// 65536) makes it too fast.
    /// </summary>
    internal static ClockFrequencies Measure(LocalApic apic)
    {
        // Channel 0 counts over and over; its interrupt is masked.
        Cpu.Out8(ChipControl, CountOver);
        Cpu.Out8(ChipCounter, 0);
        Cpu.Out8(ChipCounter, 0);
        ClockFrequencies best = new(ulong.MaxValue, 0);
        for (int i = 0; i < Attempts && best.Timer != VirtualTimerFrequency; i++)
        {
            ClockFrequencies measured = MeasureOnce(apic, i == 0 ? ShortTime : LongTime);
            if (measured.Timer == VirtualTimerFrequency || (i > 0 && measured.Counter < best.Counter))
            {
                best = measured;
            }
        }
        Cpu.Out8(ChipControl, CountOnce);
        Cpu.Out8(ChipCounter, 1);
        Cpu.Out8(ChipCounter, 0);
        return best;
    }

    private static ClockFrequencies MeasureOnce(LocalApic apic, ulong microseconds)
    {
        ulong chipTicks = ChipFrequency * microseconds / 1_000_000;
        ulong timerTicks = VirtualTimerFrequency * microseconds / 1_000_000;
        apic.StartTimer(uint.MaxValue);
        Sample first = Sample.Take(apic);
        Sample last = first;
        ulong chip = 0;
        ulong timer = 0;
        for (int i = 0; i < SampleLimit && chip < chipTicks && timer < timerTicks; i++)
        {
            last = Sample.Take(apic);
            chip = (ushort)(first.Chip - last.Chip);
            timer = first.Timer - last.Timer;
        }
        apic.StartTimer(0);
        ulong ticks = last.Counter - first.Counter;
        if (chip > chipTicks / 2)
        {
            ulong frequency = timer * ChipFrequency / chip;
            if (frequency is > VirtualTimerFrequency * 98 / 100 and < VirtualTimerFrequency * 102 / 100)
            {
                return new ClockFrequencies(ByTimer(ticks, timer), VirtualTimerFrequency);
            }
            return new ClockFrequencies(Math.Max(ticks * ChipFrequency / chip, 1), Math.Max(frequency, 1));
        }
        // A machine without the chip, as QEMU's microvm may be: the timer is the measure. Without either, something usual.
        return timer == 0
            ? new ClockFrequencies(VirtualTimerFrequency, VirtualTimerFrequency)
            : new ClockFrequencies(ByTimer(ticks, timer), VirtualTimerFrequency);
    }

    private static ulong ByTimer(ulong ticks, ulong timer) => Math.Max((ulong)((double)ticks * VirtualTimerFrequency / timer), 1);

    /// <summary>The three counts at one moment.</summary>
    private struct Sample
    {
        internal ulong Counter;
        internal uint Timer;
        internal ushort Chip;

        /// <summary>Reads all three; of some tries the one that was least interrupted.</summary>
        internal static Sample Take(LocalApic apic)
        {
            Sample best = default;
            ulong shortest = ulong.MaxValue;
            for (int i = 0; i < SampleAttempts; i++)
            {
                ulong begin = Cpu.ReadTimeStamp();
                Cpu.Out8(ChipControl, LatchCounter);
                uint timer = apic.TimerCount;
                ulong end = Cpu.ReadTimeStamp();
                byte low = Cpu.In8(ChipCounter);
                byte high = Cpu.In8(ChipCounter);
                if (end - begin < shortest)
                {
                    shortest = end - begin;
                    best = new Sample { Counter = begin + (end - begin) / 2, Timer = timer, Chip = (ushort)(low | high << 8) };
                }
            }
            return best;
        }
    }
}
