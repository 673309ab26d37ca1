// Time from the time stamp counter; waits that end by the local APIC's timer.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Nanoseconds since the clock was made. Counter and timer are measured against the 8254 on first use, for three milliseconds, or
/// taken as 1 GHz where there is none.
/// </summary>
internal sealed class TscClock : Clock
{
    private const ulong CalibrationTicks = 3579;
    private const ulong TimerChipFrequency = 1193182;
    private const int CalibrationLimit = 10_000_000;
    private const ulong MaximumSleep = 1_000_000_000;

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
                return _interrupts.Dispatch(out _);
            }
            Arm(now, deadline);
        }
        Cpu.WaitForInterrupt();
        bool any = _interrupts.Dispatch(out bool timer);
        if (timer)
        {
            _armed = ulong.MaxValue;
        }
        return any || (timer && Now < deadline);
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
        // Channel 2 of the 8254 counts down once; its output shows in port 0x61.
        byte gate = (byte)(Cpu.In8(0x61) & 0xFC);
        Cpu.Out8(0x61, gate);
        Cpu.Out8(0x43, 0xB0);
        Cpu.Out8(0x42, (byte)(CalibrationTicks & 0xFF));
        Cpu.Out8(0x42, (byte)(CalibrationTicks >> 8));
        _interrupts.Local.StartTimer(uint.MaxValue);
        ulong begin = Cpu.ReadTimeStamp();
        Cpu.Out8(0x61, (byte)(gate | 1));
        int limit = CalibrationLimit;
        while ((Cpu.In8(0x61) & 0x20) == 0 && limit > 0)
        {
            limit--;
            if (Cpu.ReadTimeStamp() - begin > 1_000_000_000)
            {
                limit = 0;
            }
        }
        ulong ticks = Cpu.ReadTimeStamp() - begin;
        ulong count = uint.MaxValue - _interrupts.Local.TimerCount;
        _interrupts.Local.StartTimer(0);
        Cpu.Out8(0x61, gate);
        bool measured = limit > 0 && ticks > 1000 && count > 100;
        _tscFrequency = measured ? ticks * TimerChipFrequency / CalibrationTicks : 1_000_000_000;
        _timerFrequency = measured ? count * TimerChipFrequency / CalibrationTicks : 1_000_000_000;
        _nanosecondsPerTick = (1_000_000_000ul << 32) / _tscFrequency;
    }
}
