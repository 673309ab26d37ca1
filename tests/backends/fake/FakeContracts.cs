// One subclass of each contract for each sort of fake machine.
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk with a vector for each queue.</summary>
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
public sealed class FakePlainBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, arrange: device => device.OfferedFeatures &= ~(FakeVirtioDevice.IndirectDescriptors | FakeVirtioDevice.EventIndex));
}

/// <summary>A disk that looks at its ring by itself and never wants to be notified.</summary>
public sealed class FakePollingBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, arrange: device => device.Queues[0].IsPolled = true);
}

/// <summary>A console with a vector for each queue.</summary>
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
