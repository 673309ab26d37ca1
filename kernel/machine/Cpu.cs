// The processor: what boot/cpu.S does for C#.
using System.Runtime;
using System.Runtime.CompilerServices;

namespace VirtioSharp.Kernel.Machine;

/// <summary>Single instructions that C# has no words for.</summary>
internal static unsafe class Cpu
{
    [RuntimeImport("*", "cpu_in8"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern byte In8(ushort port);

    [RuntimeImport("*", "cpu_in16"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ushort In16(ushort port);

    [RuntimeImport("*", "cpu_in32"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint In32(ushort port);

    [RuntimeImport("*", "cpu_out8"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Out8(ushort port, byte value);

    [RuntimeImport("*", "cpu_out16"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Out16(ushort port, ushort value);

    [RuntimeImport("*", "cpu_out32"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Out32(ushort port, uint value);

    /// <summary>The time stamp counter.</summary>
    [RuntimeImport("*", "cpu_rdtsc"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadTimeStamp();

    [RuntimeImport("*", "cpu_rdmsr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadModelSpecific(uint register);

    /// <summary>CPUID of a leaf, subleaf 0: EAX, EBX, ECX and EDX in this order.</summary>
    [RuntimeImport("*", "cpu_cpuid"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Identify(uint leaf, uint* registers);

    /// <summary>RDRAND: 64 random bits and 1, or 0 when there are none at the moment. Only where CPUID says that there is such an instruction.</summary>
    [RuntimeImport("*", "cpu_rdrand"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint TryReadRandom(ulong* value);

    /// <summary>RDSEED: the same, from nearer to the source.</summary>
    [RuntimeImport("*", "cpu_rdseed"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint TryReadSeed(ulong* value);

    /// <summary>The address of the last page fault.</summary>
    [RuntimeImport("*", "cpu_read_cr2"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadFaultAddress();

    [RuntimeImport("*", "cpu_read_cr3"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadPageMap();

    [RuntimeImport("*", "cpu_write_cr3"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WritePageMap(ulong address);

    [RuntimeImport("*", "cpu_load_idt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoadInterruptTable(void* table, ushort limit);

    [RuntimeImport("*", "cpu_pause"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Pause();

    /// <summary>Where a counter outside of the machine begins to count (tools/bench); does nothing.</summary>
    [RuntimeImport("*", "cpu_mark_begin"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void MarkBegin();

    /// <summary>Where it ends.</summary>
    [RuntimeImport("*", "cpu_mark_end"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void MarkEnd();

    [RuntimeImport("*", "cpu_enable_interrupts"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void EnableInterrupts();

    [RuntimeImport("*", "cpu_disable_interrupts"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void DisableInterrupts();

    /// <summary>Sleeps until an interrupt is noted; returns at once when one is.</summary>
    [RuntimeImport("*", "cpu_wait_for_interrupt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WaitForInterrupt();

    /// <summary>Waits until an interrupt is noted, for some ticks of the time stamp counter at most, without sleeping.</summary>
    [RuntimeImport("*", "cpu_spin_for_interrupt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SpinForInterrupt(ulong ticks);

    /// <summary>
    /// Takes what was noted since the last call. The answer has a bit for each edge, vectors from 0x40 on; what is stored has a bit for each level,
    /// vectors from 0x30 on, each of which is owed an end of interrupt.
    /// </summary>
    [RuntimeImport("*", "cpu_take_interrupts"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong TakeInterrupts(ulong* levels);

    [RuntimeImport("*", "cpu_stop"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Stop();

    [RuntimeImport("*", "cpu_frame_pointer"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong FramePointer();

    /// <summary>Fills memory with zeros; the length is a multiple of 8.</summary>
    [RuntimeImport("*", "cpu_clear"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Clear(void* memory, ulong length);
}
