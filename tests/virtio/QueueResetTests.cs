// RING_RESET: one queue is stopped, reset and begun anew while the others run (virtio 2.6.1).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio;

/// <summary>A device with two queues, whose other side the test plays.</summary>
[Trait("Requirement", "PCI-COMMON-6")]
public sealed class QueueResetTests : IDisposable
{
    private const uint QueueResetRegister = 58;
    private const uint QueueEnableRegister = 28;

    private readonly FakeMachine _machine = new();
    private readonly FakeQueueDevice _peer = new(8, queues: 2);
    private readonly FakeVirtioPciDevice _function;
    private readonly DmaBuffer _memory;

    public QueueResetTests()
    {
        _peer.OfferedFeatures |= VirtioFeature.RingReset;
        _function = _machine.Plug(new FakeVirtioPciDevice(_peer), 0, 3);
        Assert.True(_machine.Dma.TryAllocate(1024, 64, out _memory));
    }

    [Theory]
    [InlineData(0, 0ul)]
    [InlineData(20, 0ul)]
    [InlineData(20, VirtioFeature.RingPacked)]
    [InlineData(20, VirtioFeature.RingPacked | VirtioFeature.InOrder | VirtioFeature.NotificationData | VirtioFeature.NotifConfigData)]
    [Trait("Requirement", "CORE-VQRESET-1")]
    [Trait("Requirement", "CORE-VQRESET-2")]
    [Trait("Requirement", "CORE-VQRESET-3")]
    [Trait("Requirement", "PCI-COMMON-7")]
    [Trait("Requirement", "PCI-COMMON-8")]
    public void A_queue_is_reset_and_begun_anew_while_the_other_runs(int looks, ulong features)
    {
        _peer.OfferedFeatures |= features;
        VirtioDevice device = Start();
        _peer.Queues[0].ResetReads = looks;
        for (int round = 0; round < 3; round++)
        {
            Virtqueue first = device.Queue(0);
            Assert.True(first.TryAdd([_memory.Slice(0, 16)], [_memory.Slice(16, 16)], 5));
            Assert.True(first.TryAdd([_memory.Slice(32, 16)], [], 6));
            first.Kick();
            Assert.NotNull(_peer.Queues[0].Take());
            Assert.True(device.TryHaltQueue(first));
            Assert.False(_peer.Queues[0].IsEnabled);
            Assert.True(first.TryDetach(out ushort one) & first.TryDetach(out ushort other));
            Assert.Equal((5, 6), (Math.Min(one, other), Math.Max(one, other)));
            Assert.False(first.TryDetach(out _));

            RoundTrip(device, 1);
            Assert.True(device.RestartQueue(first));
            RoundTrip(device, 0);
            RoundTrip(device, 1);
        }
        Assert.Equal(1, _peer.Resets); // the device itself was reset at the beginning only
        End(device);
    }

    [Fact]
    public void A_broken_queue_is_as_new_after_its_reset()
    {
        VirtioDevice device = Start();
        Virtqueue queue = device.Queue(1);
        _peer.Queues[1].PushUsed(3, 0);
        Assert.False(queue.TryTakeUsed(out _, out _));
        Assert.True(queue.IsBroken);
        Assert.True(device.TryHaltQueue(queue));
        Assert.True(device.RestartQueue(queue));
        Assert.False(queue.IsBroken);
        RoundTrip(device, 1);
        RoundTrip(device, 0);
        End(device);
    }

    [Fact]
    public void A_queue_that_was_reset_and_not_begun_anew_can_be_freed_with_the_others()
    {
        VirtioDevice device = Start();
        Assert.True(device.TryHaltQueue(device.Queue(0)));
        RoundTrip(device, 1);
        End(device);
    }

    [Fact]
    [Trait("Requirement", "CORE-VQRESET-1")]
    [Trait("Requirement", "PCI-COMMON-7")]
    public void M20_a_reset_that_never_ends_is_given_up_after_a_second_and_nothing_is_taken_back()
    {
        VirtioDevice device = Start();
        Virtqueue queue = device.Queue(0);
        _peer.Queues[0].ResetReads = -1;
        Assert.True(queue.TryAdd([_memory.Slice(0, 16)], [], 1));
        queue.Kick();
        Assert.NotNull(_peer.Queues[0].Take());
        ulong start = _machine.Clock.Now;
        Assert.False(device.TryHaltQueue(queue));
        Assert.InRange(_machine.Clock.Now - start, 900_000_000ul, 3_000_000_000ul);
        Assert.Equal(1, queue.InFlight);
        // The device's own reset is left.
        Assert.True(device.Stop());
        Assert.True(queue.TryDetach(out _));
        device.FreeQueues();
    }

