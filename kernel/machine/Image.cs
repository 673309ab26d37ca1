// Where the linker put the parts of this program.
using System.Runtime;
using System.Runtime.CompilerServices;

namespace VirtioSharp.Kernel.Machine;

/// <summary>Addresses that linker.ld and boot.S define.</summary>
internal static unsafe class Image
{
    internal static byte* TextStart => Address(0);
    internal static byte* TextEnd => Address(1);
    internal static byte* ImageEnd => Address(2);
    internal static byte* ModulesStart => Address(3);
    internal static byte* ModulesEnd => Address(4);
    internal static byte* SymbolsStart => Address(5);
    internal static byte* SymbolsEnd => Address(6);
    internal static byte* StackGuard => Address(7);
    internal static byte* StackTop => Address(8);
    internal static byte* ExceptionStubs => Address(9);
    internal static byte* EdgeStubs => Address(10);
    internal static byte* LevelStubs => Address(11);
    internal static byte* IgnoreStub => Address(12);
    internal static byte* EarlyHeap => Address(13);
    internal static byte* InterruptTable => Address(14);
    internal static byte* StackBottom => Address(15);

    /// <summary>The size in bytes of <see cref="EarlyHeap"/>, as boot.S reserves it.</summary>
    internal const ulong EarlyHeapLength = 65536;

    [RuntimeImport("*", "image_addresses"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern byte** Addresses();

    private static byte* Address(int index) => Addresses()[index];
}
