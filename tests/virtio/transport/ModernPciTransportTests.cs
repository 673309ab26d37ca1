// The registers of a modern device: which function is which, doorbells, and what a device may leave out.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Transport;

/// <summary><see cref="ModernPciTransport"/> and <see cref="VirtioPciDriver"/>.</summary>
public sealed class ModernPciTransportTests : IDisposable
{
    private readonly FakeMachine _machine = new();

    [Theory]
    [InlineData(0x1AF4, 0x1042, 0x1100, 2)] // modern: the id says it
    [InlineData(0x1AF4, 0x107F, 0, 0x3F)]
    [InlineData(0x1AF4, 0x1001, 2, 2)] // transitional: the subsystem says it
    [InlineData(0x1AF4, 0x1005, 4, 4)]
    [InlineData(0x1AF4, 0x103F, 0x1234, 0x1234)]
    [InlineData(0x1AF4, 0x1040, 2, 0)]
    [InlineData(0x1AF4, 0x1080, 2, 0)]
    [InlineData(0x1AF4, 0x0FFF, 2, 0)]
    [InlineData(0x1AF5, 0x1042, 2, 0)]
    public void The_ids_say_which_type_a_device_is(ushort vendor, ushort id, ushort subsystem, ushort type)
    {
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set16(PciRegisters.VendorId, vendor);
        function.Set16(PciRegisters.DeviceId, id);
        function.Set16(PciRegisters.SubsystemId, subsystem);
        Assert.Equal(type, VirtioPciDriver.TypeOf(new ScannedPciFunction(_machine, function.Address)));
        Assert.Equal(type != 0, new VirtioPciDriver().Matches(new ScannedPciFunction(_machine, function.Address)));
    }

    [Fact]
    public void A_type_without_a_driver_is_left_alone()
    {
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set16(PciRegisters.DeviceId, 0x1044);
        DeviceTable devices = FakeBinding.Attach(_machine, out List<ProbeResult> results);
        Assert.Equal((0, ProbeStatus.NotMine), (devices.Count, results[0].Status));
        Assert.False(function.IsBusMaster);
        Assert.Equal(0, function.Device.Resets);
    }

    [Fact]
    public void A_device_with_the_legacy_interface_only_is_refused_and_the_reason_says_so()
    {
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set16(PciRegisters.DeviceId, 0x1001);
        function.Set16(PciRegisters.SubsystemId, 2);
        function.Set16(PciRegisters.Status, 0);
        FakeBinding.Attach(_machine, out List<ProbeResult> results);
        Assert.Equal(ProbeStatus.Failed, results[0].Status);
        Assert.Contains("legacy", results[0].Reason);
        Assert.False(function.IsBusMaster);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(4u)]
    [InlineData(1024u)]
    public void Each_queue_is_notified_at_its_own_place(uint multiplier)
    {
        FakeConsoleDevice console = new();
        VirtioDevice device = Open(console, multiplier);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported).IsBound);
        Assert.True(device.PrepareInterrupts(2).IsBound);
        Assert.True(device.CreateQueue(0, 8, out Virtqueue? receive).IsBound);
        Assert.True(device.CreateQueue(1, 8, out Virtqueue? transmit).IsBound);
        device.Start();
        receive!.KickAgain(); // the fake checks offset, width and value
        transmit!.KickAgain();
        Assert.Equal((1ul, 1ul), (receive.Notifications, transmit.Notifications));
        device.Stop();
        device.FreeQueues();
    }

    [Fact]
    public void A_device_without_a_configuration_has_one_of_length_0()
    {
        FakeBlockDevice disk = new(64);
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(disk), 0, 3);
        function.Set8(function.ConfigCapability + 3, 0x77);
        ScannedPciFunction scanned = new(_machine, function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, 4, out ModernPciTransport? transport).IsBound);
        Assert.Equal(0u, transport!.ConfigLength);
        transport.Disable();
    }

    [Fact]
    public void A_probe_that_finds_everything_reads_config_space_only_a_few_times()
    {
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        int accesses = 0;
        function.OnConfigRead = (_, _, value) =>
        {
            accesses++;
            return value;
        };
        DeviceTable devices = FakeBinding.Attach(_machine, out _);
        Assert.InRange(accesses, 1, 70); // each one costs two exits through the ports
        devices[0].Remove();
    }

    public void Dispose()
    {
        try
        {
            _machine.AssertNothingLeaked();
        }
        finally
        {
            _machine.Dispose();
        }
    }

    private VirtioDevice Open(FakeVirtioDevice device, uint multiplier)
    {
        FakeVirtioPciDevice function = _machine.Plug(new FakeVirtioPciDevice(device, notifyMultiplier: multiplier), 0, 3);
        ScannedPciFunction scanned = new(_machine, function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, device.DeviceType, out ModernPciTransport? transport).IsBound);
        return new VirtioDevice(transport!);
    }
}
