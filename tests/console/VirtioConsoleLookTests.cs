// When a console is looked at: soon while something is on its way, now and then at rest, never when it is gone.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>A console with one port.</summary>
public sealed class VirtioConsoleLookTests() : ConsoleScene(new FakeConsoleDevice().SetSize(80, 25))
{
    private const ulong Soon = 10_000_000;
    private const ulong Idle = 200_000_000;

    [Theory]
    [InlineData(InterruptKind.MsiX, Idle)]
    [InlineData(InterruptKind.None, Soon)]
    public void At_rest_it_is_looked_at_five_times_a_second_or_without_interrupts_a_hundred_times(InterruptKind interrupts, ulong interval)
    {
        Machine.BestInterrupts = interrupts;
        Machine.RunsWhileWaiting = false;
        ulong before = Machine.Clock.Now;
        _ = Console;
        Assert.InRange(Console.NextDeadline, before + interval, Machine.Clock.Now + interval);
        for (int i = 0; i < 3; i++)
        {
            ulong now = Console.NextDeadline;
            Console.OnDeadline(now);
            Assert.Equal(now + interval, Console.NextDeadline);
        }
    }

    [Fact]
    public void While_bytes_are_on_their_way_it_is_looked_at_every_ten_milliseconds()
    {
        Device.TransmitCredit = 0;
        ulong before = Machine.Clock.Now;
        Assert.Equal(1u, Console.Port(0).Write("x"u8));
        Assert.InRange(Console.NextDeadline, before + Soon, Machine.Clock.Now + Soon);
        Machine.Run();
        for (int i = 0; i < 3; i++)
        {
            ulong now = Console.NextDeadline;
            Console.OnDeadline(now);
            Assert.Equal(now + Soon, Console.NextDeadline);
        }
        Device.TransmitCredit = 1;
        Machine.Run();
        ulong last = Console.NextDeadline;
        Console.OnDeadline(last);
        Assert.Equal((last + Idle, false), (Console.NextDeadline, Console.Port(0).HasUnsent));
    }

    [Theory]
    [InlineData(InterruptKind.MsiX)]
    [InlineData(InterruptKind.None)]
    public void Only_a_console_without_interrupts_wants_to_be_polled_and_only_while_it_sends(InterruptKind interrupts)
    {
        Machine.BestInterrupts = interrupts;
        bool isPolled = interrupts == InterruptKind.None;
        Device.TransmitCredit = 0;
        Assert.Equal((isPolled, false), (Console.IsPolled, Console.WantsPolling));
        Console.Port(0).Write("x"u8);
        Assert.Equal(isPolled, Console.WantsPolling);
        Machine.Run();
        Device.TransmitCredit = 1;
        Turn();
        Assert.False(Console.WantsPolling);
        Console.Port(0).Write("x"u8);
        Assert.Equal(isPolled, Console.WantsPolling);
        Console.Remove();
        Assert.False(Console.WantsPolling);
    }

    [Fact]
    public void Without_interrupts_a_new_size_is_found_and_told_when_it_is_looked_at()
    {
        Machine.BestInterrupts = InterruptKind.None;
        Ear ear = Listen(Console.Port(0));
        Turn();
        ear.Take();
        Device.ChangeConfig(config => config[0] = 132);
        Console.Poll();
        Assert.Equal("", ear.Take());
        Console.OnDeadline(Console.NextDeadline);
        Assert.Equal(("resized", 132), (ear.Take(), Console.Port(0).Columns));
        Console.OnDeadline(Console.NextDeadline);
        Assert.Equal("", ear.Take());
    }

    [Theory]
    [InlineData(3)]
    [InlineData(0)]
    public void A_reset_that_is_found_when_it_is_looked_at_is_told_at_once(int recoveries)
    {
        Console.MaxRecoveries = recoveries;
        Turn();
        Ear ear = Listen(Console.Port(0));
        Device.TransmitCredit = 0;
        Console.Port(0).Write("x"u8);
        Machine.Run();
        Device.AskForReset();
        Console.Virtio.TakeConfigChange();
        ulong now = Console.NextDeadline;
        Console.OnDeadline(now);
        if (recoveries == 0)
        {
            Assert.Equal(("readable writable closed", ulong.MaxValue), (ear.Take(), Console.NextDeadline));
            Assert.True(Console.IsFailed);
        }
        else
        {
            Assert.Equal(("writable", now + Idle), (ear.Take(), Console.NextDeadline));
        }
    }

