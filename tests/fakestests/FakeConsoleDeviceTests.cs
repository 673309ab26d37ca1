// The fake console finds drivers that break the rules of control messages.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>Control messages by hand (virtio 5.3.6.2). The control transmit queue is the fourth.</summary>
public sealed class FakeConsoleDeviceTests : IDisposable
{
    private const ushort ControlQueue = 3;

    private readonly FakeConsoleDevice _device = new(RawDriver.QueueSize, ports: 2);
    private readonly RawDriver _driver;
    private ushort _sent;

    public FakeConsoleDeviceTests() => _driver = new RawDriver(_device, vectors: 2) { Queue = ControlQueue };

    public void Dispose() => _driver.Dispose();

    [Fact]
    [Trait("Requirement", "CONSOLE-MULTIPORT-1")]
    public void A_message_before_the_driver_said_that_it_is_ready_is_a_breach()
    {
        Start();
        _driver.Breaks("before DEVICE_READY", () => Send(1, 3, 1));
    }

    [Fact]
    public void Being_ready_twice_is_a_breach()
    {
        Start();
        Send(0, 0, 1);
        _driver.Breaks("a second time", () => Send(0, 0, 1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(7)]
    [InlineData(8)]
    public void A_message_that_only_devices_send_is_a_breach(ushort what)
    {
        Start();
        Send(0, 0, 1);
        _driver.Breaks("the driver sent control message", () => Send(0, what, 1));
    }

    [Fact]
    public void A_port_that_was_never_announced_can_be_refused_and_not_be_opened()
    {
        _device.Plug(1);
        Start();
        Send(0, 0, 1);
        Send(77, 3, 0);
        _driver.Breaks("which is not ready", () => Send(1, 6, 1));
    }

    [Fact]
    public void A_value_beyond_one_is_a_breach()
    {
        Start();
        Send(0, 0, 1);
        _driver.Breaks("with value 2", () => Send(1, 6, 2));
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-CONSOLE-EMERG-1")]
    [Trait("DeviceRequirement", "DEV-CONSOLE-EMERG-2")]
    public void An_emergency_write_is_heard_before_anything_was_set_up_by_its_low_byte()
    {
        _device.OfferedFeatures |= FakeConsoleDevice.EmergencyWrite;
        Assert.Equal(0u, _driver.Read(20, 1));
        _driver.Write(FakeVirtioPciDevice.ConfigOffset + 8, 4, 0xFFFF_FF00 | 'x');
        Assert.Equal([(byte)'x'], _device.Emergency);
    }

    [Fact]
    [Trait("DeviceRequirement", "DEV-CONSOLE-MULTIPORT-1")]
    [Trait("DeviceRequirement", "DEV-CONSOLE-MULTIPORT-2")]
    public void A_port_is_announced_once_and_taken_away_only_afterwards()
    {
        _device.Plug(1);
        Start();
        Assert.Equal(0, _device.MessagesLeft); // of a driver that is not ready
        Send(0, 0, 1);
        Assert.Equal(1, _device.MessagesLeft);
        Assert.Throws<InvalidOperationException>(() => _device.Plug(1));
        Assert.Throws<InvalidOperationException>(() => _device.Unplug(0));
        Assert.Throws<IndexOutOfRangeException>(() => _device.Plug(2));
        _device.Unplug(1);
        Assert.Throws<InvalidOperationException>(() => _device.Unplug(1));
        _device.Plug(1);
        Assert.Equal(3, _device.MessagesLeft);
    }

    private void Start() => _driver.Start(FakeVirtioDevice.Version1 | FakeConsoleDevice.Multiport);

    private void Send(uint port, ushort what, ushort value)
    {
        DmaBuffer message = _driver.Data.Slice(64u * _sent, 8);
        BitConverter.GetBytes(port).CopyTo(message.Span);
        BitConverter.GetBytes(what).CopyTo(message.Span[4..]);
        BitConverter.GetBytes(value).CopyTo(message.Span[6..]);
        _driver.Share(message, DmaDirection.ToDevice);
        _driver.Describe(_sent, message.DeviceAddress, 8, flags: 0);
        _driver.Offer(_sent++);
        _driver.Machine.Run();
    }
}
