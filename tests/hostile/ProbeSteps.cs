// A probe again and again, each time with something going wrong one step later.
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Whatever step it is, nothing leaks, hangs or is left able to do harm.</summary>
internal static class ProbeSteps
{
    /// <summary>There is no memory at the first allocation, at the second, and so on until the probe needs no more.</summary>
    internal static void WithoutMemoryAtEachAllocation(Func<HostileScene> newScene)
    {
        bool bound = false;
        for (int n = 1; !bound; n++)
        {
            using HostileScene scene = newScene();
            scene.Machine.FakeDma.FailAllocation(n);
            ProbeResult? result = scene.Attach();
            bound = scene.InService is not null;
            Assert.True(n > 1 || !bound, "no allocation failed");
            if (bound)
            {
                scene.InService!.Remove();
            }
            else
            {
                Assert.Equal(ProbeStatus.Failed, result?.Status);
                Assert.False(scene.AnyFunction?.IsBusMaster ?? false, "the device was left able to reach memory");
                Assert.Equal(0, scene.Device.Status);
            }
            scene.Machine.AssertNothingLeaked();
        }
    }

    /// <summary>
    /// The function vanishes at the first access, at the second, and so on until the probe makes no more. <paramref name="watch"/> calls its
    /// argument at each access, which answers true from the moment on at which the function is gone.
    /// </summary>
    internal static void VanishingAtEachAccess(Func<HostileScene> newScene, Action<HostileScene, Func<bool>> watch, bool mayBeOverlooked)
    {
        bool untouched = false;
        for (int n = 1; !untouched; n++)
        {
            using HostileScene scene = newScene();
            int accesses = 0;
            watch(scene, () =>
            {
                if (++accesses == n)
                {
                    scene.Pull();
                }
                return accesses >= n;
            });
            ProbeResult? result = scene.Attach();
            untouched = accesses < n;
            Assert.True(n > 10 || !untouched, "the probe touched nothing");
            Assert.Equal(untouched, scene.InService is not null && accesses < n);
            if (scene.InService is not null)
            {
                scene.InService.Remove();
            }
            else
            {
                // On no bus, it is the first registers that say whether there is a device.
                bool isOverlooked = mayBeOverlooked || scene.AnyFunction is null;
                Assert.True(result?.Status == ProbeStatus.Failed || isOverlooked, "the probe did not fail");
            }
            Assert.Equal(0, scene.Machine.HandlerCount);
            if (scene.AnyFunction is not null)
            {
                scene.Machine.AssertNothingLeaked(); // on no bus it may be at work still: it keeps what it was lent
            }
        }
    }

    /// <summary>
    /// The driver is removed, and the function leaves its bus at the first access that this takes, at the second, and so on until it takes no more.
    /// What has left can't reach memory any more: none of it is kept.
    /// </summary>
    internal static void LeavingAtEachAccessOfTheEnd(Func<HostileScene> newScene)
    {
        bool untouched = false;
        for (int n = 1; !untouched; n++)
        {
            using HostileScene scene = newScene();
            int messages = scene.Machine.Messages;
            scene.Attach();
            int accesses = 0;
            bool IsGone()
            {
                if (++accesses == n)
                {
                    scene.Pull();
                }
                return accesses >= n;
            }
            scene.OnRead((_, value) => IsGone() ? uint.MaxValue : value);
            scene.OnWrite((_, _) => IsGone());
            scene.AnyFunction!.OnConfigRead = (_, width, value) => IsGone() ? uint.MaxValue >> (32 - 8 * width) : value;
            scene.AnyFunction.OnConfigWrite = (_, _, _) => IsGone();
            scene.InService!.Remove();
            untouched = accesses < n;
            Assert.True(n > 5 || !untouched, "the end touched nothing");
            Assert.Equal(messages, scene.Machine.Messages);
            scene.Machine.Violations.AssertEmpty();
            scene.Machine.AssertNothingLeaked();
        }
    }
}
