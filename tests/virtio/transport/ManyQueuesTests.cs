// Several queues of different sizes: each register that is selected by a queue is that of the right one, in whatever order.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary>On every transport.</summary>
public sealed class ManyQueuesTests : IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device = new();

    [Theory]
    [InlineData("modern PCI")]
    [InlineData("legacy PCI")]
    [InlineData("mmio")]
    [InlineData("legacy mmio")]
    public void What_is_said_of_one_queue_is_not_said_of_another(string bus)
    {
        bool legacy = bus.StartsWith("legacy", StringComparison.Ordinal);
        _device.OfferedFeatures = legacy ? 0 : VirtioFeature.Version1 | VirtioFeature.RingReset;
        (_device.Queues[0].MaxSize, _device.Queues[1].MaxSize) = (16, 64);
        VirtioTransport transport = Open(bus);
        transport.WriteStatus(0);
        Assert.Equal(0, transport.ReadStatus());
        transport.WriteStatus(DeviceStatus.Acknowledge);
        transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
        ulong features = transport.ReadDeviceFeatures();
        Assert.Equal(_device.OfferedFeatures, features);
        transport.WriteDriverFeatures(features);
        if (!legacy)
        {
            transport.WriteStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
        }
        Assert.Equal(features, _device.DriverFeatures);
        foreach (ushort queue in (ushort[])[1, 0, 1])
        {
            Assert.Equal(queue == 0 ? 16 : 64, transport.ReadMaxQueueSize(queue));
            Assert.False(transport.IsQueueEnabled(queue));
        }
        bool hasVectors = bus.EndsWith("PCI", StringComparison.Ordinal);
        Assert.Equal(hasVectors ? 3 : 1, transport.PrepareInterrupts(3, out InterruptKind kind));
        Assert.Equal(hasVectors ? InterruptKind.MsiX : InterruptKind.Pin, kind);
        Assert.Equal(hasVectors, transport.TrySetQueueVector(1, 2));
        Assert.Equal(hasVectors, transport.TrySetQueueVector(0, 1));
        Assert.Equal(hasVectors, transport.TrySetConfigVector(0));
        if (hasVectors)
        {
            Assert.Equal((1, 2), (_device.Queues[0].Vector, _device.Queues[1].Vector));
        }
        Assert.True(transport.TrySetQueueVector(0, VirtioTransport.NoVector));
        Assert.Equal(hasVectors ? 2 : VirtioTransport.NoVector, _device.Queues[1].Vector);
        Assert.Equal(VirtioTransport.NoVector, _device.Queues[0].Vector);

        Assert.True(SplitVirtqueue.TryCreate(transport, 1, 64, 0, out SplitVirtqueue? second));
        Assert.True(SplitVirtqueue.TryCreate(transport, 0, 16, 0, out SplitVirtqueue? first));
        Assert.False(bus == "legacy PCI" && transport.EnableQueue(1, 32, second!.Addresses).IsBound); // its size is not the driver's to choose
        Assert.True(transport.EnableQueue(1, 64, second!.Addresses).IsBound);
        Assert.Equal((false, true), (_device.Queues[0].IsEnabled, _device.Queues[1].IsEnabled));
        Assert.Equal((false, true, false), (transport.IsQueueEnabled(0), transport.IsQueueEnabled(1), transport.IsQueueEnabled(0)));
        Assert.True(transport.EnableQueue(0, 16, first!.Addresses).IsBound);
        Assert.Equal((16, second.Addresses.DescriptorArea), (_device.Queues[0].Size, _device.Queues[1].DescriptorArea));
        Assert.Equal(first.Addresses.DescriptorArea, _device.Queues[0].DescriptorArea);
        transport.WriteStatus((byte)(transport.ReadStatus() | DeviceStatus.DriverOk));
        if (!legacy)
        {
            transport.ReadMaxQueueSize(0);
            transport.BeginQueueReset(1);
            Assert.Equal((false, true), (_device.Queues[0].IsResetting, _device.Queues[1].IsResetting));
            transport.ReadMaxQueueSize(0);
            Assert.True(transport.IsQueueReset(1));
            Assert.Equal((true, false), (_device.Queues[0].IsEnabled, _device.Queues[1].IsEnabled));
        }
        transport.WriteStatus(0);
        Assert.Equal(0, transport.ReadStatus());
        transport.ReleaseInterrupts();
        first.Free();
        second.Free();
        _machine.AssertNothingLeaked();
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(1u)]
    public void A_device_without_vectors_has_one_interrupt_for_who_wants_any_and_one_handler(uint version)
    {
        VirtioTransport transport = Open(version == 1 ? "legacy mmio" : "mmio");
        Assert.Equal(0, transport.PrepareInterrupts(0, out InterruptKind kind));
        Assert.Equal(InterruptKind.None, kind);
        Assert.Equal(1, transport.PrepareInterrupts(5, out kind));
        Assert.Equal(InterruptKind.Pin, kind);
        Assert.False(transport.TryAttachInterrupt(1, new NotedInterrupt()));
        Assert.True(transport.TryAttachInterrupt(0, new NotedInterrupt()));
        Assert.False(transport.TryAttachInterrupt(0, new NotedInterrupt()));
        Assert.Equal(1, _machine.HandlerCount);
        Assert.Equal(1, transport.PrepareInterrupts(1, out _)); // begins anew
        Assert.Equal(0, _machine.HandlerCount);
        Assert.True(transport.TryAttachInterrupt(0, new NotedInterrupt()));
        transport.ReleaseInterrupts();
        Assert.Equal(0, _machine.HandlerCount);
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private VirtioTransport Open(string bus)
    {
        if (bus.EndsWith("mmio", StringComparison.Ordinal))
        {
            FakeMmioDevice mmio = _machine.Plug(new FakeMmioDevice(_machine, _device, bus == "mmio" ? 2u : 1));
            Assert.True(MmioTransport.TryCreate(mmio, out MmioTransport? platform).IsBound);
            return platform!;
        }
        ProbeResult result;
        VirtioTransport? transport;
        if (bus == "legacy PCI")
        {
            FakeLegacyPciDevice legacy = _machine.Plug(new FakeLegacyPciDevice(_device), 0, 3);
            result = LegacyPciTransport.TryCreate(new ScannedPciFunction(_machine, legacy.Address), DeviceType.Console, out LegacyPciTransport? found);
            transport = found;
        }
        else
        {
            FakeVirtioPciDevice modern = _machine.Plug(new FakeVirtioPciDevice(_device), 0, 3);
            result = ModernPciTransport.TryCreate(new ScannedPciFunction(_machine, modern.Address), DeviceType.Console, out ModernPciTransport? found);
            transport = found;
        }
        Assert.True(result.IsBound, result.Reason);
        return transport!;
    }
}
