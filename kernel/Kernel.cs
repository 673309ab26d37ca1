// The boot story: from the boot protocol to the run loop.
using System.Runtime.InteropServices;
using Internal.Runtime;
using Internal.Runtime.CompilerHelpers;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel;

/// <summary>The composition root: machine, scan, registry, application.</summary>
internal static unsafe class Kernel
{
    internal const string Version = "0.1.0";

    [UnmanagedCallersOnly(EntryPoint = "kernel_main")]
    private static void Main(uint magic, byte* info)
    {
        // 1. The line everything is said on, then what managed code needs: a little memory, and statics.
        SerialPort.Initialize();
        RuntimeHeap.Initialize(Image.EarlyHeap, Image.EarlyHeapLength);
        StartupCodeHelpers.Initialize(Image.ModulesStart, Image.ModulesEnd);
        Contract.Handler = new PanicOnBrokenContract();
        SerialTerminal serial = new();
        serial.Write("VirtioSharp ").Write(Version).EndLine();

        // 2. Memory.
        if (!BootInformation.TryRead(magic, info, out BootInformation information))
        {
            Environment.FailFast("the boot loader left no memory map; boot with PVH or multiboot (qemu -kernel)");
        }
        if (!PhysicalMemory.TryCreate(information, out PhysicalMemory? memory))
        {
            Environment.FailFast("there is too little memory; give the machine at least 8 MiB");
        }

        // 3. The machine: interrupts, clock, config space.
        BareMachine machine = new(information, memory!);
        Cpu.EnableInterrupts();
        serial.Write("memory: ").Write(memory!.Total >> 20).Write(" MiB, boot protocol ").Write(information.Protocol).EndLine();
        DebugExit.End(ExitCode.Success);
    }
}
