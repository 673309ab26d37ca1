// All hostile cases that are data.
namespace VirtioSharp.Tests.Hostile;

/// <summary>The tables, one after the other.</summary>
public static class HostileCases
{
    /// <summary>Every case.</summary>
    public static IReadOnlyList<HostileCase> All { get; } =
    [
        .. ConfigSpaceFaults.All, .. RegisterFaults.All, .. RingFaults.All, .. PackedRingFaults.All, .. InterruptFaults.All, .. BlockFaults.All,
        .. DiskConfigFaults.All, .. ConsoleFaults.All, .. PortFaults.All,
    ];

    /// <summary>The case with an id.</summary>
    public static HostileCase Find(string id) => All.Single(fault => fault.Id == id);
}
