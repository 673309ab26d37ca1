// A probe again and again, each time with something going wrong one step later.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Whatever step it is, nothing leaks, hangs or is left able to do harm.</summary>
internal static class ProbeSteps
{
    /// <summary>There is no memory at the first allocation, at the second, and so on until the probe needs no more.</summary>
    internal static void WithoutMemoryAtEachAllocation(Func<FaultScene> newScene)
    {
        bool bound = false;
        for (int n = 1; !bound; n++)
        {
            FaultScene scene = newScene();
            scene.Machine.FakeDma.FailAllocation(n);
            DeviceTable devices = FakeBinding.Attach(scene.Machine, out List<ProbeResult> results);
            bound = devices.Count == 1;
            Assert.True(n > 1 || !bound, "no allocation failed");
            if (bound)
            {
                devices[0].Remove();
            }
            else
            {
                Assert.Equal(ProbeStatus.Failed, results[^1].Status);
                Assert.False(scene.AnyFunction.IsBusMaster, "the device was left able to reach memory");
                Assert.Equal(0, scene.Disk.Status);
            }
            scene.Machine.AssertNothingLeaked();
            scene.Machine.Dispose();
        }
    }

    /// <summary>
    /// The function vanishes at the first access, at the second, and so on until the probe makes no more. <paramref name="watch"/> calls its
    /// argument at each access, which answers true from the moment on at which the function is gone.
    /// </summary>
    internal static void VanishingAtEachAccess(Func<FaultScene> newScene, Action<FaultScene, Func<bool>> watch, bool mayBeOverlooked)
    {
        bool untouched = false;
        for (int n = 1; !untouched; n++)
        {
            FaultScene scene = newScene();
            int accesses = 0;
            watch(scene, () =>
            {
                if (++accesses == n)
                {
                    scene.Machine.Pull(scene.AnyFunction);
                }
                return accesses >= n;
            });
            DeviceTable devices = FakeBinding.Attach(scene.Machine, out List<ProbeResult> results);
            untouched = accesses < n;
            Assert.True(n > 10 || !untouched, "the probe touched nothing");
            Assert.Equal(untouched, devices.Count == 1 && scene.AnyFunction.IsPresent);
            if (devices.Count == 1)
            {
                devices[0].Remove();
            }
            else
            {
                Assert.True(mayBeOverlooked || results[^1].Status == ProbeStatus.Failed, "the probe did not fail");
            }
            Assert.Equal(0, scene.Machine.HandlerCount);
            scene.Machine.Dispose();
        }
    }
}
