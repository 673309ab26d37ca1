// QEMU's edu device, which interrupts when it is told to: for what virtio devices never do.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// <c>edu msi</c> lets it send a message; <c>edu storm</c> lets it hold up its pin, which nobody claims (QEMU, docs/specs/edu).
/// </summary>
internal static class EduCommand
{
    private const ushort Vendor = 0x1234;
    private const ushort Model = 0x11E8;
    private const ulong Raise = 0x60;
    private const ulong Acknowledge = 0x64;
    private const ulong Wait = 20_000_000;

    internal static async ValueTask<bool> RunAsync(SystemInformation system, string what, Terminal output)
    {
        PciFunction? function = Find(system.Scan);
        if (function is null || !function.TryEnable() || !function.TryMapBar(0, out IoRegion? registers))
        {
            output.Write("no edu device; add one: -device edu\n");
            return false;
        }
        if (what == "storm")
        {
            registers!.Write32(Raise, 1);
            await system.Loop.After(Wait);
            return true;
        }
        Counter counter = new();
        ushort granted = function.PrepareInterrupts(1, out InterruptKind kind);
        bool attached = granted == 1 && function.TryAttachInterrupt(0, counter);
        for (int i = 0; attached && i < 3; i++)
        {
            registers!.Write32(Raise, 1);
            await system.Loop.After(Wait);
            registers.Write32(Acknowledge, 1);
        }
        function.ReleaseInterrupts();
        output.Write("edu: ").Write(counter.Count).Write(kind == InterruptKind.Msi ? " interrupts by MSI\n" : " interrupts, not by MSI\n");
        return kind == InterruptKind.Msi && counter.Count == 3;
    }

    private static PciFunction? Find(PciScan scan)
    {
        for (int i = 0; i < scan.Count; i++)
        {
            if (scan[i].ReadConfig16(PciRegisters.VendorId) == Vendor && scan[i].ReadConfig16(PciRegisters.DeviceId) == Model)
            {
                return scan[i];
            }
        }
        return null;
    }

    private sealed class Counter : InterruptHandler
    {
        internal ulong Count { get; private set; }

        public override bool OnInterrupt()
        {
            Count++;
            return true;
        }
    }
}
