// Waiting in tests: what a run loop does, with an end.
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>Lets a device work until something is so.</summary>
public static class Waiting
{
    private const ulong Limit = 20_000_000_000;
    private const ulong Step = 10_000_000;

    /// <summary>Polls and sleeps as the run loop does, until <paramref name="done"/>; fails after 20 seconds of the machine's time.</summary>
    public static void Until(Device device, Clock clock, Func<bool> done, string what)
    {
        ulong end = clock.Now + Limit;
        while (true)
        {
            device.Poll();
            if (done())
            {
                return;
            }
            ulong now = clock.Now;
            Assert.True(now < end, $"waited in vain: {what}");
            if (device.NextDeadline <= now)
            {
                device.OnDeadline(now);
            }
            clock.WaitForInterrupt(Math.Min(device.NextDeadline, now + Step));
        }
    }
}
