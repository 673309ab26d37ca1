// What every virtqueue promises at every size and across every wrap: notifications, signals, batches, beginning anew.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>The contract of <see cref="VirtioSharp.Drivers.Virtio.Queue.Virtqueue"/> as far as rings go round.</summary>
public abstract class VirtqueueRingContract
{
    /// <summary>More than 65536, so that the indices of a split ring wrap; a packed ring, which has none, goes round hundreds of times.</summary>
    private static int Many(QueueFeatures features) => features.HasFlag(QueueFeatures.Packed) ? 10_000 : 66_000;

    /// <summary>Makes a queue of that size, in service.</summary>
    protected abstract VirtqueueBackend Open(ushort size, QueueFeatures features);

    [Theory]
    [MemberData(nameof(QueueSets.EverySize), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "PACKED-DESC-1")]
    [Trait("Requirement", "PACKED-SG-5")]
    [Trait("Requirement", "SPLIT-DESC-2")]
    public void A_queue_of_any_size_is_filled_and_emptied_again_and_again(QueueFeatures features, int size)
    {
        using QueueRun run = new(Open((ushort)size, features));
        DmaBuffer memory = run.Allocate(new byte[(size + 1) * 64]);
        for (int round = 0; round < (size > 1024 ? 2 : 5); round++)
        {
            // The longest ones are filled once; the second time is for the wrap.
            int count = size > 1024 && round > 0 ? size / 16 : size;
            for (int i = 0; i < count; i++)
            {
                Assert.True(AddOne(run, memory, i));
            }
            Assert.Equal((size - count, count), (run.Queue.FreeDescriptors, run.Queue.InFlight));
            Assert.NotEqual(count == size, AddOne(run, memory, count));
            run.Queue.Kick();
            List<FakeChain> taken = run.Backend.DeviceTakes();
            int[] order = [.. Enumerable.Range(0, taken.Count)];
            Assert.Equal(Math.Min(count + 1, size), taken.Count);
            if (!features.HasFlag(QueueFeatures.InOrder))
            {
                new Random(size + round).Shuffle(order);
            }
            foreach (int i in order)
            {
                run.Backend.DeviceUses(taken[i], taken[i].WritableLength);
            }
            foreach (int i in order)
            {
                Assert.True(run.Queue.TryTakeUsed(out ushort token, out uint written));
                Assert.Equal((i, i % 2 * 8u), (token, written));
            }
            Assert.False(run.Queue.TryTakeUsed(out _, out _));
            Assert.Equal((size, 0), (run.Queue.FreeDescriptors, run.Queue.InFlight));
            // The next round begins somewhere else.
            for (int i = 0; i <= round; i++)
            {
                Assert.True(AddOne(run, memory, 0));
                run.Queue.Kick();
                run.Backend.DeviceUses(Assert.Single(run.Backend.DeviceTakes()), 0);
                Assert.True(run.Queue.TryTakeUsed(out _, out _));
            }
        }
    }

    [Theory]
    [MemberData(nameof(QueueSets.EverySize), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "PACKED-SG-2")]
    [Trait("Requirement", "PACKED-SG-3")]
    [Trait("Requirement", "PACKED-SG-6")]
    public void A_buffer_has_up_to_as_many_pieces_as_the_queue_has_descriptors(QueueFeatures features, int size)
    {
        using QueueRun run = new(Open((ushort)size, features));
        DmaBuffer memory = run.Allocate(new byte[size * 64]);
        DmaBuffer[] pieces = [.. Enumerable.Range(0, size).Select(i => memory.Slice((uint)i * 64, 4))];
        for (int round = 0; round < (size > 1024 ? 1 : 3); round++)
        {
            Assert.Equal(size, run.Queue.MaxPieces);
            Assert.True(run.Queue.TryAdd(pieces.AsSpan(0, size / 2), pieces.AsSpan(size / 2), 0));
            run.Queue.Kick();
            FakeChain chain = Assert.Single(run.Backend.DeviceTakes());
            Assert.Equal((size / 2, size - size / 2), (chain.Readable.Count, chain.Writable.Count));
            run.Backend.DeviceUses(chain, chain.WritableLength);
            Assert.True(run.Queue.TryTakeUsed(out ushort token, out uint written));
            Assert.Equal(((ushort)0, (uint)(size - size / 2) * 4), (token, written));
            Assert.Throws<Fakes.ContractException>(() => run.Queue.TryAdd(pieces, pieces.AsSpan(0, 1), 0));
        }
    }

