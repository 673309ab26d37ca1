// The commands of the shell.
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Runs commands by name. A command answers true when it did what was asked; otherwise it has said why not.</summary>
public sealed class Commands
{
    private const int ConsoleTries = 5000;

    private readonly SystemInformation _system;
    private readonly DiskCommands _disks;
    private readonly PortCommands _ports;
    private readonly BootOptions _options;

    /// <summary>Makes the commands for a system.</summary>
    public Commands(SystemInformation system, BootOptions options)
    {
        _system = system;
        _options = options;
        _disks = new DiskCommands(system);
        _ports = new PortCommands(system.Loop);
    }

    /// <summary>Runs a command: its name and its arguments.</summary>
    public ValueTask<bool> RunAsync(string[] words, Terminal output)
    {
        switch (words[0])
        {
            case "help":
                Help(output);
                return new(true);
            case "lspci":
                _system.WriteFunctions(output);
                return new(true);
            case "devices":
                _system.WriteDevices(output);
                return new(true);
            case "disk":
                return _disks.RunAsync(words, output);
            case "console":
                return WriteToConsoleAsync(words, output);
            case "ports":
                return _ports.ListAsync(output);
            case "port":
                return _ports.RunAsync(words, output);
            case "random":
                return RandomCommand.RunAsync(_system.Random, _system.Loop, words.Length > 1 ? words[1] : "", output);
            case "mem":
                WriteMemory(output);
                return new(true);
            case "uptime":
                output.Write("up ").Write(_system.Loop.Clock.Now / 1_000_000).Write(" ms, ").Write(_system.Machine.Interrupts.Delivered).Write(" interrupts\n");
                return new(true);
            case "trace":
                output.Write(_options.Trace ? "Traces are written.\n" : "No traces are written; trace=on on the kernel's command line begins with them.\n");
                return new(true);
            case "selftest":
                return new SelfTest(_system, output).RunAsync(words.Length > 1 ? words[1] : "");
            case "edu":
                return EduCommand.RunAsync(_system, words.Length > 1 ? words[1] : "msi", output);
            case "hotplug":
                uint times = 1;
                if (words.Length > 1 && !uint.TryParse(words[1], out times))
                {
                    output.Write("hotplug takes how often\n");
                    return new(false);
                }
                return new HotplugCommand(_system, output).RunAsync(times);
            case "verdict":
                return VerdictCommand.RunAsync(_system, words, output);
            case "corelib":
                Tests.Corelib.CorelibChecks.Run(line => output.Write(line).EndLine());
                return new(true);
            case "bench":
                return new Benchmark(_system, output, _options).RunAsync(words);
            case "panic":
                return new(PanicCommand.Run(words.Length > 1 ? words[1] : "", output));
            case "halt":
                output.Write("The kernel has stopped.\n");
                DebugExit.End(ExitCode.Success);
                return new(true);
            default:
                output.Write("unknown command: ").Write(words[0]).Write("; help lists the commands\n");
                return new(false);
        }
    }

