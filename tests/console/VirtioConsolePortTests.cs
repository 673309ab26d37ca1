// Consoles with several ports (virtio 5.3.6.2).
using System.Text;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>Ports that come, are opened, closed and go; a device of 4 ports.</summary>
public sealed class VirtioConsolePortTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device = new(ports: 4);
    private readonly Watcher _watcher = new();
    private VirtioConsole? _console;

    private VirtioConsole Console
    {
        get
        {
            if (_console is null)
            {
                _machine.Plug(_device);
                _console = FakeBinding.AttachOne<VirtioConsole>(_machine);
                _console.PortListener = _watcher;
            }
            return _console;
        }
    }

    [Fact]
    [Trait("Requirement", "CONSOLE-MULTIPORT-1")]
    public void The_driver_says_that_it_is_ready_and_ports_are_answered()
    {
        _device.Plug(1, "org.example.port");
        _device.Plug(2);
        Settle();
        Assert.Equal([(0u, 0, 1), (1u, 3, 1), (2u, 3, 1)], _device.Messages.Select(each => (each.Port, (int)each.Event, (int)each.Value)));
        Assert.Equal([1, 2], Ports().Select(port => port.Number));
        Assert.Equal("org.example.port", Encoding.UTF8.GetString(Ports()[0].Name));
        Assert.Equal(["console0p1", "console0p2"], Ports().Select(port => port.Label));
        Assert.All(Ports(), port => Assert.Equal((false, false, true), (port.IsConsole, port.IsOpen, port.IsHostOpen)));
        Assert.True(_watcher.Changed.Count >= 2);
    }

    [Fact]
    [Trait("Requirement", "CONSOLE-MULTIPORT-2")]
    [Trait("Requirement", "CONSOLE-MULTIPORT-3")]
    [Trait("Requirement", "CONSOLE-MULTIPORT-4")]
    public void A_console_port_is_opened_and_the_device_is_told()
    {
        _device.Plug(0, isConsole: true);
        Settle();
        Assert.Equal((true, true), (Ports()[0].IsConsole, Ports()[0].IsOpen));
        Assert.Contains((0u, (ushort)6, (ushort)1), _device.Messages);
        _device.Say(0, 4, 1);
        Settle();
        Assert.Equal(2, _device.Messages.Count(each => each == (0u, 6, 1)));
    }

    [Fact]
    public void Bytes_go_both_ways_through_each_port_apart()
    {
        for (int i = 0; i < 4; i++)
        {
            _device.Plug(i);
        }
        Settle();
        for (int i = 0; i < 4; i++)
        {
            Ports()[i].Open();
            byte[] text = Encoding.ASCII.GetBytes("to the host " + i);
            Assert.Equal((uint)text.Length, Ports()[i].Write(text));
            _device.Type(Encoding.ASCII.GetBytes("to the guest " + i), i);
        }
        Settle();
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal("to the host " + i, Encoding.ASCII.GetString([.. _device.Ports[i].Output]));
            Assert.Equal("to the guest " + i, ReadAll(Ports()[i]));
        }
    }

    [Fact]
    public void What_is_written_before_the_host_opens_waits_and_nothing_is_lost()
    {
        _device.Plug(1, isHostOpen: false);
        Settle();
        ConsolePort port = Ports()[0];
        byte[] bytes = new byte[10_000];
        new Random(1).NextBytes(bytes);
        int written = (int)port.Write(bytes);
        Assert.InRange(written, 1, 9_999);
        Settle();
        Assert.Empty(_device.Ports[1].Output);
        Assert.True(port.HasUnsent);
        Ear ear = new();
        port.Listener = ear;
        _device.SetHostOpen(1, true);
        Waiting.Until(
            Console,
            _machine.Clock,
            () =>
            {
                written += (int)port.Write(bytes.AsSpan(written));
                return written == bytes.Length && !port.HasUnsent;
            },
            "the bytes");
        Assert.Equal(bytes, _device.Ports[1].Output);
        Assert.Equal((1, 0), (ear.Opened, ear.Closed));
        _device.SetHostOpen(1, false);
        Settle();
        Assert.Equal((1, 1, false), (ear.Opened, ear.Closed, port.IsHostOpen));
    }

    [Fact]
    public void The_host_sends_to_open_ports_only_and_what_came_before_a_close_can_be_read()
    {
        _device.Plug(1);
        Settle();
        ConsolePort port = Ports()[0];
        _device.Type("abc"u8, 1);
        Settle();
        Assert.Equal("", ReadAll(port));
        port.Open();
        port.Open();
        Settle();
        port.Close();
        Settle();
        Assert.Equal("abc", ReadAll(port));
        Assert.Equal([(1u, 6, 1), (1u, 6, 0)], _device.Messages.Where(each => each.Event == 6).Select(each => (each.Port, (int)each.Event, (int)each.Value)));
        Assert.False(port.IsOpen);
    }

    [Fact]
    public void A_port_that_is_taken_away_fails_and_is_the_same_when_it_comes_again()
    {
        _device.Plug(1, "first");
        Settle();
        ConsolePort port = Ports()[0];
        Ear ear = new();
        port.Listener = ear;
        port.Open();
        _device.Type("left over"u8, 1);
        Settle();
        _device.Unplug(1);
        Settle();
        Assert.True(port.IsFailed);
        Assert.Equal((0, 0u, 0u, false), (Console.PortCount, port.Write("x"u8), port.Read(new byte[10]), port.HasUnsent));
        Assert.Equal([port], _watcher.Removed);
        Assert.Equal((1, null), (ear.Closed, port.Listener));

        _device.Plug(1, "second", isHostOpen: false);
        Settle();
        Assert.Same(port, Ports()[0]);
        Assert.Equal((false, false, false, "second"), (port.IsFailed, port.IsOpen, port.IsHostOpen, Encoding.UTF8.GetString(port.Name)));
        Assert.Equal("", ReadAll(port));
        port.Open();
        _device.Type("anew"u8, 1);
        Settle();
        Assert.Equal("anew", ReadAll(port));
        Assert.Equal(1, ear.Closed);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_on_their_way_when_the_port_goes_hinder_nothing_later(bool isSlow)
    {
        _device.Plug(1);
        Settle();
        ConsolePort port = Ports()[0];
        port.Open();
        _device.Ports[1].TransmitCredit = isSlow ? 0 : int.MaxValue;
        for (int round = 0; round < 20; round++)
        {
            byte[] bytes = new byte[5000];
            port.Write(bytes);
            _machine.Run();
            _device.Unplug(1);
            _device.Ports[1].TransmitCredit = int.MaxValue;
            Settle();
            _device.Ports[1].Output.Clear();
            _device.Plug(1);
            Settle();
            Assert.Equal(3u, port.Write("abc"u8));
            Settle();
            Assert.Equal("abc"u8.ToArray(), _device.Ports[1].Output);
        }
    }

    [Fact]
    public void A_thousand_comings_and_goings_leave_one_port_and_no_memory_behind()
    {
        _device.Plug(3);
        Settle();
        int pieces = _machine.FakeDma.AllocationCount;
        for (int i = 0; i < 1000; i++)
        {
            _device.Unplug(3);
            _device.Plug(3, "again");
            Settle();
        }
        Assert.Equal((1, pieces), (Console.PortCount, _machine.FakeDma.AllocationCount));
    }

    [Fact]
    public void Sizes_are_told_for_each_port()
    {
        _device.SetSize(80, 25);
        _device.Plug(0, isConsole: true);
        _device.Plug(1, isConsole: true);
        Settle();
        Ear ear = new();
        Ports()[1].Listener = ear;
        Assert.Equal((80, 25), (Ports()[0].Columns, Ports()[0].Rows));
        Assert.Equal((0, 0), (Ports()[1].Columns, Ports()[1].Rows));
        _device.Resize(1, 132, 43);
        _device.Resize(0, 100, 30);
        Settle();
        Assert.Equal((132, 43, 1), (Ports()[1].Columns, Ports()[1].Rows, ear.Resized));
        Assert.Equal((100, 30), (Ports()[0].Columns, Ports()[0].Rows));
    }

    [Fact]
    public void After_a_reset_ports_are_announced_again_and_are_as_open_as_they_were()
    {
        _device.Plug(0, isConsole: true);
        _device.Plug(1, "stays");
        _device.Plug(2);
        Settle();
        Ports()[1].Open();
        Settle();
        ConsolePort[] before = Ports();
        _device.AskForReset();
        Settle();
        Assert.Equal(1ul, Console.Recoveries);
        Assert.Equal(before, Ports());
        Assert.Equal([true, true, false], Ports().Select(port => port.IsOpen));
        Assert.Equal([true, true, false], _device.Ports.Take(3).Select(port => port.IsGuestOpen));
        Assert.Equal(3u, Ports()[1].Write("abc"u8));
        _device.Type("xyz"u8, 1);
        Settle();
        Assert.Equal("abc"u8.ToArray(), _device.Ports[1].Output);
        Assert.Equal("xyz", ReadAll(Ports()[1]));
    }

    [Fact]
    public void A_port_that_does_not_come_again_after_a_reset_takes_no_bytes_with_it()
    {
        _device.Plug(1);
        Settle();
        _device.Ports[1].IsPlugged = false;
        _device.AskForReset();
        Settle();
        Ports()[0].Write("abc"u8);
        Settle();
        Assert.Empty(_device.Ports[1].Output);
        Assert.Equal((false, true), (Ports()[0].IsHostOpen, Ports()[0].HasUnsent));
    }

    [Fact]
    public void Answers_wait_while_the_device_does_not_take_them()
    {
        _device.IsDeaf = true;
        for (int i = 0; i < 4; i++)
        {
            _device.Plug(i, isConsole: true);
        }
        Settle();
        for (int i = 0; i < 100; i++)
        {
            Ports()[i % 4].Close();
            Ports()[i % 4].Open();
        }
        Settle();
        Assert.InRange(_device.Messages.Count, 9, 16);
        _device.Listen();
        Settle();
        Assert.All(_device.Ports, port => Assert.True(port.IsGuestOpen));
    }

    [Fact]
    public void The_device_can_be_removed_by_a_listener()
    {
        _device.Plug(1);
        Settle();
        Ports()[0].Listener = new Remover(Console);
        _device.SetHostOpen(1, false);
        Settle();
        Assert.True(Console.IsFailed);
        Assert.Equal(0, _device.Status);
    }

    [Fact]
    public void Without_the_feature_there_is_one_port_that_is_a_console()
    {
        FakeConsoleDevice device = new();
        using FakeMachine machine = new();
        machine.Plug(device);
        VirtioConsole console = FakeBinding.AttachOne<VirtioConsole>(machine);
        ConsolePort port = console.Port(0);
        Assert.Equal((1, 0, true, true, true, 0), (console.PortCount, port.Number, port.IsConsole, port.IsOpen, port.IsHostOpen, port.Name.Length));
        port.Close();
        Assert.True(port.IsOpen);
        console.Remove();
        Assert.True(port.IsFailed);
        machine.AssertNothingLeaked();
    }

    [Fact]
    [Trait("Requirement", "CONSOLE-LEGACY-4")]
    [Trait("Requirement", "CONSOLE-LEGACY-2")]
    public void Several_ports_work_by_the_legacy_interface_without_any_layout()
    {
        FakeConsoleDevice device = new(ports: 2);
        using FakeMachine machine = new();
        machine.Plug(new FakeLegacyPciDevice(device, 3), 0, 3);
        VirtioConsole console = FakeBinding.AttachOne<VirtioConsole>(machine);
        device.Plug(1, "legacy");
        Waiting.Until(console, machine.Clock, () => console.PortCount == 1 && console.Port(0).IsHostOpen, "the port");
        Assert.Equal(3u, console.Port(0).Write("abc"u8));
        Waiting.Until(console, machine.Clock, () => !console.Port(0).HasUnsent, "the output");
        Assert.Equal("abc"u8.ToArray(), device.Ports[1].Output);
        console.Remove();
        machine.Violations.AssertEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Last_words_need_nothing_but_the_offer(bool isBroken)
    {
        _device.OfferedFeatures |= FakeConsoleDevice.EmergencyWrite;
        _ = Console;
        if (isBroken)
        {
            Console.MaxRecoveries = 0;
            _machine.Run();
            _device.Queues[2].PushUsed(60_000, 1);
            Console.Poll();
            Assert.True(Console.IsFailed);
        }
        Assert.True(Console.TryWriteEmergency((byte)'!'));
        Assert.Equal([(byte)'!'], _device.Emergency);
    }

    [Fact]
    public void Without_the_offer_there_are_no_last_words()
    {
        Assert.False(Console.TryWriteEmergency((byte)'!'));
        Assert.Empty(_device.Emergency);
    }

    public void Dispose()
    {
        try
        {
            Console.Remove();
            _machine.Violations.AssertEmpty();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }

    private ConsolePort[] Ports() => [.. Enumerable.Range(0, Console.PortCount).Select(Console.Port)];

    /// <summary>Lets machine and driver work until nothing moves any more.</summary>
    private void Settle()
    {
        ulong end = _machine.Clock.Now + 50_000_000;
        Waiting.Until(Console, _machine.Clock, () => _machine.Clock.Now >= end, "the time");
    }

    private static string ReadAll(ConsolePort port)
    {
        byte[] into = new byte[1000];
        return Encoding.ASCII.GetString(into, 0, (int)port.Read(into));
    }

    private sealed class Watcher : ConsoleDeviceListener
    {
        public List<ConsolePort> Changed { get; } = [];

        public List<ConsolePort> Removed { get; } = [];

        public override void OnPortChanged(ConsolePort port) => Changed.Add(port);

        public override void OnPortRemoved(ConsolePort port) => Removed.Add(port);
    }

    private sealed class Ear : ConsoleListener
    {
        public int Opened { get; private set; }

        public int Closed { get; private set; }

        public int Resized { get; private set; }

        public override void OnReadable()
        {
        }

        public override void OnWritable()
        {
        }

        public override void OnOpened() => Opened++;

        public override void OnClosed() => Closed++;

        public override void OnResized() => Resized++;
    }

    private sealed class Remover(VirtioConsole console) : ConsoleListener
    {
        public override void OnReadable()
        {
        }

        public override void OnWritable()
        {
        }

        public override void OnClosed() => console.Remove();
    }
}
