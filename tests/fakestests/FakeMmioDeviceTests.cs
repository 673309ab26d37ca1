// The fake device on no bus keeps the rules for its registers (virtio 4.2.2.1).
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Every register by hand.</summary>
public sealed class FakeMmioDeviceTests : IDisposable
{
    private const uint QueueReady = 0x044;
    private const uint QueueNotify = 0x050;
    private const uint InterruptStatus = 0x060;
    private const uint InterruptAcknowledge = 0x064;
    private const uint Status = 0x070;
    private const uint QueueReset = 0x0C0;
    private const uint ConfigGeneration = 0x0FC;
    private const ushort QueueSize = 8;

    private readonly FakeMachine _machine = new();
    private readonly FakeQueueDevice _device = new(QueueSize);
    private readonly IoRegion _registers;
    private readonly DmaBuffer _ring;

    public FakeMmioDeviceTests()
    {
        _device.OfferedFeatures |= VirtioFeature.RingReset;
        _registers = _machine.Plug(new FakeMmioDevice(_machine, _device, version: 2)).Registers;
        Assert.True(_machine.Dma.TryAllocate(1024, 64, out _ring));
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [Trait("DeviceRequirement", "DEV-MMIO-1")]
    public void The_magic_and_the_version_stand_where_they_are_looked_for(uint version)
    {
        FakeMmioDevice device = new(_machine, new FakeQueueDevice(QueueSize), version);
        Assert.Equal((0x74726976u, version), (device.Registers.Read32(0), device.Registers.Read32(4)));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MMIO-2")]
    public void A_bit_of_the_interrupt_status_stays_until_it_is_acknowledged()
    {
        Start(0);
        _device.RaiseQueue(_device.Queues[0]);
        _device.Bus.RaiseConfig();
        Assert.Equal([3u, 3u], [_registers.Read32(InterruptStatus), _registers.Read32(InterruptStatus)]);
        _registers.Write32(InterruptAcknowledge, 1);
        Assert.Equal(2u, _registers.Read32(InterruptStatus));
        _registers.Write32(InterruptAcknowledge, 2);
        Assert.Equal(0u, _registers.Read32(InterruptStatus));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MMIO-3")]
    public void A_reset_clears_the_interrupt_status_and_every_QueueReady()
    {
        Start(0);
        _device.RaiseQueue(_device.Queues[0]);
        Assert.Equal((1u, 1u), (_registers.Read32(InterruptStatus), _registers.Read32(QueueReady)));
        _registers.Write32(Status, 0);
        Assert.Equal((0u, 0u, 0u), (_registers.Read32(Status), _registers.Read32(InterruptStatus), _registers.Read32(QueueReady)));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MMIO-4")]
    public void The_generation_is_another_one_after_each_change_of_the_configuration()
    {
        Start(0);
        uint before = _registers.Read32(ConfigGeneration);
        _device.ChangeConfig(_ => { });
        uint after = _registers.Read32(ConfigGeneration);
        Assert.NotEqual(before, after);
        Assert.Equal(after, _registers.Read32(ConfigGeneration));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MMIO-5")]
    public void The_memory_of_a_ring_is_not_touched_before_QueueReady()
    {
        Negotiate(0);
        SetUpQueue();
        Assert.True(_machine.Dma.TryAllocate(64, 64, out DmaBuffer untouched));
        Offer(untouched); // which is not lent: taking it would break a rule
        _registers.Write32(Status, 15);
        _device.IsHeld = false;
        _machine.Run();
        Assert.False(_device.Queues[0].IsEnabled);
        Assert.Equal(new byte[64], _ring.Span.Slice(256, 64).ToArray());
        _machine.Dma.Free(untouched);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-MMIO-6")]
    public void The_reset_of_a_queue_takes_its_time_and_ends_with_QueueReady_0()
    {
        Start(VirtioFeature.RingReset);
        _device.Queues[0].ResetReads = 2;
        _registers.Write32(QueueReset, 1);
        Assert.Equal([1u, 1u, 0u], [_registers.Read32(QueueReset), _registers.Read32(QueueReset), _registers.Read32(QueueReset)]);
        Assert.Equal((0u, 15u), (_registers.Read32(QueueReady), _registers.Read32(Status)));
    }

    [Fact]
    public void A_register_has_32_bits_and_one_direction()
    {
        Breaks("with 1 bytes", () => _registers.Read8(Status));
        Breaks("with 2 bytes", () => _registers.Write16(QueueNotify, 0));
        Breaks("register 0x050 was read", () => _registers.Read32(QueueNotify));
        Breaks("register 0x0C0 was read", () => _registers.Read32(QueueReset)); // not agreed on
    }

    public void Dispose() => _machine.Dispose();

    private void Negotiate(ulong features)
    {
        features |= FakeVirtioDevice.Version1;
        _registers.Write32(Status, 0);
        Assert.Equal(0u, _registers.Read32(Status));
        _registers.Write32(Status, 1);
        _registers.Write32(Status, 3);
        for (uint word = 0; word < 2; word++)
        {
            _registers.Write32(0x024, word);
            _registers.Write32(0x020, (uint)(features >> (int)(32 * word)));
        }
        _registers.Write32(Status, 11);
    }

    private void SetUpQueue()
    {
        _machine.Dma.Share(_ring, DmaDirection.Both);
        _registers.Write32(0x030, 0);
        _registers.Write32(0x038, QueueSize);
        uint[] places = [0x080, 0x090, 0x0A0];
        for (int i = 0; i < 3; i++)
        {
            ulong address = _ring.DeviceAddress + (ulong)(i == 0 ? 0 : 128 * i);
            _registers.Write32(places[i], (uint)address);
            _registers.Write32(places[i] + 4, (uint)(address >> 32));
        }
    }

    private void Start(ulong features)
    {
        Negotiate(features);
        SetUpQueue();
        _registers.Write32(QueueReady, 1);
        _registers.Write32(Status, 15);
    }

    private void Offer(in DmaBuffer buffer)
    {
        BitConverter.TryWriteBytes(_ring.Span, buffer.DeviceAddress);
        BitConverter.TryWriteBytes(_ring.Span[8..], buffer.Length);
        BitConverter.TryWriteBytes(_ring.Span[(128 + 2)..], (ushort)1);
    }

    private void Breaks(string part, Action what)
    {
        FakeDeviceException exception = Assert.Throws<FakeDeviceException>(what);
        Assert.Contains(part, exception.Message);
        _machine.Violations.Forgive();
    }
}