    [Fact]
    [Trait("Requirement", "CORE-VQRESET-1")]
    public void M20b_a_queue_that_is_enabled_still_was_not_reset()
    {
        VirtioDevice device = Start();
        _function.OnReadCommon = (offset, _, value) => offset == QueueEnableRegister ? 1 : value;
        Assert.False(device.TryHaltQueue(device.Queue(0)));
        End(device);
    }

    [Fact]
    public void M20c_a_device_that_vanishes_during_the_reset_is_given_up()
    {
        VirtioDevice device = Start();
        _function.OnWriteCommon = (offset, _, _) =>
        {
            if (offset == QueueResetRegister)
            {
                _machine.MayMiss = true;
                _machine.Pull(_function);
            }
            return false;
        };
        Assert.False(device.TryHaltQueue(device.Queue(0)));
        End(device); // what has left its bus counts as reset
    }

    [Fact]
    public void A_device_that_does_not_let_the_queue_be_enabled_again_is_found_out()
    {
        VirtioDevice device = Start();
        Assert.True(device.TryHaltQueue(device.Queue(0)));
        _function.OnWriteCommon = (offset, _, _) => offset == QueueEnableRegister;
        Assert.False(device.RestartQueue(device.Queue(0)));
        End(device);
    }

    [Theory]
    [InlineData(true, 64, true)]
    [InlineData(true, 60, true)] // virtio 1.2
    [InlineData(true, 59, false)] // queue_reset is at 58 and 59
    [InlineData(true, 56, false)] // virtio 1.0
    [InlineData(false, 64, false)]
    [Trait("Requirement", "PCI-CAP-8")]
    public void It_is_agreed_on_only_when_it_is_offered_and_the_register_is_there(bool offered, uint length, bool agreed)
    {
        _function.Set32(_function.CommonCapability + 12, length);
        _peer.OfferedFeatures = offered ? _peer.OfferedFeatures : _peer.OfferedFeatures & ~VirtioFeature.RingReset;
        VirtioDevice device = Start();
        Assert.Equal(agreed, device.Has(VirtioFeature.RingReset));
        Assert.Equal(agreed, device.TryHaltQueue(device.Queue(0)));
        End(device);
    }

    public void Dispose()
    {
        try
        {
            _machine.Dma.Free(_memory);
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }

    private VirtioDevice Start()
    {
        ScannedPciFunction scanned = new(_machine, _function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, FakeQueueDevice.Type, out ModernPciTransport? transport).IsBound);
        VirtioDevice device = new(transport!);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported).IsBound);
        device.PrepareInterrupts(2);
        Assert.True(device.CreateQueue(0, 8, out _).IsBound);
        Assert.True(device.CreateQueue(1, 8, out _).IsBound);
        device.Start();
        return device;
    }

    /// <summary>One buffer there and back, with its interrupt.</summary>
    private void RoundTrip(VirtioDevice device, int number)
    {
        Virtqueue queue = device.Queue(number);
        FakeVirtqueue peer = _peer.Queues[number];
        int notified = peer.Notifications;
        Assert.True(queue.TryEnableInterrupts());
        queue.TakeInterrupt();
        Assert.True(queue.TryAdd([_memory.Slice(512, 16)], [_memory.Slice(600, 16)], 3));
        queue.Kick();
        Assert.Equal(notified + 1, peer.Notifications);
        FakeChain? chain = peer.Take();
        Assert.NotNull(chain);
        peer.EndWork();
        peer.Use(chain, 9);
        peer.Signal();
        Assert.True(queue.TakeInterrupt());
        Assert.True(queue.TryTakeUsed(out ushort token, out uint written));
        Assert.Equal((3, 9u), (token, written));
    }

    private static void End(VirtioDevice device)
    {
        Assert.True(device.Stop());
        device.FreeQueues();
    }
}
