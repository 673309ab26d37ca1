// Finding console ports, which come some time after their device.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>The ports of all console devices of a run loop.</summary>
internal static class ConsolePorts
{
    private const ulong LookInterval = 1_000_000;
    private const int LooksForConsole = 1000;

    /// <summary>The port at <paramref name="index"/> among all, from 0; null behind the last.</summary>
    internal static ConsolePort? At(RunLoop loop, int index)
    {
        for (int i = 0; i < loop.Devices.Count; i++)
        {
            if (loop.Devices[i] is ConsoleDevice device)
            {
                if (index < device.PortCount)
                {
                    return device.Port(index);
                }
                index -= device.PortCount;
            }
        }
        return null;
    }

    /// <summary>The first port that a person sits at; null when there is none at the moment.</summary>
    internal static ConsolePort? FindConsole(RunLoop loop)
    {
        int index = 0;
        ConsolePort? port = At(loop, index);
        while (port is not null && !port.IsConsole)
        {
            port = At(loop, ++index);
        }
        return port;
    }

    /// <summary>The same; waits some time for devices that have yet to announce their ports.</summary>
    internal static async ValueTask<ConsolePort?> FindConsoleAsync(RunLoop loop)
    {
        ConsolePort? port = FindConsole(loop);
        for (int looks = 0; port is null && HasDevice(loop) && looks < LooksForConsole; looks++)
        {
            await loop.After(LookInterval);
            port = FindConsole(loop);
        }
        return port;
    }

    /// <summary>The port with a name or a label; waits for <paramref name="milliseconds"/> for it to come.</summary>
    internal static async ValueTask<ConsolePort?> FindAsync(RunLoop loop, string name, uint milliseconds)
    {
        ConsolePort? port = Find(loop, name);
        for (uint i = 0; port is null && i < milliseconds; i++)
        {
            await loop.After(LookInterval);
            port = Find(loop, name);
        }
        return port;
    }

    /// <summary>The device that a port belongs to; null when it is gone.</summary>
    internal static ConsoleDevice? DeviceOf(RunLoop loop, ConsolePort port)
    {
        for (int i = 0; i < loop.Devices.Count; i++)
        {
            ConsoleDevice? device = loop.Devices[i] as ConsoleDevice;
            for (int j = 0; device is not null && j < device.PortCount; j++)
            {
                if (device.Port(j) == port)
                {
                    return device;
                }
            }
        }
        return null;
    }

    internal static bool HasDevice(RunLoop loop)
    {
        for (int i = 0; i < loop.Devices.Count; i++)
        {
            if (loop.Devices[i] is ConsoleDevice)
            {
                return true;
            }
        }
        return false;
    }

    private static ConsolePort? Find(RunLoop loop, string name)
    {
        ConsolePort? port = null;
        for (int i = 0; (port = At(loop, i)) is not null; i++)
        {
            if (port.Label == name || IsNamed(port, name))
            {
                break;
            }
        }
        return port;
    }

    private static bool IsNamed(ConsolePort port, string name)
    {
        ReadOnlySpan<byte> bytes = port.Name;
        if (bytes.Length != name.Length)
        {
            return false;
        }
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != name[i])
            {
                return false;
            }
        }
        return true;
    }
}
