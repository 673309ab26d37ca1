// Requests whose own time is up: it counts from the submit, wherever they waited, and what their ends submit is told to the device.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>A ring of eight descriptors, without tables.</summary>
public sealed class VirtioBlkLateTests : DiskScene
{
    private const ulong Tick = 1 << 20; // what the driver counts time in, in nanoseconds

    /// <summary>Makes the scene.</summary>
    public VirtioBlkLateTests()
        : base(new FakeBlockDevice(64, queueSize: 8))
    {
        Device.OfferedFeatures &= ~FakeVirtioDevice.IndirectDescriptors;
        Device.Limit(segMax: 4, sizeMax: 512);
    }

    [Fact]
    public void Its_own_time_counts_from_the_submit_also_when_it_waited_behind_a_suspect()
    {
        Device.HoldsBack = true;
        TestRequest suspect = Submit(BlockOperation.Read, 0, 1);
        Disk.Kick();
        Machine.Run();
        ulong start = Machine.Clock.Now;
        Look(start + 50 * Tick);
        Device.AskForReset();
        Disk.Poll();
        Machine.Run();
        TestRequest hasty = new() { Timeout = 100 * Tick };
        hasty.Prepare(BlockOperation.Read, 1, Allocate(512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(hasty));
        Look(start + 95 * Tick);
        Device.Complete(0);
        Disk.Poll();
        Machine.Run();
        Assert.Equal((IoStatus.Ok, 1, IoStatus.InFlight), (suspect.Status, Device.HeldBack.Count, hasty.Status));
        Look(start + 175 * Tick);
        Assert.Equal(IoStatus.TimedOut, hasty.Status);
    }

    [Fact]
    public void A_request_of_many_parts_that_breaks_the_ring_between_two_parts_ends_with_an_error()
    {
        Device.HoldsBack = true;
        TestRequest culprit = Submit(BlockOperation.Read, 0, 16);
        Disk.Kick();
        Machine.Run();
        for (int round = 0; round < 50 && culprit.Status == IoStatus.InFlight; round++)
        {
            Assert.NotEmpty(Device.HeldBack);
            Device.CompleteAll();
            Device.Queues[0].PushUsed(0xFFFF, 0);
            Disk.Poll();
            Machine.Run();
        }
        Assert.Equal((IoStatus.DeviceError, 1, 2ul), (culprit.Status, culprit.Completions, Disk.Recoveries));
    }

    [Fact]
    public void What_is_submitted_where_one_is_ended_that_waited_too_long_is_told_to_the_device()
    {
        Device.HoldsBack = true;
        TestRequest holding = Submit(BlockOperation.Read, 0, 2);
        TestRequest next = TestRequest.For(BlockOperation.Read, 9, Allocate(512));
        TestRequest waiting = new() { Timeout = 20_000_000, Then = _ => Assert.Equal(IoStatus.Ok, Disk.Submit(next)) };
        DmaBuffer large = Allocate(2048);
        waiting.Prepare(BlockOperation.Read, 20, [large.Slice(0, 512), large.Slice(512, 512), large.Slice(1024, 512), large.Slice(1536, 512)]);
        Assert.Equal(IoStatus.Ok, Disk.Submit(waiting));
        Disk.Kick();
        Machine.Run();
        for (int i = 0; i < 4 && waiting.Status == IoStatus.InFlight; i++)
        {
            Machine.FakeClock.Advance(11_000_000);
            Disk.OnDeadline(Machine.Clock.Now);
            Machine.Run();
        }
        Assert.Equal((IoStatus.TimedOut, IoStatus.InFlight), (waiting.Status, holding.Status));
        Assert.Equal(2, Device.HeldBack.Count);
    }

    private void Look(ulong until)
    {
        while (Machine.Clock.Now < until)
        {
            Machine.FakeClock.Advance(10 * Tick);
            if (Machine.Clock.Now >= Disk.NextDeadline)
            {
                Disk.OnDeadline(Machine.Clock.Now);
            }
            Machine.Run();
        }
    }
}
