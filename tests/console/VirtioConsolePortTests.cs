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
public sealed class VirtioConsolePortTests() : ConsoleScene(new FakeConsoleDevice(ports: 4))
{
    private readonly Notes _notes = new();

    protected override ConsoleDeviceListener PortListener => _notes;

    [Fact]
    [Trait("Requirement", "CONSOLE-MULTIPORT-1")]
    public void The_driver_says_that_it_is_ready_and_ports_are_answered()
    {
        Device.Plug(1, "org.example.port");
        Device.Plug(2);
        Settle();
        Assert.Equal([(0u, 0, 1), (1u, 3, 1), (2u, 3, 1)], Device.Messages.Select(each => (each.Port, (int)each.Event, (int)each.Value)));
        Assert.Equal([1, 2], All().Select(port => port.Number));
        Assert.Equal("org.example.port", Encoding.UTF8.GetString(All()[0].Name));
        Assert.Equal(["console0p1", "console0p2"], All().Select(port => port.Label));
        Assert.All(All(), port => Assert.Equal((false, false, true), (port.IsConsole, port.IsOpen, port.IsHostOpen)));
        Assert.True(_notes.Changed.Count >= 2);
    }

    [Fact]
    [Trait("Requirement", "CONSOLE-MULTIPORT-2")]
    [Trait("Requirement", "CONSOLE-MULTIPORT-3")]
    [Trait("Requirement", "CONSOLE-MULTIPORT-4")]
    public void A_console_port_is_opened_and_the_device_is_told()
    {
        Device.Plug(0, isConsole: true);
        Settle();
        Assert.Equal((true, true), (All()[0].IsConsole, All()[0].IsOpen));
        Assert.Contains((0u, (ushort)6, (ushort)1), Device.Messages);
        Device.Say(0, 4, 1);
        Settle();
        Assert.Equal(2, Device.Messages.Count(each => each == (0u, 6, 1)));
    }

