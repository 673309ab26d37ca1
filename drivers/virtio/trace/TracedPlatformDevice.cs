// Seam 2 with a trace, where there is no bus.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>A virtio-mmio device as its driver sees it, whose every access is written down.</summary>
public sealed class TracedPlatformDevice : PlatformDevice
{
    private readonly PlatformDevice _device;
    private readonly DeviceTrace _trace;
    private TracedInterrupt? _interrupt;

    /// <summary>Puts <paramref name="trace"/> around a device.</summary>
    public TracedPlatformDevice(PlatformDevice device, DeviceTrace trace)
    {
        _device = device;
        _trace = trace;
        trace.UseMmio(device.Registers.Length);
        Dma = new TracedDma(device.Dma, trace);
        Registers = new TracedRegion(device.Registers, trace, 0);
    }

    /// <inheritdoc/>
    public override ulong Address => _device.Address;

    /// <inheritdoc/>
    public override IoRegion Registers { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma { get; }

    /// <inheritdoc/>
    public override Clock Clock => _device.Clock;

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(InterruptHandler handler)
    {
        _trace.Look();
        TracedInterrupt interrupt = new(_trace, 0, handler);
        bool attached = _device.TryAttachInterrupt(interrupt);
        _interrupt = attached ? interrupt : _interrupt;
        _trace.Begin("attach 0").Add(attached ? " = yes" : " = no");
        _trace.End();
        return attached;
    }

    /// <inheritdoc/>
    public override void DetachInterrupt(InterruptHandler handler)
    {
        _trace.Look();
        _trace.Begin("release");
        _trace.End();
        if (_interrupt is not null && _interrupt.Handler == handler)
        {
            _device.DetachInterrupt(_interrupt);
            _interrupt = null;
        }
    }
}
