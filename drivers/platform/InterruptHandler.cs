// What runs in interrupt context: setting a flag, and nothing else.
namespace VirtioSharp.Drivers.Platform;

/// <summary>
/// Called by the machine in interrupt context. An implementation sets a flag and returns; the work is done later, in
/// <see cref="Device.Poll"/>. It may be called spuriously, before the device is started and after it was reset.
/// </summary>
public abstract class InterruptHandler
{
    /// <summary>Notes the interrupt; true when the device of this handler asked for it (a pin may be shared).</summary>
    public abstract bool OnInterrupt();
}
