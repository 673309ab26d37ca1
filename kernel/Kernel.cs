// The boot story: from the boot protocol to the run loop.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Internal.Runtime;
using Internal.Runtime.CompilerHelpers;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Kernel.Apps;
using VirtioSharp.Kernel.Entropy;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

// What stackalloc gives is written before it is read, everywhere; other locals the compiler looks after.
[module: SkipLocalsInit]

namespace VirtioSharp.Kernel;

/// <summary>The composition root: machine, scan, registry, application.</summary>
internal static class Kernel
{
    internal const string Version = "0.1.0";

    [UnmanagedCallersOnly(EntryPoint = "kernel_main")]
    private static unsafe void Main(uint magic, byte* info)
    {
        // 1. The line everything is said on, then what managed code needs: a little memory, and statics.
        SerialPort.Initialize();
        RuntimeHeap.Initialize(Image.EarlyHeap, Image.EarlyHeapLength);
        StartupCodeHelpers.Initialize(Image.ModulesStart, Image.ModulesEnd);
        Contract.Handler = new PanicOnBrokenContract();
        SerialTerminal serial = new();
        Panic.Prepare(serial);
        serial.Write("VirtioSharp ").Write(Version).EndLine();

        // 2. Memory.
        if (!BootInformation.TryRead(magic, info, out BootInformation information))
        {
            Environment.FailFast("the boot loader left no memory map; boot with PVH or multiboot (qemu -kernel)");
        }
        PageTables.UnmapNullPage();
        if (!PhysicalMemory.TryCreate(information, out PhysicalMemory? memory))
        {
            Environment.FailFast("there is too little memory; give the machine at least 8 MiB");
        }

        // 3. The machine: interrupts, clock, config space.
        BootOptions options = BootOptions.Parse(information.CommandLine);
        BareMachine machine = new(information, memory!, options.BestInterrupts, options.Wants8259);
        Cpu.EnableInterrupts();
        KernelRandom random = KernelRandom.Begin();
        if (!options.IsQuiet)
        {
            serial.Write("memory ").Write(memory!.Total >> 20).Write(" MiB, boot by ").Write(information.Protocol)
                .Write(machine.Acpi.Found ? ", ACPI" : ", no ACPI").Write(", config space by ").Write(machine.ConfigAccess).EndLine();
        }

        // 4. The devices: find the functions, offer each to the drivers.
        Log.Sink = new SerialLog(serial);
        DeviceTable devices = new();
        VirtioDriverTable drivers = new();
        drivers.Add(new VirtioBlkDriver());
        drivers.Add(new VirtioConsoleDriver());
        drivers.Add(new VirtioRngDriver());
        DriverRegistry registry = new(devices);
        Tracer? tracer = options.Trace ? new Tracer(new SerialTrace(serial), drivers) : null;
        VirtioPciDriver pciDriver = new(drivers);
        registry.Add(tracer is null ? pciDriver : new TracingPciDriver(pciDriver, tracer));
        machine.RefusesBars = options.PciThroughConfigSpace;
        PciScan scan = PciScan.Run(machine);
        for (int i = 0; i < scan.Count; i++)
        {
            Attach(scan[i], registry, devices, serial, options.IsQuiet);
        }
        WatchSlots(scan, registry, devices, serial, options.IsQuiet);
        AttachPlatformDevices(machine, information.CommandLine, new VirtioMmioDriver(drivers), tracer, devices, serial, options.IsQuiet);

        random.FeedFrom(devices, machine.Clock);

        for (int i = 0; i < devices.Count; i++)
        {
            if (devices[i] is ConsoleDevice console)
            {
                Panic.TellAlso(console);
            }
        }

        // 5. The application.
        RunLoop loop = new(machine.Clock, devices, options.PollsBeforeHalt ? new HaltPolling() : null);
        SystemInformation system = new(machine, scan, loop, random);
        loop.Run(RunAsync(system, options, serial));
        DebugExit.End(s_exitCode);
    }

    private static ExitCode s_exitCode;

