// Faults in config space, capabilities and BARs.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Pci;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Hostile;

/// <summary>C: config space. L: the capability list. B: BARs.</summary>
public static class ConfigSpaceFaults
{
    private const int LegacyBar = PciRegisters.Bar0;
    private const int RegisterBar = PciRegisters.Bar0 + 4 * FakeVirtioPciDevice.RegisterBar;

    /// <summary>The cases: once for each way to interrupt, because what a ring is like makes no difference to them.</summary>
    public static IEnumerable<HostileCase> All =>
        Cases.Select(fault => fault with { Machines = Machines.ModernPci, Rings = Rings.SplitEvent })
            .Concat(LegacyCases.Select(fault => fault with { Machines = Machines.LegacyPci, Rings = Rings.SplitEvent }));

    private static IEnumerable<HostileCase> Cases =>
    [
        new("C01", "function 0 is missing and another answers", Outcome.NotFound, scene => scene.Function.Set16(PciRegisters.VendorId, 0xFFFF)),
        new("C02", "the vendor id is 0", Outcome.NotFound, scene => scene.Function.Set16(PciRegisters.VendorId, 0)),
        new("C03a", "the id is below those of virtio", Outcome.Ignored, scene => scene.Function.Set16(PciRegisters.DeviceId, 0x0FFF)),
        new("C03b", "the id says device type 0", Outcome.Ignored, scene => scene.Function.Set16(PciRegisters.DeviceId, 0x1040))
        { Requirements = "PCI-DISC-1" },
        new("C03c", "the id is above those of virtio", Outcome.Ignored, scene => scene.Function.Set16(PciRegisters.DeviceId, 0x1080)),
        new("C03d", "the vendor is another one", Outcome.Ignored, scene => scene.Function.Set16(PciRegisters.VendorId, 0x8086)),
        new("C04", "it answers for all eight functions of its device", Outcome.Works, scene =>
        {
            scene.Function.Set8(PciRegisters.HeaderType, PciRegisters.HeaderMultifunction);
            for (byte number = 1; number < 8; number++)
            {
                scene.Machine.Alias(scene.Function, number);
            }
        }),
        new("C05a", "the header type does not exist", Outcome.Ignored, scene => scene.Function.Set8(PciRegisters.HeaderType, 0x7F)),
        new("C05b", "a bridge with the id of a disk", Outcome.Ignored, scene => scene.Function.Set8(PciRegisters.HeaderType, 1)),
        new("C06", "a bridge leads to its own bus", Outcome.Works, scene => scene.Machine.Plug(new FakePciBridge(0, 0, 255), 0, 1)),
        new("C07", "a bridge has a secondary bus above the subordinate", Outcome.Works, scene => scene.Machine.Plug(new FakePciBridge(0, 9, 4), 0, 1)),
        new("C08", "the capability bit is clear", Outcome.Refused, scene => scene.Function.Set16(PciRegisters.Status, 0)),
        new("C09", "the capability pointer is 0", Outcome.Refused, scene => scene.Function.Set8(PciRegisters.CapabilitiesPointer, 0)),
        new("C10", "the id is that of another device from the second look on", Outcome.Ignored, scene =>
        {
            int looks = 0;
            scene.Function.OnConfigRead = (offset, width, value) => offset == PciRegisters.DeviceId && width == 2 && looks++ > 0 ? 0x1050u : value;
        }),
        new("C11", "bus mastering does not stick", Outcome.Refused, scene => scene.Function.OnConfigRead = (offset, width, value) =>
            offset == PciRegisters.Command ? value & ~(uint)PciRegisters.CommandBusMaster : value),
        new("C12", "there is no interrupt of any kind", Outcome.Works, scene =>
        {
            scene.Function.Set8(PciRegisters.InterruptPin, 0);
            scene.Machine.HasPins = false;
        }) { Ways = Ways.Pin },
        new("C14", "a modern id with revision 0", Outcome.Works, scene => scene.Function.Set8(PciRegisters.RevisionId, 0))
        { Requirements = "PCI-DISC-3" },
        new("C15", "a transitional id with an unknown subsystem", Outcome.Ignored, scene =>
        {
            scene.Function.Set16(PciRegisters.DeviceId, 0x1001);
            scene.Function.Set16(PciRegisters.SubsystemId, 0);
        }) { Requirements = "PCI-DISC-4" },
        new("L01", "the pointer leads below 0x40", Outcome.Refused, scene => scene.Function.Set8(PciRegisters.CapabilitiesPointer, 0x10)),
        new("L02", "the low bits of the pointer are set", Outcome.Works, scene =>
            scene.Function.Set8(PciRegisters.CapabilitiesPointer, (byte)(scene.Function.Get8(PciRegisters.CapabilitiesPointer) | 3))),
        new("L03", "the first capability leads to itself", Outcome.Refused, scene =>
            scene.SetCapability(scene.Function.CommonCapability, 1, (byte)scene.Function.CommonCapability)),
        new("L04", "two capabilities lead to each other", Outcome.Refused, scene =>
            scene.SetCapability(scene.Function.IsrCapability, 1, (byte)scene.Function.CommonCapability)),
        new("L05", "the last capability leads back to the first", Outcome.Works, scene =>
            scene.SetCapability(scene.Function.AccessCapability, 1, (byte)scene.Function.CommonCapability)),
        new("L06", "a capability reaches past the end of config space", Outcome.Refused, scene =>
        {
            scene.Function.Set8(PciRegisters.CapabilitiesPointer, 0xF8);
            scene.Function.Set8(0xF8, PciRegisters.CapabilityVendor);
            scene.Function.Set8(0xFA, 16);
            scene.Function.Set8(0xFB, 1);
        }),
        new("L07", "the capability of the common configuration is too short", Outcome.Refused, scene =>
            scene.SetCapability(scene.Function.CommonCapability, 2, 15)),
        new("L08", "the capability of the doorbells is too short", Outcome.Refused, scene =>
            scene.SetCapability(scene.Function.NotifyCapability, 2, 19)),
        new("L09", "a capability is longer than known", Outcome.Works, scene => scene.SetCapability(scene.Function.CommonCapability, 2, 40))
        { Requirements = "PCI-CAP-4" },
        new("L10", "a capability of a reserved type", Outcome.Works, scene => scene.Function.AddVirtioCapability(0x66, 4, 0, 64))
        { Requirements = "PCI-CAP-2" },
        new("L11", "the common configuration is in BAR 6", Outcome.Refused, scene => scene.SetCapability(scene.Function.CommonCapability, 4, 6))
        { Requirements = "PCI-CAP-5" },
        new("L11b", "the common configuration is in BAR 255", Outcome.Refused, scene => scene.SetCapability(scene.Function.CommonCapability, 4, 255)),
        new("L12", "the first common configuration is unusable, the second good", Outcome.Works, scene =>
        {
            scene.SetCapability(scene.Function.CommonCapability, 4, 7);
            scene.Function.AddVirtioCapability(1, FakeVirtioPciDevice.RegisterBar, FakeVirtioPciDevice.CommonOffset, 56);
        }) { Requirements = "PCI-CAP-3" },
        new("L13", "no common configuration", Outcome.Refused, scene => scene.Hide(scene.Function.CommonCapability)),
        new("L14", "no doorbells", Outcome.Refused, scene => scene.Hide(scene.Function.NotifyCapability)),
        new("L15", "no ISR status", Outcome.Refused, scene => scene.Hide(scene.Function.IsrCapability)),
        new("L16", "no device configuration", Outcome.Refused, scene => scene.Hide(scene.Function.ConfigCapability)),
        new("L17", "only the access through config space", Outcome.Refused, scene =>
            scene.Function.Set8(PciRegisters.CapabilitiesPointer, (byte)scene.Function.AccessCapability)),
        new("L17b", "only the access through config space works, and it shows nothing", Outcome.Refused, scene =>
        {
            scene.Machine.RefusesMemory = true;
            scene.Function.IsWindowDead = true;
        }),
        new("L17c", "only the access through config space works, and it shows ones", Outcome.Refused, scene =>
        {
            scene.Machine.RefusesMemory = true;
            scene.Function.OnConfigRead = (offset, _, value) => offset == scene.Function.AccessCapability + 16 ? uint.MaxValue : value;
        }),
        new("L17d", "only the access through config space works, and its capability is too short", Outcome.Refused, scene =>
        {
            scene.Machine.RefusesMemory = true;
            scene.SetCapability(scene.Function.AccessCapability, 2, 19);
        }),
        new("L17e", "only the access through config space works", Outcome.Works, scene => scene.Machine.RefusesMemory = true),
        new("L18", "an MSI-X table that is larger than its BAR", Outcome.Works, scene =>
            scene.Function.Set16(scene.Function.Msix!.Capability + 2, 0x7FF)) { Ways = Ways.MsiX },
        new("L19", "an MSI-X table in a BAR that does not exist", Outcome.Works, scene =>
            scene.Function.Set32(scene.Function.Msix!.Capability + 4, 7)) { Ways = Ways.MsiX },
        new("L20", "the MSI-X table lies over the common configuration", Outcome.Refused, scene =>
            scene.Function.Set32(scene.Function.Msix!.Capability + 4, FakeVirtioPciDevice.CommonOffset | FakeVirtioPciDevice.RegisterBar))
        { Ways = Ways.MsiX },
        new("L20b", "the end of the MSI-X table lies over the ISR status", Outcome.Refused, scene =>
        {
            scene.Function.Set16(scene.Function.Msix!.Capability + 2, 0xFF);
            scene.Function.Set32(scene.Function.Msix!.Capability + 4, (FakeVirtioPciDevice.IsrOffset - 0xFF8) | FakeVirtioPciDevice.RegisterBar);
        }) { Ways = Ways.MsiX },
        new("L21", "a shared memory of 64 bits", Outcome.Works, scene => scene.Function.AddVirtioCapability(8, 4, 0, 64, new byte[8])),
        new("L21b", "shared memories that lie nowhere", Outcome.Works, scene =>
        {
            scene.Function.AddVirtioCapability(8, 4, 0, 64, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            scene.Function.AddVirtioCapability(8, 9, 0, 64, new byte[8]);
        }),
        new("L22", "the list of capabilities is there for the first look only", Outcome.Works, scene =>
        {
            int looks = 0;
            scene.Function.OnConfigRead = (offset, _, value) => offset == PciRegisters.CapabilitiesPointer && looks++ > 0 ? 0 : value;
        }),
        new("B01", "the BAR has no size", Outcome.Refused, scene =>
        {
            scene.Function.Allow(RegisterBar, 4, 0);
            scene.Function.Allow(RegisterBar + 4, 4, 0);
            scene.Function.AssignBar(FakeVirtioPciDevice.RegisterBar, 0);
        }),
        new("B02", "the common configuration is in ports", Outcome.Works, scene =>
        {
            scene.Function.AddPortBar(FakeVirtioPciDevice.PortBar, scene.Function.BarAt(FakeVirtioPciDevice.RegisterBar)!);
            scene.SetCapability(scene.Function.CommonCapability, 4, FakeVirtioPciDevice.PortBar);
        }),
        new("B02b", "the common configuration is in ports, and the machine has none", Outcome.Refused, scene =>
        {
            scene.Function.AddPortBar(FakeVirtioPciDevice.PortBar, scene.Function.BarAt(FakeVirtioPciDevice.RegisterBar)!);
            scene.SetCapability(scene.Function.CommonCapability, 4, FakeVirtioPciDevice.PortBar);
            scene.Machine.HasPorts = false;
            scene.Hide(scene.Function.AccessCapability);
        }),
        new("B03", "a BAR of 64 bits in the last slot", Outcome.Refused, scene =>
        {
            scene.Function.Set32(PciRegisters.Bar0 + 20, PciRegisters.BarType64Bit);
            scene.Function.Set32(RegisterBar, 0);
            scene.Function.Allow(RegisterBar, 4, 0);
            scene.SetCapability(scene.Function.CommonCapability, 4, 5);
        }),
        new("B04", "the BAR was not assigned", Outcome.Refused, scene => LoseBar(scene, 0)),
        new("B04b", "the BAR was not assigned, and there is the access through config space", Outcome.Works, scene =>
            scene.Function.AssignBar(FakeVirtioPciDevice.RegisterBar, 0)) { Requirements = "PCI-CFGACC-1 PCI-CFGACC-2 PCI-CFGACC-3" },
        new("B05a", "the BAR lies in RAM", Outcome.Refused, scene => LoseBar(scene, 0x0010_0000)),
        new("B05b", "the BAR lies on the local APIC", Outcome.Refused, scene => LoseBar(scene, 0xFEE0_0000)),
        new("B05c", "the BAR lies on config space", Outcome.Refused, scene => LoseBar(scene, 0xB000_0000)),
        new("B05d", "the BAR lies in high RAM", Outcome.Refused, scene => LoseBar(scene, FakeMachine.RamStart)),
        new("B05e", "the BAR lies in RAM, and there is the access through config space", Outcome.Works, scene =>
            scene.Function.AssignBar(FakeVirtioPciDevice.RegisterBar, 0x0010_0000)),
        new("B06", "registers and MSI-X table lie at the same place", Outcome.Refused, scene =>
            LoseBar(scene, scene.Function.BarAddress(FakeVirtioPciDevice.MsixBar))) { Ways = Ways.MsiX },
        new("B06b", "registers and MSI-X table lie at the same place, and there is the access through config space", Outcome.Works, scene =>
            scene.Function.AssignBar(FakeVirtioPciDevice.RegisterBar, scene.Function.BarAddress(FakeVirtioPciDevice.MsixBar))) { Ways = Ways.MsiX },
        new("B07", "offset and length wrap around", Outcome.Refused, scene =>
            scene.SetStructure(scene.Function.CommonCapability, FakeVirtioPciDevice.RegisterBar, 0xFFFF_FFF0, 56)),
        new("B08", "the structure reaches past the end of the BAR", Outcome.Refused, scene =>
            scene.SetStructure(scene.Function.CommonCapability, FakeVirtioPciDevice.RegisterBar, 0x3FE0, 56)),
        new("B09", "the structure is too short", Outcome.Refused, scene =>
            scene.SetStructure(scene.Function.CommonCapability, FakeVirtioPciDevice.RegisterBar, 0, 55)) { Requirements = "PCI-CAP-8" },
        new("B10", "the structure has no length", Outcome.Refused, scene =>
            scene.SetStructure(scene.Function.CommonCapability, FakeVirtioPciDevice.RegisterBar, 0, 0)),
        new("B11", "the structure claims all of memory", Outcome.Works, scene =>
            scene.SetStructure(scene.Function.CommonCapability, FakeVirtioPciDevice.RegisterBar, 0, uint.MaxValue))
        { Requirements = "PCI-CAP-1 PCI-CAP-6 PCI-CAP-7" },
        new("B12", "the BAR lies above what the processor can address", Outcome.Refused, scene => LoseBar(scene, FakeMachine.PhysicalEnd)),
        new("B13", "the BAR is of type 3, which does not exist", Outcome.Refused, scene =>
            scene.Function.Set32(RegisterBar, scene.Function.Get32(RegisterBar) | 6)),
        new("B14", "the BAR does not take its address back after sizing", Outcome.Refused, scene =>
        {
            scene.Machine.MayMiss = true;
            ulong address = scene.Function.BarAddress(FakeVirtioPciDevice.RegisterBar);
            scene.Function.OnConfigWrite = (offset, _, value) => offset == RegisterBar && (value & ~15u) == (uint)address;
        }),
        new("B15", "the BAR moves away with requests in flight", Outcome.Works, scene => scene.WhileHeld(() =>
        {
            scene.Machine.MayMiss = true;
            scene.Function.AssignBar(FakeVirtioPciDevice.RegisterBar, scene.Function.BarAddress(FakeVirtioPciDevice.RegisterBar) + (1ul << 30));
        })) { Ways = Ways.MsiX, MayLeak = true, IsFinal = true },
        new("B16", "the structure is not aligned", Outcome.Refused, scene =>
            scene.SetStructure(scene.Function.CommonCapability, FakeVirtioPciDevice.RegisterBar, 2, 56)),
        new("B17", "the sizing mask is all ones", Outcome.Refused, scene => scene.Function.Allow(RegisterBar, 4, uint.MaxValue)),
        new("B18", "memory decoding goes off after sizing", Outcome.Refused, scene => scene.Function.OnConfigRead = (offset, width, value) =>
            offset == PciRegisters.Command ? value & ~(uint)PciRegisters.CommandMemory : value),
    ];

    /// <summary>Those of a function with the interface from before 1.0.</summary>
    private static IEnumerable<HostileCase> LegacyCases =>
    [
        new("B01b", "BAR 0 with the legacy registers has no size", Outcome.Refused, scene =>
        {
            scene.LegacyFunction.Allow(LegacyBar, 4, 0);
            scene.LegacyFunction.AssignBar(0, 0);
        }),
        new("B02d", "a transitional device has modern structures where the legacy registers would be", Outcome.Refused, scene =>
        {
            // BAR 0 is memory, and the capabilities that point into it are no use: whatever is there, it is not the legacy registers.
            scene.LegacyFunction.AddMemoryBar(0, new FakePartedBar(4096, () => scene.Machine.Violations));
            scene.LegacyFunction.AssignBar(0, 0xE800_0000);
            scene.LegacyFunction.Set16(PciRegisters.Command, PciRegisters.CommandMemory);
            AddCapability(scene.LegacyFunction, 0x77, 0);
        }) { IsFinal = true, Requirements = "PCI-LEGACY-2" },
        new("B04c", "BAR 0 with the legacy registers was not assigned", Outcome.Refused, scene => scene.LegacyFunction.AssignBar(0, 0)),
        new("B18b", "port decoding goes off after sizing", Outcome.Refused, scene => scene.LegacyFunction.OnConfigRead = (offset, _, value) =>
            offset == PciRegisters.Command ? value & ~(uint)PciRegisters.CommandPorts : value),
        new("B02e", "the machine has no ports", Outcome.Refused, scene => scene.Machine.HasPorts = false),
        new("L12b", "a transitional device's modern structures are in a BAR that is absent", Outcome.Works, scene =>
        {
            for (byte type = 1; type <= 5; type++)
            {
                AddCapability(scene.LegacyFunction, type, 4);
            }
        }) { Requirements = "PCI-LEGACY-12" },
    ];

    /// <summary>Puts the registers where nobody can reach them, not even through config space.</summary>
    private static void LoseBar(HostileScene scene, ulong address)
    {
        scene.Function.AssignBar(FakeVirtioPciDevice.RegisterBar, address);
        scene.Hide(scene.Function.AccessCapability);
    }

    private static void AddCapability(FakePciFunction function, byte type, byte bar)
    {
        byte[] body = new byte[18];
        body[0] = 20;
        body[1] = type;
        body[2] = bar;
        BitConverter.TryWriteBytes(body.AsSpan(10), 0x1000);
        BitConverter.TryWriteBytes(body.AsSpan(14), 4);
        function.AddCapability(PciRegisters.CapabilityVendor, body);
    }
}
