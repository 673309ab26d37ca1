// Faults against the console driver.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>S: virtio-console.</summary>
public sealed class HostileConsoleTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device = new();
    private FakeVirtioPciDevice? _function;
    private VirtioConsole _console = null!;

    [Theory]
    [InlineData(4097u)]
    [InlineData(uint.MaxValue)]
    [Trait("Requirement", "SPLIT-USED-1")]
    public void S01_a_received_length_beyond_the_buffer_gives_no_more_than_the_buffer(uint claimed)
    {
        ConsolePort port = Attach();
        _device.OnReceived = _ => claimed;
        _device.Type("abc"u8);
        byte[] into = new byte[100_000];
        uint read = 0;
        Wait(() => (read = port.Read(into)) > 0);
        Assert.Equal("abc"u8.ToArray(), into[..3]);
        Assert.True(read <= 4096, $"{read} bytes out of one buffer");
        Assert.False(port.IsFailed);
        End();
    }

    [Fact]
    public void S02_a_buffer_that_comes_back_empty_is_lent_again_and_nothing_is_read()
    {
        ConsolePort port = Attach();
        _machine.Run();
        int lent = _device.ReceiveBuffers;
        for (int i = 0; i < 100; i++)
        {
            _device.UseEmpty();
            _console.Poll();
            _machine.Run();
        }
        Assert.Equal(lent, _device.ReceiveBuffers);
        Assert.Equal(0u, port.Read(new byte[10]));
        _device.Type("still there"u8);
        byte[] into = new byte[11];
        Wait(() => port.Read(into) == 11);
        End();
    }

    [Fact]
    [Trait("Requirement", "CONSOLE-OP-1")]
    [Trait("Requirement", "CONSOLE-OP-2")]
    [Trait("Requirement", "CONSOLE-LEGACY-3")]
    public void S15_a_length_for_a_buffer_that_was_only_read_does_no_harm()
    {
        ConsolePort port = Attach();
        _device.TransmitUsedLength = 100;
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(3u, port.Write("abc"u8));
            Wait(() => !port.HasUnsent);
        }
        Assert.Equal(60, _device.Output.Length);
        End();
    }

    [Fact]
    public void S14_a_host_that_never_takes_anything_does_not_stop_the_driver_from_ending()
    {
        ConsolePort port = Attach();
        _device.TransmitCredit = 0;
        byte[] bytes = new byte[1000];
        while (port.Write(bytes) > 0)
        {
            _machine.Run();
            _console.Poll();
        }
        for (int i = 0; i < 100; i++)
        {
            ulong now = _machine.Clock.Now;
            _console.OnDeadline(now);
            _machine.FakeClock.Advance(10_000_000);
            _machine.Run();
        }
        Assert.Equal(0u, port.Write(bytes));
        End();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_used_id_that_was_never_given_fails_the_port_and_its_listener_hears(int queue)
    {
        ConsolePort port = Attach();
        _console.MaxRecoveries = 0;
        _machine.Run();
        Ear ear = new();
        port.Listener = ear;
        _device.Queues[queue].PushUsed(60_000, 1);
        _console.Poll();
        Assert.True(port.IsFailed);
        Assert.True(ear.Calls > 0);
        Assert.Equal(0u, port.Write("x"u8));
        Assert.Equal(0u, port.Read(new byte[1]));
        End();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_doorbell_or_an_interrupt_that_got_lost_is_made_good_for(bool doorbell)
    {
        ConsolePort port = Attach();
        if (doorbell)
        {
            _device.Queues[1].LoseNotifications = 1;
        }
        else
        {
            _device.Queues[1].LoseSignals = 1;
        }
        port.Write("lost and found"u8);
        Wait(() => _device.Output.Length == 14 && !port.HasUnsent);
        End();
    }

    [Fact]
    public void G10_rows_and_columns_are_what_the_device_says_even_if_they_are_nonsense()
    {
        _device.SetSize(0, 65535);
        ConsolePort port = Attach();
        Assert.Equal((0, 65535), (port.Columns, port.Rows));
        End();
    }

    [Fact]
    [Trait("Requirement", "CORE-CONFIG-3")]
    public void Without_the_feature_no_size_is_read()
    {
        ConsolePort port = Attach();
        Assert.Equal((0, 0), (port.Columns, port.Rows));
        End();
    }

    [Fact]
    public void R01_a_console_that_is_pulled_fails_and_takes_nothing_any_more()
    {
        ConsolePort port = Attach();
        _device.TransmitCredit = 0;
        port.Write("into the void"u8);
        _machine.Run();
        _machine.Pull(_function!);
        for (int i = 0; i < 10 && !port.IsFailed; i++)
        {
            _machine.FakeClock.Advance(20_000_000);
            _console.OnDeadline(_machine.Clock.Now);
        }
        Assert.True(port.IsFailed);
        Assert.Equal(0u, port.Write("x"u8));
        Assert.Equal(0, _machine.HandlerCount);
    }

    [Fact]
    public void R09_without_memory_at_any_allocation_the_probe_fails_and_leaks_nothing()
    {
        bool bound = false;
        for (int n = 1; !bound; n++)
        {
            using FakeMachine machine = new();
            FakeVirtioPciDevice function = machine.Plug(new FakeConsoleDevice());
            machine.FakeDma.FailAllocation(n);
            DeviceTable devices = FakeBinding.Attach(machine, out _);
            bound = devices.Count == 1;
            if (bound)
            {
                devices[0].Remove();
                Assert.True(n > 1);
            }
            Assert.False(function.IsBusMaster);
            machine.AssertNothingLeaked();
        }
    }

    public void Dispose() => _machine.Dispose();

    private ConsolePort Attach()
    {
        _function = _machine.Plug(_device);
        _console = FakeBinding.AttachOne<VirtioConsole>(_machine);
        return _console.Port(0);
    }

    private void Wait(Func<bool> done) => Waiting.Until(_console, _machine.Clock, done, "the console");

    private void End()
    {
        _console.Remove();
        _machine.Violations.AssertEmpty();
        _machine.AssertNothingLeaked();
    }

    private sealed class Ear : ConsoleListener
    {
        public int Calls { get; private set; }

        public override void OnReadable() => Calls++;

        public override void OnWritable() => Calls++;
    }
}
