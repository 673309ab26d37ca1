// Every hostile case at every place where it makes sense.
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>The cases over one transport.</summary>
public abstract class HostileTests(Machines machine)
{
    /// <summary>A case with a ring and a way to interrupt.</summary>
    protected void Survive(string id, Rings ring, Ways way, Memories memory) => HostileRunner.Play(HostileCases.Find(id), new Place(machine, ring, way, memory));

    /// <summary>All that a transport has.</summary>
    protected static TheoryData<string, Rings, Ways, Memories> Over(Machines machine)
    {
        TheoryData<string, Rings, Ways, Memories> data = [];
        foreach (HostileCase fault in HostileCases.All)
        {
            foreach (Place place in fault.Places.Where(place => place.Machine == machine))
            {
                data.Add(fault.Id, place.Ring, place.Way, place.Memory);
            }
        }
        return data;
    }
}

/// <summary>The cases behind modern PCI.</summary>
public sealed class HostileModernPciTests() : HostileTests(Machines.ModernPci)
{
    /// <summary>The cases.</summary>
    public static TheoryData<string, Rings, Ways, Memories> Cases => Over(Machines.ModernPci);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, Rings ring, Ways way, Memories memory) => Survive(id, ring, way, memory);
}

/// <summary>The cases through the window in config space.</summary>
public sealed class HostileConfigAccessTests() : HostileTests(Machines.ConfigAccess)
{
    /// <summary>The cases.</summary>
    public static TheoryData<string, Rings, Ways, Memories> Cases => Over(Machines.ConfigAccess);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, Rings ring, Ways way, Memories memory) => Survive(id, ring, way, memory);
}

/// <summary>The cases behind the PCI interface from before 1.0.</summary>
public sealed class HostileLegacyPciTests() : HostileTests(Machines.LegacyPci)
{
    /// <summary>The cases.</summary>
    public static TheoryData<string, Rings, Ways, Memories> Cases => Over(Machines.LegacyPci);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, Rings ring, Ways way, Memories memory) => Survive(id, ring, way, memory);
}

/// <summary>The cases over virtio-mmio.</summary>
public sealed class HostileMmioTests() : HostileTests(Machines.Mmio)
{
    /// <summary>The cases.</summary>
    public static TheoryData<string, Rings, Ways, Memories> Cases => Over(Machines.Mmio);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, Rings ring, Ways way, Memories memory) => Survive(id, ring, way, memory);
}

/// <summary>The cases over virtio-mmio of version 1.</summary>
public sealed class HostileLegacyMmioTests() : HostileTests(Machines.LegacyMmio)
{
    /// <summary>The cases.</summary>
    public static TheoryData<string, Rings, Ways, Memories> Cases => Over(Machines.LegacyMmio);

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, Rings ring, Ways way, Memories memory) => Survive(id, ring, way, memory);
}
