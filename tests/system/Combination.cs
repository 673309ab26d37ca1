// One combination of machine, transport, ring, interrupts and features, and the options of QEMU that make it.
using System.IO;
using System.Linq;

namespace VirtioSharp.Tests.System;

/// <summary>A line of combinations.tsv.</summary>
/// <param name="Place">The machine and the way to the devices.</param>
/// <param name="Ring">The format of the queues: split or packed.</param>
/// <param name="Interrupts">How many vectors there are (msix: enough), or pin, or none.</param>
/// <param name="EventIndex">Whether EVENT_IDX is offered: on or off.</param>
/// <param name="Indirect">Whether INDIRECT_DESC is offered.</param>
/// <param name="QueueSize">The size of the disk's queue.</param>
/// <param name="AccessPlatform">Whether ACCESS_PLATFORM is offered.</param>
/// <param name="QueueReset">Whether RING_RESET is offered.</param>
public sealed record Combination(
    string Place, string Ring, string Interrupts, string EventIndex, string Indirect, string QueueSize, string AccessPlatform, string QueueReset)
{
    // Machine, options, command line, device suffix, device options, transport's name. Slots of virtio-mmio are filled from the last on.
    private static readonly Dictionary<string, Place> s_places = new()
    {
        ["q35-modern"] = new("q35", [], "", "pci", ",disable-legacy=on", "modern PCI"),
        ["q35-transitional"] = new("q35", [], "", "pci", ",disable-legacy=off", "modern PCI"),
        ["q35-legacy"] = new("q35", [], "", "pci", ",disable-legacy=off,disable-modern=on", "legacy PCI"),
        ["q35-pio-notify"] = new("q35", [], "", "pci", ",disable-legacy=on,modern-pio-notify=on", "modern PCI"),
        ["q35-config-access"] = new("q35", [], " pci-access=config", "pci", ",disable-legacy=on", "modern PCI"),
        ["q35-root-port"] = new("q35", ["-device", "pcie-root-port,id=p,chassis=1", "-device", "pcie-root-port,id=q,chassis=2"], "", "pci",
            ",bus={0}", "modern PCI"),
        ["pc-modern"] = new("pc", [], "", "pci", ",disable-legacy=on", "modern PCI"),
        ["pc-legacy"] = new("pc", [], "", "pci", ",disable-legacy=off,disable-modern=on", "legacy PCI"),
        ["pc-no-acpi"] = new("pc,acpi=off", [], "", "pci", ",disable-legacy=on", "modern PCI"),
        ["microvm-pcie"] = new("microvm,pcie=on", [], "", "pci", ",disable-legacy=on", "modern PCI"),
        ["microvm-mmio"] = new("microvm", ["-global", "virtio-mmio.force-legacy=false"], "", "device", "", "virtio-mmio"),
        ["microvm-mmio-legacy"] = new("microvm", [], "", "device", "", "legacy virtio-mmio"),
        ["microvm-mmio-no-acpi"] = new("microvm,acpi=off", ["-global", "virtio-mmio.force-legacy=false"], "", "device", "", "virtio-mmio"),
        ["microvm-mmio-command-line"] = new("microvm,acpi=off,auto-kernel-cmdline=off", ["-global", "virtio-mmio.force-legacy=false"],
            " virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=0x200@0xfeb00c00:11", "device", "", "virtio-mmio"),
    };

    /// <summary>All combinations, as the file has them.</summary>
    public static IEnumerable<Combination> All =>
        from line in File.ReadLines(Path.Combine(KernelRun.Root, "tests", "system", "combinations.tsv")).Skip(1)
        let words = line.Split('\t')
        select new Combination(words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]);

    /// <summary>The values in the order of the columns.</summary>
    public string[] Values => [Place, Ring, Interrupts, EventIndex, Indirect, QueueSize, AccessPlatform, QueueReset];

    /// <summary>True with an interface from before virtio 1.0.</summary>
    public bool IsLegacy => Where.TransportName.StartsWith("legacy");

    /// <summary>True without PCI.</summary>
    public bool IsMmio => Where.Suffix == "device";

    /// <summary>QEMU's machine.</summary>
    public string Machine => Where.Machine;

    /// <summary>The kernel's command line for some commands.</summary>
    public string CommandLine(string commands) =>
        $"run=\"{commands}\"{Where.Append}{(Interrupts == "none" ? " interrupts=none" : "")}";

    /// <summary>The name of the transport in the kernel's story.</summary>
    public string TransportName => Where.TransportName;

    /// <summary>How the kernel tells of the interrupts of a device that could use <paramref name="wanted"/> vectors.</summary>
    public string InterruptStory(int wanted) => Interrupts switch
    {
        "none" => "0 interrupts: polled",
        "pin" => "1 interrupt pin",
        "msix" => $"{wanted} MSI-X vectors",
        _ => $"{Math.Min(wanted, int.Parse(Interrupts))} MSI-X vectors",
    };

    /// <summary>QEMU's options for a disk and a console.</summary>
    public string[] Options(string image)
    {
        string vectors = Interrupts switch { "none" => "", "pin" => ",vectors=0", "msix" => ",vectors=4", _ => $",vectors={Interrupts}" };
        string features = $",event_idx={EventIndex},indirect_desc={Indirect},packed={(Ring == "packed" ? "on" : "off")}" +
            $",iommu_platform={AccessPlatform},queue_reset={QueueReset}";
        string more = (Where.Suffix == "pci" ? vectors : "") + features;
        return
        [
            .. Where.Options,
            "-drive", $"if=none,id=disk,file={image},format=raw",
            "-device", $"virtio-blk-{Where.Suffix},drive=disk,queue-size={QueueSize}{string.Format(Where.DeviceOptions, "p")}{more}",
            "-chardev", "null,id=console",
            "-device", $"virtio-serial-{Where.Suffix}{string.Format(Where.DeviceOptions, "q")}{more}",
            "-device", "virtconsole,chardev=console",
        ];
    }

    private Place Where => s_places[Place];

    /// <inheritdoc/>
    public override string ToString() => string.Join(' ', Values);
}

/// <summary>A machine and a way to its devices.</summary>
internal sealed record Place(string Machine, string[] Options, string Append, string Suffix, string DeviceOptions, string TransportName);
