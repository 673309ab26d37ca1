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
public sealed class ModernPciTransportTests : MachineScene
{
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
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set16(PciRegisters.VendorId, vendor);
        function.Set16(PciRegisters.DeviceId, id);
        function.Set16(PciRegisters.SubsystemId, subsystem);
        Assert.Equal(type, VirtioPciDriver.TypeOf(new ScannedPciFunction(Machine, function.Address)));
        Assert.Equal(type != 0, new VirtioPciDriver(new VirtioDriverTable()).Matches(new ScannedPciFunction(Machine, function.Address)));
    }

    [Fact]
    public void A_type_without_a_driver_is_left_alone()
    {
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set16(PciRegisters.DeviceId, 0x1040 + FakeQueueDevice.Type);
        DeviceTable devices = FakeBinding.Attach(Machine, out List<ProbeResult> results);
        Assert.Equal((0, ProbeStatus.NotMine), (devices.Count, results[0].Status));
        Assert.False(function.IsBusMaster);
        Assert.Equal(0, function.Device.Resets);
    }

    [Fact]
    public void A_device_with_the_legacy_interface_only_is_refused_and_the_reason_says_so()
    {
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        function.Set16(PciRegisters.DeviceId, 0x1001);
        function.Set16(PciRegisters.SubsystemId, 2);
        function.Set16(PciRegisters.Status, 0);
        FakeBinding.Attach(Machine, out List<ProbeResult> results);
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
        device.PrepareInterrupts(2);
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
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(disk), 0, 3);
        function.Set8(function.ConfigCapability + 3, 0x77);
        ScannedPciFunction scanned = new(Machine, function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, 4, out ModernPciTransport? transport).IsBound);
        Assert.Equal(0u, transport!.ConfigLength);
        transport.Disable();
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [Trait("Requirement", "PCI-CAP-3")]
    public void Of_doorbells_in_memory_and_in_ports_the_first_are_used(bool portIsFirst, bool usesPort)
    {
        FakeQueueDevice peer = new(8);
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(peer), 0, 3);
        function.AddPortDoorbells(portIsFirst);
        ExpectOneNotification(function, peer, usesPort, usesPort ? "modern PCI (notified by a port)" : "modern PCI");
    }

    [Theory]
    [InlineData(true, true)] // the capability of the doorbells in memory is unusable
    [InlineData(false, false)] // the machine has no ports
    [Trait("Requirement", "PCI-CAP-3")]
    public void Doorbells_that_can_not_be_used_are_passed_over(bool hasPorts, bool usesPort)
    {
        FakeQueueDevice peer = new(8);
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(peer), 0, 3);
        function.AddPortDoorbells(isFirst: !hasPorts);
        Machine.HasPorts = hasPorts;
        if (hasPorts)
        {
            function.Set32(function.NotifyCapability + 16, 6); // no even power of two
        }
        ExpectOneNotification(function, peer, usesPort, usesPort ? "modern PCI (notified by a port)" : "modern PCI");
    }

    [Theory]
    [InlineData(0, true)] // nobody gave the registers an address
    [InlineData(0x0010_0000, true)] // they lie in RAM
    [InlineData(1ul << 40, true)] // the processor can't form the address
    [InlineData(0xE800_0000, false)]
    [Trait("Requirement", "PCI-CFGACC-1")]
    [Trait("Requirement", "PCI-CFGACC-2")]
    [Trait("Requirement", "PCI-CFGACC-3")]
    public void Registers_that_can_not_be_mapped_are_reached_through_config_space(ulong address, bool usesWindow)
    {
        FakeQueueDevice peer = new(8);
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(peer), 0, 3);
        function.AssignBar(FakeVirtioPciDevice.RegisterBar, address);
        ExpectOneNotification(function, peer, usesPort: false, usesWindow ? "modern PCI (through config space)" : "modern PCI");
        Assert.Equal(usesWindow, function.WindowAccesses > 20);
    }

    [Fact]
    public void Doorbells_in_ports_are_preferred_to_those_that_only_config_space_reaches()
    {
        FakeQueueDevice peer = new(8);
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(peer), 0, 3);
        function.AddPortDoorbells(isFirst: false);
        function.AssignBar(FakeVirtioPciDevice.RegisterBar, 0);
        ExpectOneNotification(function, peer, usesPort: true, "modern PCI (through config space)");
    }

    [Fact]
    public void A_probe_that_finds_everything_reads_config_space_only_a_few_times()
    {
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(new FakeBlockDevice(64)), 0, 3);
        int accesses = 0;
        function.OnConfigRead = (_, _, value) =>
        {
            accesses++;
            return value;
        };
        DeviceTable devices = FakeBinding.Attach(Machine, out _);
        Assert.InRange(accesses, 1, 70); // each one costs two exits through the ports
        devices[0].Remove();
    }

    private void ExpectOneNotification(FakeVirtioPciDevice function, FakeQueueDevice peer, bool usesPort, string name)
    {
        ScannedPciFunction scanned = new(Machine, function.Address);
        ProbeResult result = ModernPciTransport.TryCreate(scanned, FakeQueueDevice.Type, out ModernPciTransport? transport);
        Assert.True(result.IsBound, result.Reason);
        Assert.Equal(name, transport!.Name);
        VirtioDevice device = new(transport);
        Assert.True(device.Negotiate(0, VirtioFeature.Supported).IsBound);
        device.PrepareInterrupts(1);
        Assert.True(device.CreateQueue(0, 8, out Virtqueue? queue).IsBound);
        device.Start();
        queue!.KickAgain();
        Assert.Equal((1, usesPort ? 1 : 0), (peer.Queues[0].Notifications, function.PortNotifications));
        Assert.True(device.Stop());
        device.FreeQueues();
    }

    private VirtioDevice Open(FakeVirtioDevice device, uint multiplier)
    {
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(device, notifyMultiplier: multiplier), 0, 3);
        ScannedPciFunction scanned = new(Machine, function.Address);
        Assert.True(ModernPciTransport.TryCreate(scanned, device.DeviceType, out ModernPciTransport? transport).IsBound);
        return new VirtioDevice(transport!);
    }
}
