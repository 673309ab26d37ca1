// Who listens at a port hears what happened, once, and nothing that did not (virtio 5.3.6).
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>A device of 4 ports.</summary>
public sealed class VirtioConsoleListenerTests() : ConsoleScene(new FakeConsoleDevice(ports: 4))
{
    private const ushort PortOpen = 6;
    private const ushort PortName = 7;

    [Fact]
    public void Input_makes_readable_and_output_that_was_taken_writable()
    {
        PlugAndOpen(1, 2);
        Ear ear = Listen(Port(1));
        Ear other = Listen(Port(2));
        Turn();
        Assert.Equal("", ear.Take());
        Device.Type("abc"u8, 1);
        Turn();
        Assert.Equal("readable", ear.Take());
        Assert.Equal(3u, Port(1).Write("abc"u8));
        Console.Poll();
        Assert.Equal("", ear.Take());
        Turn();
        Assert.Equal("writable", ear.Take());
        Device.Type("abc"u8, 1);
        Assert.Equal(3u, Port(1).Write("abc"u8));
        Turn();
        Assert.Equal("readable writable", ear.Take());
        Turn();
        Assert.Equal(("", "", ""), (ear.Take(), other.Take(), Ports.Take()));
    }

    [Fact]
    public void A_size_is_told_when_it_is_another_one_in_one_direction_or_both()
    {
        PlugAndOpen(1);
        Ear ear = Listen(Port(1));
        (ushort Columns, ushort Rows, string Heard)[] sizes =
        [
            (80, 25, "resized"), (80, 25, ""), (81, 25, "resized"), (81, 26, "resized"), (90, 30, "resized"), (90, 30, ""),
        ];
        foreach ((ushort columns, ushort rows, string heard) in sizes)
        {
            Device.Resize(1, columns, rows);
            Turn();
            Assert.Equal((heard, columns, rows), (ear.Take(), Port(1).Columns, Port(1).Rows));
        }
        for (ushort i = 1; i <= 4; i++)
        {
            Device.Resize(1, i, i);
        }
        Turn();
        Assert.Equal(("resized", ""), (ear.Take(), Ports.Take()));
        Assert.Equal(0ul, Console.IgnoredMessages);
    }

    [Theory]
    [InlineData(true, new[] { true }, "")]
    [InlineData(true, new[] { false }, "closed")]
    [InlineData(true, new[] { false, false }, "closed")]
    [InlineData(true, new[] { false, true }, "opened closed")]
    [InlineData(true, new[] { false, true, false }, "opened closed")]
    [InlineData(true, new[] { false, true, false, true, false }, "opened closed")]
    [InlineData(false, new[] { false }, "")]
    [InlineData(false, new[] { true }, "opened")]
    [InlineData(false, new[] { true, true }, "opened")]
    [InlineData(false, new[] { true, false, true }, "opened closed")]
    [InlineData(false, new[] { true, false, true, false }, "opened closed")]
    public void Whatever_the_host_does_between_two_looks_each_sort_of_event_is_told_once(bool isOpen, bool[] says, string heard)
    {
        Device.Plug(1, isHostOpen: isOpen);
        Settle();
        Ports.Take();
        Ear ear = Listen(Port(1));
        foreach (bool open in says)
        {
            Device.SetHostOpen(1, open);
        }
        Turn();
        Assert.Equal((heard, says[^1]), (ear.Take(), Port(1).IsHostOpen));
        Assert.Equal("changed:1", Ports.Take());
        Turn();
        Assert.Equal(("", ""), (ear.Take(), Ports.Take()));
    }

    [Fact]
    public void Who_watches_the_ports_hears_of_each_that_comes_changes_and_goes()
    {
        _ = Console;
        Turn();
        Assert.Equal("", Ports.Take());
        Device.Plug(2, isHostOpen: false);
        Turn();
        Assert.Equal("changed:2", Ports.Take());
        Turn();
        Assert.Equal("", Ports.Take());
        Device.Say(2, PortName, 1, "name"u8);
        Turn();
        Assert.Equal(("changed:2", 4), (Ports.Take(), Port(2).Name.Length));
        Device.Say(2, 4, 1);
        Device.Say(2, PortOpen, 1);
        Turn();
        Assert.Equal("changed:2", Ports.Take());
        Device.Unplug(2);
        Turn();
        Assert.Equal("removed:2", Ports.Take());
        Device.Plug(3, isHostOpen: false);
        Device.Plug(2, isHostOpen: false);
        Turn();
        Assert.Equal("changed:2 changed:3", Ports.Take());
        Assert.Equal([3, 2], Enumerable.Range(0, 2).Select(i => Console.Port(i).Number));
    }

