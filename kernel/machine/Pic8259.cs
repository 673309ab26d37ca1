// The pair of 8259 interrupt controllers, for machines without an I/O APIC and for those who ask for them.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Sixteen lines, the second controller on line 2 of the first. Lines raise the vectors from <see cref="InterruptTable.FirstLevel"/> on, in
/// order; firmware has said in ELCR which are levels. The local APIC lets them through as they come (virtual wire mode).
/// </summary>
internal sealed class Pic8259
{
    internal const int LineCount = 16;

    private const ushort FirstCommand = 0x20;
    private const ushort FirstData = 0x21;
    private const ushort SecondCommand = 0xA0;
    private const ushort SecondData = 0xA1;
    private const byte Initialize = 0x11; // ICW1: edges by default, cascaded, ICW4 follows
    private const byte Cascade = 2; // the line of the second controller
    private const byte Processor8086 = 0x01; // ICW4
    private const byte SpecificEnd = 0x60; // OCW2
    private const byte ReadInService = 0x0B; // OCW3
    private const int LastOfController = 7;

    private ushort _mask = 0xFFFF & ~(1 << Cascade);

    internal Pic8259()
    {
        Set(FirstCommand, FirstData, InterruptTable.FirstLevel, 1 << Cascade);
        Set(SecondCommand, SecondData, InterruptTable.FirstLevel + 8, Cascade);
        WriteMask();
    }

    /// <summary>Lets a line interrupt.</summary>
    internal void Unmask(uint line)
    {
        _mask &= (ushort)~(1u << (int)line);
        WriteMask();
    }

    /// <summary>Silences a line.</summary>
    internal void Mask(uint line)
    {
        _mask |= (ushort)(1u << (int)line);
        WriteMask();
    }

    /// <summary>
    /// Ends the interrupt of a line. The last line of each controller also stands for an interrupt that went away before it was taken: that one
    /// is not in service, and only the cascade has to be ended for it.
    /// </summary>
    internal void EndOfInterrupt(int line)
    {
        bool isSecond = line > LastOfController;
        bool isSpurious = (line & LastOfController) == LastOfController && !IsInService(isSecond ? SecondCommand : FirstCommand);
        if (isSecond)
        {
            if (!isSpurious)
            {
                Cpu.Out8(SecondCommand, (byte)(SpecificEnd | line & LastOfController));
            }
            Cpu.Out8(FirstCommand, SpecificEnd | Cascade);
        }
        else if (!isSpurious)
        {
            Cpu.Out8(FirstCommand, (byte)(SpecificEnd | line));
        }
    }

    private static void Set(ushort command, ushort data, byte vector, byte cascade)
    {
        Cpu.Out8(command, Initialize);
        Cpu.Out8(data, vector);
        Cpu.Out8(data, cascade);
        Cpu.Out8(data, Processor8086);
    }

    private static bool IsInService(ushort command)
    {
        Cpu.Out8(command, ReadInService);
        return (Cpu.In8(command) >> LastOfController & 1) != 0;
    }

    private void WriteMask()
    {
        Cpu.Out8(FirstData, (byte)_mask);
        Cpu.Out8(SecondData, (byte)(_mask >> 8));
    }
}
