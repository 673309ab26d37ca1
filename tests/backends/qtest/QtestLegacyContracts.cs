// The contracts on QEMU's devices with the legacy PCI interface, and which interface a transitional device gets.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>A disk without capabilities: registers in ports, with MSI-X, which moves its configuration.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, QtestLegacy.Only);
}

/// <summary>The same without MSI-X, EVENT_IDX and indirect descriptors.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPlainLegacyBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, QtestLegacy.Only + ",vectors=0,event_idx=off,indirect_desc=off");
}

/// <summary>A console without capabilities.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(QtestLegacy.Only);
}

/// <summary>Properties of QEMU's PCI devices.</summary>
internal static class QtestLegacy
{
    /// <summary>The legacy interface only.</summary>
    internal const string Only = ",disable-legacy=off,disable-modern=on";

    /// <summary>Both interfaces.</summary>
    internal const string Transitional = ",disable-legacy=off,disable-modern=off";
}

/// <summary>Which interface it is, and what is agreed on over it.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyTests
{
    private const ulong AnyLayout = 1ul << 27;
    private const ulong Unused = 1ul << 30;
    private const ulong NotifyOnEmpty = 1ul << 24;
    private const ulong Scsi = 1ul << 7;

    [Theory]
    [InlineData(QtestLegacy.Only, true, "legacy PCI")]
    [InlineData(QtestLegacy.Only + ",vectors=0", true, "legacy PCI")]
    [InlineData(QtestLegacy.Only, false, "legacy PCI")] // its registers are in ports
    [InlineData(QtestLegacy.Transitional, true, "modern PCI")]
    [Trait("Requirement", "PCI-LEGACY-12")]
    [Trait("Requirement", "PCI-LEGACY-13")]
    public void A_transitional_device_gets_the_modern_interface_and_a_legacy_one_its_own(string more, bool mapsMemory, string name)
    {
        bool isLegacy = name.StartsWith("legacy", StringComparison.Ordinal);
        using QtestBlockBackend disk = new(new BlockSetup(Sectors: 0x1234), more, mapsMemory);
        using QtestConsoleBackend console = new(more, mapsMemory);
        Assert.Equal(0x1234ul, disk.Disk.SectorCount);
        foreach (VirtioDevice device in new[] { ((VirtioBlk)disk.Disk).Virtio, ((VirtioConsole)console.Device).Virtio })
        {
            Assert.Equal((name, isLegacy), (device.Transport.Name, device.Transport.IsLegacy));
            Assert.Equal(!isLegacy, device.Has(VirtioFeature.Version1));
            Assert.Equal(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk | (isLegacy ? 0 : DeviceStatus.FeaturesOk),
                device.Transport.ReadStatus());
        }
        disk.Disk.Remove();
        console.Device.Remove();
    }

    [Fact]
    [Trait("Requirement", "CORE-LEGACY-6")]
    [Trait("Requirement", "CORE-LEGACY-7")]
    [Trait("Requirement", "PCI-LEGACY-9")]
    public void Of_the_features_that_only_legacy_devices_offer_none_is_accepted_but_ANY_LAYOUT()
    {
        using QtestBlockBackend backend = new(new BlockSetup(), QtestLegacy.Only);
        VirtioDevice device = ((VirtioBlk)backend.Disk).Virtio;
        Assert.Equal(Unused | NotifyOnEmpty | Scsi, device.OfferedFeatures & (Unused | NotifyOnEmpty | Scsi)); // QEMU offers them all
        Assert.Equal(0ul, device.Features & (Unused | NotifyOnEmpty | Scsi));
        Assert.Equal(device.OfferedFeatures & AnyLayout, device.Features & AnyLayout);
        Assert.Equal((0ul, 0ul), (device.OfferedFeatures >> 32, device.Features >> 32));
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData("", InterruptKind.MsiX)]
    [InlineData(",vectors=0", InterruptKind.Pin)]
    [Trait("Requirement", "PCI-LEGACY-7")]
    public void The_configuration_is_found_before_and_after_MSIX_was_turned_on(string more, InterruptKind kind)
    {
        using QtestBlockBackend backend = new(new BlockSetup(Sectors: 0x4321), QtestLegacy.Only + more);
        VirtioDevice device = ((VirtioBlk)backend.Disk).Virtio;
        Assert.Equal(0x4321ul, backend.Disk.SectorCount); // read while it was off
        Assert.Equal(kind, device.InterruptKind);
        Assert.True(device.TryReadConfig64(0, out ulong sectors));
        Assert.Equal(0x4321ul, sectors);
        backend.Disk.Remove();
        Assert.True(device.TryReadConfig64(0, out sectors)); // it is off again, and the device still there
        Assert.Equal(0x4321ul, sectors);
    }

    [Theory]
    [InlineData("", 256)]
    [InlineData(",queue-size=1024", 1024)]
    [InlineData(",queue-size=16", 16)]
    [Trait("Requirement", "SPLIT-LEGACY-1")]
    public void The_queue_has_the_size_that_the_device_says(string more, int size)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), QtestLegacy.Only + more);
        Assert.Equal(size, ((VirtioBlk)backend.Disk).Virtio.Queue(0).Size);
        backend.Disk.Remove();
    }
}
