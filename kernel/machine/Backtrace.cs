// How the program got where it is: the chain of callers, with names.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Walks up the stack. Not every function keeps a frame pointer, so the size of a frame is read from the function's first instructions,
/// as the compiler writes them: pushes, `sub rsp`, and `lea rbp` or `mov rbp` where there is a frame pointer.
/// </summary>
internal static unsafe class Backtrace
{
    private const int MaxFrames = 40;

    /// <summary>Writes who called the function whose frame pointer is <paramref name="frame"/>.</summary>
    internal static void Write(Terminal terminal, ulong frame)
    {
        Walker walker = new() { FramePointer = frame };
        Write(terminal, ref walker, walker.TryLeaveFrame());
    }

    /// <summary>Writes who called the function in which an exception struck.</summary>
    internal static void Write(Terminal terminal, ExceptionFrame* state)
    {
        Walker walker = new() { Instruction = state->Rip, StackPointer = state->Rsp, FramePointer = state->Rbp };
        Write(terminal, ref walker, walker.TryLeave(isReturn: false));
    }

    /// <summary>Writes the function that holds an address, and how far into it the address is.</summary>
    internal static void WriteSymbol(Terminal terminal, ulong address)
    {
        Span<byte> name = stackalloc byte[SymbolTable.MaxNameLength];
        if (!SymbolTable.TryFind(address, name, out int length, out ulong offset))
        {
            terminal.Write("(not in the kernel's code)");
            return;
        }
        terminal.WriteUntrusted(name.Slice(0, length));
        terminal.Write("+0x").WriteHex(offset);
    }

    private static void Write(Terminal terminal, ref Walker walker, bool isThere)
    {
        terminal.Write("Backtrace:\n");
        for (int i = 0; isThere; i++)
        {
            if (i == MaxFrames)
            {
                terminal.Write("  ...\n");
                return;
            }
            ulong instruction = walker.Instruction;
            terminal.Write("  0x").WriteHex(instruction, 16).Write(" ");
            WriteSymbol(terminal, instruction);
            // A recursion is one line. Each step goes up the stack, so that there is an end.
            ulong repeated = 0;
            while ((isThere = walker.TryLeave(isReturn: true)) && walker.Instruction == instruction)
            {
                repeated++;
            }
            if (repeated != 0)
            {
                terminal.Write(", and ").Write(repeated).Write(" times more");
            }
            terminal.EndLine();
        }
    }

    /// <summary>Where the walk is: the registers as they were in a function.</summary>
    private struct Walker
    {
        internal ulong Instruction;
        internal ulong StackPointer;
        internal ulong FramePointer;

        /// <summary>Goes on to the caller; false at the end of the stack.</summary>
        internal bool TryLeave(bool isReturn)
        {
            // A return address may lie behind the end of a function whose last instruction is a call.
            if (!SymbolTable.TryFind(isReturn ? Instruction - 1 : Instruction, out ulong offset))
            {
                // A call to nowhere: its return address is the last thing that was pushed.
                return TryReturn(StackPointer, FramePointer);
            }
            byte* start = (byte*)(isReturn ? Instruction - 1 - offset : Instruction - offset);
            Prologue prologue = Prologue.Read(start, (byte*)Instruction);
            if (prologue.HasFrame)
            {
                return TryLeaveFrame();
            }
            ulong place = StackPointer + prologue.Depth;
            ulong framePointer = prologue.SavesFramePointer && IsOnStack(place - 8) ? *(ulong*)(place - 8) : FramePointer;
            return TryReturn(place, framePointer) || (isReturn is false && TryLeaveFrame());
        }

        /// <summary>Goes on to the caller of a function with a frame pointer: it points to the caller's, the return address behind it.</summary>
        internal bool TryLeaveFrame() => IsOnStack(FramePointer) && TryReturn(FramePointer + 8, *(ulong*)FramePointer);

        private bool TryReturn(ulong place, ulong framePointer)
        {
            if (!IsOnStack(place) || place < StackPointer)
            {
                return false;
            }
            ulong address = *(ulong*)place;
            if (address <= (ulong)Image.TextStart || address >= (ulong)Image.TextEnd)
            {
                return false;
            }
            Instruction = address;
            StackPointer = place + 8;
            FramePointer = framePointer;
            return true;
        }

        private static bool IsOnStack(ulong address) =>
            address >= (ulong)Image.StackBottom && address <= (ulong)Image.StackTop - 8 && (address & 7) == 0;
    }

    /// <summary>What a function has done to the stack when it reaches an instruction.</summary>
    private readonly struct Prologue
    {
        private const int MaxInstructions = 16;

        private Prologue(ulong depth, bool savesFramePointer, bool hasFrame)
        {
            Depth = depth;
            SavesFramePointer = savesFramePointer;
            HasFrame = hasFrame;
        }

        /// <summary>Bytes on the stack above which the return address lies.</summary>
        internal ulong Depth { get; }

        /// <summary>True when the first thing pushed was the caller's frame pointer.</summary>
        internal bool SavesFramePointer { get; }

        /// <summary>True when the frame pointer is this function's own.</summary>
        internal bool HasFrame { get; }

        /// <summary>Reads the instructions from <paramref name="start"/> up to <paramref name="end"/>.</summary>
        internal static Prologue Read(byte* start, byte* end)
        {
            ulong depth = 0;
            bool savesFramePointer = start < end && *start == 0x55;
            byte* p = start;
            for (int i = 0; i < MaxInstructions && p < end; i++)
            {
                if (*p is >= 0x50 and <= 0x57)
                {
                    depth += 8;                                 // push rax to rdi
                    p += 1;
                }
                else if (*p == 0x41 && p[1] is >= 0x50 and <= 0x57)
                {
                    depth += 8;                                 // push r8 to r15
                    p += 2;
                }
                else if (*p == 0x48 && p[1] == 0x83 && p[2] == 0xEC)
                {
                    depth += p[3];                              // sub rsp, 8 bits
                    p += 4;
                }
                else if (*p == 0x48 && p[1] == 0x81 && p[2] == 0xEC)
                {
                    depth += *(uint*)(p + 3);                   // sub rsp, 32 bits
                    p += 7;
                }
                else
                {
                    // lea rbp, [rsp + 8 or 32 bits], mov rbp, rsp, or the body; a body after `push rbp` has its frame.
                    return new Prologue(depth, savesFramePointer, savesFramePointer);
                }
            }
            return new Prologue(depth, savesFramePointer, false);
        }
    }
}
