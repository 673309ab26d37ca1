// The end of a kernel that can't go on: what happened, the registers, how it got there, and an exit code.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>The registers as boot/cpu.S saves them for an exception.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExceptionFrame
{
    internal ulong R15, R14, R13, R12, R11, R10, R9, R8, Rdi, Rsi, Rbp, Rbx, Rdx, Rcx, Rax;
    internal ulong Vector, ErrorCode, Rip, Cs, Rflags, Rsp, Ss;
}

/// <summary>A broken contract of a driver's caller ends in a panic.</summary>
internal sealed class PanicOnBrokenContract : ContractHandler
{
    /// <inheritdoc/>
    public override void OnBroken(string message) => Environment.FailFast(message);
}

/// <summary>Says what happened on the serial line, from any state of the machine, and ends it with <see cref="ExitCode.Panic"/>.</summary>
internal static unsafe class Panic
{
    private static int s_depth;

    // Made at boot, as there may be no memory left for it later. An address and not a reference: it must be readable before statics
    // that hold references are set up, and objects never move.
    private static nint s_terminal;
    private static nint s_console;

    /// <summary>From here on exceptions and failed checks are told on <paramref name="terminal"/>.</summary>
    internal static void Prepare(SerialTerminal terminal)
    {
        s_terminal = Unsafe.As<SerialTerminal, nint>(ref terminal);
        InterruptTable.Load();
    }

    /// <summary>Panics are told by the emergency write of this console too, the last one that was given and can.</summary>
    internal static void TellAlso(ConsoleDevice console) => s_console = Unsafe.As<ConsoleDevice, nint>(ref console);

    [UnmanagedCallersOnly(EntryPoint = "kernel_panic")]
    private static void OnRuntimeFailure(char* message, int length)
    {
        SerialTerminal terminal = Begin();
        terminal.Write("PANIC: ");
        for (int i = 0; i < length; i++)
        {
            terminal.WriteByte(message[i] < 0x80 ? (byte)message[i] : (byte)'?');
        }
        terminal.EndLine();
        Backtrace.Write(terminal, Cpu.FramePointer());
        End(terminal);
    }

    [UnmanagedCallersOnly(EntryPoint = "kernel_exception")]
    private static void OnException(ExceptionFrame* frame)
    {
        ulong fault = Cpu.ReadFaultAddress();
        SerialTerminal terminal = Begin();
        terminal.Write("PANIC: ").Write(NameOf(frame->Vector));
        if (frame->Vector == 14)
        {
            bool isFetch = (frame->ErrorCode & 16) != 0;
            bool isWrite = (frame->ErrorCode & 2) != 0;
            terminal.Write(isFetch ? " while executing 0x" : isWrite ? " while writing 0x" : " while reading 0x").WriteHex(fault, 16).Write(Explain(fault));
        }
        terminal.Write("\n  at 0x").WriteHex(frame->Rip, 16).Write(" ");
        Backtrace.WriteSymbol(terminal, frame->Rip);
        terminal.Write("\n  error code 0x").WriteHex(frame->ErrorCode).Write(", flags 0x").WriteHex(frame->Rflags).EndLine();
        WriteRegisters(terminal, "rax", frame->Rax, "rbx", frame->Rbx, "rcx", frame->Rcx, "rdx", frame->Rdx);
        WriteRegisters(terminal, "rsi", frame->Rsi, "rdi", frame->Rdi, "rbp", frame->Rbp, "rsp", frame->Rsp);
        WriteRegisters(terminal, "r8 ", frame->R8, "r9 ", frame->R9, "r10", frame->R10, "r11", frame->R11);
        WriteRegisters(terminal, "r12", frame->R12, "r13", frame->R13, "r14", frame->R14, "r15", frame->R15);
        Backtrace.Write(terminal, frame);
        End(terminal);
    }

    private static SerialTerminal Begin()
    {
        Cpu.DisableInterrupts();
        s_depth++;
        if (s_depth == 2)
        {
            Say("\r\nPANIC within the panic. The kernel has stopped.\r\n"u8);
        }
        if (s_depth > 1 || s_terminal == 0)
        {
            DebugExit.End(ExitCode.Panic);
        }
        SerialPort.StopBuffering();
        SerialTerminal terminal = Unsafe.As<nint, SerialTerminal>(ref s_terminal);
        if (s_console != 0)
        {
            terminal.Echo = Unsafe.As<nint, ConsoleDevice>(ref s_console);
        }
        return terminal;
    }

    private static void End(SerialTerminal terminal)
    {
        terminal.Write("The kernel has stopped.\n");
        DebugExit.End(ExitCode.Panic);
    }

    private static void Say(ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            SerialPort.Send(text[i]);
        }
    }

    private static string Explain(ulong address) =>
        address < 4096 ? " (a null reference)"
        : address >= (ulong)Image.StackGuard && address < (ulong)Image.StackGuard + 4096 ? " (the stack overflowed)"
        : "";

    private static void WriteRegisters(SerialTerminal terminal, string a, ulong x, string b, ulong y, string c, ulong z, string d, ulong w)
    {
        terminal.Write("  ").Write(a).Write(" ").WriteHex(x, 16).Write("  ").Write(b).Write(" ").WriteHex(y, 16);
        terminal.Write("  ").Write(c).Write(" ").WriteHex(z, 16).Write("  ").Write(d).Write(" ").WriteHex(w, 16).EndLine();
    }

    private static string NameOf(ulong vector) => vector switch
    {
        0 => "division error",
        1 => "debug exception",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid instruction",
        7 => "no floating-point unit",
        8 => "double fault",
        10 => "invalid task state",
        11 => "segment not present",
        12 => "stack segment fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "floating-point error",
        17 => "misaligned access",
        18 => "machine check",
        19 => "SIMD floating-point error",
        _ => "unexpected exception",
    };
}
