// Most requests go a short way through the driver, once another one is under way: nothing may differ from the long one but the time.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A small disk, at rest and under way, lent to and not.</summary>
public sealed class VirtioBlkShortWayTests() : DiskScene(new FakeBlockDevice(64))
{
    [Theory]
    [InlineData(BlockOperation.Read, false)]
    [InlineData(BlockOperation.Read, true)]
    [InlineData(BlockOperation.Write, false)]
    [InlineData(BlockOperation.Write, true)]
    public void What_is_wrong_is_refused_while_others_are_under_way_as_it_is_at_rest(BlockOperation operation, bool isUnderWay)
    {
        Device.SetBlockSize(4096);
        Device.HoldsBack = true;
        TestRequest? other = isUnderWay ? Submit(BlockOperation.Read, 0, 8) : null;
        DmaBuffer large = Allocate(80 * 512);
        (ulong Sector, uint Length, IoStatus Status)[] wrong =
        [
            (1, 4096, IoStatus.Misaligned), (7, 4096, IoStatus.Misaligned), (4, 4096, IoStatus.Misaligned),
            (0, 512, IoStatus.Misaligned), (8, 512, IoStatus.Misaligned),
            (8, 4096 + 512, IoStatus.Misaligned), (8, 4096 + 1, IoStatus.Misaligned), (8, 511, IoStatus.Misaligned),
            (8, 0, IoStatus.Misaligned), (0, 0, IoStatus.Misaligned),
            (64, 4096, IoStatus.OutOfRange), (56, 8192, IoStatus.OutOfRange), (0, 72 * 512, IoStatus.OutOfRange), (1ul << 32, 4096, IoStatus.OutOfRange),
            (1ul << 55, 4096, IoStatus.OutOfRange), (1ul << 62, 4096, IoStatus.OutOfRange), ((1ul << 63) - 8, 4096, IoStatus.OutOfRange),
            ((1ul << 63) - 8, 80 * 512, IoStatus.OutOfRange), (1ul << 63, 4096, IoStatus.OutOfRange), (ulong.MaxValue - 7, 4096, IoStatus.OutOfRange),
            (ulong.MaxValue - 7, 8192, IoStatus.OutOfRange),
        ];
        foreach ((ulong sector, uint length, IoStatus status) in wrong)
        {
            TestRequest request = TestRequest.For(operation, sector, large.Slice(0, length));
            Assert.True(status == Disk.Submit(request), $"{length} bytes at {sector}: {request.Status}");
            Assert.NotEqual(IoStatus.InFlight, request.Status);
            request.Prepare(operation, sector, [large.Slice(0, length), large.Slice(4096, 4096)]);
            Assert.NotEqual(IoStatus.Ok, Disk.Submit(request));
        }
        Disk.Kick();
        Machine.Run();
        Assert.Equal(isUnderWay ? 1 : 0, Device.HeldBack.Count);
        Device.HoldsBack = false;
        Device.CompleteAll();
        Assert.Equal(IoStatus.Ok, Do(TestRequest.For(operation, 56, large.Slice(0, 4096))));
        Assert.True(other is null || other.Status == IoStatus.Ok);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_request_that_comes_again_is_for_what_it_says_now(bool isShared, bool isPacked)
    {
        Machine.FakeDma.Shares = isShared;
        Device.OfferedFeatures |= isPacked ? FakeVirtioDevice.RingPacked : 0;
        for (int sector = 0; sector < 64; sector++)
        {
            Device.Disk.AsSpan(sector * 512, 512).Fill((byte)(sector + 1));
        }
        DmaBuffer buffer = Allocate(1024);
        TestRequest again = new();
        foreach (ulong sector in new ulong[] { 5, 5, 9, 62, 0 })
        {
            foreach (uint length in new uint[] { 512, 1024 })
            {
                buffer.Span.Clear();
                again.Prepare(BlockOperation.Read, sector, buffer.Slice(0, length));
                Assert.Equal(IoStatus.Ok, Do(again));
                Assert.Equal(Device.Disk.AsSpan((int)sector * 512, (int)length), buffer.Span[..(int)length]);
                again.Prepare(BlockOperation.Write, (sector + 20) % 62, buffer.Slice(0, length));
                Assert.Equal(IoStatus.Ok, Do(again));
                Assert.Equal(buffer.Span[..(int)length], Device.Disk.AsSpan((int)((sector + 20) % 62 * 512), (int)length));
            }
        }
        Device.BadSectors.Add(3);
        again.Prepare(BlockOperation.Read, 3, buffer.Slice(0, 512));
        Assert.Equal(IoStatus.DeviceError, Do(again));
        Assert.Equal((21, 21ul), (again.Completions, Disk.Completed));
    }

    [Fact]
    public void Every_request_that_ended_is_counted_once_however_it_ended_and_in_how_many_parts()
    {
        Device.Limit(segMax: 1, sizeMax: 1024);
        Device.BadSectors.Add(40);
        IoStatus[] answers =
        [
            Write(0, 1, 1), Write(0, 2, 1), Write(8, 9, 1), Do(TestRequest.For(BlockOperation.Flush, 0, default)), Write(40, 1, 1), Write(38, 6, 1),
        ];
        Assert.Equal([IoStatus.Ok, IoStatus.Ok, IoStatus.Ok, IoStatus.Ok, IoStatus.DeviceError, IoStatus.DeviceError], answers);
        Assert.Equal(6ul, Disk.Completed);
        Assert.Equal(IoStatus.OutOfRange, Write(64, 1, 1));
        Assert.Equal(6ul, Disk.Completed);
    }

    [Fact]
    public void After_a_reset_each_is_alone_with_the_device_also_one_that_comes_then()
    {
        Device.HoldsBack = true;
        List<TestRequest> requests = [Submit(BlockOperation.Read, 0, 1), Submit(BlockOperation.Write, 1, 1)];
        Disk.Kick();
        Machine.Run();
        Assert.Equal(2, Device.HeldBack.Count);
        Device.AskForReset();
        Disk.Poll();
        for (ulong sector = 2; sector < 6; sector++)
        {
            requests.Add(Submit(sector % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, sector, 1));
            Disk.Kick();
            Machine.Run();
            Assert.Equal((1, 1), (Disk.PartsInFlight, Device.HeldBack.Count));
        }
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal((ulong)i, SectorOf(Assert.Single(Device.HeldBack)));
            Device.Complete(0);
            Disk.Poll();
            Machine.Run();
            Assert.Equal((IoStatus.Ok, 1), (requests[i].Status, requests[i].Completions));
        }
        // Those that it had are back: the others go together, and so does what comes now.
        requests.Add(Submit(BlockOperation.Read, 6, 1));
        Disk.Kick();
        Machine.Run();
        Assert.Equal([2ul, 3, 4, 5, 6], Device.HeldBack.Select(SectorOf));
        Device.CompleteAll();
        Finish([.. requests]);
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
    }

