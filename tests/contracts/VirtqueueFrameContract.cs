// What every virtqueue promises of buffers in frames: they reach the device whole, in any mixture with others, and come back.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>The contract of <see cref="Virtqueue.TryAddFramed"/>, and of the fast way to take such buffers back.</summary>
public abstract class VirtqueueFrameContract
{
    /// <summary>Makes a queue of that size, in service.</summary>
    protected abstract VirtqueueBackend Open(ushort size, QueueFeatures features);

    /// <summary>True when memory is lent for each use, so that nothing of a frame can stay.</summary>
    protected abstract bool Shares { get; }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void Buffers_in_frames_and_others_go_through_one_ring_and_nothing_gets_mixed_up(QueueFeatures features)
    {
        foreach (ushort size in features.HasFlag(QueueFeatures.Packed) ? new ushort[] { 5, 13, 30 } : [4, 16, 32])
        {
            using FrameScene scene = new(Open(size, features), features, Shares, seed: size);
            for (int step = 0; step < 500; step++)
            {
                scene.Step();
            }
            scene.Finish();
        }
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void After_a_restart_frames_begin_anew_and_what_was_in_flight_is_handed_out(QueueFeatures features)
    {
        using FrameScene scene = new(Open(8, features), features, Shares, seed: 1);
        for (int round = 0; round < 30; round++)
        {
            for (int step = 0; step < 5 + round; step++)
            {
                scene.Step();
            }
            scene.Restart(broken: round % 3 == 0);
        }
        scene.Finish();
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void A_frame_is_set_once_before_it_is_used_for_a_token_that_there_is_and_has_two_ends(QueueFeatures features)
    {
        using QueueRun run = new(Open(8, features));
        DmaBuffer piece = run.Allocate(new byte[16]);
        Assert.Throws<ContractException>(() => run.Queue.TryAddFramed(0, piece, true));
        Assert.Throws<ContractException>(() => run.Queue.SetFrame(8, piece, piece));
        Assert.Throws<ContractException>(() => run.Queue.SetFrame(0, default, piece));
        Assert.Throws<ContractException>(() => run.Queue.SetFrame(0, piece, default));
        run.Queue.SetFrame(7, piece.Slice(0, 1), piece.Slice(1, 1));
        Assert.Throws<ContractException>(() => run.Queue.TryAddFramed(6, piece, true));
        Assert.Throws<ContractException>(() => run.Queue.TryAddFramed(8, piece, true));
        Assert.True(run.Queue.TryAddFramed(7, piece.Slice(2, 4), false));
        run.Queue.Kick();
        FakeChain chain = Assert.Single(run.Backend.DeviceTakes());
        Assert.Equal((5u, 1u), (chain.ReadableLength, chain.WritableLength));
        if (!Shares && !features.HasFlag(QueueFeatures.InOrder))
        {
            Assert.Throws<ContractException>(() => run.Queue.SetFrame(7, piece, piece));
        }
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void A_broken_queue_takes_no_buffer_in_a_frame_whether_or_not_it_was_used_before(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        DmaBuffer piece = run.Allocate(new byte[16]);
        DmaBuffer[] payloads = new DmaBuffer[3];
        for (ushort token = 0; token < 3; token++)
        {
            run.Queue.SetFrame(token, piece.Slice(token * 4u, 1), piece.Slice(token * 4u + 1, 1));
            payloads[token] = piece.Slice(token * 4u + 2, 1);
        }
        Assert.True(run.Queue.TryAddFramed(0, payloads[0], true));
        Assert.True(run.Queue.TryAddFramed(1, payloads[1], true));
        run.Queue.Kick();
        run.Backend.DeviceUses(run.Backend.DeviceTakes()[0], 2);
        Assert.Equal(0, run.Queue.TakeUsed().Token);
        run.Backend.DeviceUsesNonsense();
        Assert.True(run.Queue.TakeUsed().IsNone);
        Assert.True(run.Queue.IsBroken);
        Assert.False(run.Queue.TryAddFramed(0, payloads[0], true));
        Assert.False(run.Queue.TryAddFramed(2, payloads[2], true));
        Assert.Equal((false, 1), (run.Queue.TryTakeFull(out _), run.Queue.InFlight));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void An_abandoned_queue_is_not_looked_at_and_says_nothing_and_hands_its_buffers_back(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        DmaBuffer piece = run.Allocate(new byte[16]);
        for (ushort token = 0; token < 3; token++)
        {
            run.Queue.SetFrame(token, piece.Slice(token * 4u, 1), piece.Slice(token * 4u + 1, 1));
        }
        Assert.True(run.Queue.TryAddFramed(0, piece.Slice(2, 1), true));
        Assert.True(run.Queue.TryAddFramed(1, piece.Slice(6, 1), true));
        run.Queue.Kick();
        foreach (FakeChain chain in run.Backend.DeviceTakes())
        {
            run.Backend.DeviceUses(chain, 2);
        }
        Assert.True(run.Queue.TryAddFramed(2, piece.Slice(10, 1), true));
        ulong told = run.Queue.Notifications;
        run.Queue.Abandon();
        run.Queue.Kick();
        run.Queue.KickAgain();
        Assert.Equal(told, run.Queue.Notifications);
        Assert.Equal((false, true), (run.Queue.TryTakeFull(out _), run.Queue.TakeUsed().IsNone));
        Assert.False(run.Queue.TryAddFramed(1, piece.Slice(6, 1), true));
        run.Reset();
        HashSet<ushort> back = [];
        while (run.Queue.TryDetach(out ushort token))
        {
            Assert.True(back.Add(token));
        }
        Assert.Equal(new ushort[] { 0, 1, 2 }, back.Order());
    }
}
