// Time from the time stamp counter; waits that end by the local APIC's timer.
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Nanoseconds since the clock was made. Counter and timer are measured on first use, which takes three milliseconds.
/// </summary>
internal sealed class TscClock : Clock
{
    private const ulong MaximumSleep = 1_000_000_000;
    private const ulong SpinsInSecond = 20_000; // 50 microseconds each

    private readonly Interrupts _interrupts;
    private readonly ulong _start;
    private ulong _tscFrequency;
    private ulong _timerFrequency;
    private ulong _nanosecondsPerTick;
    private ulong _armed = ulong.MaxValue;

    internal TscClock(Interrupts interrupts)
    {
        _interrupts = interrupts;
        _start = Cpu.ReadTimeStamp();
    }

    /// <summary>Ticks of the counter in a second.</summary>
    internal ulong Frequency
    {
        get
        {
            Calibrate();
            return _tscFrequency;
        }
    }

    /// <inheritdoc/>
    public override ulong Now
    {
        get
        {
            if (_nanosecondsPerTick == 0)
            {
                Calibrate();
            }
            // Ticks times nanoseconds per tick, the latter with 32 fractional bits.
            ulong high = Math.BigMul(Cpu.ReadTimeStamp() - _start, _nanosecondsPerTick, out ulong low);
            return high << 32 | low >> 32;
        }
    }

    /// <inheritdoc/>
    public override bool WaitForInterrupt(ulong deadline)
    {
        if (deadline < _armed)
        {
            ulong now = Now;
            if (deadline <= now)
            {
                Dispatch();
                return false;
            }
            Arm(now, deadline);
        }
        if (SpinsBeforeSleep)
        {
            Cpu.SpinForInterrupt(_tscFrequency / SpinsInSecond);
        }
        Cpu.WaitForInterrupt();
        return !Dispatch() || Now < deadline;
    }

    /// <summary>Calls the handlers of what was noted; true when the timer was among it, which then has to be armed anew.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Dispatch()
    {
        bool timer = _interrupts.Dispatch();
        if (timer)
        {
            _armed = ulong.MaxValue;
        }
        return timer;
    }

    /// <inheritdoc/>
    public override void Pause() => Cpu.Pause();

    private void Arm(ulong now, ulong deadline)
    {
        ulong sleep = Math.Min(deadline - now, MaximumSleep);
        ulong count = sleep * (_timerFrequency / 1000) / 1_000_000 + 1;
        _armed = now + sleep;
        _interrupts.Local.StartTimer((uint)Math.Min(count, uint.MaxValue));
    }

    private void Calibrate()
    {
        if (_nanosecondsPerTick != 0)
        {
            return;
        }
        ClockFrequencies measured = ClockFrequencies.Measure(_interrupts.Local);
        _tscFrequency = measured.Counter;
        _timerFrequency = measured.Timer;
        _nanosecondsPerTick = (1_000_000_000ul << 32) / _tscFrequency;
    }
}
