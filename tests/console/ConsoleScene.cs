// A console on a fake machine with its driver, and people who listen: what tests of the console driver start from.
using System.Text;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;

namespace VirtioSharp.Tests.Console;

/// <summary>
/// The device can be changed until <see cref="Console"/> is used for the first time. At the end the console is removed, no rule may have been
/// broken, and nothing may be left over.
/// </summary>
public abstract class ConsoleScene : MachineScene
{
    private VirtioConsole? _console;

    /// <summary>Makes a machine for a device.</summary>
    protected ConsoleScene(FakeConsoleDevice device) => Device = device;

    /// <summary>The device.</summary>
    protected FakeConsoleDevice Device { get; }

    /// <summary>What the listener of the ports was told since somebody looked last.</summary>
    protected Watcher Ports { get; } = new();

    /// <summary>Who hears of ports; <see cref="Ports"/> where a test has nobody of its own.</summary>
    protected virtual ConsoleDeviceListener PortListener => Ports;

    /// <summary>The driver in service.</summary>
    protected VirtioConsole Console
    {
        get
        {
            if (_console is null)
            {
                Machine.Plug(Device);
                _console = FakeBinding.AttachOne<VirtioConsole>(Machine);
                _console.PortListener = PortListener;
            }
            return _console;
        }
    }

    /// <inheritdoc/>
    protected override void End() => Console.Remove();

    /// <summary>The port with a number, which has to be there.</summary>
    protected ConsolePort Port(int number) => Enumerable.Range(0, Console.PortCount).Select(Console.Port).Single(port => port.Number == number);

    /// <summary>Lets the device work, the driver look once, and the device work again.</summary>
    protected void Turn()
    {
        _ = Console;
        Machine.Run();
        Console.Poll();
        Machine.Run();
    }

    /// <summary>Lets machine and driver work until nothing moves any more.</summary>
    protected void Settle()
    {
        ulong end = Machine.Clock.Now + 50_000_000;
        Waiting.Until(Console, Machine.Clock, () => Machine.Clock.Now >= end, "the time");
    }

    /// <summary>Plugs ports in whose host is open, and opens them.</summary>
    protected void PlugAndOpen(params int[] numbers)
    {
        foreach (int number in numbers)
        {
            Device.Plug(number);
        }
        Settle();
        foreach (int number in numbers)
        {
            Port(number).Open();
        }
        Settle();
        Ports.Take();
    }

    /// <summary>Sits down at a port.</summary>
    protected static Ear Listen(ConsolePort port)
    {
        Ear ear = new();
        port.Listener = ear;
        return ear;
    }

    /// <summary>Reads all that came.</summary>
    protected static string ReadAll(ConsolePort port)
    {
        byte[] into = new byte[100_000];
        return Encoding.ASCII.GetString(into, 0, (int)port.Read(into));
    }

    /// <summary>Writes what is in somebody's notes into one line, and clears them.</summary>
    private static string TakeAll(List<string> notes)
    {
        string all = string.Join(' ', notes);
        notes.Clear();
        return all;
    }

    /// <summary>Hears what happens at one port.</summary>
    protected sealed class Ear : ConsoleListener
    {
        private readonly List<string> _heard = [];

        /// <summary>What was heard since the last time, in one line.</summary>
        public string Take() => TakeAll(_heard);

        /// <inheritdoc/>
        public override void OnReadable() => _heard.Add("readable");

        /// <inheritdoc/>
        public override void OnWritable() => _heard.Add("writable");

        /// <inheritdoc/>
        public override void OnResized() => _heard.Add("resized");

        /// <inheritdoc/>
        public override void OnOpened() => _heard.Add("opened");

        /// <inheritdoc/>
        public override void OnClosed() => _heard.Add("closed");
    }

    /// <summary>Hears which ports come, change and go.</summary>
    protected sealed class Watcher : ConsoleDeviceListener
    {
        private readonly List<string> _heard = [];

        /// <summary>What was heard since the last time, in one line.</summary>
        public string Take() => TakeAll(_heard);

        /// <inheritdoc/>
        public override void OnPortChanged(ConsolePort port) => _heard.Add($"changed:{port.Number}");

        /// <inheritdoc/>
        public override void OnPortRemoved(ConsolePort port) => _heard.Add($"removed:{port.Number}");
    }
}
