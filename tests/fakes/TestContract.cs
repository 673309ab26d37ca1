// Bugs of the caller end in an exception during tests.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Fakes;

/// <summary>A contract of the drivers was broken by their caller.</summary>
public sealed class ContractException(string message) : Exception(message);

/// <summary>Makes <see cref="Contract.Require"/> throw, for the whole test process.</summary>
public sealed class TestContract : ContractHandler
{
    private static readonly TestContract Handler = new();

    /// <summary>Sets the handler.</summary>
    public static void Use() => Contract.Handler = Handler;

    /// <inheritdoc/>
    public override void OnBroken(string message) => throw new ContractException(message);
}
