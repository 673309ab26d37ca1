// Contracts on a machine without an IOMMU: nothing is lent, and requests that come again go the shortest way.
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk with split rings and indirect descriptors.</summary>
public sealed class FakeDirectBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, plugged: Direct);

    internal static void Direct(FakeVirtioPciDevice function) => function.Machine.FakeDma.Shares = false;
}

/// <summary>A disk with split rings whose frames lie in the ring itself.</summary>
public sealed class FakeDirectPlainBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(
        setup,
        arrange: device => device.OfferedFeatures &= ~(FakeVirtioDevice.IndirectDescriptors | FakeVirtioDevice.EventIndex),
        plugged: FakeDirectBlockDeviceTests.Direct);
}

/// <summary>A disk with a packed ring.</summary>
public sealed class FakeDirectPackedBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(
        setup, arrange: device => device.OfferedFeatures |= FakeVirtioDevice.RingPacked, plugged: FakeDirectBlockDeviceTests.Direct);
}

/// <summary>A console.</summary>
public sealed class FakeDirectConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(plugged: FakeDirectBlockDeviceTests.Direct);
}
