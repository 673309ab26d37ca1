// A console that fails or changes: reset and begun anew, given up, resized (virtio 2.1.2, 5.3.4).
using System.Text;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>What was received stays, what was not yet sent is sent, what was on its way is counted.</summary>
public sealed class VirtioConsoleRecoveryTests : MachineScene
{
    private readonly FakeConsoleDevice _device = new FakeConsoleDevice().SetSize(80, 25);
    private readonly VirtioConsole _console;
    private readonly ConsolePort _port;
    private readonly Ear _ear = new();

    public VirtioConsoleRecoveryTests()
    {
        Machine.Plug(_device);
        _console = FakeBinding.AttachOne<VirtioConsole>(Machine);
        _port = _console.Port(0);
        _port.Listener = _ear;
    }

    [Theory]
    [InlineData("asks for a reset")]
    [InlineData("breaks its receive queue")]
    [InlineData("breaks its transmit queue")]
    public void After_a_reset_bytes_go_both_ways_again(string what)
    {
        for (int round = 0; round < 5; round++)
        {
            Machine.Run();
            Break(what);
            _console.Poll();
            Assert.False(_console.IsFailed);
            Assert.Equal((ulong)round + 1, _console.Recoveries);
            byte[] text = Encoding.ASCII.GetBytes($"round {round}");
            Assert.Equal((uint)text.Length, _port.Write(text));
            Waiting.Until(_console, Machine.Clock, () => !_port.HasUnsent, "the output");
            Assert.True(_device.Output.AsSpan().EndsWith(text));
            _device.Type(text);
            byte[] into = new byte[text.Length];
            uint read = 0;
            Waiting.Until(_console, Machine.Clock, () => (read += _port.Read(into.AsSpan((int)read))) == into.Length, "the input");
            Assert.Equal(text, into);
        }
        Assert.Equal(0ul, _port.BytesInDoubt);
    }

    [Fact]
    public void What_was_received_before_the_reset_can_be_read_after_it()
    {
        _device.MostInput = 3;
        _device.Type("abcdefghi"u8);
        Machine.Run();
        _console.Poll();
        byte[] into = new byte[4];
        Assert.Equal(4u, _port.Read(into));
        _device.AskForReset();
        _console.Poll();
        Assert.Equal(1ul, _console.Recoveries);
        Assert.Equal(4u, _port.Read(into));
        Assert.Equal("efgh"u8.ToArray(), into);
        _device.Type("jkl"u8);
        List<byte> rest = [];
        Waiting.Until(
            _console,
            Machine.Clock,
            () =>
            {
                uint read = _port.Read(into);
                rest.AddRange(into[..(int)read]);
                return rest.Count == 4;
            },
            "the rest");
        Assert.Equal("ijkl"u8.ToArray(), rest);
        Machine.Run();
        Assert.Equal(8, _device.ReceiveBuffers);
    }

    [Fact]
    public void What_was_on_its_way_is_counted_and_what_waited_is_sent()
    {
        _device.TransmitCredit = 0;
        Assert.Equal(5u, _port.Write("first"u8));
        Assert.Equal(6u, _port.Write("second"u8));
        Machine.Run();
        _device.AskForReset();
        _device.TransmitCredit = int.MaxValue;
        int writable = _ear.Writable;
        _console.Poll();
        Waiting.Until(_console, Machine.Clock, () => !_port.HasUnsent, "the output");
        Assert.Equal("second"u8.ToArray(), _device.Output);
        Assert.Equal(5ul, _port.BytesInDoubt);
        Assert.True(_ear.Writable > writable, "nobody heard that there is room again");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_console_that_breaks_without_a_byte_in_between_is_given_up(int recoveries)
    {
        _console.MaxRecoveries = recoveries;
        for (int i = 0; i <= recoveries; i++)
        {
            Assert.False(_console.IsFailed);
            Machine.Run();
            Break("breaks its receive queue");
            _console.Poll();
        }
        Assert.True(_console.IsFailed);
        Assert.Equal((ulong)recoveries, _console.Recoveries);
        Assert.Equal(0, Machine.HandlerCount);
    }

    [Fact]
    public void A_reset_that_nobody_told_of_is_noticed_when_the_console_is_looked_at()
    {
        Machine.Run();
        _device.AskForReset();
        _console.Virtio.TakeConfigChange();
        Waiting.Until(_console, Machine.Clock, () => _console.Recoveries == 1, "the recovery");
    }

    [Fact]
    public void A_new_size_is_taken_over_and_told_of_once()
    {
        Assert.Equal((80, 25), (_port.Columns, _port.Rows));
        _device.ChangeConfig(config =>
        {
            config[0] = 132;
            config[2] = 43;
        });
        Assert.Equal((80, 25), (_port.Columns, _port.Rows));
        _console.Poll();
        _console.Poll();
        Assert.Equal((132, 43), (_port.Columns, _port.Rows));
        Assert.Equal(1, _ear.Resized);
        _device.ChangeConfig(_ => { });
        _console.Poll();
        Assert.Equal(1, _ear.Resized);
    }

    protected override void End() => _console.Remove();

    private void Break(string what)
    {
        if (what == "asks for a reset")
        {
            _device.AskForReset();
        }
        else
        {
            _device.Queues[what.Contains("receive") ? 0 : 1].PushUsed(60_000, 1);
        }
    }

    private sealed class Ear : ConsoleListener
    {
        public int Writable { get; private set; }

        public int Resized { get; private set; }

        public override void OnReadable()
        {
        }

        public override void OnWritable() => Writable++;

        public override void OnResized() => Resized++;
    }
}
