// A disk that is as fast as its driver: others have to have their turn.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Requests that submit themselves again, to a device that is done with each at once.</summary>
public sealed class VirtioBlkPaceTests
{
    private const int Endless = 40_000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_is_always_done_already_does_not_keep_a_poll_from_ending(bool isPacked)
    {
        using FakeMachine machine = new();
        FakeBlockDevice device = new(64);
        device.OfferedFeatures |= isPacked ? FakeVirtioDevice.RingPacked : 0;
        machine.Plug(device);
        VirtioBlk disk = FakeBinding.AttachOne<VirtioBlk>(machine);
        Assert.True(machine.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        int wanted = Endless;
        TestRequest request = new()
        {
            Then = self =>
            {
                if (self.Completions < wanted)
                {
                    Assert.Equal(IoStatus.Ok, disk.Submit(self));
                    disk.Kick();
                    machine.Run();
                }
            },
        };
        request.Prepare(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        machine.Run();
        disk.Poll();
        Assert.InRange(request.Completions, 1, Endless / 2);

        // Nobody may sleep now: no interrupt was asked for, and the deadline is there at once, each time.
        ulong now = machine.Clock.Now;
        int before = request.Completions;
        Assert.True(disk.NextDeadline <= now);
        disk.OnDeadline(now);
        Assert.InRange(request.Completions, before + 1, Endless - 1);
        Assert.True(disk.NextDeadline <= now);

        // As soon as the device gets behind, all is as ever.
        wanted = request.Completions + 5;
        disk.OnDeadline(now);
        Assert.Equal((wanted, IoStatus.Ok), (request.Completions, request.Status));
        disk.OnDeadline(now);
        Assert.Equal(ulong.MaxValue, disk.NextDeadline);
        disk.Remove();
        machine.Dma.Free(buffer);
        machine.Violations.AssertEmpty();
        machine.AssertNothingLeaked();
    }
}
