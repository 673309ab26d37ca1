// Faults against the entropy driver: a device that lies about how much is random, breaks, or says nothing.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Entropy;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Entropy;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>Nothing that the device did not write is ever given out as random, and every request ends once.</summary>
public sealed class HostileEntropyTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Some_empty_answers_are_borne(bool packed)
    {
        using EntropyScene scene = new(packed);
        scene.Device.EmptyAnswers = 8;
        scene.Works();
        Assert.Equal(8ul, scene.Source.EmptyAnswers);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Empty_answers_without_end_end_the_request_and_not_the_device(bool packed)
    {
        using EntropyScene scene = new(packed);
        scene.Device.EmptyAnswers = int.MaxValue;
        TestEntropyRequest request = scene.Submit(16);
        scene.Finish(request, IoStatus.DeviceError);
        Assert.Equal((9, 0), (scene.Device.Answers, request.Received));
        scene.Device.EmptyAnswers = 0;
        scene.Works();
        Assert.Equal(0ul, scene.Source.Recoveries);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_few_bytes_at_a_time_are_enough(int most)
    {
        using EntropyScene scene = new();
        scene.Device.MostAtOnce = most;
        scene.Works();
    }

    [Theory]
    [InlineData(false, 65u)]
    [InlineData(false, uint.MaxValue)]
    [InlineData(true, 65u)]
    [InlineData(true, uint.MaxValue)]
    [Trait("Requirement", "RNG-2")]
    [Trait("Requirement", "SPLIT-USED-1")]
    public void A_length_beyond_the_buffer_gives_no_more_than_the_buffer(bool packed, uint claimed)
    {
        using EntropyScene scene = new(packed);
        scene.Device.OnAnswer = _ => claimed;
        byte[] given = EntropyScene.Bytes(64);
        scene.Device.Give(given);
        TestEntropyRequest request = scene.Submit(64);
        scene.Finish(request);
        Assert.Equal(given, request.Bytes);
        Assert.True(request.KeptToItsRoom);
    }

    [Theory]
    [InlineData(false, 0)]
    [InlineData(false, 8)]
    [InlineData(false, 13)]
    [InlineData(false, 40)]
    [InlineData(true, 40)]
    [Trait("Requirement", "RNG-2")]
    public void Bytes_that_were_claimed_and_not_written_are_asked_for_again(bool packed, int written)
    {
        using EntropyScene scene = new(packed);
        scene.Device.OnWrite = length => Math.Min(length, written);
        scene.Device.Give(EntropyScene.Bytes(64));
        TestEntropyRequest request = scene.Submit(64);
        scene.Until(() => scene.Source.UnwrittenAnswers == 1, "the lie to be noticed");
        int kept = request.Received;
        Assert.InRange(kept, 0, written);
        scene.Device.OnWrite = null;
        scene.Device.Give(EntropyScene.Bytes(64, seed: 2));
        scene.Finish(request);
        Assert.Equal(EntropyScene.Bytes(64)[..kept].Concat(EntropyScene.Bytes(64, seed: 2)[..(64 - kept)]), request.Bytes);
    }

    [Fact]
    public void Bytes_of_an_earlier_request_are_never_given_out_again()
    {
        using EntropyScene scene = new();
        byte[] secret = EntropyScene.Bytes(512);
        scene.Device.Give(secret);
        scene.Finish(scene.Submit(512));
        scene.Device.OnWrite = _ => 0;
        scene.Device.Give(EntropyScene.Bytes(100_000, seed: 3));
        TestEntropyRequest request = scene.Submit(512);
        scene.Finish(request, IoStatus.DeviceError);
        Assert.Equal(0, request.Received);
        Assert.Equal(9ul, scene.Source.UnwrittenAnswers);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_never_answers_is_reset_at_each_deadline_and_may_still_come_to_it(bool packed)
    {
        using EntropyScene scene = new(packed);
        scene.Source.RequestTimeout = 50_000_000;
        for (int i = 0; i < 10; i++)
        {
            ulong before = scene.Machine.Clock.Now;
            scene.Finish(scene.Submit(16), IoStatus.TimedOut);
            Assert.InRange(scene.Machine.Clock.Now - before, 50_000_000ul, 80_000_000ul);
        }
        Assert.Equal(10ul, scene.Source.Recoveries);
        scene.Works();
    }

    [Theory]
    [InlineData(false, 8u)]
    [InlineData(false, 0x10000u)]
    [InlineData(false, uint.MaxValue)]
    [InlineData(true, 8u)]
    [InlineData(true, uint.MaxValue)]
    public void A_used_id_that_was_never_given_is_answered_by_a_reset_and_nothing_is_taken_from_it(bool packed, uint id)
    {
        using EntropyScene scene = new(packed);
        TestEntropyRequest request = scene.Submit(16);
        scene.Machine.Run();
        scene.Device.Queues[0].PushUsed(id, 16);
        scene.Source.Poll();
        Assert.Equal((1ul, 0), (scene.Source.Recoveries, request.Received));
        scene.Device.Give(EntropyScene.Bytes(16));
        scene.Finish(request);
        Assert.Equal(EntropyScene.Bytes(16), request.Bytes);
    }

    /// <summary>Seeded nonsense. A failure names its seed, and the same seed fails again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Whatever_a_device_answers_each_request_ends_once_and_nothing_unwritten_is_given_out(bool packed)
    {
        ulong received = 0;
        for (int seed = 0; seed < 300; seed++)
        {
            Random random = new(seed);
            using EntropyScene scene = new(packed);
            scene.Device.IsTamperingAllowed = true;
            scene.Source.RequestTimeout = 200_000_000;
            scene.Device.OnAnswer = length => random.Next(4) switch { 0 => length, 1 => 0, 2 => uint.MaxValue, _ => (uint)random.Next(1024) };
            scene.Device.OnWrite = length => random.Next(3) == 0 ? random.Next(length + 1) & ~7 : length;
            TestEntropyRequest[] requests = [.. Enumerable.Range(0, 12).Select(_ => scene.Submit(8 * random.Next(1, 150)))];
            for (int step = 0; step < 40; step++)
            {
                switch (random.Next(6))
                {
                    case 0 when scene.Device.Queues[0].DeviceArea != 0:
                        scene.Device.Queues[0].PushUsed((uint)random.Next(8, 1000), (uint)random.Next(600));
                        scene.Source.Poll();
                        break;
                    case 1:
                        scene.Device.AskForReset();
                        break;
                    default:
                        scene.Device.Give(EntropyScene.Bytes(8 * random.Next(200), seed * 100 + step));
                        break;
                }
                scene.Machine.Run();
                scene.Source.Poll();
                if (scene.Source.NextDeadline <= scene.Machine.Clock.Now)
                {
                    scene.Source.OnDeadline(scene.Machine.Clock.Now);
                }
            }
            scene.Source.Remove();
            Assert.True(requests.All(request => request.Completions == 1 && request.KeptToItsRoom), $"seed {seed}");
            // What was lent twice unwritten would show as the same eight bytes again.
            byte[][] words = [.. requests.SelectMany(request => request.Bytes.Chunk(8)).Where(word => word.Length == 8)];
            Assert.True(words.Select(word => BitConverter.ToUInt64(word)).Distinct().Count() == words.Length, $"seed {seed}: the same bytes were given out twice");
            received += (ulong)words.Length;
        }
        Assert.True(received > 1000, "hardly anything was ever received: the test proves little");
    }

    [Fact]
    public void A_source_that_is_pulled_ends_every_request_once()
    {
        using EntropyScene scene = new();
        TestEntropyRequest[] requests = [.. Enumerable.Range(0, 20).Select(_ => scene.Submit(16))];
        scene.Machine.Run();
        scene.Machine.Pull(scene.Function);
        scene.Until(() => requests.All(request => request.Completions == 1), "the end of the requests");
        Assert.All(requests, request => Assert.Equal(IoStatus.DeviceError, request.Status));
        Assert.Equal(IoStatus.DeviceError, scene.Source.Submit(new TestEntropyRequest(1)));
    }

    [Fact]
    public void Without_memory_at_any_allocation_the_probe_fails_and_leaks_nothing()
    {
        bool bound = false;
        for (int n = 1; !bound; n++)
        {
            using FakeMachine machine = new();
            FakeVirtioPciDevice function = machine.Plug(new FakeEntropyDevice());
            machine.FakeDma.FailAllocation(n);
            DeviceTable devices = FakeBinding.Attach(machine, out _);
            bound = devices.Count == 1;
            if (bound)
            {
                devices[0].Remove();
                Assert.True(n > 1);
            }
            Assert.False(function.IsBusMaster);
            machine.AssertNothingLeaked();
        }
    }

    [Fact]
    public void A_source_without_its_queue_is_refused()
    {
        using FakeMachine machine = new();
        FakeEntropyDevice device = new();
        device.Queues[0].MaxSize = 0;
        machine.Plug(device);
        DeviceTable devices = FakeBinding.Attach(machine, out List<ProbeResult> results);
        Assert.Equal(0, devices.Count);
        Assert.Contains("lacks a queue", results[0].Reason);
        Assert.True(device.WasGivenUp);
        machine.AssertNothingLeaked();
    }
}
