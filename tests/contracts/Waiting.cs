// Waiting in tests: what a run loop does, with an end.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>Lets a device work until something is so.</summary>
public static class Waiting
{
    private const ulong Limit = 20_000_000_000;
    private const ulong Step = 10_000_000;

    /// <summary>
    /// Polls and sleeps as the run loop does, until <paramref name="done"/>; fails after <paramref name="limit"/> nanoseconds of the machine's time.
    /// </summary>
    public static void Until(Device device, Clock clock, Func<bool> done, string what, ulong limit = Limit)
    {
        ulong end = clock.Now + limit;
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

    /// <summary>Reads the first sector of a disk, which has to end well.</summary>
    public static void ReadFirstSector(BlockDevice disk, Clock clock)
    {
        Assert.True(disk.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Until(disk, clock, () => request.Completions > 0, "a read");
        Assert.Equal(IoStatus.Ok, request.Status);
        disk.Dma.Free(buffer);
    }
}
