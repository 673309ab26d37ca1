// Fuzzing of a console with several ports: control messages of every kind and none, in every order with what applications do.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>
/// Ports are announced, named, opened, closed, resized and taken away, rightly and wrongly. Whatever is said: the list of ports makes sense,
/// listeners hear of each port that goes once, and nothing is left over.
/// </summary>
internal sealed class PortTargets : ConsoleDeviceListener
{
    private readonly FakeMachine _machine;
    private readonly FuzzInput _input;
    private readonly FakeConsoleDevice _device;
    private readonly ConsoleDevice _console;
    private readonly HashSet<ConsolePort> _heardOf = [];
    private readonly byte[] _some = new byte[600];
    private bool _isRemoved;

    private PortTargets(FakeMachine machine, FuzzInput input)
    {
        _machine = machine;
        _input = input;
        byte first = input.Next8();
        ushort[] sizes = [1, 2, 4, 32];
        _device = new FakeConsoleDevice(sizes[first >> 2 & 3], 1 + (first >> 4 & 3)) { IsTamperingAllowed = true };
        _device.OfferedFeatures |= (first & 1) != 0 ? FakeVirtioDevice.RingPacked : 0;
        _device.OfferedFeatures &= ~((first & 2) != 0 ? FakeVirtioDevice.EventIndex : 0);
        machine.FakeDma.Shares = (first & 0x40) == 0;
        if ((first & 0x80) != 0)
        {
            _device.SetSize(80, 25);
        }
        _device.AfterReset = () => _device.IsHeld = false;
        _device.OnReadConfig = (_, width, value) => Lie() ? input.NextInteresting(value) & uint.MaxValue >> (32 - 8 * width) : value;
        _console = FakeBinding.AttachMmio<ConsoleDevice>(machine, _device, 2);
        _console.PortListener = this;
    }

    /// <summary>One run.</summary>
    public static void Run(byte[] bytes)
    {
        FakeMachine machine = new();
        try
        {
            new PortTargets(machine, new FuzzInput(bytes)).Play();
        }
        finally
        {
            machine.Dispose();
        }
    }

    /// <inheritdoc/>
    public override void OnPortChanged(ConsolePort port)
    {
        Assert.False(port.IsFailed, "a port that is gone is said to have changed");
        _heardOf.Add(port);
        port.Listener ??= new Listener(this, port);
        React(port);
    }

    /// <inheritdoc/>
    public override void OnPortRemoved(ConsolePort port)
    {
        Assert.True(port.IsFailed, "a port is said to be gone that is there");
        Assert.Null(port.Listener);
        _heardOf.Remove(port);
        React(port);
    }

    private void Play()
    {
        for (int step = 0; step < 64 && !_input.IsEmpty && !_isRemoved; step++)
        {
            byte what = _input.Next8();
            Do(what & 15, what >> 4);
            Check();
        }
        Remove();
        Check();
        Assert.Empty(_heardOf);
        _machine.AssertNothingLeaked();
    }

    private void Do(int kind, int how)
    {
        switch (kind)
        {
            case <= 2:
                SayAnything(how);
                break;
            case 3:
                _device.SayRaw(_input.Take(how < 15 ? how : _input.Next8()));
                break;
            case 4:
                PlugOrUnplug(how % _device.Ports.Length, how >> 2);
                break;
            case 5 when how < 8:
                _device.SetHostOpen(how % _device.Ports.Length, (how & 4) != 0);
                break;
            case 5:
                _device.Resize(how % _device.Ports.Length, _input.Next16(), _input.Next8());
                break;
            case 6 or 7:
                _machine.Run();
                break;
            case 8 or 9:
                _console.Poll();
                break;
            case 10 or 11 when _console.PortCount > 0:
                Use(_console.Port(how % _console.PortCount), kind == 10 ? how >> 2 : 4 + (how >> 2));
                break;
            case 12:
                _device.Type(_some.AsSpan(0, 1 + how * 7), how % _device.Ports.Length);
                break;
            case 13:
                _machine.FakeClock.Advance(how < 8 ? 10_000_000u : 200_000_000u);
                _console.OnDeadline(_machine.Clock.Now);
                break;
            case 14:
                Trouble(how);
                break;
            case 15:
                FakeVirtqueue queue = _device.Queues[how % _device.Queues.Length];
                if (queue.IsEnabled && queue.Held > 0)
                {
                    _device.IsHeld = true; // until it is reset: the fake and the driver disagree on the ring now
                    queue.PushUsed(_input.NextInteresting(queue.Size), _input.NextInteresting(256));
                }
                break;
        }
    }

