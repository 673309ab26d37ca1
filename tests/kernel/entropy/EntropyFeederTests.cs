// Who seeds the kernel's generator, and when.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Entropy;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Entropy;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Entropy;

/// <summary>Fake entropy devices, and the feeder called as the run loop calls it.</summary>
public sealed class EntropyFeederTests : IDisposable
{
    private const ulong Second = 1_000_000_000;

    private readonly FakeMachine _machine = new();
    private readonly RandomGenerator _generator = new();
    private DeviceTable _devices = new();
    private EntropyFeeder? _feeder;
    private int _rounds;

    [Fact]
    public void A_device_that_is_there_seeds_the_generator_at_once()
    {
        FakeEntropyDevice device = Plug(64);
        Begin();
        Run(Second);
        Assert.True(_generator.IsSeeded);
        Assert.Equal((512ul, 1ul, 0), (_generator.CreditedBits, _feeder!.SeedsFromDevices, device.Left));
    }

    [Fact]
    public void Every_device_is_asked_for_a_seed_of_its_own()
    {
        FakeEntropyDevice[] devices = [Plug(100), Plug(64), Plug(64)];
        _machine.Plug(new FakeBlockDevice(64));
        Begin();
        Run(Second);
        Assert.Equal(3ul, _feeder!.SeedsFromDevices);
        Assert.Equal([36, 0, 0], devices.Select(device => device.Left));
        Assert.Equal(1, _rounds);
    }

    [Fact]
    public void Without_a_device_the_processor_is_asked_and_nothing_is_claimed()
    {
        Begin();
        Run(Second);
        Assert.Equal(1, _rounds);
        Assert.False(_generator.IsSeeded);
        Assert.False(_feeder!.HasSource);
    }

    [Fact]
    public void A_device_that_comes_later_is_asked_when_it_comes()
    {
        Begin();
        Run(Second);
        Plug(64);
        Attach();
        Run(Second);
        Assert.True(_generator.IsSeeded);
    }

    [Fact]
    public void A_seed_comes_every_five_minutes()
    {
        Plug(10_000);
        Begin();
        Run(Second);
        Assert.Equal(1ul, _feeder!.SeedsFromDevices);
        Run(298 * Second);
        Assert.Equal(1ul, _feeder.SeedsFromDevices);
        Run(2 * Second);
        Assert.Equal(2ul, _feeder.SeedsFromDevices);
        Run(300 * Second);
        Assert.Equal((3ul, 3), (_feeder.SeedsFromDevices, _rounds));
    }

    [Fact]
    public void Much_that_was_given_out_asks_for_a_seed_before()
    {
        Plug(10_000);
        Begin();
        Run(20 * Second);
        _generator.Fill(new byte[(1 << 20) - 1]);
        Run(Second);
        Assert.Equal(1ul, _feeder!.SeedsFromDevices);
        _generator.Fill(new byte[1]);
        Run(Second);
        Assert.Equal(2ul, _feeder.SeedsFromDevices);
    }

    [Fact]
    public void A_device_that_says_nothing_is_asked_again_and_seeds_when_it_has_something()
    {
        FakeEntropyDevice device = Plug(0);
        Begin();
        Run(60 * Second);
        Assert.False(_generator.IsSeeded);
        device.Give(Bytes(64));
        Run(20 * Second);
        Assert.True(_generator.IsSeeded);
    }

    [Fact]
    public void A_silent_device_does_not_keep_the_next_one_from_being_asked()
    {
        Plug(0);
        Plug(64);
        Begin();
        Run(31 * Second);
        Assert.True(_generator.IsSeeded);
    }

    [Fact]
    public void Zeroes_are_no_seed()
    {
        FakeEntropyDevice device = Plug(0);
        device.Give(new byte[64]);
        Begin();
        Run(Second);
        Assert.Equal((0, 1ul, 0ul), (device.Left, _generator.RejectedSeeds, _feeder!.SeedsFromDevices));
        Assert.False(_generator.IsSeeded);
    }

    [Fact]
    public void A_device_that_is_removed_while_it_is_asked_is_no_loss()
    {
        Plug(0);
        FakeEntropyDevice second = Plug(0);
        Begin();
        Run(Second);
        Device first = _devices[0];
        first.Remove();
        _devices.Remove(first);
        second.Give(Bytes(64));
        Run(12 * Second);
        Assert.True(_generator.IsSeeded);
    }

    [Fact]
    public void Once_the_first_round_is_over_nothing_is_to_do_for_minutes()
    {
        Plug(64);
        Begin();
        Run(Second);
        Assert.InRange(_feeder!.NextDeadline - _machine.Clock.Now, 290 * Second, 300 * Second);
        _feeder.Remove();
        Assert.Equal(ulong.MaxValue, _feeder.NextDeadline);
    }

    public void Dispose()
    {
        try
        {
            for (int i = 0; i < _devices.Count; i++)
            {
                _devices[i].Remove();
            }
            _machine.Violations.AssertEmpty();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }

    private FakeEntropyDevice Plug(int bytes)
    {
        FakeEntropyDevice device = new();
        device.Give(Bytes(bytes, _machine.Functions.Count));
        _machine.Plug(device);
        return device;
    }

    private void Begin()
    {
        _devices = FakeBinding.Attach(_machine, out _);
        _feeder = new EntropyFeeder(_generator, _devices, _machine.Clock) { OnRound = () => _rounds++ };
        _devices.Add(_feeder);
    }

    /// <summary>Takes the device that was plugged last into service, as a slot would.</summary>
    private void Attach() => _devices.Add(FakeBinding.AttachOne<EntropySource>(_machine));

    private void Run(ulong nanoseconds)
    {
        ulong end = _machine.Clock.Now + nanoseconds;
        while (_machine.Clock.Now < end)
        {
            _machine.Clock.WaitForInterrupt(Math.Min(_devices.NextDeadline(), _machine.Clock.Now + Second / 10));
            _devices.OnDeadline(_machine.Clock.Now);
            _devices.Poll();
        }
    }

    private static byte[] Bytes(int length, int seed = 99)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
