// What this kernel found: functions, devices, and lines about them.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Kernel.Entropy;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Everything that commands ask about.</summary>
public sealed class SystemInformation
{
    private const int MaxShownQueues = 8;

    internal SystemInformation(BareMachine machine, PciScan scan, RunLoop loop, KernelRandom random)
    {
        Machine = machine;
        Scan = scan;
        Loop = loop;
        Random = random;
    }

    internal BareMachine Machine { get; }

    internal PciScan Scan { get; }

    internal RunLoop Loop { get; }

    internal KernelRandom Random { get; }

    /// <summary>The disk number <paramref name="number"/>, from 0; null when there is none.</summary>
    public BlockDevice? FindDisk(ulong number)
    {
        for (int i = 0; i < Loop.Devices.Count; i++)
        {
            if (Loop.Devices[i] is BlockDevice disk && number-- == 0)
            {
                return disk;
            }
        }
        return null;
    }

    /// <summary>A line for each PCI function, and below it its BARs and capabilities.</summary>
    public void WriteFunctions(Terminal output)
    {
        for (int i = 0; i < Scan.Count; i++)
        {
            WriteFunction(output, Scan[i]);
            WriteBars(output, Scan[i]);
            WriteCapabilities(output, Scan[i]);
            WriteSharedMemory(output, Scan[i]);
        }
    }

    private static void WriteBars(Terminal output, PciFunction function)
    {
        for (int i = 0; i < 6; i++)
        {
            if (function.TryGetBar(i, out PciBar bar))
            {
                output.Write("  bar ").Write((ulong)i).Write(bar.IsPorts ? ": ports at 0x" : ": memory at 0x").WriteHex(bar.Address)
                    .Write(", ").Write(bar.Length).Write(" bytes").Write(bar.Is64Bit ? ", 64-bit" : "").Write(bar.IsPrefetchable ? ", prefetchable\n" : "\n");
            }
        }
    }

    private static void WriteCapabilities(Terminal output, PciFunction function)
    {
        bool any = false;
        PciCapabilities walk = new(function);
        while (walk.MoveNext())
        {
            output.Write(any ? " " : "  capabilities ").WriteHex(walk.Id, 2).Write("@").WriteHex(walk.Offset, 2).Write(walk.Id switch
            {
                0x01 => "(power)",
                PciRegisters.CapabilityMsi => "(MSI)",
                PciRegisters.CapabilityVendor => "(vendor)",
                0x10 => "(PCI Express)",
                PciRegisters.CapabilityMsix => "(MSI-X)",
                _ => "",
            });
            any = true;
        }
        output.Write(any ? "\n" : "");
    }

    private static void WriteSharedMemory(Terminal output, PciFunction function)
    {
        if (VirtioPciDriver.TypeOf(function) == 0)
        {
            return;
        }
        SharedMemoryRegion[] regions = VirtioPciSharedMemory.Find(function);
        for (int i = 0; i < regions.Length; i++)
        {
            WriteSharedMemory(output, regions[i]);
        }
    }

    private static void WriteSharedMemory(Terminal output, in SharedMemoryRegion region) => output
        .Write("  shared memory ").Write(region.Id).Write(": at 0x").WriteHex(region.Address).Write(", ").Write(region.Length).Write(" bytes\n");

    internal static void WriteAddress(Terminal output, PciAddress address) => output
        .WriteHex(address.Segment, 4).Write(":").WriteHex(address.Bus, 2).Write(":").WriteHex(address.Device, 2).Write(".").WriteHex(address.Function);

    internal static void WriteFunction(Terminal output, PciFunction function)
    {
        WriteAddress(output, function.Address);
        output.Write(" ").WriteHex(function.ReadConfig16(PciRegisters.VendorId), 4).Write(":").WriteHex(function.ReadConfig16(PciRegisters.DeviceId), 4);
        ushort kind = function.ReadConfig16(PciRegisters.ClassCode);
        output.Write(" class ").WriteHex(kind, 4).Write(" ").Write(ClassName(kind)).EndLine();
    }

