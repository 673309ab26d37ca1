// The local APIC: end of interrupt, and the timer that ends a wait.
namespace VirtioSharp.Kernel.Machine;

/// <summary>The processor's own interrupt controller, through memory (xAPIC).</summary>
internal sealed unsafe class LocalApic
{
    private const uint Identity = 0x20;
    private const uint TaskPriority = 0x80;
    private const uint EndOfInterruptRegister = 0xB0;
    private const uint Spurious = 0xF0;
    private const uint TimerVector = 0x320;
    private const uint Line0 = 0x350;
    private const uint Line1 = 0x360;
    private const uint TimerInitial = 0x380;
    private const uint TimerCurrent = 0x390;
    private const uint TimerDivide = 0x3E0;
    private const uint Masked = 0x10000;
    private const uint NonMaskable = 0x400;
    private const uint External = 0x700;
    private const uint DivideBy1 = 0xB;

    /// <summary>Where its registers are on every PC; boot/cpu.S ends interrupts there.</summary>
    internal const ulong Address = 0xFEE00000;

    internal LocalApic(byte spuriousVector, byte timerVector)
    {
        Write(TaskPriority, 0);
        Write(Line0, Masked);
        // The second line is the non-maskable interrupt (QEMU's monitor: nmi): a panic that shows where the kernel is.
        Write(Line1, NonMaskable);
        Write(TimerDivide, DivideBy1);
        Write(TimerVector, timerVector);
        Write(Spurious, 0x100u | spuriousVector);
    }

    /// <summary>This processor's id, as messages name it.</summary>
    internal byte Id => (byte)(Read(Identity) >> 24);

    /// <summary>Opens the first line for the 8259 pair, which says the vector itself.</summary>
    internal void LetThrough8259() => Write(Line0, External);

    /// <summary>What is left of the timer's count.</summary>
    internal uint TimerCount => Read(TimerCurrent);

    /// <summary>Starts the timer: one interrupt when <paramref name="count"/> is used up; 0 stops it.</summary>
    internal void StartTimer(uint count) => Write(TimerInitial, count);

    /// <summary>Ends the interrupt of the highest priority that is in service.</summary>
    internal void EndOfInterrupt() => Write(EndOfInterruptRegister, 0);

    private uint Read(uint register) => System.Threading.Volatile.Read(ref *(uint*)(Address + register));

    private void Write(uint register, uint value) => System.Threading.Volatile.Write(ref *(uint*)(Address + register), value);
}