    [Theory]
    [MemberData(nameof(QueueSets.WithEventIndex), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-AVAILNOTIF-6")]
    [Trait("Requirement", "SPLIT-AVAILNOTIF-7")]
    [Trait("Requirement", "PACKED-EVENT-1")]
    public void With_EVENT_IDX_the_doorbell_rings_for_the_buffer_that_the_device_waits_for_and_for_no_other(QueueFeatures features)
    {
        int size = features.HasFlag(QueueFeatures.Packed) ? 13 : 16;
        using QueueRun run = new(Open((ushort)size, features));
        DmaBuffer memory = run.Allocate(new byte[size * 64]);
        Random random = new(7);
        Queue<ushort> free = new(Enumerable.Range(0, size).Select(i => (ushort)i));
        List<FakeChain> held = [];
        run.Backend.DeviceAwaits(0);
        int added = 0;
        int wanted = 0;
        int rings = 0;
        while (added < Many(features))
        {
            int before = added;
            for (int i = random.Next(1, 5); i > 0 && free.TryDequeue(out ushort token); i--)
            {
                Assert.True(AddOne(run, memory, token));
                added++;
            }
            run.Queue.Kick();
            rings += before <= wanted && wanted < added ? 1 : 0;
            Assert.True(rings == run.Backend.Notifications, $"after {added} buffers, the device waits for number {wanted}");
            if (random.Next(2) == 0 || free.Count == 0)
            {
                held.AddRange(run.Backend.DeviceTakes());
                int ahead = random.Next(size);
                run.Backend.DeviceAwaits(ahead);
                wanted = added + ahead;
            }
            for (int i = random.Next(held.Count + 1); i > 0; i--)
            {
                int at = features.HasFlag(QueueFeatures.InOrder) ? 0 : random.Next(held.Count);
                run.Backend.DeviceUses(held[at], 0);
                held.RemoveAt(at);
            }
            while (run.Queue.TryTakeUsed(out ushort token, out _))
            {
                free.Enqueue(token);
            }
        }
        Assert.InRange(rings, Many(features) / 20, Many(features) / 2);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "SPLIT-USEDNOTIF-4")]
    public void With_EVENT_IDX_one_signal_comes_after_each_arming_and_without_one_for_each_buffer(QueueFeatures features)
    {
        int size = features.HasFlag(QueueFeatures.Packed) ? 13 : 16;
        using QueueRun run = new(Open((ushort)size, features));
        DmaBuffer memory = run.Allocate(new byte[size * 64]);
        Random random = new(8);
        int signals = 0;
        for (int added = 0; added < Many(features);)
        {
            int count = random.Next(1, size + 1);
            for (int i = 0; i < count; i++)
            {
                Assert.True(AddOne(run, memory, i));
            }
            added += count;
            run.Queue.Kick();
            List<FakeChain> taken = run.Backend.DeviceTakes();
            Assert.True(run.Queue.TryEnableInterrupts());
            foreach (FakeChain chain in taken)
            {
                run.Backend.DeviceUses(chain, 0);
                run.Backend.DeviceSignals();
            }
            signals += features.HasFlag(QueueFeatures.EventIndex) ? 1 : count;
            Assert.True(signals == run.Backend.Signals, $"{run.Backend.Signals} signals instead of {signals} after {added} buffers");
            for (int i = 0; i < count; i++)
            {
                Assert.False(random.Next(4) == 0 && run.Queue.TryEnableInterrupts());
                Assert.True(run.Queue.TryTakeUsed(out _, out _));
            }
        }
    }

    [Theory]
    [MemberData(nameof(QueueSets.WithInOrder), MemberType = typeof(QueueSets))]
    public void With_IN_ORDER_one_entry_completes_a_batch_whose_other_buffers_count_as_used_completely(QueueFeatures features)
    {
        ushort size = features.HasFlag(QueueFeatures.Packed) ? (ushort)29 : (ushort)32;
        using QueueRun run = new(Open(size, features));
        DmaBuffer memory = run.Allocate(new byte[size * 256]);
        DmaBuffer[] pieces = [.. Enumerable.Range(0, size * 4).Select(i => memory.Slice((uint)i * 64, 16))];
        Random random = new(9);
        Queue<ushort> free = new(Enumerable.Range(0, size).Select(i => (ushort)i));
        Queue<FakeChain> held = [];
        Queue<(ushort Token, uint Room)> inFlight = [];
        Queue<(ushort Token, uint Written)> used = [];
        for (int added = 0; added < Many(features);)
        {
            while (random.Next(5) != 0 && free.TryPeek(out ushort token))
            {
                int readable = random.Next(3);
                int writable = random.Next(readable == 0 ? 1 : 0, 3);
                if (!run.Queue.TryAdd(pieces.AsSpan(token * 4, readable), pieces.AsSpan(token * 4 + readable, writable), token))
                {
                    break;
                }
                added++;
                inFlight.Enqueue((free.Dequeue(), (uint)writable * 16));
            }
            run.Queue.Kick();
            foreach (FakeChain chain in run.Backend.DeviceTakes())
            {
                held.Enqueue(chain);
            }
            if (held.Count > 0 && random.Next(3) != 0)
            {
                FakeChain[] batch = [.. Enumerable.Range(0, random.Next(1, held.Count + 1)).Select(_ => held.Dequeue())];
                uint last = (uint)random.Next((int)batch[^1].WritableLength + 1);
                int entries = run.Backend.Entries;
                run.Backend.DeviceUsesBatch(batch, last);
                Assert.Equal(entries + 1, run.Backend.Entries);
                for (int i = 0; i < batch.Length; i++)
                {
                    (ushort token, uint room) = inFlight.Dequeue();
                    used.Enqueue((token, i + 1 < batch.Length ? room : last));
                }
            }
            while (random.Next(6) != 0 && used.TryDequeue(out (ushort, uint) expected))
            {
                Assert.True(run.Queue.TryTakeUsed(out ushort token, out uint written));
                Assert.Equal(expected, (token, written));
                free.Enqueue(token);
            }
            Assert.Equal(inFlight.Count + used.Count, run.Queue.InFlight);
            Assert.Equal(used.Count == 0, run.Queue.TryEnableInterrupts());
            if (used.Count == 0)
            {
                Assert.False(run.Queue.TryTakeUsed(out _, out _));
            }
        }
        Assert.False(run.Queue.IsBroken);
    }

    [Theory]
    [MemberData(nameof(QueueSets.Every), MemberType = typeof(QueueSets))]
    [Trait("Requirement", "CORE-VQRESET-3")]
    public void A_queue_that_was_restarted_is_as_new_also_when_the_device_broke_it(QueueFeatures features)
    {
        ushort size = features.HasFlag(QueueFeatures.Packed) ? (ushort)7 : (ushort)8;
        using QueueRun run = new(Open(size, features));
        DmaBuffer memory = run.Allocate(new byte[size * 64]);
        for (int round = 0; round < 20; round++)
        {
            for (int i = 0; i < 5; i++)
            {
                Assert.True(AddOne(run, memory, i));
            }
            run.Queue.Kick();
            List<FakeChain> taken = run.Backend.DeviceTakes();
            for (int i = 0; i < round % 4; i++)
            {
                run.Backend.DeviceUses(taken[i], 0);
                Assert.True(run.Queue.TryTakeUsed(out _, out _));
            }
            if (round % 2 == 1)
            {
                run.Backend.DeviceUsesNonsense();
                Assert.False(run.Queue.TryTakeUsed(out _, out _));
            }
            Assert.Equal(round % 2 == 1, run.Queue.IsBroken);
            ulong told = run.Queue.Notifications;
            List<ushort> detached = run.Backend.Restart();
            Assert.Equal(Enumerable.Range(round % 4, 5 - round % 4), detached.Select(token => (int)token).Order());
            Assert.Equal((false, "", 0, (int)size), (run.Queue.IsBroken, run.Queue.BrokenReason, run.Queue.InFlight, run.Queue.FreeDescriptors));
            Assert.Equal(told, run.Queue.Notifications);
            Assert.False(run.Queue.TakeInterrupt());
            // All around the ring, and once more: nothing of before is left in it.
            for (int i = 0; i < 2 * size + 1; i++)
            {
                Assert.False(run.Queue.TryTakeUsed(out _, out _));
                Assert.True(AddOne(run, memory, 1));
                run.Queue.Kick();
                run.Backend.DeviceUses(Assert.Single(run.Backend.DeviceTakes()), 5);
                run.Backend.DeviceSignals();
                Assert.True(run.Queue.TakeInterrupt());
                Assert.True(run.Queue.TryTakeUsed(out ushort token, out uint written));
                Assert.Equal((1, 5u), (token, written));
                Assert.True(run.Queue.TryEnableInterrupts());
            }
        }
    }

    /// <summary>A buffer of one piece at a place of its own: even tokens are read by the device, odd ones written.</summary>
    private static bool AddOne(QueueRun run, in DmaBuffer memory, int token)
    {
        DmaBuffer piece = memory.Slice((uint)token * 64, 8);
        return token % 2 == 0
            ? run.Queue.TryAdd(new ReadOnlySpan<DmaBuffer>(in piece), default, (ushort)token)
            : run.Queue.TryAdd(default, new ReadOnlySpan<DmaBuffer>(in piece), (ushort)token);
    }
}
