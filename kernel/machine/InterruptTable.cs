// The interrupt descriptor table: which code runs for which vector.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Loaded right after the first line, so that an exception at any later moment is told. Its entries never change: what happens with an
/// interrupt is decided by <see cref="Interrupts"/>.
/// </summary>
internal static unsafe class InterruptTable
{
    internal const byte FirstLevel = 0x30;
    internal const int LevelCount = 16;
    internal const byte FirstEdge = 0x40;
    internal const int EdgeCount = 64;
    private const int ExceptionCount = 32;
    private const int VectorCount = 256;
    private const int StubLength = 16;
    private const int GateLength = 16;

    /// <summary>Fills the table and loads it.</summary>
    internal static void Load()
    {
        for (int vector = 0; vector < VectorCount; vector++)
        {
            if (vector < ExceptionCount)
            {
                // On a stack of its own: the current one may be what went wrong.
                SetGate(vector, Image.ExceptionStubs + vector * StubLength, stack: 1);
            }
            else if (vector >= FirstLevel && vector < FirstLevel + LevelCount)
            {
                SetGate(vector, Image.LevelStubs + (vector - FirstLevel) * StubLength, stack: 0);
            }
            else if (vector >= FirstEdge && vector < FirstEdge + EdgeCount)
            {
                SetGate(vector, Image.EdgeStubs + (vector - FirstEdge) * StubLength, stack: 0);
            }
            else
            {
                SetGate(vector, Image.IgnoreStub, stack: 0);
            }
        }
        Cpu.LoadInterruptTable(Image.InterruptTable, VectorCount * GateLength - 1);
    }

    private static void SetGate(int vector, byte* handler, byte stack)
    {
        ulong address = (ulong)handler;
        ulong* gate = (ulong*)(Image.InterruptTable + vector * GateLength);
        gate[0] = (address & 0xFFFF) | 8ul << 16 | (ulong)stack << 32 | 0x8Eul << 40 | (address >> 16 & 0xFFFF) << 48;
        gate[1] = address >> 32;
    }
}
