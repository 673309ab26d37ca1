// The time of the fake machine: it goes on when somebody looks at it or waits, and never by itself.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Fakes;

/// <summary>A <see cref="Clock"/> without time: the same test takes the same moments every time it runs.</summary>
public sealed class FakeClock(FakeMachine machine) : Clock
{
    private const ulong LookCost = 10;
    private const ulong PauseCost = 100_000;
    private const ulong MaxLooks = 20_000_000;

    private ulong _now = 1_000_000_000;
    private ulong _looks;

    /// <summary>How often somebody slept.</summary>
    public int Waits { get; private set; }

    /// <inheritdoc/>
    public override ulong Now
    {
        get
        {
            machine.Violations.Require(++_looks < MaxLooks, "somebody looks at the clock for ever");
            return _now += LookCost;
        }
    }

    /// <summary>Lets time pass.</summary>
    public void Advance(ulong nanoseconds) => _now += nanoseconds;

    /// <inheritdoc/>
    public override bool WaitForInterrupt(ulong deadline)
    {
        Waits++;
        if (machine.TakeInterrupted())
        {
            return true;
        }
        if (machine.RunsWhileWaiting)
        {
            machine.Run();
        }
        if (machine.TakeInterrupted())
        {
            return true;
        }
        machine.Violations.Require(deadline != ulong.MaxValue, "somebody sleeps for ever: no interrupt comes, and there is no deadline");
        _now = Math.Max(_now, deadline);
        return false;
    }

    /// <inheritdoc/>
    public override void Pause()
    {
        _now += PauseCost;
        machine.Violations.Require(++_looks < MaxLooks, "somebody pauses for ever");
        if (machine.RunsWhileWaiting)
        {
            machine.Run();
        }
    }
}
