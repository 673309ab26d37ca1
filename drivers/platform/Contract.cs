// Bugs of the caller: found at once, never worked around.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace VirtioSharp.Drivers.Platform;

/// <summary>What happens when a caller breaks a contract; does not return normally.</summary>
public abstract class ContractHandler
{
    /// <summary>Stops the program (a kernel panics) or throws (a test).</summary>
    public abstract void OnBroken(string message);
}

/// <summary>
/// Checks of what callers promised. A broken contract is a bug in the program and stops it; what a device does wrong is never a
/// contract, it is a value with a reason.
/// </summary>
public static class Contract
{
    /// <summary>Set once by the machine or by a test; without one, a broken contract ends the process.</summary>
    public static ContractHandler? Handler { get; set; }

    /// <summary>Stops the program with <paramref name="message"/> unless <paramref name="condition"/> holds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Require([DoesNotReturnIf(false)] bool condition, string message)
    {
        if (!condition)
        {
            Break(message);
        }
    }

    /// <summary>One block that ends with a throw, which is never reached: compilers know by it that calls do not return.</summary>
    [DoesNotReturn]
    private static void Break(string message)
    {
        End(message);
        throw null!;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void End(string message)
    {
        Handler?.OnBroken(message);
        Environment.FailFast(message);
    }
}
