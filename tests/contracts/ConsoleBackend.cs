// A console with its driver, on whatever machine: what the contract of console ports is run against.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Contracts;

/// <summary>A console in service, and the host at its other end.</summary>
public abstract class ConsoleBackend : IDisposable
{
    /// <summary>The device.</summary>
    public abstract ConsoleDevice Device { get; }

    /// <summary>The console.</summary>
    public abstract ConsolePort Port { get; }

    /// <summary>The machine's time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>What the host received so far.</summary>
    public abstract byte[] HostReceived();

    /// <summary>The host sends bytes; they reach the driver in their order, as there is room.</summary>
    public abstract void HostSends(ReadOnlySpan<byte> bytes);

    /// <summary>The host stops reading; false, with a reason, when this machine can't.</summary>
    public virtual bool TryStopHost(out string whyNot)
    {
        whyNot = "this host can't stop reading";
        return false;
    }

    /// <summary>The host reads again.</summary>
    public virtual void ResumeHost()
    {
    }

    /// <summary>Waits until a device has announced its first port, as a console with several ports does.</summary>
    protected static ConsolePort FirstPort(ConsoleDevice device, Clock clock)
    {
        Waiting.Until(device, clock, () => device.PortCount > 0 && device.Port(0).IsHostOpen, "the first port");
        return device.Port(0);
    }

    /// <summary>Checks what was left over, then ends the machine.</summary>
    public abstract void Dispose();
}
