// What is fuzzed: each target makes a device of the bytes, lets a driver meet it, and looks at what has to be so whatever the bytes are.
namespace VirtioSharp.Tests.Fuzz;

/// <summary>All targets by name. A target throws when something is wrong; it comes to an end for every input.</summary>
public static class FuzzTargets
{
    /// <summary>The targets; tools/fuzz finds them here.</summary>
    public static IReadOnlyDictionary<string, Action<byte[]>> All { get; } = new Dictionary<string, Action<byte[]>>
    {
        ["config-space"] = ProbeTargets.ConfigSpace,
        ["capabilities"] = ProbeTargets.Capabilities,
        ["registers"] = ProbeTargets.Registers,
        ["split-ring"] = bytes => RingTargets.Run(bytes, packed: false),
        ["packed-ring"] = bytes => RingTargets.Run(bytes, packed: true),
        ["blk"] = DeviceTargets.Blk,
        ["console"] = DeviceTargets.Console,
        ["commands"] = CommandTargets.Run,
        ["ports"] = PortTargets.Run,
        ["partitions"] = TableTargets.Run,
        ["rng"] = EntropyTargets.Run,
        ["slots"] = SlotTargets.Run,
    };
}
