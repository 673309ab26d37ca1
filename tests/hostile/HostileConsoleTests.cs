// Faults against the console driver.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>S: virtio-console.</summary>
public sealed class HostileConsoleTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device = new();
    private VirtioConsole _console = null!;

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

    public void Dispose() => _machine.Dispose();

    private ConsolePort Attach()
    {
        _machine.Plug(_device);
        _console = FakeBinding.AttachOne<VirtioConsole>(_machine);
        return _console.Port(0);
    }

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
