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
