// One subclass of each contract for each sort of fake machine.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk with a vector for each queue. The requirements are those that the strict fake checks in every one of the tests.</summary>
[Trait("Requirement", "CORE-STATUS-1")]
[Trait("Requirement", "CORE-STATUS-2")]
[Trait("Requirement", "CORE-FEAT-1")]
[Trait("Requirement", "CORE-FEAT-3")]
[Trait("Requirement", "CORE-INIT-1")]
[Trait("Requirement", "CORE-INIT-3")]
[Trait("Requirement", "CORE-INIT-4")]
[Trait("Requirement", "CORE-INIT-7")]
[Trait("Requirement", "CORE-CLEANUP-1")]
[Trait("Requirement", "SPLIT-FRAME-1")]
[Trait("Requirement", "SPLIT-DESC-1")]
[Trait("Requirement", "SPLIT-INDIRECT-1")]
[Trait("Requirement", "SPLIT-INDIRECT-2")]
[Trait("Requirement", "SPLIT-INDIRECT-3")]
[Trait("Requirement", "SPLIT-INDIRECT-4")]
[Trait("Requirement", "SPLIT-AVAIL-1")]
[Trait("Requirement", "SPLIT-USEDNOTIF-3")]
[Trait("Requirement", "SPLIT-AVAILNOTIF-1")]
[Trait("Requirement", "SPLIT-AVAILNOTIF-6")]
[Trait("Requirement", "PCI-LAYOUT-1")]
[Trait("Requirement", "PCI-COMMON-1")]
[Trait("Requirement", "PCI-COMMON-3")]
[Trait("Requirement", "PCI-COMMON-4")]
[Trait("Requirement", "PCI-COMMON-5")]
[Trait("Requirement", "PCI-COMMON-6")]
[Trait("Requirement", "PCI-MSIX-4")]
[Trait("Requirement", "PCI-NOTIFY-1")]
[Trait("Requirement", "PCI-NOTIFY-3")]
[Trait("Requirement", "PCI-CAP-9")]
[Trait("Requirement", "BLK-OP-2")]
[Trait("Requirement", "BLK-OP-4")]
[Trait("Requirement", "BLK-OP-5")]
[Trait("Requirement", "BLK-OP-6")]
[Trait("Requirement", "BLK-OP-8")]
public sealed class FakeBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup);
}

/// <summary>A disk with one vector for everything.</summary>
public sealed class FakeBlockDeviceWithOneVectorTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, vectors: 1);
}

/// <summary>A disk that interrupts by its pin.</summary>
public sealed class FakeBlockDeviceWithPinTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, vectors: 0);
}

/// <summary>A disk without indirect descriptors and without EVENT_IDX.</summary>
[Trait("Requirement", "SPLIT-USEDNOTIF-1")]
[Trait("Requirement", "SPLIT-AVAILNOTIF-2")]
[Trait("Requirement", "SPLIT-AVAILNOTIF-4")]
[Trait("Requirement", "CORE-FEAT-6")]
public sealed class FakePlainBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, arrange: device => device.OfferedFeatures &= ~(FakeVirtioDevice.IndirectDescriptors | FakeVirtioDevice.EventIndex));
}

/// <summary>A disk that interrupts by MSI.</summary>
public sealed class FakeBlockDeviceWithMsiTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, vectors: 0, plugged: function => function.AddMsi());
}

/// <summary>A disk that can't interrupt at all.</summary>
public sealed class FakePolledBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, plugged: function => function.Machine.BestInterrupts = InterruptKind.None);
}

/// <summary>A console that interrupts by MSI.</summary>
public sealed class FakeConsolePortWithMsiTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(vectors: 0, plugged: function => function.AddMsi());
}

/// <summary>A console that can't interrupt at all.</summary>
public sealed class FakePolledConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(plugged: function => function.Machine.BestInterrupts = InterruptKind.None);
}

/// <summary>A disk that looks at its ring by itself and never wants to be notified.</summary>
public sealed class FakePollingBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, arrange: device => device.Queues[0].IsPolled = true);
}

/// <summary>A console with a vector for each queue.</summary>
[Trait("Requirement", "CONSOLE-OP-1")]
[Trait("Requirement", "CONSOLE-OP-2")]
public sealed class FakeConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend();
}

/// <summary>A console that interrupts by its pin.</summary>
public sealed class FakeConsolePortWithPinTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(vectors: 0);
}

/// <summary>A console without indirect descriptors and without EVENT_IDX.</summary>
public sealed class FakePlainConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() =>
        new FakeConsoleBackend(arrange: device => device.OfferedFeatures &= ~(FakeVirtioDevice.IndirectDescriptors | FakeVirtioDevice.EventIndex));
}

/// <summary>A disk with a packed ring.</summary>
[Trait("Requirement", "CORE-RSVD-6")]
[Trait("Requirement", "PACKED-SG-1")]
[Trait("Requirement", "PACKED-INDIRECT-3")]
public sealed class FakePackedBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, arrange: device => device.OfferedFeatures |= FakeVirtioDevice.RingPacked);
}

/// <summary>A disk with everything that rings have: packed, notifications that say how far it is filled, and batches in order.</summary>
public sealed class FakeBatchingBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, arrange: device =>
    {
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked | FakeVirtioDevice.InOrder | FakeVirtioDevice.NotificationData;
        device.Queues[0].WritesBatches = true;
    });
}

/// <summary>A console with packed rings whose sizes are no powers of two.</summary>
public sealed class FakePackedConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(arrange: device =>
    {
        device.OfferedFeatures |= FakeVirtioDevice.RingPacked;
        device.Queues[0].MaxSize = 3;
        device.Queues[1].MaxSize = 5;
    });
}

/// <summary>A console that uses its buffers in order and completes them in batches.</summary>
public sealed class FakeBatchingConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(arrange: device =>
    {
        device.OfferedFeatures |= FakeVirtioDevice.InOrder | FakeVirtioDevice.NotificationData;
        device.Queues[0].WritesBatches = device.Queues[1].WritesBatches = true;
    });
}

/// <summary>The console among several ports.</summary>
public sealed class FakeMultiportConsoleTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(ports: 4);
}

/// <summary>The same with packed rings.</summary>
public sealed class FakePackedMultiportConsoleTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() =>
        new FakeConsoleBackend(vectors: 2, arrange: device => device.OfferedFeatures |= FakeVirtioDevice.RingPacked, ports: 2);
}
