// Faults that take a story: completions at the wrong time, late and twice, resets that follow each other, cards that go and come.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Block;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using VirtioSharp.Tests.Pci;
using Xunit;

namespace VirtioSharp.Tests.Hostile;

/// <summary>U, I, R and C: what is no single deviation of a register or a ring. Each request ends once, and none of them well with wrong data.</summary>
public sealed class HostileLifeTests() : DiskScene(new FakeBlockDevice(4096))
{
    private const ulong Millisecond = 1_000_000;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void U09_indices_that_go_round_at_65536_lose_nothing(bool withEventIndex) => GoRound(withEventIndex);

    /// <summary>Exactly one doorbell and one signal for each batch, also where the index of the event goes round.</summary>
    [Fact]
    [Trait("Requirement", "SPLIT-AVAILNOTIF-3")]
    public void U22_doorbells_and_signals_are_as_many_when_the_event_index_goes_round()
    {
        int batches = GoRound(withEventIndex: true);
        Assert.Equal(batches, Device.Queues[0].Notifications);
        Assert.InRange(Device.Queues[0].Signals, batches, batches + 1);
        Assert.Equal(0, Device.Queues[0].UnwantedNotifications);
        Assert.Equal(0ul, Disk.LostDoorbells); // none of them came late
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void U24_a_request_that_is_used_before_the_device_was_told_of_it_ends_once_and_not_well(bool packed)
    {
        new Random(4).NextBytes(Device.Disk);
        Device.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        Device.IsTamperingAllowed = true;
        Disk.RequestTimeout = 100 * Millisecond;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.Queues[0].PushUsed(0, 513); // the first buffer of a new ring has the id 0 in both formats
        Disk.Poll();
        Assert.True(Disk.Recoveries == 1 || request.Status == IoStatus.DeviceError, "the answer was believed");
        TestRequest second = Submit(BlockOperation.Read, 1, 1);
        Finish(request, second);
        EndedOnceAndNotWrong(request, second);
        Works();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void U19_indirect_tables_that_the_device_rewrites_are_not_read_again(bool packed)
    {
        Device.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        Device.IsTamperingAllowed = true;
        Device.HoldsBack = true;
        new Random(4).NextBytes(Device.Disk);
        TestRequest[] requests = [.. Enumerable.Range(0, 25).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        Disk.Kick();
        Machine.Run();
        FakePiece[] tables = [.. Device.Queues[0].Ring.HeldTables];
        Assert.NotEmpty(tables);
        foreach (FakePiece table in tables)
        {
            Machine.FakeDma.Raw(table.Address, (int)table.Length).Fill(0xFF);
        }
        Device.HoldsBack = false;
        Device.CompleteAll();
        Finish(requests);
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, request.Status));
        EndedOnceAndNotWrong(requests);
        Works();
    }

    [Fact]
    public void U26_what_a_device_writes_after_its_reset_reaches_nobody()
    {
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        FakePiece data = Device.HeldBack[0].Writable[0];
        Disk.Remove();
        Assert.Equal(IoStatus.Removed, request.Status);
        Assert.False(Machine.FakeDma.TryDeviceWrite(data.Address, new byte[512]));
        Assert.Equal(1, Machine.FakeDma.BlockedAccesses);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void U28_an_answer_to_a_request_that_timed_out_is_nobodys(bool packed)
    {
        Device.OfferedFeatures |= packed ? FakeVirtioDevice.RingPacked : 0;
        new Random(4).NextBytes(Device.Disk);
        Device.IsTamperingAllowed = true;
        Device.HoldsBack = true;
        Disk.RequestTimeout = 100 * Millisecond;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        ushort head = Device.HeldBack[0].Head;
        Finish(request);
        Assert.Equal((IoStatus.TimedOut, 1ul), (request.Status, Disk.Recoveries));
        Device.HoldsBack = false;
        Device.Queues[0].PushUsed(head, 513);
        Device.Queues[0].Signal();
        Disk.Poll();
        TestRequest next = Submit(BlockOperation.Read, 1, 1);
        Finish(next);
        Assert.Equal(1, request.Completions);
        EndedOnceAndNotWrong(next);
        Works();
    }

    [Fact]
    public void I13_interrupts_and_new_work_in_the_middle_of_a_drain_lose_nothing_and_end_nothing_twice()
    {
        int completions = 0;
        TestRequest[] requests = new TestRequest[200];
        for (int i = 0; i < requests.Length; i++)
        {
            requests[i] = new TestRequest
            {
                Then = ended =>
                {
                    // The device goes on and interrupts while the driver is taking what it used before.
                    completions++;
                    Disk.Kick();
                    Machine.Run();
                    Device.Bus.RaiseQueue(Device.Queues[0]);
                    if (ended.Completions < 5)
                    {
                        Assert.Equal(IoStatus.Ok, Disk.Submit(ended));
                    }
                },
            };
            requests[i].Prepare(BlockOperation.Read, (ulong)i, Allocate(512));
            Assert.Equal(IoStatus.Ok, Disk.Submit(requests[i]));
        }
        Disk.Kick();
        Waiting.Until(Disk, Machine.Clock, () => completions == 5 * requests.Length, "all rounds");
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 5), (request.Status, request.Completions)));
        Disk.Poll();
        Assert.Equal(5 * requests.Length, completions);
    }

    [Fact]
    public void R04_a_reset_with_requests_in_flight_and_an_answer_that_comes_too_late()
    {
        new Random(4).NextBytes(Device.Disk);
        Device.HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 8).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        Disk.Kick();
        Machine.Run();
        ushort[] heads = [.. Device.HeldBack.Select(chain => chain.Head)];
        Device.AskForReset();
        Disk.Poll();
        Assert.Equal(1ul, Disk.Recoveries);
        // The device has forgotten them, and answers nevertheless; one of them is with it again.
        foreach (ushort head in heads)
        {
            Device.Queues[0].PushUsed(head, 513);
        }
        Device.HoldsBack = false;
        Finish(requests);
        EndedOnceAndNotWrong(requests);
        Assert.Contains(requests, request => request.Status == IoStatus.Ok);
    }

    [Fact]
    public void R05_a_device_that_asks_for_a_reset_in_the_middle_of_one_is_reset_again()
    {
        int asked = 0;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.AfterReset = () => asked++;
        Device.OnReadStatus = status => asked == 1 && (status & 4) != 0 ? (byte)(status | 64) : status;
        Disk.Kick();
        Device.AskForReset();
        Waiting.Until(Disk, Machine.Clock, () => request.Completions > 0, "the request");
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
        Disk.Remove();
        Disk.Remove();
        Assert.Equal(1, request.Completions);
    }

    [Fact]
    [Trait("Requirement", "CORE-STATUS-4")]
    public void R06_a_device_that_needs_a_reset_gets_it_and_works()
    {
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        Device.AskForReset();
        Disk.Poll();
        Device.HoldsBack = false;
        Finish(request);
        Assert.Equal((IoStatus.Ok, 1ul), (request.Status, Disk.Recoveries));
    }

    [Fact]
    public void R07_a_hundred_resets_with_work_done_in_between_are_borne_and_four_without_are_not()
    {
        Assert.Equal(0ul, Disk.Recoveries);
        for (int i = 0; i < 100; i++)
        {
            Device.AskForReset();
            TestRequest request = Submit(BlockOperation.Read, (ulong)i, 1);
            Finish(request);
            Assert.Equal(IoStatus.Ok, request.Status);
        }
        Assert.Equal(100ul, Disk.Recoveries);
        for (int i = 0; i < 4; i++)
        {
            Device.AskForReset();
            Disk.Poll();
        }
        Assert.Equal(103ul, Disk.Recoveries);
        Assert.Equal(IoStatus.DeviceError, Disk.Submit(TestRequest.For(BlockOperation.Read, 0, Allocate(512))));
        Assert.Equal(0, Machine.HandlerCount);
    }

    [Fact]
    public void C16_a_card_that_is_looked_at_again_is_not_there_twice()
    {
        using HotplugScene scene = new();
        PciHotplugSlot slot = scene.Watch();
        scene.Port.Insert(HotplugScene.Disk());
        scene.RunUntil(() => scene.Devices.Count == 2);
        int functions = scene.Functions.Count;
        VirtioBlk disk = scene.TheDisk;
        for (int i = 0; i < 10; i++)
        {
            scene.Port.Flicker();
            scene.Pass(1000 * Millisecond);
        }
        Assert.Equal((functions, 1, 0), (scene.Functions.Count, slot.Arrivals, slot.Departures));
        Assert.Same(disk, scene.TheDisk);
        scene.Read(disk);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void R02_a_card_that_is_asked_for_under_load_leaves_and_every_request_ends_once(bool hasMsi)
    {
        using HotplugScene scene = new(hasMsi);
        PciHotplugSlot slot = scene.Watch();
        FakeVirtioPciDevice card = scene.Port.Insert(HotplugScene.Disk(64));
        scene.RunUntil(() => scene.Devices.Count == 2);
        ((FakeBlockDevice)card.Device).HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 16).Select(i => scene.Submit(scene.TheDisk, (ulong)i))];
        scene.TheDisk.Kick();
        scene.Machine.Run();
        scene.Port.AskFor();
        scene.RunUntil(() => slot.Departures == 1);
        Assert.All(requests, request => Assert.Equal((IoStatus.Removed, 1), (request.Status, request.Completions)));
    }

    [Fact]
    public void R03_a_card_that_comes_back_with_another_size_and_other_features_is_taken_as_it_is()
    {
        using HotplugScene scene = new();
        PciHotplugSlot slot = scene.Watch();
        scene.Port.Insert(HotplugScene.Disk(16));
        scene.RunUntil(() => scene.Devices.Count == 2);
        VirtioBlk first = scene.TheDisk;
        Assert.False(first.IsReadOnly);
        scene.Port.AskFor();
        scene.RunUntil(() => slot.Departures == 1 && scene.Port.Card is null);
        FakeBlockDevice other = new FakeBlockDevice(48).MakeReadOnly();
        other.OfferedFeatures |= FakeVirtioDevice.RingPacked;
        scene.Port.Insert(new FakeVirtioPciDevice(other));
        scene.RunUntil(() => scene.Devices.Count == 2);
        Assert.Equal((48ul, true), (scene.TheDisk.SectorCount, scene.TheDisk.IsReadOnly));
        Assert.Equal(IoStatus.Removed, first.Submit(TestRequest.For(BlockOperation.Read, 0, Allocate(512))));
        scene.Read(scene.TheDisk);
    }

    private void EndedOnceAndNotWrong(params TestRequest[] requests)
    {
        foreach (TestRequest request in requests)
        {
            Assert.Equal(1, request.Completions);
            bool isRight = request.Buffers[0].Span.SequenceEqual(Device.Disk.AsSpan((int)request.Sector * 512, 512));
            Assert.True(isRight || request.Status != IoStatus.Ok, $"the read of sector {request.Sector} ended well with other data");
        }
    }

    private void Works()
    {
        TestRequest request = Submit(BlockOperation.Read, 7, 1);
        Finish(request);
        Assert.Equal(IoStatus.Ok, request.Status);
        EndedOnceAndNotWrong(request);
    }

    private int GoRound(bool withEventIndex)
    {
        Device.OfferedFeatures &= withEventIndex ? ulong.MaxValue : ~FakeVirtioDevice.EventIndex;
        const int Batch = 20;
        int batches = (65536 + 3000) / Batch;
        TestRequest[] requests = new TestRequest[Batch];
        DmaBuffer buffer = Allocate(Batch * 512);
        new Random(9).NextBytes(Device.Disk);
        for (int batch = 0; batch < batches; batch++)
        {
            buffer.Span.Clear();
            for (int i = 0; i < Batch; i++)
            {
                requests[i] = TestRequest.For(BlockOperation.Read, (ulong)((batch + i) % 4096), buffer.Slice((uint)i * 512, 512));
                Assert.Equal(IoStatus.Ok, Disk.Submit(requests[i]));
            }
            Finish(requests);
            for (int i = 0; i < Batch; i++)
            {
                Assert.Equal((IoStatus.Ok, 1), (requests[i].Status, requests[i].Completions));
                Assert.Equal(Device.Disk[(batch + i) % 4096 * 512], buffer.Span[i * 512]);
            }
        }
        return batches;
    }
}

/// <summary>A disk of two queues.</summary>
public sealed class HostileQueuesTests() : DiskScene(new FakeBlockDevice(4096, queueSize: 16, queues: 2))
{
    [Fact]
    public void U30_an_answer_in_one_queue_to_what_is_in_another_breaks_it_and_ends_nothing_twice()
    {
        new Random(4).NextBytes(Device.Disk);
        Device.HoldsBack = true;
        TestRequest first = Submit(BlockOperation.Read, 3, 1);
        Disk.Kick();
        Machine.Run();
        FakeVirtqueue other = Device.Queues[Device.Queues[0].Held == 1 ? 1 : 0];
        Assert.Equal(0, other.Held);
        other.PushUsed(Device.HeldBack[0].Head, 513);
        Disk.Poll();
        Assert.Equal((1ul, 0), (Disk.Recoveries, first.Completions));
        Device.HoldsBack = false;
        Finish(first);
        Assert.Equal((IoStatus.Ok, 1), (first.Status, first.Completions));
        Assert.Equal(Device.Disk[(3 * 512)..(4 * 512)], first.Buffers[0].Span.ToArray());
    }
}
