// The processor's table of interrupt gates.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Leads each vector to its stub in boot/cpu.S. It is loaded before anything can go wrong, so that every exception ends in a panic.
/// </summary>
internal static unsafe class InterruptTable
{
    /// <summary>The first vector of a level: a pin, whose end of interrupt is sent after the handlers ran.</summary>
    internal const byte FirstLevel = 0x30;

    /// <summary>How many levels there are.</summary>
    internal const int LevelCount = 16;

    /// <summary>The first vector of an edge: a message, the timer, the serial line.</summary>
    internal const byte FirstEdge = 0x40;

    /// <summary>How many edges there are.</summary>
    internal const int EdgeCount = 64;

    /// <summary>What the local APIC raises when an interrupt went away before it was taken; it wants no end of interrupt.</summary>
    internal const byte SpuriousVector = 0xFF;

    private const int VectorCount = 256;
    private const int ExceptionCount = 32;
    private const int StubSize = 16;
    private const byte CurrentStack = 0;
    private const byte EmergencyStack = 1;

    /// <summary>Fills and loads the table. Exceptions run on a stack of their own, so that an overflow of the stack can be told.</summary>
    internal static void Load()
    {
        for (int i = 0; i < VectorCount; i++)
        {
            SetGate(i, Image.IgnoreStub, CurrentStack);
        }
        for (int i = 0; i < ExceptionCount; i++)
        {
            SetGate(i, Image.ExceptionStubs + i * StubSize, EmergencyStack);
        }
        for (int i = 0; i < LevelCount; i++)
        {
            SetGate(FirstLevel + i, Image.LevelStubs + i * StubSize, CurrentStack);
        }
        for (int i = 0; i < EdgeCount; i++)
        {
            SetGate(FirstEdge + i, Image.EdgeStubs + i * StubSize, CurrentStack);
        }
        Cpu.LoadInterruptTable(Image.InterruptTable, VectorCount * 16 - 1);
    }

    private static void SetGate(int vector, byte* stub, byte stack)
    {
        ulong address = (ulong)stub;
        ulong* gate = (ulong*)Image.InterruptTable + vector * 2;
        gate[0] = (address & 0xFFFF) | 8ul << 16 | (ulong)stack << 32 | 0x8Eul << 40 | (address >> 16 & 0xFFFF) << 48;
        gate[1] = address >> 32;
    }
}