    [Fact]
    public void The_last_that_is_heard_of_a_port_is_that_nothing_more_will_come()
    {
        PlugAndOpen(1);
        Ear ear = Listen(Port(1));
        Device.Resize(1, 5, 5);
        Device.SetHostOpen(1, false);
        Device.SetHostOpen(1, true);
        Device.Unplug(1);
        Turn();
        Assert.Equal(("readable writable closed", "removed:1"), (ear.Take(), Ports.Take()));
        Device.Plug(1);
        Settle();
        Assert.Equal("", ear.Take());
    }

    [Fact]
    public void When_the_device_is_removed_all_hear_of_it_at_once()
    {
        PlugAndOpen(1, 2);
        Ear ear = Listen(Port(1));
        Ear other = Listen(Port(2));
        Console.Remove();
        Assert.Equal(("readable writable closed", "readable writable closed", "removed:1 removed:2"), (ear.Take(), other.Take(), Ports.Take()));
        Console.Remove();
        Console.Poll();
        Console.OnDeadline(Machine.Clock.Now);
        Assert.Equal(("", "", ulong.MaxValue), (ear.Take(), Ports.Take(), Console.NextDeadline));
    }

    [Fact]
    public void After_a_reset_the_ends_of_the_host_are_closed_until_it_opens_them_again()
    {
        PlugAndOpen(1, 2);
        Device.SetHostOpen(2, false);
        Settle();
        Ports.Take();
        Ear ear = Listen(Port(1));
        Ear other = Listen(Port(2));
        Machine.Run();
        Device.AskForReset();
        Console.Poll();
        Assert.Equal(("closed", "", "changed:1 changed:2"), (ear.Take(), other.Take(), Ports.Take()));
        Assert.False(Port(1).IsHostOpen);
        Settle();
        Assert.Equal(("opened", ""), (ear.Take(), other.Take()));
    }

    [Theory]
    [InlineData(0, 0, "closed")]
    [InlineData(4096, 0, "writable closed")]
    [InlineData(8192, 0, "writable closed")]
    [InlineData(8192, 1, "writable closed")]
    public void A_reset_makes_room_where_something_was_on_its_way(int bytes, int taken, string heard)
    {
        PlugAndOpen(1);
        Ear ear = Listen(Port(1));
        Device.Ports[1].TransmitCredit = taken;
        Assert.Equal((uint)bytes, Port(1).Write(new byte[bytes]));
        Machine.Run();
        Device.AskForReset();
        Console.Poll();
        Assert.Equal((heard, 1ul), (ear.Take(), Console.Recoveries));
        Assert.Equal((ulong)(bytes - taken * 4096), Port(1).BytesInDoubt);
    }

    [Fact]
    public void A_host_that_closes_and_opens_and_fails_between_two_looks_has_closed()
    {
        PlugAndOpen(1);
        Ear ear = Listen(Port(1));
        Device.SetHostOpen(1, false);
        Device.SetHostOpen(1, true);
        Machine.Run();
        Device.AskForReset();
        Console.Poll();
        Assert.Equal("opened closed", ear.Take());
    }

    [Fact]
    public void The_only_port_of_a_console_without_ports_is_there_from_the_beginning_and_nobody_is_told()
    {
        using OnlyPort only = new();
        only.IsNotAnnounced();
    }

    private sealed class OnlyPort() : ConsoleScene(new FakeConsoleDevice())
    {
        public void IsNotAnnounced()
        {
            Ear ear = Listen(Console.Port(0));
            Turn();
            Assert.Equal(("", ""), (Ports.Take(), ear.Take()));
            Machine.Run();
            Device.AskForReset();
            Turn();
            Assert.Equal(("", "", 1ul), (Ports.Take(), ear.Take(), Console.Recoveries));
            Console.Remove();
            Assert.Equal(("removed:0", "readable writable closed"), (Ports.Take(), ear.Take()));
        }
    }
}
