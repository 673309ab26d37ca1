// What the kernel's command line asks for.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Options are words apart by blanks: <c>run=selftest</c>, <c>run="disk sha256; mem"</c>, <c>ms=500</c>. What is not known is kept for a
/// warning; a quote that is never closed is an error.
/// </summary>
public sealed class BootOptions
{
    private BootOptions()
    {
    }

    /// <summary>The commands to run, or null for the interactive shell.</summary>
    public string? Run { get; private set; }

    /// <summary>How long a benchmark job runs, in milliseconds.</summary>
    public uint JobMilliseconds { get; private set; } = 1500;

    /// <summary>How many requests a benchmark job makes, for counting; 0: as many as there is time for.</summary>
    public uint JobRequests { get; private set; }

    /// <summary>True when benchmarks may overwrite a disk that has partitions.</summary>
    public bool BenchmarkWrites { get; private set; }

    /// <summary>True when BARs are not to be mapped: virtio functions are reached through config space, to show that it works.</summary>
    public bool PciThroughConfigSpace { get; private set; }

    /// <summary>The best kind of interrupt that devices may use.</summary>
    public InterruptKind BestInterrupts { get; private set; } = InterruptKind.MsiX;

    /// <summary>True when pins are to arrive at the 8259 pair, also where there is an I/O APIC.</summary>
    public bool Wants8259 { get; private set; }

    /// <summary>True when what passes between drivers and devices is to be written down on the serial line.</summary>
    public bool Trace { get; private set; }

    /// <summary>True when it may be tried to look for interrupts before the processor is halted.</summary>
    public bool PollsBeforeHalt { get; private set; } = true;

    /// <summary>True when the boot says nothing of devices that are well.</summary>
    public bool IsQuiet { get; private set; }

    /// <summary>What is wrong with the line; empty when nothing is.</summary>
    public string Error { get; private set; } = "";

    /// <summary>The options nobody knows, apart by blanks; empty when there are none.</summary>
    public string Unknown { get; private set; } = "";

    /// <summary>Reads a command line.</summary>
    public static BootOptions Parse(string line)
    {
        BootOptions options = new();
        int position = 0;
        while (position < line.Length)
        {
            if (char.IsWhiteSpace(line[position]))
            {
                position++;
                continue;
            }
            int start = position;
            bool quoted = false;
            while (position < line.Length && (quoted || !char.IsWhiteSpace(line[position])))
            {
                if (line[position] == '"')
                {
                    quoted = !quoted;
                }
                position++;
            }
            if (quoted)
            {
                options.Error = "a quote is never closed: write run=\"command; command\"";
                return options;
            }
            options.Take(Unquote(line.Substring(start, position - start)));
        }
        return options;
    }

    private void Take(string word)
    {
        int equals = word.IndexOf('=');
        string name = equals < 0 ? word : word.Substring(0, equals);
        string value = equals < 0 ? "" : word.Substring(equals + 1);
        switch (name)
        {
            case "run":
                Run = value;
                break;
            case "ms":
                if (!uint.TryParse(value, out uint milliseconds) || milliseconds == 0)
                {
                    Error = "ms= takes a number of milliseconds from 1 on";
                    break;
                }
                JobMilliseconds = milliseconds;
                break;
            case "ios":
                Error = uint.TryParse(value, out uint requests) ? Error : "ios= takes a number of requests, 0 for as many as there is time for";
                JobRequests = requests;
                break;
            case "bench-writes":
                BenchmarkWrites = value == "yes";
                Error = value is "yes" or "no" ? Error : "bench-writes= takes yes or no";
                break;
            case "interrupts":
                TakeInterrupts(value);
                break;
            case "virtio_mmio.device":
                break; // the machine has read it
            case "halt-poll":
                PollsBeforeHalt = value == "on";
                Error = value is "on" or "off" ? Error : "halt-poll= takes on or off";
                break;
            case "quiet":
                IsQuiet = true;
                Error = equals < 0 ? Error : "quiet takes no value";
                break;
            case "trace":
                Trace = value == "on";
                Error = value is "on" or "off" ? Error : "trace= takes on or off";
                break;
            case "pci-access":
                PciThroughConfigSpace = value == "config";
                Error = value is "config" or "memory" ? Error : "pci-access= takes config or memory";
                break;
            default:
                Unknown = Unknown.Length == 0 ? word : Unknown + " " + word;
                break;
        }
    }

    private void TakeInterrupts(string value)
    {
        switch (value)
        {
            case "msix":
                BestInterrupts = InterruptKind.MsiX;
                break;
            case "msi":
                BestInterrupts = InterruptKind.Msi;
                break;
            case "pin":
                BestInterrupts = InterruptKind.Pin;
                break;
            case "8259":
                BestInterrupts = InterruptKind.Pin;
                Wants8259 = true;
                break;
            case "none":
                BestInterrupts = InterruptKind.None;
                break;
            default:
                Error = "interrupts= takes msix, msi, pin, 8259 or none";
                break;
        }
    }

    private static string Unquote(string text)
    {
        char[] kept = new char[text.Length];
        int count = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '"')
            {
                kept[count++] = text[i];
            }
        }
        return new string(kept, 0, count);
    }
}
