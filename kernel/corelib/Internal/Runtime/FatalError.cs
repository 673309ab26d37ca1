// The one way in which the runtime gives up.
using System.Diagnostics.CodeAnalysis;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime;

internal static unsafe class FatalError
{
    /// <summary>Implemented by the kernel: says what happened and ends the machine.</summary>
    [RuntimeImport("*", "kernel_panic")]
    [MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void KernelPanic(char* message, int length);

    /// <summary>
    /// One block that ends with a throw, which is never reached: the compiler knows by it that calls do not return, and leaves out of the
    /// way that does return what they would cost.
    /// </summary>
    [DoesNotReturn]
    internal static void Stop(string message)
    {
        End(message);
        throw null!;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void End(string message)
    {
        fixed (char* text = message)
        {
            KernelPanic(text, message.Length);
        }
        while (true)
        {
        }
    }
}
