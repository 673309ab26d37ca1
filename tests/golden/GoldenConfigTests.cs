// Config spaces captured from QEMU's devices, read by the walk of capabilities and the sizing of BARs.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Golden;

/// <summary>What each captured device has, read off its bytes by hand.</summary>
public sealed class GoldenConfigTests
{
    private static readonly string[] s_structures =
    [
        "84 virtio 5 bar 0 0x0+0x0", "70 virtio 2 bar 4 0x3000+0x1000", "60 virtio 4 bar 4 0x2000+0x1000",
        "50 virtio 3 bar 4 0x1000+0x1000", "40 virtio 1 bar 4 0x0+0x1000",
    ];

    private const string MsixBar = "bar 1 memory32 0x1000";
    private const string StructureBar = "bar 4 memory64 prefetchable 0x4000";

    [Fact]
    public void A_modern_disk() => Expect("blk-modern", ["1af4:1042", MsixBar, StructureBar, "98 id 11", .. s_structures]);

    [Fact]
    public void A_transitional_disk_has_a_port_BAR_as_well() =>
        Expect("blk-transitional", ["1af4:1001", "bar 0 ports 0x80", MsixBar, StructureBar, "98 id 11", .. s_structures]);

    [Fact]
    public void A_legacy_disk_has_a_port_BAR_and_no_structures() =>
        Expect("blk-legacy", ["1af4:1001", "bar 0 ports 0x80", MsixBar, "40 id 11"]);

    [Fact]
    public void A_disk_without_vectors_has_no_MSIX_capability() => Expect("blk-without-vectors", ["1af4:1042", StructureBar, .. s_structures]);

    [Fact]
    public void A_disk_behind_a_root_port_has_express_and_power_management() => Expect(
        "blk-root-port",
        [
            "1af4:1042", MsixBar, StructureBar, "dc id 11", "c8 virtio 5 bar 0 0x0+0x0", "b4 virtio 2 bar 4 0x3000+0x1000",
            "a4 virtio 4 bar 4 0x2000+0x1000", "94 virtio 3 bar 4 0x1000+0x1000", "84 virtio 1 bar 4 0x0+0x1000", "7c id 01", "40 id 10",
        ]);

    [Fact]
    public void A_modern_console() => Expect("console-modern", ["1af4:1043", MsixBar, StructureBar, "98 id 11", .. s_structures]);

    private static void Expect(string name, string[] expected)
    {
        using FakeMachine machine = new();
        GoldenConfig.Load(name).Plug(machine);
        Assert.Equal(expected, GoldenConfig.Describe(PciScan.Run(machine)[0]));
    }
}