    /// <summary>Any message: mostly of a kind that there is, and for a port that there might be.</summary>
    private void SayAnything(int how)
    {
        byte which = _input.Next8();
        uint port = how < 14 ? (uint)(which >> 4 & 3) : _input.NextInteresting((uint)_device.Ports.Length);
        ushort what = (ushort)(how == 13 ? _input.Next16() : which & 7);
        ushort value = (which & 8) == 0 ? (ushort)1 : how >= 8 ? _input.Next16() : (ushort)0;
        byte length = what is 5 or 7 || how == 12 ? _input.Next8() : (byte)0;
        byte[] payload = new byte[length];
        for (int i = 0; i < payload.Length; i++)
        {
            payload[i] = (byte)(what == 7 && i % 29 == 28 ? 0 : which + i);
        }
        if (what == 1 && port < _device.Ports.Length)
        {
            _device.Ports[port].WasAnnounced = true; // the driver may send what it likes from now on
        }
        _device.Say(port, what, value, payload);
    }

    private void PlugOrUnplug(int number, int how)
    {
        FakePort port = _device.Ports[number];
        if (!port.IsPlugged)
        {
            _device.Plug(number, (how & 1) != 0 ? "name" : "", isConsole: (how & 2) != 0, isHostOpen: (how & 1) == 0);
        }
        else if (port.IsAnnounced)
        {
            _device.Unplug(number);
        }
    }

    private void Trouble(int how)
    {
        FakePort port = _device.Ports[how % _device.Ports.Length];
        switch (how >> 1 & 7)
        {
            case 0 when _device.IsLive:
                _device.AskForReset();
                break;
            case 1:
                _device.IsDeaf = !_device.IsDeaf;
                break;
            case 2 when _device.IsDeaf && _device.IsLive && !_device.IsHeld:
                _device.Listen();
                break;
            case 3:
                port.TransmitCredit = how & 3;
                break;
            case 4:
                port.TransmitCredit = int.MaxValue;
                break;
            case 5:
                port.OnReceived = length => Lie() ? _input.NextInteresting(length) : length;
                break;
            case 6:
                _device.Queues[2].OnUsed = (id, length) => Lie() ? (id, _input.NextInteresting(length)) : (id, length);
                break;
            case 7:
                FakeVirtqueue queue = _device.Queues[how & 3];
                queue.LoseSignals = 1;
                queue.LoseNotifications = how >> 3;
                break;
        }
    }

    private void Use(ConsolePort port, int how)
    {
        switch (how)
        {
            case 0 or 1:
                int length = _input.Next8() * 2;
                Assert.True(port.Write(_some.AsSpan(0, length)) <= length);
                break;
            case 2 or 3:
                length = _input.Next8() * 2;
                Assert.True(port.Read(_some.AsSpan(0, length)) <= length);
                break;
            case 4 or 5:
                port.Open();
                break;
            case 6:
                port.Close();
                break;
        }
    }

    /// <summary>A listener may do anything, to the port that it hears of, to another one, or to the device.</summary>
    private void React(ConsolePort port)
    {
        byte how = _input.Next8();
        if (how == 0xFF)
        {
            Remove();
        }
        else if (how >= 0x80)
        {
            ConsolePort other = (how & 0x40) != 0 && _console.PortCount > 0 ? _console.Port(_console.PortCount - 1) : port;
            Use(other, how & 7);
        }
    }

    private void Remove()
    {
        if (!_isRemoved)
        {
            _isRemoved = true;
            _console.Remove();
        }
    }

    private void Check()
    {
        Assert.InRange(_console.PortCount, 0, _device.Ports.Length);
        int seen = 0;
        for (int i = 0; i < _console.PortCount; i++)
        {
            ConsolePort port = _console.Port(i);
            Assert.InRange(port.Number, 0, _device.Ports.Length - 1);
            Assert.True((seen & 1 << port.Number) == 0, "a port is listed twice");
            seen |= 1 << port.Number;
            Assert.InRange(port.Name.Length, 0, ConsolePort.MaxNameLength);
            Assert.True(!port.Name.Contains((byte)0), "a name goes on behind its end");
            Assert.Equal(((VirtioConsole)_console).IsFailed, port.IsFailed);
        }
    }

    private bool Lie() => (_input.Next8() & 7) == 7;

    private sealed class Listener(PortTargets scene, ConsolePort port) : ConsoleListener
    {
        public override void OnReadable() => scene.React(port);

        public override void OnWritable() => scene.React(port);

        public override void OnResized() => scene.React(port);

        public override void OnOpened() => scene.React(port);

        public override void OnClosed() => scene.React(port);
    }
}
