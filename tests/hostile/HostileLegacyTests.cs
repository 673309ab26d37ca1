// The faults behind the legacy PCI interface, and devices that vanish there.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>The hostile cases behind the legacy interface.</summary>
public sealed class HostileLegacyTests
{
    /// <summary>The cases by their ids, with MSI-X and with a pin.</summary>
    public static TheoryData<string, bool> Cases
    {
        get
        {
            TheoryData<string, bool> data = [];
            foreach (FaultCase fault in LegacyFaults.Shared.Concat(LegacyFaults.All))
            {
                foreach (bool withMsix in new[] { true, false })
                {
                    if (withMsix ? !fault.NeedsPin : !fault.NeedsMsix)
                    {
                        data.Add(fault.Id, withMsix);
                    }
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_driver_survives(string id, bool withMsix)
    {
        FaultCase fault = LegacyFaults.Shared.Concat(LegacyFaults.All).Single(candidate => candidate.Id == id);
        HostileDeviceTests.Survive(fault, new FaultScene(withMsix, legacy: true));
    }

    [Fact]
    public void There_are_many_of_them() => Assert.InRange(LegacyFaults.Shared.Count(), 40, 100);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void R09_without_memory_at_any_allocation_the_probe_fails_and_leaks_nothing(bool withMsix) =>
        ProbeSteps.WithoutMemoryAtEachAllocation(() => new FaultScene(withMsix, legacy: true));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void R10_a_device_that_vanishes_at_any_step_of_the_probe_is_refused(bool withMsix) => ProbeSteps.VanishingAtEachAccess(
        () => new FaultScene(withMsix, legacy: true),
        (scene, isGone) =>
        {
            scene.LegacyFunction.OnRead = (_, value) => isGone() ? uint.MaxValue : value;
            scene.LegacyFunction.OnWrite = (_, _) => isGone();
        },
        mayBeOverlooked: false);
}
