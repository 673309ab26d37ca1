// Consoles of several ports that fail: counted, begun anew, given up (virtio 2.1.2).
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>A device of 3 ports.</summary>
public sealed class VirtioConsoleResetTests() : ConsoleScene(new FakeConsoleDevice(ports: 3))
{
    [Theory]
    [InlineData(new[] { 2 })]
    [InlineData(new[] { 3 })]
    [InlineData(new[] { 4 })]
    [InlineData(new[] { 7 })]
    [InlineData(new[] { 4, 6 })]
    [InlineData(new[] { 2, 4 })]
    [InlineData(new[] { 2, 3, 4, 5, 6, 7 })]
    public void Whichever_queues_break_and_how_many_the_device_is_begun_anew_once(int[] queues)
    {
        PlugAndOpen(1, 2);
        Machine.Run();
        foreach (int queue in queues)
        {
            Device.Queues[queue].PushUsed(60_000, 1);
        }
        Console.Poll();
        Assert.Equal((1ul, false), (Console.Recoveries, Console.IsFailed));
        Settle();
        Assert.Equal(1ul, Console.Recoveries);
        Assert.Equal(3u, Port(2).Write("abc"u8));
        Device.Type("def"u8, 2);
        Settle();
        Assert.Equal("abc"u8.ToArray(), Device.Ports[2].Output);
        Assert.Equal("def", ReadAll(Port(2)));
    }

    [Theory]
    [InlineData(new[] { 1 })]
    [InlineData(new[] { 1, 2 })]
    public void A_device_through_which_bytes_go_between_two_resets_is_never_given_up(int[] busy)
    {
        PlugAndOpen(1, 2);
        for (ulong round = 1; round <= 6; round++)
        {
            foreach (int number in busy)
            {
                Device.Type("x"u8, number);
            }
            Turn();
            Break();
            Settle();
            Assert.Equal((round, false), (Console.Recoveries, Console.IsFailed));
        }
    }

    [Fact]
    public void A_device_that_only_talks_between_two_resets_is_given_up()
    {
        PlugAndOpen(1, 2);
        Device.Unplug(2);
        Settle();
        for (int round = 0; round < 3; round++)
        {
            Break();
            Settle();
            Device.Plug(2);
            Settle();
            // Bytes for a port that is gone are none.
            Device.Unplug(2);
            Settle();
            Fakes.Virtio.FakeChain chain = Device.Ports[2].Receive.Dequeue();
            chain.Write(0, "late"u8);
            Device.Queues[6].Use(chain, 4);
            Device.Queues[6].Signal();
            Turn();
            Assert.False(Console.IsFailed);
        }
        Break();
        Assert.Equal((true, 3ul), (Console.IsFailed, Console.Recoveries));
    }

    [Theory]
    [InlineData("features")]
    [InlineData("queue")]
    [InlineData("ports")]
    public void A_device_that_comes_back_as_another_one_is_given_up_and_the_log_says_why(string what)
    {
        PlugAndOpen(1);
        Ear ear = Listen(Port(1));
        ConsolePort port = Port(1);
        Device.AfterReset = () =>
        {
            switch (what)
            {
                case "features":
                    Device.RefusesFeatures = _ => true;
                    break;
                case "queue":
                    Device.Queues[4].Size = Device.Queues[4].MaxSize = 2;
                    break;
                default:
                    Device.OfferedFeatures &= ~FakeConsoleDevice.Multiport;
                    break;
            }
        };
        using CapturedLog log = new();
        Machine.Run();
        Device.AskForReset();
        Console.Poll();
        Assert.Equal((true, true, ulong.MaxValue), (Console.IsFailed, port.IsFailed, Console.NextDeadline));
        Assert.Equal(("readable writable closed", "removed:1"), (ear.Take(), Ports.Take()));
        Assert.Equal((0u, 0u, 0), (port.Write("x"u8), port.Read(new byte[9]), Machine.HandlerCount));
        string[] told = [.. log.Entries.Where(entry => entry.StartsWith("virtio-console:", StringComparison.Ordinal))];
        Assert.Equal(3, told.Length); // and why, in between
        Assert.Equal("virtio-console: the device is reset and begun anew; ports 0x1", told[0]);
        Assert.Equal("virtio-console: the device is given up; ports 0x1", told[2]);
        Console.Poll();
        Console.OnDeadline(Machine.Clock.Now);
        Assert.Equal(("", ""), (ear.Take(), Ports.Take()));
    }

    [Fact]
    public void Buffers_that_were_on_their_way_at_a_reset_are_used_again()
    {
        PlugAndOpen(1);
        Device.Ports[1].TransmitCredit = 0;
        byte[] bytes = new byte[100_000];
        for (int round = 1; round <= 3; round++)
        {
            Assert.Equal(8u * 4096, Port(1).Write(bytes));
            Machine.Run();
            Device.AskForReset();
            Console.Poll();
            Assert.Equal((ulong)round * 8 * 4096, Port(1).BytesInDoubt);
            Console.MaxRecoveries = 10;
            Settle();
        }
        Device.Ports[1].TransmitCredit = int.MaxValue;
        Assert.Equal(3u, Port(1).Write("abc"u8));
        Settle();
        Assert.Equal("abc"u8.ToArray(), Device.Ports[1].Output);
    }

    private void Break()
    {
        Machine.Run();
        Device.Queues[4].PushUsed(60_000, 1);
        Console.Poll();
    }
}
