// The console driver: what its contract does not say.
using System.Text;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary><see cref="VirtioConsole"/> on the fake machine.</summary>
public sealed class VirtioConsoleTests : MachineScene
{
    private const ulong Second = 1_000_000_000;

    private readonly FakeConsoleDevice _device = new();
    private readonly VirtioConsole _console;
    private readonly ConsolePort _port;

    public VirtioConsoleTests()
    {
        Machine.Plug(_device);
        _console = FakeBinding.AttachOne<VirtioConsole>(Machine);
        _port = _console.Port(0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void Input_whose_interrupt_got_lost_is_found_within_a_second(int lost)
    {
        _device.Queues[0].LoseSignals = lost;
        _device.Type("x"u8);
        ulong end = Machine.Clock.Now + Second;
        byte[] into = new byte[8];
        while (_port.Read(into) == 0)
        {
            SleepAsTheRunLoopDoes();
            Assert.True(Machine.Clock.Now < end, "the input was never found");
        }
        Assert.Equal((byte)'x', into[0]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Output_whose_doorbell_or_interrupt_got_lost_goes_on_within_a_tenth_of_a_second(bool doorbell)
    {
        _device.Queues[1].LoseNotifications = doorbell ? 1 : 0;
        _device.Queues[1].LoseSignals = doorbell ? 0 : 1;
        byte[] text = Encoding.ASCII.GetBytes(new string('a', 5000) + new string('b', 5000));
        ulong end = Machine.Clock.Now + Second / 10;
        Assert.Equal((uint)text.Length, _port.Write(text));
        while (_port.HasUnsent)
        {
            SleepAsTheRunLoopDoes();
            Assert.True(Machine.Clock.Now < end, "the output never ends");
        }
        Assert.Equal(text, _device.Output);
        Assert.Equal(doorbell ? 1ul : 0, _console.LostDoorbells);
    }

    [Fact]
    public void Many_small_writes_become_few_large_buffers()
    {
        _device.TransmitCredit = 0;
        byte[] piece = [1, 2, 3];
        int written = 0;
        for (int i = 0; i < 4000; i++)
        {
            written += (int)_port.Write(piece);
        }
        Machine.Run();
        int held = _device.Ports[0].Transmit.Count;
        Assert.Equal(12_000, written);
        Assert.InRange(held, 1, 4);
        _device.TransmitCredit = int.MaxValue;
        ulong end = Machine.Clock.Now + Second;
        while (_port.HasUnsent && Machine.Clock.Now < end)
        {
            SleepAsTheRunLoopDoes();
        }
        Assert.Equal(written, _device.Output.Length);
    }

    [Fact]
    public void An_idle_console_is_looked_at_a_few_times_a_second_and_no_more()
    {
        ulong end = Machine.Clock.Now + 10 * Second;
        int wakes = 0;
        while (Machine.Clock.Now < end)
        {
            SleepAsTheRunLoopDoes();
            wakes++;
        }
        Assert.InRange(wakes, 10, 100);
    }

    protected override void End() => _console.Remove();

    private void SleepAsTheRunLoopDoes()
    {
        Machine.Clock.WaitForInterrupt(_console.NextDeadline);
        ulong now = Machine.Clock.Now;
        if (_console.NextDeadline <= now)
        {
            _console.OnDeadline(now);
        }
        else
        {
            _console.Poll();
        }
    }
}