    /// <summary>Offers a function to the drivers. Quiet: only what went wrong is said.</summary>
    private static void Attach(PciFunction function, DriverRegistry registry, DeviceTable devices, Terminal serial, bool isQuiet)
    {
        if (!isQuiet)
        {
            SystemInformation.WriteFunction(serial, function);
        }
        ProbeResult result = registry.Attach(function);
        if (isQuiet)
        {
            if (result.Status != ProbeStatus.Failed)
            {
                return;
            }
            SystemInformation.WriteFunction(serial, function);
        }
        SystemInformation.WriteResult(serial, result, devices);
    }

    /// <summary>Watches the slots whose cards may come and go.</summary>
    private static void WatchSlots(PciScan scan, DriverRegistry registry, DeviceTable devices, Terminal serial, bool isQuiet)
    {
        HotplugLog log = new(serial, devices);
        int count = scan.Count;
        for (int i = 0; i < count; i++)
        {
            PciBridge? bridge = scan.FindBridge(scan[i].Address);
            if (bridge is not null && PciHotplugSlot.TryCreate(scan[i], bridge, scan, registry, devices, out PciHotplugSlot? slot))
            {
                slot!.Listener = log;
                devices.Add(slot);
                if (!isQuiet)
                {
                    SystemInformation.WriteSlot(serial, slot);
                }
            }
        }
    }

    /// <summary>The virtio-mmio devices of the command line, or where it names none, those that the firmware's tables name.</summary>
    private static void AttachPlatformDevices(
        BareMachine machine, string commandLine, VirtioMmioDriver driver, Tracer? tracer, DeviceTable devices, Terminal serial, bool isQuiet)
    {
        MmioPlaces places = MmioPlaces.Find(commandLine, machine.Acpi);
        if (places.Error.Length != 0)
        {
            serial.Write("warning: virtio_mmio.device=").Write(places.Error).Write(" is not SIZE@ADDRESS:INTERRUPT\n");
        }
        for (int i = 0; i < places.Count; i++)
        {
            MmioPlace place = places[i];
            if (!BarePlatformDevice.TryCreate(machine, place, out BarePlatformDevice? slot))
            {
                serial.Write("mmio 0x").WriteHex(place.Address).Write(": not usable: the registers can't be mapped\n");
                continue;
            }
            ProbeResult result = driver.Probe(tracer is null ? slot! : tracer.Around(slot!), out Device? device);
            if (result.Status == ProbeStatus.NotMine)
            {
                continue;
            }
            if (result.IsBound)
            {
                devices.Add(device!);
            }
            if (isQuiet && result.IsBound)
            {
                continue;
            }
            serial.Write("mmio 0x").WriteHex(place.Address).Write(" interrupt ").Write(place.Interrupt).EndLine();
            SystemInformation.WriteResult(serial, result, devices);
        }
    }

    /// <summary>The commands of the command line, or shells on the serial line and the console.</summary>
    private static async ValueTask RunAsync(SystemInformation system, BootOptions options, Terminal serial)
    {
        if (options.Unknown.Length != 0)
        {
            serial.Write("warning: unknown option on the command line: ").Write(options.Unknown).EndLine();
        }
        Commands commands = new(system, options);
        SerialInput input = new(system.Machine.Serial);
        system.Loop.Add(input);
        Shell shell = new(commands, new Seat(input, serial));
        if (options.Error.Length != 0)
        {
            serial.Write("error on the command line: ").Write(options.Error).EndLine();
            s_exitCode = ExitCode.Failure;
            return;
        }
        if (options.Run is not null)
        {
            s_exitCode = await shell.RunLineAsync(options.Run) ? ExitCode.Success : ExitCode.Failure;
            return;
        }
        serial.Write("Type help for the commands.\n");
        ConsoleShells shells = new(commands, system.Loop);
        shells.Watch(system.Loop.Devices);
        await shell.RunAsync();
        await shells.WhenEnded();
        s_exitCode = ExitCode.Success;
    }
}