    [Fact]
    public void A_port_is_asked_for_by_an_index_that_exists()
    {
        Assert.Equal(0, Console.Port(0).Number);
        Assert.Throws<Fakes.ContractException>(() => Console.Port(1));
        Assert.Throws<Fakes.ContractException>(() => Console.Port(-1));
    }

    [Fact]
    public void With_several_ports_the_first_words_are_looked_after_and_so_is_each_port()
    {
        using SeveralPorts several = new();
        several.AreLookedAfter();
    }

    [Fact]
    public void The_first_words_of_a_console_with_interrupts_are_looked_after_as_well()
    {
        using SeveralPorts several = new();
        several.AreSpokenToFirst();
    }

    [Fact]
    public void A_device_that_never_ceases_to_talk_is_looked_at_again_soon()
    {
        using SeveralPorts several = new();
        several.NeverCease();
    }

    private sealed class SeveralPorts() : ConsoleScene(new FakeConsoleDevice(ports: 3))
    {
        public void AreLookedAfter()
        {
            Machine.BestInterrupts = InterruptKind.None;
            ulong before = Machine.Clock.Now;
            Device.Queues[3].LoseNotifications = 1;
            Assert.True(Console.WantsPolling);
            Assert.InRange(Console.NextDeadline, before + Soon, Machine.Clock.Now + Soon);
            Settle();
            Assert.True(Device.IsDriverReady);
            PlugAndOpen(0, 1, 2);
            foreach (int[] busy in new int[][] { [0], [1], [2], [0, 1], [0, 1, 2], [1, 2] })
            {
                foreach (int number in busy)
                {
                    Device.Ports[number].TransmitCredit = 0;
                    Port(number).Write("x"u8);
                }
                Machine.Run();
                ulong now = Machine.Clock.Now;
                Console.OnDeadline(now);
                Assert.Equal((true, now + Soon), (Console.WantsPolling, Console.NextDeadline));
                foreach (int number in busy)
                {
                    Device.Ports[number].TransmitCredit = int.MaxValue;
                }
                Settle();
                Assert.False(Console.WantsPolling);
            }
            // Words and bytes at the same time.
            Device.IsDeaf = true;
            Device.Ports[1].TransmitCredit = 0;
            Port(0).Close();
            Port(1).Write("x"u8);
            Machine.Run();
            Console.Poll();
            Assert.True(Console.WantsPolling);
            Device.Ports[1].TransmitCredit = int.MaxValue;
            Device.Listen();
            Settle();
        }

        public void AreSpokenToFirst()
        {
            ulong before = Machine.Clock.Now;
            Device.Queues[3].LoseNotifications = 1;
            Assert.InRange(Console.NextDeadline, before + Soon, Machine.Clock.Now + Soon);
            Console.OnDeadline(Console.NextDeadline);
            Machine.Run();
            Assert.True(Device.IsDriverReady);
        }

        public void NeverCease()
        {
            Device.OfferedFeatures |= FakeVirtioDevice.RingPacked;
            Settle();
            Console.OnDeadline(Machine.Clock.Now);
            Assert.True(Console.NextDeadline > Machine.Clock.Now + Idle / 2);
            int words = 0;
            Machine.FakeDma.AfterShare = () =>
            {
                while (words < 20_000 && Device.Queues[2].Take() is FakeChain chain)
                {
                    words++;
                    Device.Queues[2].Use(chain, 0);
                }
            };
            for (int i = 0; i < 4; i++)
            {
                Device.Say(0, 8, 0);
            }
            Machine.Run();
            Console.Poll();
            Machine.FakeDma.AfterShare = null;
            Assert.InRange(words, 1000, 19_999);
            Assert.InRange(Console.NextDeadline, Machine.Clock.Now, Machine.Clock.Now + Soon);
        }
    }
}