    /// <summary>A line for a slot whose card may come and go.</summary>
    internal static void WriteSlot(Terminal output, PciHotplugSlot slot)
    {
        output.Write("slot of ");
        WriteAddress(output, slot.Address);
        output.Write(": hot-plug").Write(slot.InterruptKind switch
        {
            InterruptKind.MsiX => ", MSI-X\n",
            InterruptKind.Msi => ", MSI\n",
            InterruptKind.Pin => ", interrupt pin\n",
            _ => ", polled\n",
        });
    }

    /// <summary>Some lines for each device in service.</summary>
    public void WriteDevices(Terminal output)
    {
        bool any = false;
        for (int i = 0; i < Loop.Devices.Count; i++)
        {
            any |= Loop.Devices[i].Hardware is VirtioDevice;
            WriteDevice(output, Loop.Devices[i]);
        }
        if (!any)
        {
            output.Write("no virtio devices\n");
        }
    }

    /// <summary>What came of a probe: some lines for the device that was entered last, or why there is none; nothing when no driver was meant.</summary>
    internal static void WriteResult(Terminal output, in ProbeResult result, DeviceTable devices)
    {
        if (result.IsBound)
        {
            WriteDevice(output, devices[devices.Count - 1]);
        }
        else if (result.Status == ProbeStatus.Failed)
        {
            output.Write("  not usable: ").Write(result.Reason).Write(" (0x").WriteHex(result.Value).Write(")\n");
        }
    }

    internal static void WriteDevice(Terminal output, Device device)
    {
        if (device.Hardware is not VirtioDevice virtio || virtio.Driver is not VirtioDriver driver)
        {
            return;
        }
        output.Write(device.Name).Write(": ").Write(driver.Name).Write(", ").Write(virtio.Transport.Name);
        if (device is BlockDevice block)
        {
            output.Write(", ").Write(block.SectorCount).Write(" sectors").Write(block.IsReadOnly ? ", read-only" : "");
        }
        output.Write("\n  features");
        for (int bit = 0; bit < 64; bit++)
        {
            if (virtio.Has(1ul << bit))
            {
                output.Write(" ").Write(bit >= 24 ? VirtioFeature.NameOf(bit) : driver.NameOfFeature(bit));
            }
        }
        output.Write("\n");
        for (int i = 0; i < virtio.Transport.SharedMemoryCount; i++)
        {
            WriteSharedMemory(output, virtio.Transport.SharedMemory(i));
        }
        output.Write("  queues");
        for (int i = 0; i < virtio.QueueCount && i < MaxShownQueues; i++)
        {
            output.Write(" ").Write(virtio.Queue(i).Index).Write(":").Write(virtio.Queue(i).Size);
        }
        if (virtio.QueueCount > MaxShownQueues)
        {
            output.Write(" and ").Write((ulong)(virtio.QueueCount - MaxShownQueues)).Write(" more");
        }
        output.Write(", ").Write(virtio.VectorCount).Write(virtio.InterruptKind switch
        {
            InterruptKind.MsiX => " MSI-X vectors\n",
            InterruptKind.Msi => " MSI vector\n",
            InterruptKind.Pin => " interrupt pin\n",
            _ => " interrupts: polled\n",
        });
    }

    private static string ClassName(ushort kind) => kind switch
    {
        0x0100 => "SCSI or block storage",
        0x0101 => "IDE",
        0x0106 => "SATA",
        0x0200 => "Ethernet",
        0x0300 => "VGA",
        0x0600 => "host bridge",
        0x0601 => "ISA bridge",
        0x0604 => "PCI bridge",
        0x0680 => "bridge",
        0x0780 => "communication",
        0x0C05 => "SMBus",
        _ => "other",
    };
}
