// The life of a device: status bits in order, features, vectors, queues, failure.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio;

/// <summary>What <see cref="VirtioDevice"/> does with the registers, without a driver above it.</summary>
public sealed class VirtioDeviceTests : MachineScene
{
    private const uint StatusRegister = 20;

    private readonly List<uint> _statuses = [];

    [Fact]
    public void Status_bits_are_set_in_the_order_of_the_specification_and_none_is_cleared_but_by_a_reset()
    {
        FakeBlockDevice disk = new(64);
        disk.LeaveRunning();
        VirtioDevice device = Open(disk);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported).IsBound);
        device.PrepareInterrupts(1);
        Assert.True(device.CreateQueue(0, 64, out _).IsBound);
        device.Start();
        Assert.True(device.IsRunning);
        Assert.True(device.Stop());
        device.FreeQueues();
        Assert.Equal([0u, 1, 3, 11, 15, 0], _statuses);
        Assert.False(device.IsRunning);
    }

    [Fact]
    public void Only_features_that_are_offered_and_known_are_accepted()
    {
        FakeBlockDevice disk = new(64);
        disk.OfferedFeatures = VirtioFeature.Version1 | VirtioFeature.EventIndex | 1ul << 44 | 1ul << 63 | 1ul << 6;
        VirtioDevice device = Open(disk);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported | 1ul << 6 | 1ul << 9).IsBound);
        Assert.Equal(VirtioFeature.Version1 | VirtioFeature.EventIndex | 1ul << 6, disk.DriverFeatures);
        Assert.Equal(disk.DriverFeatures, device.Features);
        Assert.True(device.Has(1ul << 6));
        Assert.False(device.Has(1ul << 9));
        Assert.False(device.Has(VirtioFeature.IndirectDescriptors | VirtioFeature.EventIndex));
        Assert.Equal(disk.OfferedFeatures, device.OfferedFeatures);
        device.Stop();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "CORE-RSVD-3")]
    public void ACCESS_PLATFORM_is_accepted_when_it_is_offered(bool offered)
    {
        FakeBlockDevice disk = new(64);
        disk.OfferedFeatures |= offered ? VirtioFeature.AccessPlatform : 0;
        VirtioDevice device = Open(disk);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported).IsBound);
        Assert.Equal(offered, device.Has(VirtioFeature.AccessPlatform));
        device.Stop();
    }

    [Fact]
    public void A_required_feature_that_is_not_offered_ends_the_probe_with_its_bit()
    {
        VirtioDevice device = Open(new FakeBlockDevice(64));
        ProbeResult result = device.Negotiate(VirtioFeature.Version1 | 1ul << 5, VirtioFeature.Supported);
        Assert.Equal((ProbeStatus.Failed, 1ul << 5), (result.Status, result.Value));
        Assert.Equal([0u, 1, 3, 0x83, 0], _statuses);
    }

    [Fact]
    public void Refused_features_end_the_probe_with_FAILED_and_a_reset()
    {
        FakeBlockDevice disk = new(64) { RefusesFeatures = _ => true };
        VirtioDevice device = Open(disk);
        Assert.Equal(ProbeStatus.Failed, device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported).Status);
        Assert.Equal([0u, 1, 3, 11, 0x8B, 0], _statuses);
        Assert.True(disk.WasGivenUp);
    }

    [Fact]
    public void A_reset_that_takes_its_time_is_waited_for_and_one_that_never_ends_is_not()
    {
        FakeBlockDevice slow = new(64) { ResetReads = 1000 };
        slow.LeaveRunning();
        VirtioDevice device = Open(slow);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported).IsBound);
        slow.ResetReads = -1;
        ulong start = Machine.Clock.Now;
        Assert.False(device.Stop());
        Assert.InRange(Machine.Clock.Now - start, 1ul, 3_000_000_000ul);
    }

    [Theory]
    [InlineData(4, 3, false)] // more vectors than are asked for
    [InlineData(3, 3, false)]
    [InlineData(2, 2, true)] // one for the configuration, one for all queues
    [InlineData(1, 1, true)]
    public void Each_queue_has_a_vector_of_its_own_where_there_are_enough(int vectors, int granted, bool shared)
    {
        FakeConsoleDevice console = new();
        FakeVirtioPciDevice function = Plug(new FakeVirtioPciDevice(console, (ushort)vectors));
        VirtioDevice device = Begin(function);
        device.PrepareInterrupts(2);
        Assert.True(device.CreateQueue(0, 8, out Virtqueue? first).IsBound);
        Assert.True(device.CreateQueue(1, 8, out Virtqueue? second).IsBound);
        Assert.Equal((InterruptKind.MsiX, granted), (device.InterruptKind, (int)device.VectorCount));
        Assert.Equal(shared, console.Queues[0].Vector == console.Queues[1].Vector);
        Assert.Equal(vectors > 1, function.ConfigVector != console.Queues[0].Vector);
        device.Start();

        function.RaiseQueue(console.Queues[1].Vector);
        Assert.True(second!.TakeInterrupt());
        Assert.Equal(shared, first!.TakeInterrupt());
        function.RaiseConfig();
        Assert.True(device.TakeConfigChange());
        Assert.False(device.TakeConfigChange());
        device.Stop();
        device.FreeQueues();
        Assert.Equal(0, Machine.HandlerCount);
    }

    [Theory]
    [InlineData(0, false, false)] // spurious: somebody else on the line
    [InlineData(1, true, false)]
    [InlineData(2, true, true)]
    [InlineData(3, true, true)]
    public void With_a_pin_the_interrupt_status_says_who_is_meant(byte status, bool queueHears, bool configHears)
    {
        FakeConsoleDevice console = new();
        FakeVirtioPciDevice function = Plug(new FakeVirtioPciDevice(console, vectors: 0));
        VirtioDevice device = Begin(function);
        device.PrepareInterrupts(2);
        Assert.True(device.CreateQueue(0, 8, out Virtqueue? queue).IsBound);
        Assert.Equal((InterruptKind.Pin, 1), (device.InterruptKind, (int)device.VectorCount));
        Assert.Equal(VirtioTransport.NoVector, console.Queues[0].Vector);
        device.Start();
        bool first = true;
        function.OnReadIsr = right =>
        {
            byte shown = first ? status : right;
            first = false;
            return shown;
        };
        function.RaiseQueue(VirtioTransport.NoVector);
        Assert.Equal((queueHears, configHears), (queue!.TakeInterrupt(), device.TakeConfigChange()));
        device.Stop();
        device.FreeQueues();
    }

    [Theory]
    [InlineData(256, 1024, 256)]
    [InlineData(256, 256, 256)]
    [InlineData(256, 100, 64)]
    [InlineData(256, 1, 1)]
    public void A_queue_is_as_large_as_wanted_rounded_down_to_a_power_of_two(ushort offered, ushort wanted, ushort size)
    {
        FakeBlockDevice disk = new(64, offered);
        VirtioDevice device = Begin(Plug(new FakeVirtioPciDevice(disk)));
        device.PrepareInterrupts(1);
        Assert.True(device.CreateQueue(0, wanted, out Virtqueue? queue).IsBound);
        Assert.Equal((size, size), (queue!.Size, disk.Queues[0].Size));
        Assert.Same(queue, device.Queue(0));
        device.Stop();
        device.FreeQueues();
    }

    [Fact]
    public void A_queue_that_does_not_exist_is_an_answer()
    {
        VirtioDevice device = Begin(Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64))));
        device.PrepareInterrupts(1);
        Assert.Equal(0, device.Transport.ReadMaxQueueSize(1));
        Assert.Equal(ProbeStatus.Failed, device.CreateQueue(1, 64, out _).Status);
        Assert.Equal(0x8Bu, _statuses[^2]);
    }

    [Fact]
    public void Fields_behind_the_end_of_the_configuration_are_never_read()
    {
        FakeConsoleDevice console = new();
        VirtioDevice device = Begin(Plug(new FakeVirtioPciDevice(console)));
        ushort end = (ushort)device.Transport.ConfigLength;
        Assert.Equal(0u, device.ReadConfig32((ushort)(end - 2)));
        Assert.Equal(0, device.ReadConfig16(end));
        Assert.False(device.TryReadConfig64((ushort)(end - 4), out _));
        Assert.Equal(0u, device.ReadConfig32(ushort.MaxValue));
        device.Stop();
    }

    [Theory]
    [InlineData(8)]
    [InlineData(7)]
    public void A_field_of_64_bits_is_read_when_the_configuration_ends_with_it(int length)
    {
        VirtioDevice device = BeginWithConfig(new FakeBlockDevice(64), length);
        Assert.Equal(length >= 8, device.TryReadConfig64(0, out ulong sectors));
        Assert.Equal(length >= 8 ? 64ul : 0, sectors);
        device.Stop();
    }

    [Theory]
    [InlineData(12)]
    [InlineData(11)]
    public void A_field_of_32_bits_is_written_when_the_configuration_ends_with_it(int length)
    {
        FakeConsoleDevice console = new();
        console.OfferedFeatures |= FakeConsoleDevice.EmergencyWrite;
        VirtioDevice device = BeginWithConfig(console, length, FakeConsoleDevice.EmergencyWrite);
        Assert.Equal(length >= 12, device.TryWriteConfig32(8, 'x'));
        Assert.Equal(length >= 12 ? [(byte)'x'] : [], console.Emergency);
        device.Stop();
    }

    [Theory]
    [InlineData(16)]
    [InlineData(15)]
    public void A_field_of_32_bits_is_read_when_the_configuration_ends_with_it(int length)
    {
        FakeBlockDevice disk = new(64);
        disk.Limit(7, 4096);
        VirtioDevice device = BeginWithConfig(disk, length, FakeBlockDevice.SegMax | FakeBlockDevice.SizeMax);
        Assert.Equal(length >= 16 ? 7u : 0, device.ReadConfig32(12));
        device.Stop();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(3)]
    public void A_field_of_16_bits_is_read_when_the_configuration_ends_with_it(int length)
    {
        FakeConsoleDevice console = new();
        console.SetSize(80, 25);
        VirtioDevice device = BeginWithConfig(console, length, FakeConsoleDevice.HasSize);
        Assert.Equal(length >= 4 ? 25 : 0, device.ReadConfig16(2));
        device.Stop();
    }

    [Theory]
    [InlineData(33)]
    [InlineData(32)]
    public void A_byte_is_read_and_written_when_it_is_the_last_of_the_configuration(int length)
    {
        FakeBlockDevice disk = new(64);
        disk.OfferedFeatures |= FakeBlockDevice.ConfigWriteCache | FakeBlockDevice.Flush;
        VirtioDevice device = BeginWithConfig(disk, length, FakeBlockDevice.ConfigWriteCache | FakeBlockDevice.Flush);
        Assert.Equal(length >= 33, device.TryWriteConfig8(32, 1));
        Assert.Equal(length >= 33 ? 1 : 0, device.ReadConfig8(32));
        device.Stop();
    }

    [Fact]
    public void Only_queues_that_were_created_can_be_asked_for()
    {
        VirtioDevice device = Begin(Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64))));
        device.PrepareInterrupts(1);
        Assert.ThrowsAny<Exception>(() => device.Queue(0));
        Assert.True(device.CreateQueue(0, 64, out Virtqueue? queue).IsBound);
        Assert.Same(queue, device.Queue(0));
        Assert.ThrowsAny<Exception>(() => device.Queue(1));
        Assert.ThrowsAny<Exception>(() => device.Queue(-1));
        device.Stop();
        device.FreeQueues();
    }

    [Fact]
    public void Sixty_four_bits_that_belong_together_are_read_again_until_the_generation_holds_still()
    {
        FakeBlockDevice disk = new(64);
        VirtioDevice device = Begin(Plug(new FakeVirtioPciDevice(disk)));
        int changes = 3;
        disk.OnReadConfig = (offset, _, value) =>
        {
            if (offset == 4 && changes-- > 0)
            {
                disk.ChangeConfig(config => config[0]++);
            }
            return value;
        };
        Assert.True(device.TryReadConfig64(0, out ulong sectors));
        Assert.Equal(67ul, sectors);
        changes = int.MaxValue;
        Assert.False(device.TryReadConfig64(0, out _));
        device.Stop();
    }

    /// <summary>A device whose capability says that its configuration has this length, with these features agreed on.</summary>
    private VirtioDevice BeginWithConfig(FakeVirtioDevice fake, int length, ulong features = 0)
    {
        FakeVirtioPciDevice function = Plug(new FakeVirtioPciDevice(fake));
        function.Set32(function.ConfigCapability + 12, (uint)length);
        VirtioDevice device = Open(function);
        Assert.True(device.Negotiate(VirtioFeature.Version1 | features, 0).IsBound);
        Assert.Equal((uint)length, device.Transport.ConfigLength);
        return device;
    }

    private VirtioDevice Open(FakeVirtioDevice device) => Open(Plug(new FakeVirtioPciDevice(device)));

    private VirtioDevice Open(FakeVirtioPciDevice function)
    {
        ScannedPciFunction scanned = new(Machine, function.Address);
        ProbeResult result = ModernPciTransport.TryCreate(scanned, function.Device.DeviceType, out ModernPciTransport? transport);
        Assert.True(result.IsBound, result.Reason);
        return new VirtioDevice(transport!);
    }

    private VirtioDevice Begin(FakeVirtioPciDevice function)
    {
        VirtioDevice device = Open(function);
        ProbeResult result = device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported);
        Assert.True(result.IsBound, result.Reason);
        return device;
    }

    private FakeVirtioPciDevice Plug(FakeVirtioPciDevice function)
    {
        function.OnWriteCommon = (offset, _, value) =>
        {
            if (offset == StatusRegister)
            {
                _statuses.Add(value);
            }
            return false;
        };
        return Machine.Plug(function, 0, 3);
    }
}
