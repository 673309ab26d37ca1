// The contract of entropy sources on the fake machine: every way to a device, both formats of rings.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A fake source in service.</summary>
public sealed class FakeEntropyBackend : EntropyBackend
{
    private readonly FakeMachine _machine = new();
    private readonly FakeEntropyDevice _device = new();

    /// <summary>
    /// Makes the machine and binds the driver; <paramref name="arrange"/> changes the device before, <paramref name="plugged"/> its function.
    /// </summary>
    public FakeEntropyBackend(ushort vectors = 4, Action<FakeEntropyDevice>? arrange = null, Action<FakeVirtioPciDevice>? plugged = null)
    {
        arrange?.Invoke(_device);
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(_device, vectors), 0, 3);
        plugged?.Invoke(function);
        Source = FakeBinding.AttachOne<EntropySource>(_machine);
    }

    /// <summary>The same for a device that <paramref name="attach"/> puts on a bus of its choice and takes into service.</summary>
    public FakeEntropyBackend(Func<FakeMachine, FakeEntropyDevice, EntropySource> attach) => Source = attach(_machine, _device);

    /// <inheritdoc/>
    public override EntropySource Source { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override void HostGives(ReadOnlySpan<byte> bytes) => _device.Give(bytes);

    /// <inheritdoc/>
    public override void Dispose()
    {
        try
        {
            _machine.Violations.AssertEmpty();
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }
}

/// <summary>A source with MSI-X. The requirement is one that the strict fake checks in every one of the tests.</summary>
[Trait("Requirement", "RNG-1")]
[Trait("Requirement", "RNG-2")]
public sealed class FakeEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend();
}

/// <summary>A source with one vector for everything.</summary>
public sealed class FakeEntropySourceWithOneVectorTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend(vectors: 1);
}

/// <summary>A source that interrupts by its pin.</summary>
public sealed class FakeEntropySourceWithPinTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend(vectors: 0);
}

/// <summary>A source that can't interrupt at all.</summary>
public sealed class FakePolledEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend(plugged: function => function.Machine.BestInterrupts = InterruptKind.None);
}

/// <summary>A source without indirect descriptors and without EVENT_IDX, whose queue holds one buffer.</summary>
public sealed class FakePlainEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend(arrange: device =>
    {
        device.OfferedFeatures &= ~(FakeVirtioDevice.IndirectDescriptors | FakeVirtioDevice.EventIndex);
        device.Queues[0].MaxSize = 1;
    });
}

/// <summary>A source with a packed ring whose size is no power of two.</summary>
public sealed class FakePackedEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend(arrange: device =>
    {
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked;
        device.Queues[0].MaxSize = 5;
    });
}

/// <summary>A source with a packed ring, notifications that say how far it is filled, and batches in order.</summary>
public sealed class FakeBatchingEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend(arrange: device =>
    {
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked | FakeVirtioDevice.InOrder | FakeVirtioDevice.NotificationData;
        device.Queues[0].WritesBatches = true;
    });
}

/// <summary>A source behind the legacy PCI interface.</summary>
public sealed class FakeLegacyEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend((machine, device) => Legacy.Attach<EntropySource>(machine, device, 2));
}

/// <summary>A source behind virtio-mmio.</summary>
public sealed class FakeMmioEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() =>
        new FakeEntropyBackend((machine, device) => FakeBinding.AttachMmio<EntropySource>(machine, device, version: 2));
}

/// <summary>A source behind virtio-mmio with a packed ring.</summary>
public sealed class FakePackedMmioEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() => new FakeEntropyBackend((machine, device) =>
    {
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked;
        return FakeBinding.AttachMmio<EntropySource>(machine, device, version: 2);
    });
}

/// <summary>A source behind legacy virtio-mmio.</summary>
public sealed class FakeLegacyMmioEntropySourceTests : EntropySourceContract
{
    /// <inheritdoc/>
    protected override EntropyBackend Open() =>
        new FakeEntropyBackend((machine, device) => FakeBinding.AttachMmio<EntropySource>(machine, device, version: 1));
}
