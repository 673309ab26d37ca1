// References, for the kernel's sources that are tested here: on .NET a collector has to hear of each store.
namespace VirtioSharp.Tests.Kernel;

/// <summary>What the kernel's sources find under the name of the kernel's Internal.Runtime.Reference.</summary>
internal static class Reference
{
    internal static void Set<T>(ref T? field, T? value)
        where T : class => field = value;

    internal static void Copy<T>(ref T? field, ref T? other)
        where T : class => field = other;

    internal readonly struct Handle<T>(T target)
        where T : class
    {
        internal T Target { get; } = target;
    }
}
