// The end of a kernel that can't go on: what happened, the registers, how it got there, and an exit code.
using System.Runtime.InteropServices;
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
    private const int MaxFrames = 32;
    private static int s_depth;

    [UnmanagedCallersOnly(EntryPoint = "kernel_panic")]
    private static void OnRuntimeFailure(char* message, int length)
    {
        Begin();
        SerialTerminal terminal = new();
        terminal.Write("PANIC: ");
        for (int i = 0; i < length; i++)
        {
            terminal.WriteByte(message[i] < 0x80 ? (byte)message[i] : (byte)'?');
        }
        terminal.EndLine();
        Backtrace(terminal, Cpu.FramePointer(), 0);
        End(terminal);
    }

    [UnmanagedCallersOnly(EntryPoint = "kernel_exception")]
    private static void OnException(ExceptionFrame* frame)
    {
        Begin();
        SerialTerminal terminal = new();
        ulong fault = Cpu.ReadFaultAddress();
        terminal.Write("PANIC: ").Write(NameOf(frame->Vector));
        if (frame->Vector == 14)
        {
            terminal.Write((frame->ErrorCode & 16) != 0 ? " while executing " : (frame->ErrorCode & 2) != 0 ? " while writing " : " while reading ");
            terminal.Write("0x").WriteHex(fault, 16).Write(Explain(fault));
        }
        terminal.Write("\n  at 0x").WriteHex(frame->Rip, 16).Write(" ");
        WriteSymbol(terminal, frame->Rip);
        terminal.Write("\n  error code 0x").WriteHex(frame->ErrorCode).Write(", flags 0x").WriteHex(frame->Rflags).EndLine();
        WriteRegisters(terminal, "rax", frame->Rax, "rbx", frame->Rbx, "rcx", frame->Rcx, "rdx", frame->Rdx);
        WriteRegisters(terminal, "rsi", frame->Rsi, "rdi", frame->Rdi, "rbp", frame->Rbp, "rsp", frame->Rsp);
        WriteRegisters(terminal, "r8 ", frame->R8, "r9 ", frame->R9, "r10", frame->R10, "r11", frame->R11);
        WriteRegisters(terminal, "r12", frame->R12, "r13", frame->R13, "r14", frame->R14, "r15", frame->R15);
        bool lost = frame->Rip < (ulong)Image.TextStart || frame->Rip >= (ulong)Image.TextEnd;
        Backtrace(terminal, frame->Rbp, lost && IsOnStack(frame->Rsp) ? *(ulong*)frame->Rsp : 0);
        End(terminal);
    }

    private static void Begin()
    {
        Cpu.DisableInterrupts();
        if (++s_depth > 1)
        {
            DebugExit.End(ExitCode.Panic);
        }
    }

    private static void End(SerialTerminal terminal)
    {
        terminal.Write("The kernel has stopped.\n");
        DebugExit.End(ExitCode.Panic);
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

    private static void WriteSymbol(SerialTerminal terminal, ulong address)
    {
        if (!SymbolTable.TryFind(address, out byte* name, out ulong offset))
        {
            terminal.Write("(not in the kernel's code)");
            return;
        }
        for (int i = 0; i < 120 && name[i] != 0; i++)
        {
            terminal.WriteByte(name[i]);
        }
        terminal.Write("+0x").WriteHex(offset);
    }

    private static bool IsOnStack(ulong address) =>
        address >= (ulong)Image.StackGuard + 4096 && address <= (ulong)Image.StackTop - 16 && (address & 7) == 0;

    /// <summary>
    /// Follows the chain of frame pointers as long as it stays on the stack and goes upwards. A call to where no code is has left its
    /// return address on top of the stack: that is <paramref name="first"/>, or 0.
    /// </summary>
    private static void Backtrace(SerialTerminal terminal, ulong frame, ulong first)
    {
        terminal.Write("Backtrace:\n");
        if (first != 0)
        {
            terminal.Write("  0x").WriteHex(first, 16).Write(" ");
            WriteSymbol(terminal, first);
            terminal.EndLine();
        }
        for (int i = 0; i < MaxFrames; i++)
        {
            if (!IsOnStack(frame))
            {
                return;
            }
            ulong caller = ((ulong*)frame)[1];
            if (caller < (ulong)Image.TextStart || caller >= (ulong)Image.TextEnd)
            {
                return;
            }
            terminal.Write("  0x").WriteHex(caller, 16).Write(" ");
            WriteSymbol(terminal, caller);
            terminal.EndLine();
            ulong next = *(ulong*)frame;
            if (next <= frame)
            {
                return;
            }
            frame = next;
        }
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
