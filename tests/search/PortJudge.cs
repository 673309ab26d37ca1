// A console with several ports and its host, on any machine: what the host does to it, and what both sides see.
using System.IO;
using System.Net.Sockets;
using System.Text;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Backends.Qtest;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.System;

namespace VirtioSharp.Tests.Search;

/// <summary>Port 0 is a console that somebody sits at; the others come and go.</summary>
internal abstract class PortJudge : IDisposable
{
    /// <summary>How many ports there may be.</summary>
    public const int Ports = 4;

    private readonly List<byte>[] _read = [.. Enumerable.Range(0, Ports).Select(_ => new List<byte>())];

    /// <summary>The console with its driver.</summary>
    public abstract VirtioConsole Console { get; }

    /// <summary>The machine's time.</summary>
    public abstract Clock Clock { get; }

    /// <summary>Bit n: what comes at port n is left where it is.</summary>
    public int Unread { get; set; }

    /// <summary>The host plugs a port in, whose host's end is closed.</summary>
    public abstract void Plug(int number, string name);

    /// <summary>The host takes a port away.</summary>
    public abstract void Unplug(int number);

    /// <summary>Opens or closes the host's end. What it had sent and nobody took is gone.</summary>
    public abstract void SetHostOpen(int number, bool open);

    /// <summary>The host sends bytes.</summary>
    public abstract void Send(int number, byte[] bytes);

    /// <summary>What the host got at a port since the beginning.</summary>
    public abstract List<byte> Received(int number);

    /// <summary>The port of a number; null when it is not there.</summary>
    public ConsolePort? Find(int number)
    {
        for (int i = 0; i < Console.PortCount; i++)
        {
            if (Console.Port(i).Number == number)
            {
                return Console.Port(i);
            }
        }
        return null;
    }

    /// <summary>One turn: polls, and reads what came.</summary>
    public void Turn()
    {
        ulong now = Clock.Now;
        if (Console.NextDeadline <= now)
        {
            Console.OnDeadline(now);
        }
        Console.Poll();
        byte[] some = new byte[4096];
        for (int i = 0; i < Console.PortCount; i++)
        {
            ConsolePort port = Console.Port(i);
            if ((Unread >> port.Number & 1) == 0)
            {
                _read[port.Number].AddRange(some.AsSpan(0, (int)port.Read(some)));
            }
        }
        Clock.WaitForInterrupt(Clock.Now + 1_000_000);
    }

    /// <summary>Everything that can be seen, in words.</summary>
    public string Describe()
    {
        List<string> lines = [$"{Console.PortCount} ports"];
        for (int i = 0; i < Console.PortCount; i++)
        {
            ConsolePort port = Console.Port(i);
            lines.Add(
                $"{port.Number} '{Encoding.ASCII.GetString(port.Name)}'{Word(port.IsConsole, " console")}{Word(port.IsOpen, " open")}" +
                $"{Word(port.IsHostOpen, " host open")}{Word(port.HasUnsent, " unsent")}, {port.BytesInDoubt} in doubt");
        }
        for (int number = 0; number < Ports; number++)
        {
            lines.Add($"read {Sum(_read[number])}, arrived {Sum(Received(number))}");
        }
        return string.Join("; ", lines);
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    private static string Word(bool holds, string word) => holds ? word : "";

    private static string Sum(List<byte> bytes)
    {
        uint sum = 0;
        foreach (byte value in bytes)
        {
            sum = sum * 31 + value;
        }
        return $"{bytes.Count}:{sum:X8}";
    }
}

/// <summary>The fake one.</summary>
internal sealed class FakePortJudge : PortJudge
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device = new(128, Ports);

    /// <summary>With these features of the ring, and the console plugged in.</summary>
    public FakePortJudge(ulong features)
    {
        _device.OfferedFeatures = Fakes.Virtio.FakeVirtioDevice.Version1 | FakeConsoleDevice.Multiport | features;
        _device.Plug(0, isConsole: true);
        _machine.Plug(_device);
        Console = FakeBinding.AttachOne<VirtioConsole>(_machine);
    }