    [Fact]
    public void A_request_is_not_overtaken_by_one_that_would_find_room()
    {
        using CrampedDisk cramped = new();
        cramped.FirstComesFirst();
    }

    private sealed class CrampedDisk() : DiskScene(new FakeBlockDevice(64, queueSize: 8))
    {
        public void FirstComesFirst()
        {
            Device.OfferedFeatures &= ~FakeVirtioDevice.IndirectDescriptors;
            Device.Limit(segMax: 4, sizeMax: 4096);
            Device.HoldsBack = true;
            TestRequest first = Submit(BlockOperation.Read, 0, 1);
            DmaBuffer memory = Allocate(4 * 512);
            TestRequest large = new();
            large.Prepare(BlockOperation.Read, 10, [.. Enumerable.Range(0, 4).Select(i => memory.Slice((uint)i * 512, 512))]);
            Assert.Equal(IoStatus.Ok, Disk.Submit(large)); // 6 descriptors, and 5 are left
            TestRequest small = Submit(BlockOperation.Read, 20, 1);
            Disk.Kick();
            Machine.Run();
            Assert.Equal([0ul], Device.HeldBack.Select(SectorOf));
            Device.Complete(0);
            Disk.Poll();
            Machine.Run();
            Assert.Equal([10ul], Device.HeldBack.Select(SectorOf));
            Device.HoldsBack = false;
            Device.CompleteAll();
            Finish(first, large, small);
        }
    }

    [Fact]
    public void A_disk_that_is_gone_is_quiet_whatever_it_is_asked()
    {
        Device.HoldsBack = true;
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        Disk.Remove();
        int told = Device.Queues[0].Notifications;
        Disk.Poll();
        Disk.OnDeadline(Machine.Clock.Now);
        Disk.Poll();
        Disk.Remove();
        Assert.Equal((ulong.MaxValue, told, 1), (Disk.NextDeadline, Device.Queues[0].Notifications, request.Completions));
        Assert.Equal(IoStatus.Removed, Disk.Submit(TestRequest.For(BlockOperation.Read, 0, Allocate(512))));
        Assert.False(Disk.WantsPolling);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Only_a_disk_without_interrupts_wants_to_be_polled_and_only_while_it_has_work(bool interrupts)
    {
        Machine.BestInterrupts = interrupts ? InterruptKind.MsiX : InterruptKind.None;
        Device.HoldsBack = true;
        Assert.Equal((!interrupts, false), (Disk.IsPolled, Disk.WantsPolling));
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        Assert.Equal(!interrupts, Disk.WantsPolling);
        Device.CompleteAll();
        Disk.Poll();
        Assert.Equal((IoStatus.Ok, false), (request.Status, Disk.WantsPolling));
        Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Assert.Equal(!interrupts, Disk.WantsPolling);
        Machine.Run();
        Disk.MaxRecoveries = 0;
        Device.AskForReset();
        Disk.OnDeadline(Machine.Clock.Now);
        Assert.Equal((false, 0), (Disk.WantsPolling, Disk.PartsInFlight));
    }

    internal static ulong SectorOf(FakeChain chain) => BitConverter.ToUInt64(chain.Read(8, 8));
}
