// Faults against the control messages of consoles with several ports.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>S: virtio-console, MULTIPORT. After each fault the port that was there still works.</summary>
public sealed class HostilePortTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device = new(ports: 4);
    private VirtioConsole? _console;

    private VirtioConsole Console
    {
        get
        {
            if (_console is null)
            {
                _machine.Plug(_device);
                _console = FakeBinding.AttachOne<VirtioConsole>(_machine);
                _device.Plug(1, "good");
                Settle();
            }
            return _console;
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void S03_a_message_that_is_too_short_is_ignored(int length)
    {
        _ = Console;
        _device.SayRaw(new byte[length]);
        ExpectIgnored(length == 0 ? 1 : 1);
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void S04_a_port_beyond_the_most_is_refused(uint id)
    {
        _ = Console;
        _device.Say(id, 1, 0);
        ExpectIgnored(1);
        Assert.Contains((id, (ushort)3, (ushort)0), _device.Messages);
        Assert.Equal(1, Console.PortCount);
    }

    [Fact]
    public void S05_a_port_that_is_announced_twice_is_one_port()
    {
        _ = Console;
        _device.Say(1, 1, 0);
        ExpectIgnored(1);
        Assert.Equal(1, Console.PortCount);
        Assert.Single(_device.Messages, each => each.Event == 3);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(4u)]
    [InlineData(uint.MaxValue)]
    public void S06_removing_a_port_that_is_not_there_does_nothing(uint id)
    {
        _ = Console;
        _device.Say(id, 2, 0);
        ExpectIgnored(1);
        Assert.Equal(1, Console.PortCount);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(248)]
    [InlineData(65536)]
    public void S07_a_name_of_any_length_is_cut_to_what_is_kept(int length)
    {
        _ = Console;
        byte[] name = new byte[length];
        Array.Fill(name, (byte)'n');
        _device.Say(1, 7, 1, name);
        ExpectIgnored(0);
        Assert.Equal(Math.Min(length, ConsolePort.MaxNameLength), Console.Port(0).Name.Length);
    }

    [Fact]
    public void S07_a_name_ends_at_its_first_NUL_and_is_kept_as_it_came_otherwise()
    {
        _ = Console;
        _device.Say(1, 7, 1, [0x1B, (byte)'[', (byte)'2', (byte)'J', 0xFF, 0, (byte)'x']);
        ExpectIgnored(0);
        Assert.Equal([0x1B, (byte)'[', (byte)'2', (byte)'J', 0xFF], Console.Port(0).Name.ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void S08_a_size_that_is_cut_short_is_ignored(int length)
    {
        _ = Console;
        _device.Say(1, 5, 0, new byte[length]);
        ExpectIgnored(1);
        Assert.Equal((0, 0), (Console.Port(0).Columns, Console.Port(0).Rows));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(65535)]
    public void S09_a_message_that_only_drivers_send_or_nobody_is_ignored(ushort what)
    {
        _ = Console;
        _device.Say(1, what, 1);
        ExpectIgnored(1);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public void S10_what_is_said_of_a_port_that_was_taken_away_is_ignored(ushort what)
    {
        _ = Console;
        _device.Plug(2);
        Settle();
        _device.Unplug(2);
        _device.Say(2, what, 1, 1, 2, 3, 4);
        ExpectIgnored(1);
        Assert.Equal(1, Console.PortCount);
    }

    [Fact]
    public void S11_a_flood_of_opens_and_closes_ends_with_the_last()
    {
        _ = Console;
        for (int i = 0; i < 5000; i++)
        {
            _device.Say(1, 6, (ushort)(i % 3 == 0 ? 0xFFFF : i % 2));
        }
        _device.Say(1, 6, 1);
        ExpectIgnored(0);
        Assert.True(Console.Port(0).IsHostOpen);
    }

    [Fact]
    public void S12_a_flood_of_announcements_costs_no_memory_and_one_answer_a_port()
    {
        _ = Console;
        int pieces = _machine.FakeDma.AllocationCount;
        for (int i = 0; i < 5000; i++)
        {
            _device.Say((uint)(i % 100) + 4, 1, 0);
        }
        ExpectIgnored(5000);
        Assert.Equal((1, pieces), (Console.PortCount, _machine.FakeDma.AllocationCount));
    }

    [Fact]
    public void S12_a_device_that_never_ceases_to_talk_leaves_others_their_turn()
    {
        _ = Console;
        for (int i = 0; i < 100_000; i++)
        {
            _device.Say(1, 8, 0);
        }
        for (int i = 0; i < 20_000 && _device.MessagesLeft > 0; i++)
        {
            _machine.Run();
            Console.Poll();
        }
        ExpectIgnored(100_000);
    }

    [Fact]
    public void S13_without_several_ports_there_is_no_queue_for_control()
    {
        FakeConsoleDevice device = new();
        using FakeMachine machine = new();
        machine.Plug(device);
        VirtioConsole console = FakeBinding.AttachOne<VirtioConsole>(machine);
        Assert.Equal(2, console.Virtio.QueueCount);
        console.Remove();
        machine.AssertNothingLeaked();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void A_broken_control_or_port_queue_begins_the_device_anew(int queue)
    {
        _ = Console;
        _machine.Run();
        _device.Queues[queue].PushUsed(60_000, 1);
        Settle();
        Assert.Equal(1ul, Console.Recoveries);
        PortWorks();
    }

    [Fact]
    public void F09_several_ports_of_which_there_are_none_are_one_port() => UsesPorts(0, 1);

    [Theory]
    [InlineData(1u, 1)]
    [InlineData(2u, 2)]
    [InlineData(5u, 4)]
    [InlineData(uint.MaxValue, 4)]
    public void G11_no_more_ports_are_used_than_there_are_queues_for(uint said, int used) => UsesPorts(said, used);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void S16_a_host_that_leaves_in_the_middle_of_a_write_loses_only_what_it_had(int taken)
    {
        ConsolePort port = Console.Port(0);
        _device.Ports[1].TransmitCredit = taken;
        byte[] bytes = new byte[10_000];
        Array.Fill(bytes, (byte)'x');
        uint written = port.Write(bytes);
        Settle();
        _device.SetHostOpen(1, false);
        Settle();
        int before = _device.Ports[1].Output.Count;
        _device.Ports[1].TransmitCredit = int.MaxValue; // the device takes what it holds, and throws it away
        Settle();
        Assert.Equal((ulong)0, Console.Recoveries);
        _device.SetHostOpen(1, true);
        Settle();
        Assert.False(port.HasUnsent);
        Assert.Equal((int)written, _device.Ports[1].Output.Count);
        Assert.True(before <= written);
        PortWorks();
    }

    private void UsesPorts(uint said, int used)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_device.Config.AsSpan(4), said);
        using FakeMachine machine = new();
        machine.Plug(_device);
        VirtioConsole console = FakeBinding.AttachOne<VirtioConsole>(machine);
        Assert.Equal(used, console.MaxPorts);
        console.Remove();
        machine.Violations.AssertEmpty();
        machine.AssertNothingLeaked();
    }

    [Fact]
    public void R09_without_memory_at_any_allocation_nothing_leaks_and_the_port_is_refused()
    {
        int steps = 0;
        for (bool works = false; !works && steps < 100; steps++)
        {
            using FakeMachine machine = new();
            FakeConsoleDevice device = new(ports: 2);
            device.Plug(1);
            machine.Plug(device);
            machine.FakeDma.FailAllocation(steps + 1);
            Drivers.Pci.DeviceTable devices = FakeBinding.Attach(machine, out List<ProbeResult> _);
            if (devices.Count == 1)
            {
                VirtioConsole console = (VirtioConsole)devices[0];
                ulong end = machine.Clock.Now + 50_000_000;
                Waiting.Until(console, machine.Clock, () => machine.Clock.Now >= end, "the time");
                works = console.PortCount == 1;
                Assert.True(works || device.Messages.Contains((1, 3, 0)));
                console.Remove();
            }
            machine.Violations.AssertEmpty();
            machine.AssertNothingLeaked();
        }
        Assert.InRange(steps, 5, 99);
    }

    [Fact]
    public void Random_messages_do_no_harm()
    {
        Random random = new(1);
        _device.IsTamperingAllowed = true; // it announces and removes what it likes
        for (int round = 0; round < 3000; round++)
        {
            byte[] message = new byte[random.Next(0, 300)];
            random.NextBytes(message);
            if (message.Length >= 8 && random.Next(4) != 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)random.Next(0, 5));
                BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), (ushort)random.Next(0, 10));
            }
            _ = Console;
            _device.SayRaw(message);
            if (round % 16 == 15)
            {
                Settle();
            }
        }
        Settle();
        Assert.InRange(Console.PortCount, 0, 4);
        Assert.False(Console.IsFailed);
        Assert.Equal(0ul, Console.Recoveries);
    }

    public void Dispose()
    {
        try
        {
            _console?.Remove();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }

    private void ExpectIgnored(int count)
    {
        Settle();
        Assert.Equal((ulong)count, Console.IgnoredMessages);
        PortWorks();
    }

    private void PortWorks()
    {
        Settle();
        ConsolePort port = Console.Port(0);
        int before = _device.Ports[1].Output.Count;
        Assert.Equal(5u, port.Write("works"u8));
        Settle();
        Assert.Equal("works"u8.ToArray(), _device.Ports[1].Output.Skip(before));
        _machine.Violations.AssertEmpty();
    }

    private void Settle()
    {
        for (int i = 0; i < 4000; i++)
        {
            _machine.Run();
            Console.Poll();
            if (_device.MessagesLeft == 0 && i > 3)
            {
                break;
            }
        }
        ulong end = _machine.Clock.Now + 30_000_000;
        Waiting.Until(Console, _machine.Clock, () => _machine.Clock.Now >= end, "the time");
    }
}
