// How a console is taken into service, and what becomes of one that can't be (virtio 5.3.5).
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>Devices that are probed by hand, with a driver that is arranged for.</summary>
public sealed class VirtioConsoleProbeTests : MachineScene
{
    private readonly VirtioConsoleDriver _driver = new();

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Without_memory_at_any_allocation_a_console_is_refused_and_leaks_nothing(int ports)
    {
        List<string> reasons = [];
        for (int allocation = 1; ; allocation++)
        {
            FakeConsoleDevice device = new(ports: ports);
            Machine.FakeDma.FailAllocation(allocation);
            ProbeResult result = Probe(device, out Device? bound);
            Machine.FakeDma.FailAllocation(0);
            Assert.Equal(result.IsBound, bound is not null);
            Assert.Equal(!result.IsBound, device.WasGivenUp);
            if (bound is VirtioConsole console)
            {
                Assert.Equal(ports == 0 ? 1 : 0, console.PortCount);
                bound.Remove();
                Machine.AssertNothingLeaked();
                break;
            }
            Machine.AssertNothingLeaked();
            Assert.Equal(ProbeStatus.Failed, result.Status);
            reasons.Add(result.Reason);
        }
        // The queues in their order, and then what is theirs.
        Assert.InRange(reasons.Count, 3, 100);
        int other = reasons.FindIndex(reason => !reason.Contains("queue", StringComparison.Ordinal));
        Assert.Equal(ports == 0 ? "there is no memory for the console's buffers" : "there is no memory for the control messages", reasons[other]);
        Assert.All(reasons.Where((_, i) => i != other), reason => Assert.Contains("queue", reason, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 1)]
    [InlineData(2, 0)]
    [InlineData(2, 1)]
    [InlineData(2, 2)]
    [InlineData(2, 3)]
    public void Without_a_queue_that_it_needs_a_console_is_refused(int ports, int queue)
    {
        FakeConsoleDevice device = new(ports: ports);
        device.Queues[queue].Size = device.Queues[queue].MaxSize = 0;
        ProbeResult result = Probe(device, out Device? bound);
        Assert.Equal((ProbeStatus.Failed, (ulong)queue), (result.Status, result.Value));
        Assert.Null(bound);
        Assert.True(device.WasGivenUp);
    }

    [Fact]
    public void A_device_that_does_not_agree_on_features_is_refused_before_anything_else_is_done()
    {
        FakeConsoleDevice device = new(ports: 2) { RefusesFeatures = _ => true };
        int before = Machine.FakeDma.AllocationCount;
        Assert.Equal(ProbeStatus.Failed, Probe(device, out Device? bound).Status);
        Assert.Null(bound);
        Assert.Equal(before, Machine.FakeDma.AllocationCount);
        Assert.True(device.WasGivenUp);
    }

    [Theory]
    [InlineData(0, 64)]
    [InlineData(2, 16)]
    public void The_queues_of_one_port_are_long_and_those_of_several_short(int ports, int size)
    {
        FakeConsoleDevice device = new(queueSize: 256, ports: ports);
        Assert.True(Probe(device, out Device? bound).IsBound);
        Assert.Equal((size, size), (device.Queues[0].Size, device.Queues[1].Size));
        Assert.True(ports == 0 || (device.Queues[2].Size, device.Queues[3].Size, device.Queues[4].Size) == (64, 64, 16));
        bound!.Remove();
    }

    [Theory]
    [InlineData(1, 4, 1)]
    [InlineData(2, 4, 2)]
    [InlineData(4, 4, 4)]
    [InlineData(9, 4, 4)]
    [InlineData(9, 1, 1)]
    public void There_are_as_many_ports_as_are_wanted_and_the_device_has(int wanted, int ports, int used)
    {
        using CapturedLog log = new();
        _driver.MaxPorts = wanted;
        Assert.True(Probe(new FakeConsoleDevice(ports: ports), out Device? bound).IsBound);
        Assert.Equal(used, Assert.IsType<VirtioConsole>(bound).MaxPorts);
        bound!.Remove();
        Assert.Empty(log.Entries);
    }

    [Fact]
    public void A_device_that_allows_no_port_is_warned_of_and_has_one()
    {
        using CapturedLog log = new();
        FakeConsoleDevice device = new(ports: 3);
        device.Config[4] = 0;
        Assert.True(Probe(device, out Device? bound).IsBound);
        Assert.Equal(1, Assert.IsType<VirtioConsole>(bound).MaxPorts);
        Assert.Equal(["virtio-console: the device offers several ports and allows none; one is used 0x0"], log.Entries);
        bound!.Remove();
    }

    [Fact]
    public void Consoles_are_numbered_in_the_order_in_which_they_come_and_those_that_are_refused_have_no_number()
    {
        List<string> names = [];
        for (int i = 0; i < 4; i++)
        {
            Machine.FakeDma.FailAllocation(i == 1 ? 3 : 0);
            if (Probe(new FakeConsoleDevice(), out Device? bound).IsBound)
            {
                names.Add(bound!.Name);
                bound.Remove();
            }
        }
        Assert.Equal(["console0", "console1", "console2"], names);
    }

    private ProbeResult Probe(FakeConsoleDevice device, out Device? bound)
    {
        VirtioDriverTable drivers = new();
        drivers.Add(_driver);
        return new VirtioMmioDriver(drivers).Probe(Machine.Plug(new FakeMmioDevice(Machine, device, 2)), out bound);
    }
}
