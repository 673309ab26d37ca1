// The disk driver: cutting, waiting, failing, and what gets lost on the way.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>What the contract of block devices does not say.</summary>
public sealed class VirtioBlkTests() : DiskScene(new FakeBlockDevice(8192))
{
    private const ulong Second = 1_000_000_000;

    [Fact]
    public void An_error_in_the_middle_of_a_cut_request_ends_all_of_it_once_and_the_others_well()
    {
        Device.Limit(segMax: 1, sizeMax: 512);
        Device.BadSectors.Add(205);
        TestRequest cut = Submit(BlockOperation.Read, 200, 16);
        TestRequest good = Submit(BlockOperation.Read, 300, 4);
        Finish(cut, good);
        Assert.Equal((IoStatus.DeviceError, 1), (cut.Status, cut.Completions));
        Assert.Equal((IoStatus.Ok, 1), (good.Status, good.Completions));
    }

    [Fact]
    public void When_the_queue_breaks_requests_in_flight_partly_issued_and_waiting_all_end_once()
    {
        Device.Limit(segMax: 1, sizeMax: 512);
        Device.HoldsBack = true;
        Disk.MaxRecoveries = 0;
        TestRequest[] requests = [.. Enumerable.Range(0, 10).Select(i => Submit(BlockOperation.Read, (ulong)i * 100, 30))];
        Disk.Kick();
        Machine.Run();
        Device.Complete(0);
        Device.Queues[0].PushUsed(0xFFFF, 0);
        Disk.Poll();
        Assert.All(requests, request => Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions)));
        Assert.Equal(IoStatus.DeviceError, Disk.Submit(requests[0]));
    }

    [Fact]
    public void A_request_submitted_again_from_its_failed_completion_is_refused_and_nothing_loops()
    {
        Device.HoldsBack = true;
        List<IoStatus> answers = [];
        TestRequest request = new() { Then = again => answers.Add(Disk.Submit(again)) };
        request.Prepare(BlockOperation.Read, 0, Allocate(512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Disk.Kick();
        Disk.Remove();
        Assert.Equal([IoStatus.Removed], answers);
        Assert.Equal(1, request.Completions);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_disk_removed_by_a_completion_ends_the_other_requests_once(bool othersAreUsed)
    {
        Device.HoldsBack = true;
        TestRequest first = new() { Then = _ => Disk.Remove() };
        first.Prepare(BlockOperation.Read, 0, Allocate(512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(first));
        TestRequest[] others = [.. Enumerable.Range(1, 4).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        Disk.Kick();
        Machine.Run();
        if (othersAreUsed)
        {
            Device.CompleteAll();
        }
        else
        {
            Device.Complete(0);
        }
        Disk.Poll();
        Assert.Equal((IoStatus.Ok, 1), (first.Status, first.Completions));
        Assert.All(others, request => Assert.Equal((IoStatus.Removed, 1), (request.Status, request.Completions)));
        Assert.Equal(0, Device.Status);
        Assert.Equal(IoStatus.Removed, Disk.Submit(first));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "SPLIT-USEDNOTIF-5")]
    public void A_lost_doorbell_or_interrupt_is_made_good_for_within_a_moment_and_counted(bool doorbell)
    {
        if (doorbell)
        {
            Device.Queues[0].LoseNotifications = 1;
        }
        else
        {
            Device.Queues[0].LoseSignals = 1;
        }
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        ulong start = Machine.Clock.Now;
        Finish(request);
        Assert.Equal(IoStatus.Ok, request.Status);
        Assert.True(Machine.Clock.Now - start < Second / 10, "it took longer than a moment");
        Assert.Equal(doorbell ? 1ul : 0, Disk.LostDoorbells);
    }

    [Fact]
    public void Many_submits_and_one_kick_are_one_doorbell()
    {
        for (int i = 0; i < 20; i++)
        {
            Submit(BlockOperation.Read, (ulong)i, 1);
        }
        Disk.Kick();
        Assert.Equal(1, Device.Queues[0].Notifications);
        Waiting.Until(Disk, Machine.Clock, () => Device.Requests == 20, "20 requests", Second);
    }

    [Fact]
    public void A_request_with_more_pieces_than_the_ring_has_descriptors_is_cut()
    {
        DmaBuffer memory = Allocate(200 * 512);
        memory.Span.Fill(7);
        DmaBuffer[] pieces = [.. Enumerable.Range(0, 200).Select(i => memory.Slice((uint)i * 512, 512))];
        Device.Limit(segMax: 1000, sizeMax: 0);
        TestRequest request = new();
        request.Prepare(BlockOperation.Write, 0, pieces);
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        Finish(request);
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
        Assert.False(Device.Disk.AsSpan(0, 200 * 512).ContainsAnyExcept((byte)7));
        Assert.True(Device.Requests > 1);
    }

    [Fact]
    [Trait("Requirement", "BLK-OP-4")]
    [Trait("Requirement", "BLK-OP-5")]
    public void What_was_written_is_durable_after_a_flush()
    {
        DmaBuffer buffer = Allocate(512);
        buffer.Span.Fill(9);
        TestRequest write = TestRequest.For(BlockOperation.Write, 5, buffer);
        Assert.Equal(IoStatus.Ok, Disk.Submit(write));
        Finish(write);
        Assert.Equal(0, Device.Durable[5 * 512]);
        TestRequest flush = TestRequest.For(BlockOperation.Flush, 0, default);
        Assert.Equal(IoStatus.Ok, Disk.Submit(flush));
        Finish(flush);
        Assert.Equal((9, 1), (Device.Durable[5 * 512], Device.Flushes));
    }

    [Fact]
    [Trait("Requirement", "BLK-OP-3")]
    [Trait("Requirement", "BLK-INIT-1")]
    [Trait("Requirement", "CORE-FEAT-1")]
    [Trait("Requirement", "CORE-FEAT-4")]
    [Trait("Requirement", "CORE-FEAT-8")]
    [Trait("Requirement", "CORE-RSVD-1")]
    public void Of_all_features_those_that_are_known_are_accepted()
    {
        Device.MakeReadOnly().Limit(4, 4096);
        Device.OfferedFeatures |= 1ul << 37 | 1ul << 41 | 1ul << 45 | 1ul << 60 | 1ul << 3;
        Assert.True(Disk.IsReadOnly);
        Assert.Equal(
            FakeVirtioDevice.Version1 | FakeVirtioDevice.EventIndex | FakeVirtioDevice.IndirectDescriptors |
            FakeBlockDevice.ReadOnly | FakeBlockDevice.Flush | FakeBlockDevice.SegMax | FakeBlockDevice.SizeMax,
            Device.DriverFeatures);
    }

    [Fact]
    [Trait("Requirement", "CORE-FEAT-6")]
    [Trait("Requirement", "CORE-CONFIG-3")]
    public void Without_any_optional_feature_the_disk_works()
    {
        Device.OfferedFeatures = FakeVirtioDevice.Version1;
        TestRequest request = Submit(BlockOperation.Read, 0, 8);
        Finish(request);
        Assert.Equal(IoStatus.Ok, request.Status);
        Assert.Equal((512u, false, false), (Disk.BlockSize, Disk.CanFlush, Disk.IsReadOnly));
    }

    [Fact]
    [Trait("Requirement", "PCI-ISR-1")]
    public void With_MSIX_the_interrupt_status_is_not_read()
    {
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Finish(request);
        Assert.True(Disk.Interrupts > 0);
        Assert.Equal(0, Assert.IsType<FakeVirtioPciDevice>(Machine.Functions[0]).IsrReads);
    }
}
