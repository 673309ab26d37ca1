// Control messages, word by word: what is answered, what is refused, and what nobody asked for (virtio 5.3.6.2).
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>A device of 4 ports.</summary>
public sealed class VirtioConsoleMessageTests() : ConsoleScene(new FakeConsoleDevice(ports: 4))
{
    private const int DeviceAdd = 1;
    private const int DeviceRemove = 2;
    private const int MostMessages = 16;

    [Fact]
    public void A_conversation_has_no_word_too_many()
    {
        Settle();
        Assert.Equal("DEVICE_READY 0 1", Said());
        Device.Plug(1);
        Settle();
        Assert.Equal("PORT_READY 1 1", Said());
        Port(1).Open();
        Settle();
        Assert.Equal("PORT_OPEN 1 1", Said());
        Port(1).Open();
        Device.Plug(2, isConsole: true);
        Settle();
        Assert.Equal("PORT_READY 2 1, PORT_OPEN 2 1", Said());
        Port(1).Close();
        Port(2).Close();
        Settle();
        Assert.Equal("PORT_OPEN 1 0, PORT_OPEN 2 0", Said());
        Port(1).Open();
        Device.Unplug(2);
        Settle();
        Assert.Equal("PORT_OPEN 1 1", Said());
        Device.Plug(2, isHostOpen: false);
        Settle();
        Assert.Equal("PORT_READY 2 1", Said());
        Device.Unplug(1);
        Device.Plug(1);
        Settle();
        Assert.Equal("PORT_READY 1 1", Said());
        Assert.Equal(0ul, Console.IgnoredMessages);
    }

    [Fact]
    public void What_a_port_is_told_is_sent_at_once_and_not_only_when_somebody_looks()
    {
        Device.Plug(1);
        Settle();
        Said();
        Port(1).Open();
        Machine.Run();
        Assert.Equal("PORT_OPEN 1 1", Said());
        Assert.True(Device.Ports[1].IsGuestOpen);
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(31u)]
    [InlineData(0x8000_0001u)]
    [InlineData(uint.MaxValue)]
    public void A_port_beyond_what_the_driver_has_queues_for_is_refused_at_once(uint number)
    {
        Settle();
        Said();
        Device.Say(number, DeviceAdd, 0);
        Turn();
        Assert.Equal($"PORT_READY {number} 0", Said());
        Device.Say(number, DeviceRemove, 0);
        Turn();
        Assert.Equal(("", 2ul, 0), (Said(), Console.IgnoredMessages, Console.PortCount));
    }

    [Fact]
    public void A_port_without_memory_is_refused_and_may_come_again()
    {
        using CapturedLog log = new();
        Settle();
        Said();
        Machine.FakeDma.FailAllocation(1);
        Device.Plug(3);
        Turn();
        Assert.Equal(("PORT_READY 3 0", 0ul, 0, ""), (Said(), Console.IgnoredMessages, Console.PortCount, Ports.Take()));
        Assert.Equal(["virtio-console: there is no memory for the buffers of a port 0x3"], log.Entries);
        Device.Say(3, DeviceRemove, 0);
        Device.Ports[3].IsAnnounced = false;
        Turn();
        Assert.Equal(1ul, Console.IgnoredMessages);
        Device.Plug(3);
        Settle();
        Assert.Equal(("PORT_READY 3 1", 3), (Said(), Console.Port(0).Number));
    }

    [Theory]
    [InlineData(1u, DeviceAdd, 0)] // there already
    [InlineData(2u, DeviceRemove, 0)] // not there
    [InlineData(2u, 6, 0)]
    [InlineData(1u, 0, 0)] // the driver's own words
    [InlineData(1u, 3, 0)]
    [InlineData(1u, 8, 0)]
    [InlineData(1u, 5, 0)] // a size without one
    [InlineData(1u, 5, 3)]
    public void What_nobody_asked_for_is_counted_and_not_answered(uint port, int what, int bytes)
    {
        PlugAndOpen(1);
        Said();
        Device.Say(port, (ushort)what, 1, new byte[bytes]);
        Turn();
        Assert.Equal((1ul, "", ""), (Console.IgnoredMessages, Said(), Ports.Take()));
        Assert.Equal((1, true, true), (Console.PortCount, Port(1).IsOpen, Port(1).IsHostOpen));
        Device.SayRaw([1, 0, 0, 0, 6, 0, 0]);
        Device.SayRaw([]);
        Turn();
        Assert.Equal((3ul, true), (Console.IgnoredMessages, Port(1).IsHostOpen));
    }

    [Fact]
    public void Sixteen_messages_may_be_on_their_way_and_the_rest_waits()
    {
        Device.IsDeaf = true;
        PlugAll();
        for (int i = 0; i < 40; i++)
        {
            Toggle(i % 4);
        }
        Settle();
        Assert.Equal(MostMessages, Device.Messages.Count);
        Device.Listen();
        Settle();
        Assert.All(Device.Ports, port => Assert.True(port.IsGuestOpen));
    }

