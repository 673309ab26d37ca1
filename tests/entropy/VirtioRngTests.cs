// The entropy driver: what its contract does not say.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Entropy;

/// <summary><see cref="VirtioRng"/> on the fake machine: slots, lost interrupts, recovery, deadlines.</summary>
public sealed class VirtioRngTests
{
    private const ulong Millisecond = 1_000_000;

    [Fact]
    public void Eight_slots_of_512_bytes_are_with_the_device_and_the_rest_waits()
    {
        using EntropyScene scene = new();
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => scene.Submit(1000))];
        scene.Machine.Run();
        Assert.Equal((8, 8), (scene.Device.Held, scene.Source.SlotsInFlight));
        Assert.All(scene.Device.Pieces, piece => Assert.Equal(512u, piece.Length));
        scene.Device.Give(EntropyScene.Bytes(20_000));
        scene.Until(() => requests.All(request => request.Completions == 1), "20 requests");
        Assert.Equal(8, scene.Device.MostHeld);
        Assert.Equal(20_000ul, scene.Source.BytesReceived);
    }

    [Fact]
    public void What_was_handed_out_is_nowhere_in_the_memory_that_the_device_was_lent()
    {
        using EntropyScene scene = new();
        byte[] given = EntropyScene.Bytes(1300);
        scene.Device.Give(given);
        TestEntropyRequest request = scene.Submit(given.Length);
        scene.Finish(request);
        Assert.Equal(given, request.Bytes);
        byte[][] runs = [.. Enumerable.Range(0, given.Length - 8).Select(i => given[i..(i + 8)])];
        Assert.NotEmpty(scene.Device.Pieces);
        foreach (FakePiece piece in scene.Device.Pieces)
        {
            byte[] memory = scene.Machine.FakeDma.Raw(piece.Address, (int)piece.Length).ToArray();
            Assert.DoesNotContain(runs, run => memory.AsSpan().IndexOf(run) >= 0);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_doorbell_or_an_interrupt_that_got_lost_costs_a_tenth_of_a_second_at_most(bool doorbell)
    {
        using EntropyScene scene = new();
        scene.Device.Queues[0].LoseNotifications = doorbell ? 1 : 0;
        scene.Device.Queues[0].LoseSignals = doorbell ? 0 : 1;
        ulong before = scene.Machine.Clock.Now;
        scene.Works();
        Assert.InRange(scene.Machine.Clock.Now - before, 0ul, 100 * Millisecond);
        Assert.Equal(doorbell ? 1ul : 0, scene.Source.LostDoorbells);
    }

    [Fact]
    public void A_slow_source_is_rung_once_more_and_then_left_alone()
    {
        using EntropyScene scene = new();
        TestEntropyRequest request = scene.Submit(16);
        ulong end = scene.Machine.Clock.Now + 1000 * Millisecond;
        scene.Until(() => scene.Machine.Clock.Now >= end, "a second");
        Assert.Equal(2, scene.Device.Queues[0].Notifications);
        Assert.Equal(0, request.Completions);
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Finish(request);
    }

    [Fact]
    public void A_source_that_nobody_asks_is_not_looked_at()
    {
        using EntropyScene scene = new();
        Assert.Equal(ulong.MaxValue, scene.Source.NextDeadline);
        scene.Works();
        scene.Source.OnDeadline(scene.Machine.Clock.Now);
        Assert.Equal(ulong.MaxValue, scene.Source.NextDeadline);
        Assert.False(scene.Source.WantsPolling);
    }

    [Theory]
    [InlineData(false, "asks for a reset")]
    [InlineData(false, "breaks its ring")]
    [InlineData(false, "asks for a reset without a word")]
    [InlineData(true, "asks for a reset")]
    [InlineData(true, "breaks its ring")]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void After_a_reset_requests_go_on_with_the_bytes_they_had(bool packed, string what)
    {
        using EntropyScene scene = new(packed);
        for (int round = 1; round <= 5; round++)
        {
            byte[] given = EntropyScene.Bytes(700, round);
            scene.Device.Give(given.AsSpan(0, 300));
            TestEntropyRequest request = scene.Submit(700);
            scene.Until(() => request.Received == 300, "the first bytes");
            scene.Machine.Run();
            Break(scene, what);
            scene.Until(() => scene.Source.Recoveries == (ulong)round, "the recovery");
            scene.Device.Give(given.AsSpan(300));
            scene.Finish(request);
            Assert.Equal(given, request.Bytes);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_source_that_breaks_without_a_byte_in_between_is_given_up(int recoveries)
    {
        using EntropyScene scene = new();
        scene.Source.MaxRecoveries = recoveries;
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 12).Select(_ => scene.Submit(16))];
        for (int i = 0; i <= recoveries; i++)
        {
            Assert.All(requests, request => Assert.Equal(0, request.Completions));
            scene.Machine.Run();
            Break(scene, "breaks its ring");
            scene.Source.Poll();
        }
        Assert.All(requests, request => Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions)));
        Assert.Equal((ulong)recoveries, scene.Source.Recoveries);
        Assert.Equal(IoStatus.DeviceError, scene.Source.Submit(new TestEntropyRequest(1)));
        Assert.Equal(0, scene.Machine.HandlerCount);
    }

    [Fact]
    public void A_device_that_comes_back_as_another_one_is_given_up_and_every_request_ends_once()
    {
        using EntropyScene scene = new();
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 12).Select(_ => scene.Submit(16))];
        scene.Machine.Run();
        scene.Device.AfterReset = () => scene.Device.OfferedFeatures &= ~FakeVirtioDevice.EventIndex;
        scene.Device.AskForReset();
        scene.Source.Poll();
        Assert.All(requests, request => Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions)));
        Assert.Equal(IoStatus.DeviceError, scene.Source.Submit(new TestEntropyRequest(1)));
    }

    [Fact]
    public void A_device_that_does_not_come_out_of_reset_keeps_the_memory_and_no_request()
    {
        using EntropyScene scene = new() { MayLeak = true };
        TestEntropyRequest request = scene.Submit(16);
        scene.Machine.Run();
        scene.Device.ResetReads = -1;
        scene.Device.AskForReset();
        scene.Source.Poll();
        Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions));
        Assert.False(scene.Function.IsBusMaster);
    }

    [Fact]
    public void Only_what_is_past_its_deadline_times_out_and_the_rest_is_asked_for_again()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 100 * Millisecond;
        scene.Device.Give(EntropyScene.Bytes(10));
        TestEntropyRequest old = scene.Submit(16);
        scene.Until(() => old.Received == 10, "some bytes");
        ulong end = scene.Machine.Clock.Now + 60 * Millisecond;
        scene.Until(() => scene.Machine.Clock.Now >= end, "some time");
        TestEntropyRequest young = scene.Submit(16);
        scene.Finish(old, IoStatus.TimedOut);
        Assert.Equal(EntropyScene.Bytes(10), old.Bytes);
        Assert.Equal((0, 1ul), (young.Completions, scene.Source.Recoveries));
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Finish(young);
        Assert.Equal(EntropyScene.Bytes(16), young.Bytes);
    }

    [Fact]
    public void A_completion_may_submit_again_while_the_device_is_begun_anew()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 50 * Millisecond;
        TestEntropyRequest request = new(16) { Then = ended => Resubmit(scene, ended) };
        Assert.Equal(IoStatus.Ok, scene.Source.Submit(request));
        scene.Until(() => request.Completions == 1, "the deadline");
        Assert.Equal(IoStatus.InFlight, request.Status);
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Until(() => request.Completions == 2, "the bytes");
        Assert.Equal(IoStatus.Ok, request.Status);
        Assert.Equal(EntropyScene.Bytes(16), request.Bytes);
    }

    [Fact]
    public void Removal_in_the_completion_of_a_recovery_ends_the_others_as_removed()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 50 * Millisecond;
        TestEntropyRequest first = new(16) { Then = _ => scene.Source.Remove() };
        Assert.Equal(IoStatus.Ok, scene.Source.Submit(first));
        ulong end = scene.Machine.Clock.Now + 20 * Millisecond;
        scene.Until(() => scene.Machine.Clock.Now >= end, "some time");
        TestEntropyRequest second = scene.Submit(16);
        scene.Until(() => first.Completions == 1, "the deadline");
        Assert.Equal((IoStatus.TimedOut, IoStatus.Removed), (first.Status, second.Status));
        Assert.Equal(1, second.Completions);
    }

    [Fact]
    public void Requests_are_the_callers_affair()
    {
        using EntropyScene scene = new();
        TestEntropyRequest request = scene.Submit(16);
        Assert.ThrowsAny<Exception>(() => scene.Source.Submit(request));
        Assert.ThrowsAny<Exception>(() => request.Prepare(new byte[4], 0, 4));
        TestEntropyRequest other = new(1);
        Assert.ThrowsAny<Exception>(() => other.Prepare(new byte[4], 1, 4));
        Assert.ThrowsAny<Exception>(() => other.Prepare(new byte[4], -1, 1));
        Assert.ThrowsAny<Exception>(() => other.Prepare(new byte[4], 0, -1));
    }

    private static void Resubmit(EntropyScene scene, TestEntropyRequest ended)
    {
        if (ended.Completions == 1)
        {
            Assert.Equal(IoStatus.TimedOut, ended.Status);
            Assert.Equal(IoStatus.Ok, scene.Source.Submit(ended));
        }
    }

    private static void Break(EntropyScene scene, string what)
    {
        if (what == "breaks its ring")
        {
            scene.Device.Queues[0].PushUsed(60_000, 1);
            return;
        }
        scene.Device.AskForReset();
        if (what.EndsWith("without a word", StringComparison.Ordinal))
        {
            scene.Source.Virtio.TakeConfigChange();
        }
    }
}
