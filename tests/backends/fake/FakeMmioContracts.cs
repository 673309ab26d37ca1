// The contracts over virtio-mmio, version 2 and version 1.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Contracts;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk behind virtio-mmio. The requirements are those that the strict fake checks in every one of the tests.</summary>
[Trait("Requirement", "MMIO-REG-1")]
[Trait("Requirement", "MMIO-REG-2")]
[Trait("Requirement", "MMIO-REG-3")]
[Trait("Requirement", "MMIO-REG-4")]
[Trait("Requirement", "MMIO-REG-5")]
[Trait("Requirement", "MMIO-REG-12")]
[Trait("Requirement", "MMIO-REG-13")]
[Trait("Requirement", "MMIO-REG-14")]
[Trait("Requirement", "MMIO-REG-15")]
[Trait("Requirement", "MMIO-REG-19")]
[Trait("Requirement", "MMIO-REG-20")]
[Trait("Requirement", "MMIO-INIT-6")]
[Trait("Requirement", "MMIO-IRQ-1")]
[Trait("Requirement", "MMIO-IRQ-2")]
[Trait("Requirement", "MMIO-IRQ-3")]
public sealed class FakeMmioBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, (machine, device) => FakeBinding.AttachMmio<BlockDevice>(machine, device, version: 2));
}

/// <summary>A disk behind legacy virtio-mmio.</summary>
[Trait("Requirement", "MMIO-LEGACY-1")]
[Trait("Requirement", "MMIO-LEGACY-2")]
[Trait("Requirement", "MMIO-LEGACY-3")]
[Trait("Requirement", "MMIO-LEGACY-4")]
[Trait("Requirement", "MMIO-LEGACY-5")]
[Trait("Requirement", "MMIO-LEGACY-6")]
[Trait("Requirement", "MMIO-LEGACY-9")]
[Trait("Requirement", "MMIO-LEGACY-10")]
[Trait("Requirement", "MMIO-LEGACY-12")]
[Trait("Requirement", "MMIO-LEGACY-13")]
public sealed class FakeLegacyMmioBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, (machine, device) => FakeBinding.AttachMmio<BlockDevice>(machine, device, version: 1));
}

/// <summary>A console behind virtio-mmio.</summary>
public sealed class FakeMmioConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() =>
        new FakeConsoleBackend((machine, device) => FakeBinding.AttachMmio<ConsoleDevice>(machine, device, version: 2));
}

/// <summary>A console behind legacy virtio-mmio.</summary>
public sealed class FakeLegacyMmioConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() =>
        new FakeConsoleBackend((machine, device) => FakeBinding.AttachMmio<ConsoleDevice>(machine, device, version: 1));
}
