// What every driven device can do, whatever its class.
namespace VirtioSharp.Drivers.Platform;

/// <summary>A device with its driver. All calls come from one thread: the run loop.</summary>
public abstract class Device
{
    /// <summary>The class and number for people, e.g. <c>disk0</c>; given when it is entered in the device table.</summary>
    public string Name { get; set; } = "";

    /// <summary>What the driver sits on, for those who list what was found: a virtio device, or null.</summary>
    public virtual object? Hardware => null;

    /// <summary>
    /// Does the work that is there: takes completions, calls those who wait, looks again for what was lost. Cheap when there is
    /// nothing to do; never called from interrupt context.
    /// </summary>
    public abstract void Poll();

    /// <summary>
    /// The moment (<see cref="Clock.Now"/>) at which <see cref="OnDeadline"/> wants to be called; <see cref="ulong.MaxValue"/> when
    /// nothing is awaited. Kept here, since the run loop asks all devices each time before it sleeps.
    /// </summary>
    public ulong NextDeadline { get; protected set; } = ulong.MaxValue;

    /// <summary>True when the device can't interrupt. The answer never changes.</summary>
    public virtual bool IsPolled => false;

    /// <summary>
    /// True while something is awaited for which no interrupt will come: the run loop calls <see cref="Poll"/> again at once instead of sleeping.
    /// </summary>
    public virtual bool WantsPolling => false;

    /// <summary>
    /// Called from the run loop when <see cref="NextDeadline"/> has passed: looks for completions and doorbells that were lost, and for
    /// requests that took too long.
    /// </summary>
    public virtual void OnDeadline(ulong now)
    {
    }

    /// <summary>
    /// Ends the driver: resets the device and waits for it, releases interrupts, finishes everything in flight as removed, frees
    /// memory last. The object is dead afterwards; a second call does nothing.
    /// </summary>
    public abstract void Remove();
}