    /// <inheritdoc/>
    public override VirtioConsole Console { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override void Plug(int number, string name) => _device.Plug(number, name, isHostOpen: false);

    /// <inheritdoc/>
    public override void Unplug(int number)
    {
        _device.Ports[number].Input.Clear();
        _device.Unplug(number);
    }

    /// <inheritdoc/>
    public override void SetHostOpen(int number, bool open)
    {
        _device.Ports[number].Input.Clear();
        _device.SetHostOpen(number, open);
    }

    /// <inheritdoc/>
    public override void Send(int number, byte[] bytes) => _device.Type(bytes, number);

    /// <inheritdoc/>
    public override List<byte> Received(int number) => _device.Ports[number].Output;

    /// <inheritdoc/>
    public override void Dispose()
    {
        Console.Remove();
        _machine.AssertNothingLeaked();
        _machine.Dispose();
    }
}

/// <summary>QEMU's, each port of which has a socket that the host's end is open at while somebody is connected.</summary>
internal sealed class QemuPortJudge : PortJudge
{
    private readonly string _folder = QtestBinding.NewFolder();
    private readonly QtestMachine _machine;
    private readonly Qmp _qmp;
    private readonly Socket?[] _sockets = new Socket?[Ports];
    private readonly List<byte>[] _received = [.. Enumerable.Range(0, Ports).Select(_ => new List<byte>())];

    /// <summary>With these properties of the device.</summary>
    public QemuPortJudge(string more)
    {
        List<string> options = ["-device", $"virtio-serial-pci,id=vs,disable-legacy=on,max_ports={Ports}{more}"];
        for (int i = 0; i < Ports; i++)
        {
            options.AddRange(["-chardev", $"socket,id=c{i},path={PathOf(i)},server=on,wait=off"]);
        }
        string control = Path.Combine(_folder, "qmp");
        _machine = new QtestMachine(_folder, [.. options, "-device", "virtconsole,chardev=c0,nr=0", .. Qmp.Options(control)]);
        _qmp = new Qmp(control);
        Connect(0); // what is sent to a console without anybody at it is thrown away
        Console = _machine.AttachOne<VirtioConsole>();
    }

    /// <inheritdoc/>
    public override VirtioConsole Console { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override void Plug(int number, string name) => _qmp.Execute("device_add", new Dictionary<string, object>
    {
        ["driver"] = "virtserialport",
        ["id"] = $"p{number}",
        ["bus"] = "vs.0",
        ["nr"] = number,
        ["chardev"] = $"c{number}",
        ["name"] = name,
    });

    /// <inheritdoc/>
    public override void Unplug(int number)
    {
        Disconnect(number);
        _qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = $"p{number}" });
        _qmp.WaitForDeleted($"p{number}");
    }

    /// <inheritdoc/>
    public override void SetHostOpen(int number, bool open)
    {
        if (open)
        {
            Connect(number);
        }
        else
        {
            Disconnect(number);
        }
    }

    /// <inheritdoc/>
    public override void Send(int number, byte[] bytes) => _sockets[number]!.Send(bytes);

    /// <inheritdoc/>
    public override List<byte> Received(int number)
    {
        byte[] some = new byte[65536];
        while (_sockets[number] is { Available: > 0 } socket)
        {
            _received[number].AddRange(some.AsSpan(0, socket.Receive(some)));
        }
        return _received[number];
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Console.Remove();
        Xunit.Assert.Equal(0, _machine.MemoryInUse);
        _qmp.Dispose();
        _machine.Dispose();
        foreach (Socket? socket in _sockets)
        {
            socket?.Dispose();
        }
    }

    private string PathOf(int number) => Path.Combine(_folder, $"port{number}");

    private void Connect(int number)
    {
        _sockets[number] = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _sockets[number]!.Connect(new UnixDomainSocketEndPoint(PathOf(number)));
    }

    private void Disconnect(int number)
    {
        Received(number);
        _sockets[number]?.Dispose();
        _sockets[number] = null;
    }
}
