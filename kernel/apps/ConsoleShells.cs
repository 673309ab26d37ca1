// A shell for each console port, whenever it comes.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Begins a shell on every port that a person sits at; it ends when the port is taken away.</summary>
internal sealed class ConsoleShells : ConsoleDeviceListener
{
    private readonly Commands _commands;
    private readonly RunLoop _loop;
    private readonly Signal _ended = new();
    private ConsolePort[] _ports = new ConsolePort[4];
    private int _count;

    internal ConsoleShells(Commands commands, RunLoop loop)
    {
        _commands = commands;
        _loop = loop;
    }

    /// <summary>Watches the consoles among the devices.</summary>
    internal void Watch(DeviceTable devices)
    {
        for (int i = 0; i < devices.Count; i++)
        {
            if (devices[i] is ConsoleDevice device)
            {
                device.PortListener = this;
                for (int j = 0; j < device.PortCount; j++)
                {
                    OnPortChanged(device.Port(j));
                }
            }
        }
    }

    /// <summary>Waits until no shell runs any more.</summary>
    internal async ValueTask WhenEnded()
    {
        while (_count != 0)
        {
            await _ended;
        }
    }

    /// <inheritdoc/>
    public override void OnPortChanged(ConsolePort port)
    {
        if (port.IsConsole && IndexOf(port) < 0)
        {
            if (_count == _ports.Length)
            {
                Array.Resize(ref _ports, _count * 2);
            }
            _ports[_count++] = port;
            _ = RunAsync(port);
        }
    }

    /// <inheritdoc/>
    public override void OnPortRemoved(ConsolePort port)
    {
    }

    private async ValueTask RunAsync(ConsolePort port)
    {
        PortInput input = new(port);
        _loop.Add(input);
        await new Shell(_commands, new Seat(input, new PortTerminal(port))).RunAsync();
        _loop.Remove(input);
        _ports[IndexOf(port)] = _ports[--_count];
        if (_count == 0)
        {
            _ended.Set();
        }
    }

    private int IndexOf(ConsolePort port)
    {
        int index = _count - 1;
        while (index >= 0 && _ports[index] != port)
        {
            index--;
        }
        return index;
    }
}
