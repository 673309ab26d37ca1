// An interrupt that is written down, later.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>Stands between the machine and the driver's handler; runs in interrupt context and writes nothing there.</summary>
internal sealed class TracedInterrupt : InterruptHandler
{
    private readonly DeviceTrace _trace;
    private readonly ushort _vector;

    internal TracedInterrupt(DeviceTrace trace, ushort vector, InterruptHandler handler)
    {
        _trace = trace;
        _vector = vector;
        Handler = handler;
    }

    /// <summary>The driver's handler.</summary>
    internal InterruptHandler Handler { get; }

    /// <inheritdoc/>
    public override bool OnInterrupt()
    {
        _trace.EnterInterrupt();
        bool isMine = Handler.OnInterrupt();
        _trace.LeaveInterrupt(_vector, isMine);
        return isMine;
    }
}
