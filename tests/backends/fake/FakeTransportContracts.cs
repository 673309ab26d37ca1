// The contracts once more, over each way in which a modern device can be reached and told.
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Fake;

/// <summary>A disk none of whose BARs can be mapped: its registers are reached through config space, its interrupt is the pin.</summary>
[Trait("Requirement", "PCI-CFGACC-1")]
[Trait("Requirement", "PCI-CFGACC-2")]
[Trait("Requirement", "PCI-CFGACC-3")]
[Trait("Requirement", "PCI-CAP-9")]
public sealed class FakeBlockDeviceThroughConfigSpaceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, plugged: function => function.Machine.RefusesMemory = true);
}

/// <summary>The same with a packed ring, numbers of its own and positions in notifications.</summary>
[Trait("Requirement", "PCI-NOTIFY-6")]
public sealed class FakePackedBlockDeviceThroughConfigSpaceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(
        setup,
        arrange: device => device.OfferedFeatures |= VirtioFeature.RingPacked | VirtioFeature.NotifConfigData | VirtioFeature.NotificationData,
        plugged: function => function.Machine.RefusesMemory = true);
}

/// <summary>A console whose registers nobody gave an address; its vectors work.</summary>
[Trait("Requirement", "PCI-CFGACC-1")]
[Trait("Requirement", "PCI-CFGACC-2")]
[Trait("Requirement", "PCI-CFGACC-3")]
public sealed class FakeConsolePortThroughConfigSpaceTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() =>
        new FakeConsoleBackend(plugged: function => function.AssignBar(FakeVirtioPciDevice.RegisterBar, 0));
}

/// <summary>A disk that is told by a port.</summary>
[Trait("Requirement", "PCI-CAP-3")]
public sealed class FakeBlockDeviceToldByPortTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, plugged: function => function.AddPortDoorbells(isFirst: true));
}

/// <summary>A console that is told by a port and wants its own numbers there.</summary>
[Trait("Requirement", "PCI-NOTIFY-5")]
[Trait("Requirement", "CORE-RSVD-13")]
public sealed class FakeConsolePortToldByPortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(
        arrange: device => device.OfferedFeatures |= VirtioFeature.NotifConfigData,
        plugged: function => function.AddPortDoorbells(isFirst: true));
}

/// <summary>A disk with its own numbers for its queues in notifications, which offers to reset one queue.</summary>
[Trait("Requirement", "PCI-NOTIFY-5")]
[Trait("Requirement", "CORE-RSVD-13")]
public sealed class FakeBlockDeviceWithNumbersOfItsOwnTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) =>
        new FakeBlockBackend(setup, arrange: device => device.OfferedFeatures |= VirtioFeature.NotifConfigData | VirtioFeature.RingReset);
}

/// <summary>A disk behind an IOMMU, which refuses drivers that do not say that they know: it reaches what is shared and nothing else.</summary>
[Trait("Requirement", "CORE-RSVD-3")]
[Trait("Requirement", "CORE-RSVD-4")]
[Trait("Requirement", "CORE-RSVD-7")]
public sealed class FakeBlockDeviceBehindIommuTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new FakeBlockBackend(setup, arrange: FakeIommu.Require);
}

/// <summary>A console behind an IOMMU.</summary>
[Trait("Requirement", "CORE-RSVD-3")]
[Trait("Requirement", "CORE-RSVD-4")]
public sealed class FakeConsolePortBehindIommuTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new FakeConsoleBackend(arrange: FakeIommu.Require);
}

/// <summary>A device as it has to be behind an IOMMU; the memory of the fake machine is one.</summary>
internal static class FakeIommu
{
    /// <summary>Makes the device refuse a driver that does not accept ACCESS_PLATFORM and ORDER_PLATFORM, as a real device does (6.1).</summary>
    internal static void Require(FakeVirtioDevice device)
    {
        const ulong Needed = VirtioFeature.AccessPlatform | VirtioFeature.OrderPlatform;
        device.OfferedFeatures |= Needed;
        device.RefusesFeatures = features => (features & Needed) != Needed;
    }
}