    [Fact]
    public void Bytes_go_both_ways_through_each_port_apart()
    {
        for (int i = 0; i < 4; i++)
        {
            Device.Plug(i);
        }
        Settle();
        for (int i = 0; i < 4; i++)
        {
            All()[i].Open();
            byte[] text = Encoding.ASCII.GetBytes("to the host " + i);
            Assert.Equal((uint)text.Length, All()[i].Write(text));
            Device.Type(Encoding.ASCII.GetBytes("to the guest " + i), i);
        }
        Settle();
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal("to the host " + i, Encoding.ASCII.GetString([.. Device.Ports[i].Output]));
            Assert.Equal("to the guest " + i, ReadAll(All()[i]));
        }
    }

    [Fact]
    public void What_is_written_before_the_host_opens_waits_and_nothing_is_lost()
    {
        Device.Plug(1, isHostOpen: false);
        Settle();
        ConsolePort port = All()[0];
        byte[] bytes = new byte[10_000];
        new Random(1).NextBytes(bytes);
        int written = (int)port.Write(bytes);
        Assert.InRange(written, 1, 9_999);
        Settle();
        Assert.Empty(Device.Ports[1].Output);
        Assert.True(port.HasUnsent);
        Counter ear = new();
        port.Listener = ear;
        Device.SetHostOpen(1, true);
        Waiting.Until(
            Console,
            Machine.Clock,
            () =>
            {
                written += (int)port.Write(bytes.AsSpan(written));
                return written == bytes.Length && !port.HasUnsent;
            },
            "the bytes");
        Assert.Equal(bytes, Device.Ports[1].Output);
        Assert.Equal((1, 0), (ear.Opened, ear.Closed));
        Device.SetHostOpen(1, false);
        Settle();
        Assert.Equal((1, 1, false), (ear.Opened, ear.Closed, port.IsHostOpen));
    }

    [Fact]
    public void The_host_sends_to_open_ports_only_and_what_came_before_a_close_can_be_read()
    {
        Device.Plug(1);
        Settle();
        ConsolePort port = All()[0];
        Device.Type("abc"u8, 1);
        Settle();
        Assert.Equal("", ReadAll(port));
        port.Open();
        port.Open();
        Settle();
        port.Close();
        Settle();
        Assert.Equal("abc", ReadAll(port));
        Assert.Equal([(1u, 6, 1), (1u, 6, 0)], Device.Messages.Where(each => each.Event == 6).Select(each => (each.Port, (int)each.Event, (int)each.Value)));
        Assert.False(port.IsOpen);
    }

    [Fact]
    public void A_port_that_is_taken_away_fails_and_is_the_same_when_it_comes_again()
    {
        Device.Plug(1, "first");
        Settle();
        ConsolePort port = All()[0];
        Counter ear = new();
        port.Listener = ear;
        port.Open();
        Device.Type("left over"u8, 1);
        Settle();
        Device.Unplug(1);
        Settle();
        Assert.True(port.IsFailed);
        Assert.Equal((0, 0u, 0u, false), (Console.PortCount, port.Write("x"u8), port.Read(new byte[10]), port.HasUnsent));
        Assert.Equal([port], _notes.Removed);
        Assert.Equal((1, null), (ear.Closed, port.Listener));

        Device.Plug(1, "second", isHostOpen: false);
        Settle();
        Assert.Same(port, All()[0]);
        Assert.Equal((false, false, false, "second"), (port.IsFailed, port.IsOpen, port.IsHostOpen, Encoding.UTF8.GetString(port.Name)));
        Assert.Equal("", ReadAll(port));
        port.Open();
        Device.Type("anew"u8, 1);
        Settle();
        Assert.Equal("anew", ReadAll(port));
        Assert.Equal(1, ear.Closed);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_on_their_way_when_the_port_goes_hinder_nothing_later(bool isSlow)
    {
        Device.Plug(1);
        Settle();
        ConsolePort port = All()[0];
        port.Open();
        Device.Ports[1].TransmitCredit = isSlow ? 0 : int.MaxValue;
        for (int round = 0; round < 20; round++)
        {
            byte[] bytes = new byte[5000];
            port.Write(bytes);
            Machine.Run();
            Device.Unplug(1);
            Device.Ports[1].TransmitCredit = int.MaxValue;
            Settle();
            Device.Ports[1].Output.Clear();
            Device.Plug(1);
            Settle();
            Assert.Equal(3u, port.Write("abc"u8));
            Settle();
            Assert.Equal("abc"u8.ToArray(), Device.Ports[1].Output);
        }
    }

    [Fact]
    public void A_thousand_comings_and_goings_leave_one_port_and_no_memory_behind()
    {
        Device.Plug(3);
        Settle();
        int pieces = Machine.FakeDma.AllocationCount;
        for (int i = 0; i < 1000; i++)
        {
            Device.Unplug(3);
            Device.Plug(3, "again");
            Settle();
        }
        Assert.Equal((1, pieces), (Console.PortCount, Machine.FakeDma.AllocationCount));
    }

    [Fact]
    public void Sizes_are_told_for_each_port()
    {
        Device.SetSize(80, 25);
        Device.Plug(0, isConsole: true);
        Device.Plug(1, isConsole: true);
        Settle();
        Counter ear = new();
        All()[1].Listener = ear;
        Assert.Equal((80, 25), (All()[0].Columns, All()[0].Rows));
        Assert.Equal((0, 0), (All()[1].Columns, All()[1].Rows));
        Device.Resize(1, 132, 43);
        Device.Resize(0, 100, 30);
        Settle();
        Assert.Equal((132, 43, 1), (All()[1].Columns, All()[1].Rows, ear.Resized));
        Assert.Equal((100, 30), (All()[0].Columns, All()[0].Rows));
    }

    [Fact]
    public void After_a_reset_ports_are_announced_again_and_are_as_open_as_they_were()
    {
        Device.Plug(0, isConsole: true);
        Device.Plug(1, "stays");
        Device.Plug(2);
        Settle();
        All()[1].Open();
        Settle();
        ConsolePort[] before = All();
        Device.AskForReset();
        Settle();
        Assert.Equal(1ul, Console.Recoveries);
        Assert.Equal(before, All());
        Assert.Equal([true, true, false], All().Select(port => port.IsOpen));
        Assert.Equal([true, true, false], Device.Ports.Take(3).Select(port => port.IsGuestOpen));
        Assert.Equal(3u, All()[1].Write("abc"u8));
        Device.Type("xyz"u8, 1);
        Settle();
        Assert.Equal("abc"u8.ToArray(), Device.Ports[1].Output);
        Assert.Equal("xyz", ReadAll(All()[1]));
    }

    [Fact]
    public void A_port_that_does_not_come_again_after_a_reset_takes_no_bytes_with_it()
    {
        Device.Plug(1);
        Settle();
        Device.Ports[1].IsPlugged = false;
        Device.AskForReset();
        Settle();
        All()[0].Write("abc"u8);
        Settle();
        Assert.Empty(Device.Ports[1].Output);
        Assert.Equal((false, true), (All()[0].IsHostOpen, All()[0].HasUnsent));
    }

    [Fact]
    public void Answers_wait_while_the_device_does_not_take_them()
    {
        Device.IsDeaf = true;
        for (int i = 0; i < 4; i++)
        {
            Device.Plug(i, isConsole: true);
        }
        Settle();
        for (int i = 0; i < 100; i++)
        {
            All()[i % 4].Close();
            All()[i % 4].Open();
        }
        Settle();
        Assert.InRange(Device.Messages.Count, 9, 16);
        Device.Listen();
        Settle();
        Assert.All(Device.Ports, port => Assert.True(port.IsGuestOpen));
    }

    [Fact]
    public void The_device_can_be_removed_by_a_listener()
    {
        Device.Plug(1);
        Settle();
        All()[0].Listener = new Remover(Console);
        Device.SetHostOpen(1, false);
        Settle();
        Assert.True(Console.IsFailed);
        Assert.Equal(0, Device.Status);
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
        Device.OfferedFeatures |= FakeConsoleDevice.EmergencyWrite;
        _ = Console;
        if (isBroken)
        {
            Console.MaxRecoveries = 0;
            Machine.Run();
            Device.Queues[2].PushUsed(60_000, 1);
            Console.Poll();
            Assert.True(Console.IsFailed);
        }
        Assert.True(Console.TryWriteEmergency((byte)'!'));
        Assert.Equal([(byte)'!'], Device.Emergency);
    }

    [Fact]
    public void Without_the_offer_there_are_no_last_words()
    {
        Assert.False(Console.TryWriteEmergency((byte)'!'));
        Assert.Empty(Device.Emergency);
    }

    private ConsolePort[] All() => [.. Enumerable.Range(0, Console.PortCount).Select(Console.Port)];

    private sealed class Notes : ConsoleDeviceListener
    {
        public List<ConsolePort> Changed { get; } = [];

        public List<ConsolePort> Removed { get; } = [];

        public override void OnPortChanged(ConsolePort port) => Changed.Add(port);

        public override void OnPortRemoved(ConsolePort port) => Removed.Add(port);
    }

    private sealed class Counter : ConsoleListener
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
