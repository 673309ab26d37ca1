// Probes that fail at every step there is, ends that are cut short at every step, and what may come after them, over every transport.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>R, C and I: what is a walk through all steps and no single deviation.</summary>
public sealed class HostileProbeTests
{
    /// <summary>Every place once for each ring without EVENT_IDX, which makes no difference to a probe, with each device.</summary>
    public static TheoryData<Subject, Machines, Rings, Ways> Everywhere => Select(Machines.All);

    /// <summary>Those with config space.</summary>
    public static TheoryData<Subject, Machines, Rings, Ways> OverPci => Select(Machines.Pci);

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R09_without_memory_at_any_allocation_the_probe_fails_and_leaks_nothing(Subject subject, Machines machine, Rings ring, Ways way) =>
        ProbeSteps.WithoutMemoryAtEachAllocation(() => new HostileScene(new Place(machine, ring, way, Memories.Lent), subject));

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void R10_a_device_that_vanishes_at_any_step_of_the_probe_is_refused(Subject subject, Machines machine, Rings ring, Ways way) =>
        ProbeSteps.VanishingAtEachAccess(
            () => new HostileScene(new Place(machine, ring, way, Memories.Lent), subject),
            (scene, isGone) =>
            {
                scene.OnRead((_, value) => isGone() ? uint.MaxValue : value);
                scene.OnWrite((_, _) => isGone());
            },
            mayBeOverlooked: false);

    [Theory]
    [MemberData(nameof(OverPci))]
    public void C13_a_function_that_vanishes_at_any_access_to_config_space_is_survived(Subject subject, Machines machine, Rings ring, Ways way) =>
        ProbeSteps.VanishingAtEachAccess(
            () => new HostileScene(new Place(machine, ring, way, Memories.Lent), subject),
            (scene, isGone) =>
            {
                scene.AnyFunction!.OnConfigRead = (_, _, value) => isGone() ? uint.MaxValue : value;
                scene.AnyFunction.OnConfigWrite = (_, _, _) => isGone();
            },
            mayBeOverlooked: true);

    [Theory]
    [MemberData(nameof(OverPci))]
    public void R01_a_card_that_is_pulled_at_any_step_of_its_drivers_end_leaves_nothing_behind(Subject subject, Machines machine, Rings ring, Ways way) =>
        ProbeSteps.LeavingAtEachAccessOfTheEnd(() => new HostileScene(new Place(machine, ring, way, Memories.Lent), subject));

    [Theory]
    [MemberData(nameof(Everywhere))]
    public void I04_after_the_driver_has_ended_no_interrupt_reaches_it(Subject subject, Machines machine, Rings ring, Ways way)
    {
        using HostileScene scene = new(new Place(machine, ring, way, Memories.Lent), subject);
        scene.Attach();
        scene.InService!.Remove();
        int before = scene.Machine.Interrupts;
        for (ushort vector = 0; vector < 4; vector++)
        {
            scene.Interrupt(vector);
            scene.Device.Bus.RaiseConfig();
        }
        Assert.Equal(before, scene.Machine.Interrupts);
        scene.Machine.AssertNothingLeaked();
    }

    private static TheoryData<Subject, Machines, Rings, Ways> Select(Machines machines)
    {
        TheoryData<Subject, Machines, Rings, Ways> data = [];
        foreach (Place place in Place.All.Where(place => machines.HasFlag(place.Machine) && Rings.Plain.HasFlag(place.Ring) && place.Memory == Memories.Lent))
        {
            foreach (Subject subject in new[] { Subject.Disk, Subject.Console, Subject.Entropy })
            {
                data.Add(subject, place.Machine, place.Ring, place.Way);
            }
        }
        return data;
    }
}
