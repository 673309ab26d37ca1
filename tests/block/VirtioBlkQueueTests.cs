// Disks with several request queues (virtio 5.2.2, MQ).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A disk of 4 queues of 16 descriptors.</summary>
public sealed class VirtioBlkQueueTests() : DiskScene(new FakeBlockDevice(8192, queueSize: 16, queues: 4))
{
    [Fact]
    public void All_queues_are_used_one_after_the_other_with_one_doorbell_for_what_is_submitted_together()
    {
        Assert.Equal(4, Disk.QueueCount);
        for (int i = 0; i < 8; i++)
        {
            TestRequest[] together = [Submit(BlockOperation.Read, 0, 1), Submit(BlockOperation.Read, 8, 1)];
            ulong told = Disk.Notifications;
            Finish(together);
            Assert.Equal(told + 1, Disk.Notifications);
        }
        Assert.Equal([4, 4, 4, 4], Device.RequestsOfQueue.Take(4));
    }

    [Fact]
    public void What_finds_no_room_in_one_queue_goes_to_the_next()
    {
        Device.OfferedFeatures &= ~FakeBlockDevice.IndirectDescriptors;
        Device.HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 30).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        Disk.Kick();
        Machine.Run();
        // 16 descriptors hold 5 requests.
        Assert.Equal([5, 5, 5, 5], Device.RequestsOfQueue.Take(4));
        Assert.Equal(20, Disk.PartsInFlight);
        Assert.Equal(20, Disk.MaxInFlight);
        Device.HoldsBack = false;
        Device.CompleteAll(backwards: true);
        Finish(requests);
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
    }

    [Theory]
    [InlineData(BlockOperation.Write)]
    [InlineData(BlockOperation.Read)]
    public void A_large_request_is_spread_over_the_queues_and_put_together(BlockOperation operation)
    {
        Device.Limit(segMax: 2, sizeMax: 1024);
        DmaBuffer buffer = Allocate(512 * 512);
        new Random(1).NextBytes(operation == BlockOperation.Write ? buffer.Span : Device.Disk.AsSpan(0, (int)buffer.Length));
        TestRequest request = TestRequest.For(operation, 0, buffer);
        Assert.Equal(IoStatus.Ok, Do(request));
        Assert.Equal(Device.Disk[..(int)buffer.Length], buffer.Span.ToArray());
        Assert.All(Device.RequestsOfQueue.Take(4), count => Assert.True(count > 0));
    }

    [Fact]
    public void A_queue_that_breaks_ends_nothing_twice_and_all_queues_begin_anew()
    {
        Device.HoldsBack = true;
        List<TestRequest> requests = [];
        for (int i = 0; i < 8; i++)
        {
            requests.Add(Submit(BlockOperation.Read, (ulong)i, 1));
            Disk.Kick();
            Machine.Run();
        }
        Assert.All(Device.RequestsOfQueue.Take(4), count => Assert.Equal(2, count));
        Device.HoldsBack = false;
        Device.Queues[2].PushUsed(0xFFFF, 0);
        Finish([.. requests]);
        Assert.All(requests, request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        Assert.Equal((1ul, 8ul), (Disk.Recoveries, Disk.Repeats));
    }

    [Fact]
    public void A_lost_doorbell_of_any_queue_is_made_good_for()
    {
        for (int i = 0; i < 4; i++)
        {
            Device.Queues[i].LoseNotifications = 1;
            Finish(Submit(BlockOperation.Read, 0, 1));
        }
        Assert.Equal(4ul, Disk.LostDoorbells);
    }

    [Fact]
    public void Removing_the_disk_ends_what_is_in_every_queue()
    {
        Device.HoldsBack = true;
        TestRequest[] requests = [.. Enumerable.Range(0, 40).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))];
        Disk.Kick();
        Machine.Run();
        Disk.Remove();
        Assert.All(requests, request => Assert.Equal((IoStatus.Removed, 1), (request.Status, request.Completions)));
    }

    [Fact]
    public void A_device_that_says_it_has_no_queues_has_one()
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Device.Config.AsSpan(34), 0);
        Finish(Submit(BlockOperation.Read, 0, 1));
        Assert.Equal(1, Disk.QueueCount);
    }

    [Fact]
    public void A_device_with_more_queues_than_are_wanted_has_the_others_left_alone()
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Device.Config.AsSpan(34), ushort.MaxValue);
        Assert.Equal(4, Disk.QueueCount);
        Assert.Equal(4, Disk.Virtio.QueueCount);
    }

    [Fact]
    public void A_device_that_comes_back_with_fewer_queues_is_given_up()
    {
        TestRequest request = Submit(BlockOperation.Read, 0, 1);
        Device.AfterReset = () => BinaryPrimitives.WriteUInt16LittleEndian(Device.Config.AsSpan(34), 1);
        Device.AskForReset();
        Finish(request);
        Assert.Equal((IoStatus.DeviceError, 1), (request.Status, request.Completions));
    }

    [Fact]
    public void Queues_without_vectors_of_their_own_share_one()
    {
        Assert.True(Disk.Virtio.VectorCount > 0);
        Finish([.. Enumerable.Range(0, 20).Select(i => Submit(BlockOperation.Read, (ulong)i, 1))]);
        Assert.True(Disk.Interrupts > 0);
    }
}

/// <summary>How many queues are asked for.</summary>
public sealed class VirtioBlkQueueCountTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(8, 3)]
    public void No_more_queues_are_used_than_wanted_and_there(ushort wanted, int used)
    {
        using Fakes.FakeMachine machine = new();
        FakeBlockDevice device = new(64, queues: 3);
        VirtioDriverTable drivers = new();
        drivers.Add(new VirtioBlkDriver { MaxQueues = wanted });
        ProbeResult result = new VirtioMmioDriver(drivers).Probe(machine.Plug(new Fakes.Virtio.FakeMmioDevice(machine, device, 2)), out Device? bound);
        Assert.True(result.IsBound);
        VirtioBlk disk = Assert.IsType<VirtioBlk>(bound);
        Assert.Equal(used, disk.QueueCount);
        Waiting.ReadFirstSector(disk, machine.Clock);
        disk.Remove();
        machine.Violations.AssertEmpty();
        machine.AssertNothingLeaked();
    }

    [Fact]
    public void Without_memory_at_any_allocation_a_disk_of_several_queues_is_refused_and_leaks_nothing()
    {
        for (int allocation = 1; ; allocation++)
        {
            using Fakes.FakeMachine machine = new();
            machine.FakeDma.FailAllocation(allocation);
            VirtioDriverTable drivers = new();
            drivers.Add(new VirtioBlkDriver { MaxQueues = 3 });
            PlatformDevice slot = machine.Plug(new Fakes.Virtio.FakeMmioDevice(machine, new FakeBlockDevice(64, queues: 3), 2));
            ProbeResult result = new VirtioMmioDriver(drivers).Probe(slot, out Device? bound);
            bound?.Remove();
            machine.Violations.AssertEmpty();
            machine.AssertNothingLeaked();
            if (result.IsBound)
            {
                Assert.InRange(allocation, 6, 100); // three rings, and memory for requests of each
                return;
            }
        }
    }
}
