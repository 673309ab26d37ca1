// The contracts over the legacy PCI interface.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk behind the legacy interface. The requirements are those that the strict fake checks in every one of the tests.</summary>
[Trait("Requirement", "CORE-LEGACY-2")]
[Trait("Requirement", "CORE-LEGACY-5")]
[Trait("Requirement", "SPLIT-LEGACY-1")]
[Trait("Requirement", "SPLIT-LEGACY-2")]
[Trait("Requirement", "SPLIT-LEGACY-3")]
[Trait("Requirement", "SPLIT-LEGACY-4")]
[Trait("Requirement", "PCI-LEGACY-2")]
[Trait("Requirement", "PCI-LEGACY-5")]
[Trait("Requirement", "PCI-LEGACY-6")]
[Trait("Requirement", "PCI-LEGACY-7")]
[Trait("Requirement", "PCI-LEGACY-8")]
[Trait("Requirement", "PCI-LEGACY-9")]
[Trait("Requirement", "PCI-LEGACY-16")]
[Trait("Requirement", "PCI-LEGACY-17")]
[Trait("Requirement", "PCI-LEGACY-18")]
[Trait("Requirement", "BLK-LEGACY-10")]
[Trait("Requirement", "BLK-LEGACY-1")]
[Trait("Requirement", "BLK-LEGACY-3")]
public sealed class FakeLegacyBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, (machine, device) => Legacy.Attach<BlockDevice>(machine, device, 4));
}

/// <summary>A disk behind the legacy interface that interrupts by its pin: its configuration lies elsewhere.</summary>
public sealed class FakeLegacyBlockDeviceWithPinTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, (machine, device) => Legacy.Attach<BlockDevice>(machine, device, 0));
}

/// <summary>A console behind the legacy interface.</summary>
[Trait("Requirement", "CONSOLE-LEGACY-1")]
public sealed class FakeLegacyConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend((machine, device) => Legacy.Attach<ConsoleDevice>(machine, device, 3));
}

/// <summary>Puts devices behind the legacy interface.</summary>
internal static class Legacy
{
    internal static T Attach<T>(FakeMachine machine, FakeVirtioDevice device, ushort vectors)
        where T : Device
    {
        machine.Plug(new FakeLegacyPciDevice(device, vectors), 0, 3);
        return FakeBinding.AttachOne<T>(machine);
    }
}
