// Time and waiting.
namespace VirtioSharp.Drivers.Platform;

/// <summary>Monotonic time in nanoseconds, and the one way to wait.</summary>
public abstract class Clock
{
    /// <summary>Nanoseconds since some moment in the past; never goes backwards.</summary>
    public abstract ulong Now { get; }

    /// <summary>
    /// Sleeps until an interrupt was handled or <paramref name="deadline"/> (in terms of <see cref="Now"/>) has passed, whichever
    /// comes first. An interrupt that came since the last call returns at once, so that none is slept over. False when the deadline
    /// has passed; true otherwise, also for a wait that ended for no reason that matters here.
    /// </summary>
    public abstract bool WaitForInterrupt(ulong deadline);

    /// <summary>
    /// True when <see cref="WaitForInterrupt"/> is to look for an interrupt for some microseconds before it puts the processor to sleep; for a clock
    /// that can.
    /// </summary>
    public bool SpinsBeforeSleep { get; set; }

    /// <summary>Lets a moment pass inside a bounded polling loop; time goes on.</summary>
    public virtual void Pause()
    {
    }
}
