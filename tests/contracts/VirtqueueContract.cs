// What every virtqueue promises, whatever its format.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>The contract of <see cref="Virtqueue"/>, for both formats with every set of features.</summary>
public abstract class VirtqueueContract
{
    /// <summary>Makes a queue of that size, in service.</summary>
    protected abstract VirtqueueBackend Open(ushort size, QueueFeatures features);

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-FRAME-1")]
    [Trait("Requirement", "CORE-NOTIF-1")]
    public void A_buffer_reaches_the_device_with_its_pieces_in_order_and_comes_back_with_its_token(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        DmaBuffer[] readable = [run.Allocate("abc"u8), run.Allocate("defgh"u8)];
        DmaBuffer[] writable = [run.Allocate(new byte[4]), run.Allocate(new byte[2])];
        Assert.True(run.Queue.TryAdd(readable, writable, 5));
        run.Queue.Kick();
        Assert.Equal(1, run.Backend.Notifications);
        FakeChain chain = Assert.Single(run.Backend.DeviceTakes());
        Assert.Equal("abcdefgh"u8.ToArray(), chain.Read());
        Assert.Equal(6u, chain.WritableLength);
        chain.Write(0, "uvwxyz"u8);
        run.Backend.DeviceUses(chain, 6);
        Assert.True(run.Queue.TryTakeUsed(out ushort token, out uint written));
        Assert.Equal(((ushort)5, 6u), (token, written));
        Assert.Equal("uvwx"u8.ToArray(), writable[0].Span.ToArray());
        Assert.Equal("yz"u8.ToArray(), writable[1].Span.ToArray());
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void One_kick_tells_of_many_buffers_and_none_tells_of_nothing(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        run.Queue.Kick();
        Assert.Equal(0, run.Backend.Notifications);
        for (ushort i = 0; i < 5; i++)
        {
            run.Add(i);
        }
        run.Queue.Kick();
        run.Queue.Kick();
        Assert.Equal(1, run.Backend.Notifications);
        Assert.Equal(5, run.Backend.DeviceTakes().Count);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-AVAILNOTIF-3")]
    [Trait("Requirement", "SPLIT-AVAILNOTIF-7")]
    public void A_device_that_wants_no_notifications_gets_none_until_it_asks_again(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        run.Add(0);
        run.Queue.Kick();
        List<FakeChain> taken = run.Backend.DeviceTakes();
        run.Backend.DeviceWantsNoNotifications();
        run.Add(1);
        run.Queue.Kick();
        Assert.Equal(1, run.Backend.Notifications);
        taken.AddRange(run.Backend.DeviceTakes());
        Assert.Equal(2, taken.Count);
        run.Add(2);
        run.Queue.Kick();
        Assert.Equal(2, run.Backend.Notifications);
        Assert.Single(run.Backend.DeviceTakes());
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void KickAgain_rings_even_a_device_that_wants_no_notifications(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        run.Add(0);
        run.Queue.Kick();
        run.Backend.DeviceTakes();
        run.Backend.DeviceWantsNoNotifications();
        run.Queue.KickAgain();
        Assert.Equal(2, run.Backend.Notifications);
        Assert.Equal(2ul, run.Queue.Notifications);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void A_full_queue_refuses_and_takes_again_once_a_buffer_came_back(QueueFeatures features)
    {
        using QueueRun run = new(Open(8, features));
        ushort added = 0;
        while (run.TryAdd(added))
        {
            added++;
        }
        Assert.Equal(8, added);
        Assert.Equal((0, 8), (run.Queue.FreeDescriptors, run.Queue.InFlight));
        run.Queue.Kick();
        List<FakeChain> taken = run.Backend.DeviceTakes();
        ushort first = features.HasFlag(QueueFeatures.InOrder) ? (ushort)0 : (ushort)3;
        run.Backend.DeviceUses(taken[first], 0);
        Assert.False(run.TryAdd(8));
        Assert.True(run.Queue.TryTakeUsed(out ushort token, out _));
        Assert.Equal(first, token);
        Assert.True(run.TryAdd(first));
        Assert.False(run.TryAdd(8));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void Buffers_used_in_any_order_bring_their_own_tokens_and_lengths(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        for (ushort i = 0; i < 10; i++)
        {
            run.Add(i, writable: 100);
        }
        run.Queue.Kick();
        List<FakeChain> taken = run.Backend.DeviceTakes();
        int[] order = features.HasFlag(QueueFeatures.InOrder) ? [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] : [7, 0, 9, 3, 1, 8, 2, 6, 5, 4];
        foreach (int i in order)
        {
            run.Backend.DeviceUses(taken[i], (uint)i);
        }
        foreach (int i in order)
        {
            Assert.True(run.Queue.TryTakeUsed(out ushort token, out uint written));
            Assert.Equal(((ushort)i, (uint)i), (token, written));
        }
        Assert.Equal((16, 0), (run.Queue.FreeDescriptors, run.Queue.InFlight));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-USED-1")]
    public void A_length_beyond_what_was_lent_is_clamped_and_counted(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        foreach (uint claimed in new[] { 101u, uint.MaxValue })
        {
            run.Add(1, writable: 100);
            run.Queue.Kick();
            run.Backend.DeviceUses(run.Backend.DeviceTakes()[0], claimed);
            Assert.True(run.Queue.TryTakeUsed(out _, out uint written));
            Assert.Equal(100u, written);
        }
        Assert.Equal((2ul, false), (run.Queue.ClampedLengths, run.Queue.IsBroken));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-USEDNOTIF-2")]
    [Trait("Requirement", "SPLIT-USEDNOTIF-4")]
    public void Interrupts_come_when_they_are_enabled_and_not_when_they_are_disabled(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        for (ushort i = 0; i < 4; i++)
        {
            run.Add(i);
        }
        run.Queue.Kick();
        List<FakeChain> taken = run.Backend.DeviceTakes();
        run.Queue.DisableInterrupts();
        run.Backend.DeviceUses(taken[0], 0);
        run.Backend.DeviceSignals();
        Assert.Equal(0, run.Backend.Signals);
        Assert.True(run.Queue.TryTakeUsed(out _, out _));
        Assert.True(run.Queue.TryEnableInterrupts());
        run.Backend.DeviceUses(taken[1], 0);
        run.Backend.DeviceSignals();
        Assert.Equal(1, run.Backend.Signals);
        Assert.True(run.Queue.TakeInterrupt());
        Assert.False(run.Queue.TakeInterrupt());
        Assert.Equal(1ul, run.Queue.Interrupts);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void Enabling_interrupts_says_when_a_buffer_came_meanwhile(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        run.Add(0);
        run.Queue.Kick();
        List<FakeChain> taken = run.Backend.DeviceTakes();
        run.Queue.DisableInterrupts();
        run.Backend.DeviceUses(taken[0], 0);
        run.Backend.DeviceSignals();
        Assert.False(run.Queue.TryEnableInterrupts());
        Assert.True(run.Queue.TryTakeUsed(out _, out _));
        Assert.True(run.Queue.TryEnableInterrupts());
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-USEDNOTIF-5")]
    public void An_interrupt_with_nothing_behind_it_does_no_harm(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        Assert.True(run.Queue.OnInterrupt());
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.False(run.Queue.IsBroken);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "CORE-CLEANUP-2")]
    public void A_used_id_that_was_never_given_breaks_the_queue_and_every_buffer_can_be_detached(QueueFeatures features)
    {
        using QueueRun run = new(Open(16, features));
        for (ushort i = 0; i < 5; i++)
        {
            run.Add(i);
        }
        run.Queue.Kick();
        run.Backend.DeviceTakes();
        run.Backend.DeviceUsesNonsense();
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.True(run.Queue.IsBroken);
        Assert.NotEmpty(run.Queue.BrokenReason);
        Assert.False(run.TryAdd(9));
        Assert.False(run.Queue.TryTakeUsed(out _, out _));
        Assert.Equal(5, run.Queue.InFlight);
        run.Reset();
        List<ushort> tokens = [];
        while (run.Queue.TryDetach(out ushort token))
        {
            tokens.Add(token);
        }
        Assert.Equal([0, 1, 2, 3, 4], tokens.Select(token => (int)token).Order());
        Assert.Equal(0, run.Queue.InFlight);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void A_buffer_of_no_pieces_is_a_bug_of_the_caller(QueueFeatures features)
    {
        using QueueRun run = new(Open(4, features));
        Assert.Throws<ContractException>(() => run.Queue.TryAdd(default, default, 0));
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    public void Whatever_is_added_and_used_in_whatever_order_comes_back_once_with_the_right_bytes(QueueFeatures features)
    {
        for (int seed = 21; seed < 24; seed++)
        {
            AddAndUseInWhateverOrder(features, seed);
        }
    }

    private void AddAndUseInWhateverOrder(QueueFeatures features, int seed)
    {
        using QueueRun run = new(Open(32, features));
        Random random = new(seed);
        DmaBuffer memory = run.Allocate(new byte[32 * 256]);
        Dictionary<ushort, (uint Sum, uint Room)> model = [];
        List<(FakeChain Chain, ushort Token)> held = [];
        for (int step = 0; step < 3000; step++)
        {
            ushort token = (ushort)random.Next(32);
            DmaBuffer area = memory.Slice(token * 256u, 256);
            if (!model.ContainsKey(token) && random.Next(3) != 0)
            {
                int readable = random.Next(4);
                int writable = random.Next(readable == 0 ? 1 : 0, 4);
                area.Span[..128].Fill((byte)token);
                DmaBuffer[] read = [.. Enumerable.Range(0, readable).Select(i => area.Slice((uint)i * 32, 32))];
                DmaBuffer[] write = [.. Enumerable.Range(0, writable).Select(i => area.Slice(128 + (uint)i * 32, 32))];
                if (run.Queue.TryAdd(read, write, token))
                {
                    model.Add(token, ((uint)readable * 32 * token, (uint)writable * 32));
                }
                else
                {
                    Assert.True(run.Queue.FreeDescriptors < readable + writable, "refused though there is room");
                }
            }
            if (random.Next(4) == 0)
            {
                run.Queue.Kick();
                foreach (FakeChain chain in run.Backend.DeviceTakes())
                {
                    held.Add((chain, 0));
                }
            }
            if (held.Count > 0 && random.Next(2) == 0)
            {
                int at = features.HasFlag(QueueFeatures.InOrder) ? 0 : random.Next(held.Count);
                FakeChain chain = held[at].Chain;
                held.RemoveAt(at);
                chain.Write(0, Enumerable.Repeat((byte)0xAB, (int)chain.WritableLength).ToArray());
                run.Backend.DeviceUses(chain, chain.WritableLength);
            }
            while (random.Next(2) == 0 && run.Queue.TryTakeUsed(out ushort back, out uint written))
            {
                Assert.True(model.Remove(back, out (uint Sum, uint Room) expected), "a token came back that was not out");
                Assert.Equal(expected.Room, written);
            }
        }
        Assert.False(run.Queue.IsBroken);
        Assert.Equal(model.Count, run.Queue.InFlight);
    }
}
