// The contract of disk commands on the fake machine.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk that offers no command besides reading, writing and flushing.</summary>
public sealed class FakePoorDiskTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup);
}

/// <summary>A disk with all commands, for ranges that have to be cut.</summary>
public sealed class FakeRichDiskTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, arrange: device => Enrich(device));

    /// <summary>Offers everything.</summary>
    internal static FakeBlockDevice Enrich(FakeBlockDevice device)
    {
        device.OfferedFeatures |= FakeBlockDevice.Lifetime;
        return device.Allow(FakeBlockDevice.Discard, 48, 1, 16).Allow(FakeBlockDevice.WriteZeroes, 30, 4).Allow(FakeBlockDevice.SecureErase, 64).AllowSwitch();
    }
}

/// <summary>The same with packed rings.</summary>
public sealed class FakeRichPackedDiskTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, arrange: device => FakeRichDiskTests.Enrich(device).OfferedFeatures |= FakeVirtioDevice.RingPacked);
}

/// <summary>The same by the legacy interface.</summary>
public sealed class FakeRichLegacyDiskTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(
        setup, (machine, device) => Legacy.Attach<BlockDevice>(machine, device, 4), device => FakeRichDiskTests.Enrich(device));
}

/// <summary>The same behind virtio-mmio.</summary>
public sealed class FakeRichMmioDiskTests(ITestOutputHelper output) : BlockCommandContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(
        setup, (machine, device) => FakeBinding.AttachMmio<BlockDevice>(machine, device, 2), device => FakeRichDiskTests.Enrich(device));
}
