// A device of console ports as applications see it.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Console;

/// <summary>Told from <see cref="Device.Poll"/> when ports come, change and go.</summary>
public abstract class ConsoleDeviceListener
{
    /// <summary>A port came, or got its name, became a console, was opened or closed by the host.</summary>
    public abstract void OnPortChanged(ConsolePort port);

    /// <summary>A port was taken away; it is not in the list any more.</summary>
    public abstract void OnPortRemoved(ConsolePort port);
}

/// <summary>A device with one port or several, which may come and go.</summary>
public abstract class ConsoleDevice : Device
{
    /// <summary>Told when ports change; null when nobody cares.</summary>
    public ConsoleDeviceListener? PortListener { get; set; }

    /// <summary>How many ports there are at the moment.</summary>
    public abstract int PortCount { get; }

    /// <summary>The port at <paramref name="index"/>, 0 to <see cref="PortCount"/> - 1, in the order in which they came.</summary>
    public abstract ConsolePort Port(int index);

    /// <summary>
    /// Writes a byte at once, without queues, interrupts or memory: for the last words of a system in which nothing else works. False when the
    /// device can't.
    /// </summary>
    public abstract bool TryWriteEmergency(byte value);
}