    private static void Help(Terminal output) => output.Write(
        "help                           this list\n" +
        "lspci                          the PCI functions\n" +
        "devices                        the virtio devices: features, queues, interrupts\n" +
        "disk [n] info                  size, block size, what it can do\n" +
        "disk [n] read SECTOR [COUNT]   shows sectors\n" +
        "disk [n] write SECTOR TEXT     writes TEXT to a sector, the rest zero\n" +
        "disk [n] flush                 makes what was written durable\n" +
        "disk [n] id                    the device's identification\n" +
        "disk [n] sha256                the hash of the whole disk\n" +
        "disk [n] parts                 the partitions; disk NpM is partition M of disk N\n" +
        "disk [n] bytes OFFSET COUNT    shows bytes\n" +
        "disk [n] poke OFFSET TEXT      writes TEXT over what is there\n" +
        "disk [n] stress REQUESTS DEPTH SEED overwrite  random requests, compared with a model\n" +
        "disk [n] journal write|careless|check  numbered records, for power cuts\n" +
        "disk [n] discard SECTOR COUNT  says that sectors are not needed any more\n" +
        "disk [n] zero SECTOR COUNT [unmap]  makes sectors read as zeroes\n" +
        "disk [n] erase SECTOR COUNT    erases sectors for good\n" +
        "disk [n] cache [on|off]        shows or switches the write cache\n" +
        "disk [n] lifetime              the wear of the medium\n" +
        "disk [n] zones                 the zones of a zoned disk\n" +
        "disk [n] zone open|close|finish|reset SECTOR\n" +
        "console [TEXT]                 the virtio console, or writes TEXT to it\n" +
        "ports                         the console ports\n" +
        "port NAME open|close|wait      opens or closes a port, waits for its host\n" +
        "port NAME send TEXT|echo       sends a text, or what comes back until the host closes\n" +
        "port NAME make|hash BYTES      sends or receives bytes and shows their hash\n" +
        "random [N]                     random bytes; random info: how good they are\n" +
        "mem                            memory\n" +
        "uptime                         time since boot\n" +
        "trace                          whether trace=on writes down what passes between drivers and devices\n" +
        "selftest [NAME]                tests of the kernel on this machine; those called recovery break devices on purpose\n" +
        "edu [msi|storm]                interrupts of QEMU's edu device\n" +
        "hotplug [TIMES]                reads a disk that comes until it is taken away again\n" +
        "verdict [MILLISECONDS [DISK]]  what a disk that may lie made of requests whose results are known\n" +
        "corelib                        prints what the corelib computes, for comparison with .NET\n" +
        "bench [await|direct] [all] [JOB]  measures the first disk or all, by await or by Submit and Poll\n" +
        "bench console                  measures console ports\n" +
        "panic [null|stack|index|cast|code|execute|divide|random]\n                               what a panic looks like\n" +
        "halt                           ends the machine\n");

    private void WriteMemory(Terminal output)
    {
        output.Write("memory ").Write(_system.Machine.Memory.Total >> 10).Write(" KiB; not handed out ").Write(_system.Machine.Memory.Free >> 10).Write(" KiB\n");
        output.Write("heap: ").Write(RuntimeHeap.BytesAllocated).Write(" bytes allocated since boot, ").Write(RuntimeHeap.BytesFree >> 10).Write(" KiB left\n");
        output.Write("DMA: ").Write(_system.Machine.DmaMemory.BytesInUse >> 10).Write(" KiB in use\n");
    }

    private async ValueTask<bool> WriteToConsoleAsync(string[] words, Terminal output)
    {
        ConsolePort? port = await ConsolePorts.FindConsoleAsync(_system.Loop);
        if (port is null)
        {
            output.Write("no virtio console; add one: -device virtio-serial-pci -device virtconsole,chardev=...\n");
            return false;
        }
        if (words.Length == 1)
        {
            output.Write(port.Label).Write(": ").Write(port.Columns).Write(" columns, ").Write(port.Rows).Write(" rows (0: not said)\n");
            return true;
        }
        byte[] bytes = CommandText.BytesOf(words, 1, "\n");
        int sent = (int)port.Write(bytes);
        for (int tries = 0; sent < bytes.Length && tries < ConsoleTries && !port.IsFailed; tries++)
        {
            await _system.Loop.After(1_000_000);
            sent += (int)port.Write(new ReadOnlySpan<byte>(bytes, sent, bytes.Length - sent));
        }
        // The end of the kernel may follow at once: the device has to have taken the text before.
        for (int tries = 0; port.HasUnsent && tries < ConsoleTries && !port.IsFailed; tries++)
        {
            await _system.Loop.After(200_000);
        }
        if (sent < bytes.Length || port.HasUnsent || port.IsFailed)
        {
            output.Write("the console does not take the text: is anybody reading at the other end?\n");
            return false;
        }
        return true;
    }
}
