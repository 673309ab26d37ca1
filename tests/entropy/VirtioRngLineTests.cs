// The line of requests before an entropy device: who waits, who is late, and what is left where the device can see it.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Entropy;

/// <summary>What <see cref="VirtioRng"/> does with more requests than slots, with deadlines at the nanosecond, and with answers that are not true.</summary>
public sealed class VirtioRngLineTests
{
    private const ulong Millisecond = 1_000_000;

    [Fact]
    public void A_late_request_that_waits_for_a_slot_ends_and_the_device_is_left_alone()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 100 * Millisecond;
        TestEntropyRequest old = scene.Submit(1000);
        Pass(scene, 60);
        TestEntropyRequest[] young = [.. Enumerable.Range(0, 9).Select(_ => scene.Submit(16))];
        scene.Device.Give(EntropyScene.Bytes(512));
        scene.Until(() => old.Received == 512, "the first slot of the old request");
        Assert.Equal(8, scene.Source.SlotsInFlight); // young ones all; the ninth and the old one wait
        scene.Finish(old, IoStatus.TimedOut);
        Assert.Equal(0ul, scene.Source.Recoveries);
        Assert.All(young, request => Assert.Equal(0, request.Completions));
        scene.Device.Give(EntropyScene.Bytes(9 * 16));
        scene.Until(() => young.All(request => request.Status == IoStatus.Ok), "the young requests");
    }

    [Fact]
    public void A_deadline_is_met_to_the_nanosecond()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 100 * Millisecond;
        TestEntropyRequest request = scene.Submit(16);
        ulong deadline = request.BegunAt + 100 * Millisecond;
        scene.Source.OnDeadline(deadline - 1);
        Assert.Equal((0, 0ul), (request.Completions, scene.Source.Recoveries));
        scene.Source.OnDeadline(deadline);
        Assert.Equal((IoStatus.TimedOut, 1ul), (request.Status, scene.Source.Recoveries));
    }

    [Fact]
    public void Waiting_requests_are_issued_as_slots_come_back_and_no_doorbell_is_missing()
    {
        using EntropyScene scene = new();
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => scene.Submit(1000))];
        scene.Device.Give(EntropyScene.Bytes(20_000));
        scene.Until(() => requests.All(request => request.Status == IoStatus.Ok), "20 requests");
        Assert.Equal(0ul, scene.Source.LostDoorbells);
    }

    [Fact]
    public void At_its_deadline_the_queue_is_looked_at_before_anybody_is_reset_or_rung()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 10 * Millisecond;
        scene.Device.Queues[0].LoseSignals = 1;
        TestEntropyRequest request = scene.Submit(16);
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Machine.Run();
        scene.Source.OnDeadline(scene.Machine.Clock.Now + 10 * Millisecond);
        Assert.Equal((IoStatus.Ok, 0ul, 0ul), (request.Status, scene.Source.Recoveries, scene.Source.LostDoorbells));
    }

    [Fact]
    public void A_source_that_moved_is_rung_again_when_it_stands_still_again()
    {
        using EntropyScene scene = new();
        TestEntropyRequest first = scene.Submit(16);
        TestEntropyRequest second = scene.Submit(16);
        Pass(scene, 100);
        Assert.Equal(1ul, scene.Source.LostDoorbells);
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Finish(first);
        Pass(scene, 100);
        Assert.Equal(2ul, scene.Source.LostDoorbells);
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Finish(second);
    }

    [Fact]
    public void With_interrupts_nobody_has_to_poll_while_a_request_is_with_the_device()
    {
        using EntropyScene scene = new();
        TestEntropyRequest request = scene.Submit(16);
        Assert.False(scene.Source.IsPolled);
        Assert.False(scene.Source.WantsPolling);
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Finish(request);
    }

    [Fact]
    public void Bytes_of_a_request_that_was_given_up_stay_nowhere_in_the_memory_that_the_device_was_lent()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 50 * Millisecond;
        TestEntropyRequest request = scene.Submit(64);
        scene.Machine.Run();
        FakePiece piece = Assert.Single(scene.Device.Pieces);
        byte[] secret = EntropyScene.Bytes(64);
        scene.Device.WriteHeld(secret);
        scene.Finish(request, IoStatus.TimedOut);
        Assert.True(scene.Machine.FakeDma.Raw(piece.Address, 64).IndexOf(secret.AsSpan(0, 8)) < 0);
    }

    [Fact]
    public void What_the_device_claims_and_never_wrote_is_not_shown_to_the_caller()
    {
        using EntropyScene scene = new();
        scene.Source.RequestTimeout = 50 * Millisecond;
        byte[] given = EntropyScene.Bytes(64);
        scene.Device.OnWrite = _ => 32;
        scene.Device.Give(given);
        TestEntropyRequest request = scene.Submit(64);
        scene.Finish(request, IoStatus.TimedOut);
        Assert.Equal(24, request.Received); // what stands before the poison may be part of it
        Assert.Equal(given[..24], request.Bytes);
        Assert.DoesNotContain(request.Rest, value => value != 0);
        Assert.Equal(1ul, scene.Source.UnwrittenAnswers);
    }

    [Fact]
    public void A_reset_is_told_with_the_number_of_buffers_and_a_failed_one_with_its_reason()
    {
        using CapturedLog log = new();
        using EntropyScene scene = new();
        TestEntropyRequest request = scene.Submit(16);
        TestEntropyRequest other = scene.Submit(16);
        scene.Machine.Run();
        scene.Device.AskForReset();
        scene.Source.Poll();
        Assert.Contains("virtio-rng: the device is reset and begun anew; buffers it held 0x2", log.Entries);
        scene.Machine.Run();
        int before = log.Entries.Count;
        scene.Device.AfterReset = () => scene.Device.OfferedFeatures &= ~FakeVirtioDevice.EventIndex;
        scene.Device.AskForReset();
        scene.Source.Poll();
        Assert.Equal((IoStatus.DeviceError, IoStatus.DeviceError), (request.Status, other.Status));
        Assert.Contains(log.Entries.Skip(before), entry => entry.StartsWith("virtio-rng: ", StringComparison.Ordinal) && !entry.Contains("buffers it held"));
    }

    [Fact]
    public void Sources_are_numbered_in_the_order_they_were_found()
    {
        using FakeMachine machine = new();
        machine.Plug(new FakeEntropyDevice());
        machine.Plug(new FakeEntropyDevice());
        DeviceTable devices = FakeBinding.Attach(machine, out _);
        Assert.Equal(["rng0", "rng1"], Enumerable.Range(0, devices.Count).Select(i => devices[i].Name));
        for (int i = devices.Count - 1; i >= 0; i--)
        {
            devices[i].Remove();
        }
    }

    [Fact]
    public void A_device_without_its_queue_is_refused_with_a_reason()
    {
        using FakeMachine machine = new();
        machine.Plug(new FakeEntropyDevice(queueSize: 0));
        DeviceTable devices = FakeBinding.Attach(machine, out List<ProbeResult> results);
        Assert.Equal(0, devices.Count);
        Assert.Contains("queue", Assert.Single(results).Reason);
        machine.AssertNothingLeaked();
    }

    [Fact]
    public void Only_a_request_that_a_driver_took_can_be_completed()
    {
        TestEntropyRequest request = new(16);
        Assert.ThrowsAny<Exception>(() => request.Complete(IoStatus.Ok));
        Assert.Equal(0, request.Completions);
    }

    private static void Pass(EntropyScene scene, ulong milliseconds)
    {
        ulong end = scene.Machine.Clock.Now + milliseconds * Millisecond;
        scene.Until(() => scene.Machine.Clock.Now >= end, $"{milliseconds} ms");
    }
}