    [Fact]
    public void Messages_that_a_reset_took_back_leave_as_much_room_as_before()
    {
        Device.IsDeaf = true;
        PlugAll();
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 40; i++)
            {
                Toggle(i % 4);
            }
            Settle();
            Assert.Equal(MostMessages, Device.Messages.Count);
            Device.Messages.Clear();
            Device.AskForReset();
            Console.MaxRecoveries = 10;
            Console.Poll();
            Settle();
        }
        Device.IsDeaf = false;
        Settle();
        Assert.All(Device.Ports, port => Assert.True(port.IsGuestOpen));
        Assert.Equal("DEVICE_READY 0 1", Said().Split(", ")[0]);
    }

    [Fact]
    public void A_port_that_comes_again_is_written_to_when_its_host_opened_it_and_not_because_it_once_was_open()
    {
        PlugAndOpen(1);
        Assert.Equal(3u, Port(1).Write("old"u8));
        Settle();
        Device.Unplug(1);
        Turn();
        Device.Ports[1].Output.Clear();
        Device.Plug(1, isHostOpen: false);
        Turn();
        Assert.Equal(3u, Port(1).Write("new"u8));
        Settle();
        Assert.Empty(Device.Ports[1].Output);
        Assert.True(Port(1).HasUnsent);
        Device.SetHostOpen(1, true);
        Settle();
        Assert.Equal("new"u8.ToArray(), Device.Ports[1].Output);
    }

    [Fact]
    public void What_waits_for_the_host_goes_when_it_opens_and_is_looked_after()
    {
        Device.Plug(1, isHostOpen: false);
        Settle();
        Assert.Equal(3u, Port(1).Write("abc"u8));
        Machine.FakeClock.Advance(1);
        Console.OnDeadline(Machine.Clock.Now);
        Device.Queues[5].LoseNotifications = 1;
        Device.SetHostOpen(1, true);
        Machine.Run();
        Console.Poll();
        Assert.InRange(Console.NextDeadline, Machine.Clock.Now, Machine.Clock.Now + 10_000_000);
        Assert.Empty(Device.Ports[1].Output);
        Settle();
        Assert.Equal("abc"u8.ToArray(), Device.Ports[1].Output);
        Assert.Equal(1ul, Console.LostDoorbells);
    }

    [Fact]
    public void Nothing_is_sent_to_a_console_between_a_reset_and_its_next_announcement()
    {
        Device.Plug(0, isConsole: true);
        Device.Plug(1);
        Settle();
        Machine.Run();
        Device.AskForReset();
        Console.Poll();
        Assert.Equal(1ul, Console.Recoveries);
        Assert.Equal((3u, 3u), (Port(0).Write("abc"u8), Port(1).Write("def"u8)));
        Assert.Equal((0, 0), (Device.Queues[1].Notifications, Device.Queues[5].Notifications));
        Settle();
        Assert.Equal("abc"u8.ToArray(), Device.Ports[0].Output);
        Assert.Equal("def"u8.ToArray(), Device.Ports[1].Output);
    }

    [Fact]
    public void Bytes_for_a_port_that_is_gone_are_forgotten_and_their_buffers_are_the_devices_again()
    {
        PlugAndOpen(1);
        Assert.Equal(8, Device.Ports[1].Receive.Count);
        Device.Type("left over"u8, 1);
        Turn();
        Device.Unplug(1);
        Turn();
        Assert.Equal(8, Device.Ports[1].Receive.Count);
        for (int i = 0; i < 20; i++)
        {
            Fakes.Virtio.FakeChain chain = Device.Ports[1].Receive.Dequeue();
            chain.Write(0, "late"u8);
            Device.Queues[4].Use(chain, 4);
            Device.Queues[4].Signal();
            Turn();
            Assert.Equal(8, Device.Ports[1].Receive.Count);
        }
        Device.Plug(1);
        Settle();
        Port(1).Open();
        Device.Type("new"u8, 1);
        Settle();
        Assert.Equal("new", ReadAll(Port(1)));
    }

    private void PlugAll()
    {
        for (int i = 0; i < 4; i++)
        {
            Device.Plug(i, isConsole: true);
        }
        Settle();
    }

    private void Toggle(int port)
    {
        Port(port).Close();
        Port(port).Open();
    }

    /// <summary>What the driver said since the last time, in the words of the specification.</summary>
    private string Said()
    {
        string[] words = ["DEVICE_READY", "DEVICE_ADD", "DEVICE_REMOVE", "PORT_READY", "CONSOLE_PORT", "RESIZE", "PORT_OPEN", "PORT_NAME"];
        string said = string.Join(", ", Device.Messages.Select(each => $"{words[each.Event]} {each.Port} {each.Value}"));
        Device.Messages.Clear();
        return said;
    }
}
