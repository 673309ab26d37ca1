// References, for the kernel's sources that are tested here: on .NET a collector has to hear of each store.
namespace VirtioSharp.Tests.Kernel;

/// <summary>What the kernel's sources find under the name of the kernel's Internal.Runtime.Reference.</summary>
internal static class Reference
{
    internal static void Set<T>(ref T? field, T? value)
        where T : class => field = value;
}
