// Driver and device at the same time: no doorbell and no interrupt is lost when both sides go to sleep only after they looked once more.
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Queue;

/// <summary>
/// Two threads on one ring. Right fences pass always; a missing one shows here often, and never for sure: each is named in Barriers.cs with its pair.
/// </summary>
[Trait("Requirement", "CORE-RSVD-8")]
public sealed class RacingTests
{
    private const ushort Size = 8;
    private const int Total = 1_000_000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "SPLIT-PUBLISH-1")]
    [Trait("Requirement", "SPLIT-NOTIFY-1")]
    [Trait("Requirement", "PACKED-PUBLISH-1")]
    [Trait("Requirement", "PACKED-EVENT-1")]
    public void No_doorbell_and_no_interrupt_gets_lost_between_two_threads(bool packed)
    {
        DoorbellTransport transport = new();
        Bell interrupt = new();
        ulong features = VirtioFeature.EventIndex | (packed ? VirtioFeature.RingPacked : 0);
        Assert.True(Virtqueue.TryCreate(transport, 0, Size, features, out Virtqueue? queue));
        Assert.True(transport.Dma.TryAllocate(Size * 64, 64, out DmaBuffer memory));
        RacingDevice device = packed
            ? new RacingPackedDevice(queue!.Addresses, Size, transport.Doorbell, interrupt)
            : new RacingSplitDevice(queue!.Addresses, Size, transport.Doorbell, interrupt);
        Thread other = new(() => device.Run(Total)) { IsBackground = true };
        other.Start();
        int taken = Drive(queue, memory, transport.Doorbell, interrupt);
        Assert.False(interrupt.WasMissed, $"an interrupt was missed after {taken} buffers");
        Assert.False(transport.Doorbell.WasMissed, $"a doorbell was missed after {taken} buffers");
        other.Join();
        Assert.Equal(((long)Total, (long)Total * (Total - 1) / 2), (device.Used, device.Sum));
        queue.Free();
        transport.Dma.Free(memory);
    }

    /// <summary>Adds numbered buffers, one to some at once, and sleeps when it has nothing to do; says how many came back.</summary>
    private static unsafe int Drive(Virtqueue queue, in DmaBuffer memory, Bell doorbell, Bell interrupt)
    {
        Random random = new(3);
        Queue<ushort> free = new(Enumerable.Range(0, Size).Select(i => (ushort)i));
        int added = 0;
        int taken = 0;
        while (taken < Total && !doorbell.WasMissed)
        {
            for (int i = random.Next(1, 4); i > 0 && added < Total && free.TryDequeue(out ushort token); i--)
            {
                DmaBuffer piece = memory.Slice(token * 64u, 64);
                *(int*)piece.Pointer = added++;
                Assert.True(queue.TryAdd(new ReadOnlySpan<DmaBuffer>(in piece), default, token));
            }
            queue.Kick();
            doorbell.Decide(added);
            // Both sides have to meet at every moment of what they do.
            Thread.SpinWait(random.Next(20));
            bool any = false;
            while (queue.TryTakeUsed(out ushort token, out _))
            {
                free.Enqueue(token);
                taken++;
                any = true;
            }
            Assert.False(queue.IsBroken, queue.BrokenReason);
            bool isIdle = !any && added > taken && (free.Count < Size / 2 || added == Total || random.Next(2) == 0);
            if (isIdle && queue.TryEnableInterrupts() && !interrupt.Sleep(taken))
            {
                return taken;
            }
        }
        return taken;
    }
}
