// Frames of buffers where descriptors get short: which of them give theirs back.
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Queue;

/// <summary>A ring of 16, and five frames, which keep three descriptors each.</summary>
public sealed class FrameEdgeTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void As_few_frames_as_needed_give_their_descriptors_back_and_those_of_the_highest_tokens_first(bool packed)
    {
        using QueueRun run = Open(packed, 0);
        UseFrames(run, 5);
        Assert.Equal([true, true, true, true, true], Kept(run));
        run.Add(5); // takes the one that is in no frame
        Assert.Equal([true, true, true, true, true], Kept(run));
        run.Add(6);
        Assert.Equal([true, true, true, true, false], Kept(run));
        run.Add(7);
        run.Add(8);
        Assert.Equal([true, true, true, true, false], Kept(run));
        run.Add(9);
        Assert.Equal([true, true, true, false, false], Kept(run));
        Assert.Equal(11, run.Queue.FreeDescriptors);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_frame_that_needs_three_takes_those_of_one_other(bool packed)
    {
        using QueueRun run = Open(packed, 0);
        UseFrames(run, 5);
        run.Add(5);
        run.Queue.SetFrame(6, run.Allocate(new byte[8]), run.Allocate(new byte[1]));
        Assert.True(run.Queue.TryAddFramed(6, run.Allocate(new byte[8]), true));
        Assert.Equal([true, true, true, true, false], Kept(run));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_frame_in_flight_keeps_its_descriptors_and_others_give_theirs(bool packed)
    {
        using QueueRun run = Open(packed, 0);
        UseFrames(run, 5);
        Assert.True(run.Queue.TryAddFramed(4, run.Allocate(new byte[8]), true));
        run.Add(5);
        run.Add(6);
        Assert.Equal([true, true, true, false, true], Kept(run));
        run.Queue.Kick();
        Assert.Equal((8u, 1u, 8u), Lengths(run));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void When_all_are_in_flight_nothing_is_added_until_one_comes_back(bool packed)
    {
        using QueueRun run = Open(packed, 0);
        UseFrames(run, 5);
        for (ushort token = 0; token < 5; token++)
        {
            Assert.True(run.Queue.TryAddFramed(token, run.Allocate(new byte[8]), true));
        }
        run.Add(5);
        Assert.False(run.TryAdd(6));
        run.Queue.Kick();
        run.Backend.DeviceUses(run.Backend.DeviceTakes()[2], 9);
        Assert.False(run.TryAdd(6)); // it is used, but not taken
        Assert.Equal(2, run.Queue.TakeUsed().Token);
        run.Add(6);
        run.Add(7);
        run.Add(8);
        Assert.False(run.TryAdd(9));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_ring_that_gets_full_keeps_frames_in_tables_of_one_descriptor(bool packed)
    {
        using QueueRun run = Open(packed, VirtioFeature.IndirectDescriptors);
        UseFrames(run, 8);
        // Chains while a quarter of the ring stays free, then tables.
        Assert.Equal(
            [FrameState.Chain, FrameState.Chain, FrameState.Chain, FrameState.Chain, FrameState.Table, FrameState.Table, FrameState.Table, FrameState.Table],
            Enumerable.Range(0, 8).Select(token => run.Queue.KeptFrame((uint)token).State));
        for (ushort token = 0; token < 8; token++)
        {
            Assert.True(run.Queue.TryAddFramed(token, run.Allocate(new byte[8]), token % 2 == 0));
        }
        Assert.Equal(0, run.Queue.FreeDescriptors);
    }

    private static QueueRun Open(bool packed, ulong features) =>
        new(new FakeVirtqueueBackend(16, features | (packed ? VirtioFeature.RingPacked : 0), shares: false));

    /// <summary>Each of the first tokens was used once, in its frame.</summary>
    private static void UseFrames(QueueRun run, int count)
    {
        for (ushort token = 0; token < count; token++)
        {
            run.Queue.SetFrame(token, run.Allocate(new byte[8]), run.Allocate(new byte[1]));
            Assert.True(run.Queue.TryAddFramed(token, run.Allocate(new byte[8]), true));
        }
        run.Queue.Kick();
        run.Backend.DeviceTakes().ForEach(chain => run.Backend.DeviceUses(chain, 9));
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(i, run.Queue.TakeUsed().Token);
        }
    }

    private static bool[] Kept(QueueRun run) => [.. Enumerable.Range(0, 5).Select(token => run.Queue.KeptFrame((uint)token).IsKept)];

    private static (uint Readable, uint Last, uint Payload) Lengths(QueueRun run)
    {
        FakeChain chain = run.Backend.DeviceTakes()[0];
        return (chain.ReadableLength, chain.Writable[1].Length, chain.Writable[0].Length);
    }
}
