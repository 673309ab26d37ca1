// The contracts on QEMU's own devices, over each way in which QEMU lets a modern device be reached.
using System.Text;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>QEMU's disk with no BAR that can be mapped: through config space, and polled.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceThroughConfigSpaceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup)
    {
        QtestBlockBackend backend = new(setup, mapsMemory: false);
        Assert.Equal("modern PCI (through config space)", ((VirtioBlk)backend.Disk).Virtio.Transport.Name);
        return backend;
    }
}

/// <summary>QEMU's console with no BAR that can be mapped.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestConsolePortThroughConfigSpaceTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open()
    {
        QtestConsoleBackend backend = new(mapsMemory: false);
        Assert.Equal("modern PCI (through config space)", ((VirtioConsole)backend.Device).Virtio.Transport.Name);
        return backend;
    }
}

/// <summary>QEMU's disk, told by a port: QEMU lists that capability before the one in memory.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceToldByPortTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup)
    {
        QtestBlockBackend backend = new(setup, ",modern-pio-notify=on");
        Assert.Equal("modern PCI (notified by a port)", ((VirtioBlk)backend.Disk).Virtio.Transport.Name);
        return backend;
    }
}

/// <summary>QEMU's console, told by a port.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestConsolePortToldByPortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",modern-pio-notify=on");
}

/// <summary>QEMU's disk, which refuses a driver that does not know of IOMMUs.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceBehindIommuTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup)
    {
        QtestBlockBackend backend = new(setup, ",iommu_platform=on");
        Assert.True(((VirtioBlk)backend.Disk).Virtio.Has(VirtioFeature.AccessPlatform));
        return backend;
    }
}

/// <summary>QEMU's disk with a page for each doorbell.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceWithPagesOfDoorbellsTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",page-per-vq=on");
}

/// <summary>What QEMU offers besides, and the reset of one queue.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestFeatureTests
{
    private const ulong NotOffered = VirtioFeature.OrderPlatform | VirtioFeature.InOrder | VirtioFeature.NotificationData | VirtioFeature.NotifConfigData;

    [Theory]
    [InlineData("", true)]
    [InlineData(",queue_reset=off", false)]
    public void RING_RESET_is_offered_unless_turned_off_and_some_features_never_are(string more, bool hasRingReset)
    {
        using QtestBlockBackend disk = new(new BlockSetup(), more);
        using QtestConsoleBackend console = new(more);
        foreach (VirtioDevice device in new[] { ((VirtioBlk)disk.Disk).Virtio, ((VirtioConsole)console.Device).Virtio })
        {
            Assert.Equal(hasRingReset, device.Has(VirtioFeature.RingReset));
            Assert.Equal(0ul, device.OfferedFeatures & NotOffered); // when a newer QEMU offers one of these, it is time for a test of it here
        }
        disk.Disk.Remove();
        console.Device.Remove();
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("", false)]
    [InlineData(",event_idx=off,indirect_desc=off,modern-pio-notify=on", true)]
    [InlineData(",packed=on", true)]
    [Trait("Requirement", "CORE-VQRESET-1")]
    [Trait("Requirement", "CORE-VQRESET-3")]
    public void A_queue_of_the_console_is_reset_and_begun_anew_while_the_other_runs(string more, bool mapsMemory)
    {
        using QtestConsoleHost host = new(more, mapsMemory);
        VirtioDevice device = StartConsole(host.Machine, out _);
        Virtqueue receive = device.Queue(0);
        Virtqueue transmit = device.Queue(1);
        Assert.True(host.Machine.Dma.TryAllocate(4096, 64, out DmaBuffer memory));
        string sent = "";
        for (int round = 0; round < 4; round++)
        {
            // Each queue is reset in turn, receiving with a buffer that waits in it; the other works meanwhile.
            Virtqueue reset = round % 2 == 0 ? transmit : receive;
            Assert.True(receive.TryAdd([], [memory.Slice(0, 64)], 1));
            receive.Kick();
            Assert.True(device.TryHaltQueue(reset));
            if (reset == receive)
            {
                Assert.True(receive.TryDetach(out ushort token));
                Assert.Equal(1, token);
                Transmit(host, transmit, memory.Slice(64, 64), $"while {round}\n", ref sent);
                Assert.True(device.RestartQueue(receive));
                Assert.True(receive.TryAdd([], [memory.Slice(0, 64)], 1));
                receive.Kick();
                ExpectInput(host, receive, memory, "after");
            }
            else
            {
                ExpectInput(host, receive, memory, "while");
                Assert.True(device.RestartQueue(transmit));
            }
            Transmit(host, transmit, memory.Slice(64, 64), $"after {round}\n", ref sent);
        }
        Assert.True(device.Stop());
        device.FreeQueues();
        host.Machine.Dma.Free(memory);
        Assert.Equal(0, host.Machine.MemoryInUse);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public void The_queue_of_the_disk_is_reset_between_requests(string more)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), more);
        VirtioDevice device = ((VirtioBlk)backend.Disk).Virtio;
        DmaBuffer buffer = backend.Allocate(512);
        for (byte round = 1; round < 20; round++)
        {
            backend.WriteMedium(round, Enumerable.Repeat(round, 512).ToArray());
            TestRequest request = TestRequest.For(BlockOperation.Read, round, buffer);
            Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
            backend.Disk.Kick();
            Wait(backend.Clock, () =>
            {
                backend.Disk.Poll();
                return request.Completions == 1;
            });
            Assert.Equal(IoStatus.Ok, request.Status);
            Assert.Equal(-1, buffer.Span.IndexOfAnyExcept(round));
            Assert.True(device.TryHaltQueue(device.Queue(0)));
            Assert.True(device.RestartQueue(device.Queue(0)));
        }
        backend.Disk.Dma.Free(buffer);
        backend.Disk.Remove();
    }

    [Fact]
    public void The_window_in_config_space_needs_no_BAR_that_is_decoded()
    {
        using QtestConsoleHost host = new(mapsMemory: false);
        VirtioDevice device = StartConsole(host.Machine, out PciFunction function);
        ushort command = function.ReadConfig16(PciRegisters.Command);
        function.WriteConfig16(PciRegisters.Command, (ushort)(command & ~(PciRegisters.CommandMemory | PciRegisters.CommandPorts)));
        Assert.True(host.Machine.Dma.TryAllocate(64, 64, out DmaBuffer memory));
        string sent = "";
        Transmit(host, device.Queue(1), memory, "through the window\n", ref sent);
        function.WriteConfig16(PciRegisters.Command, command);
        Assert.True(device.Stop());
        device.FreeQueues();
        host.Machine.Dma.Free(memory);
    }

    private static VirtioDevice StartConsole(QtestMachine machine, out PciFunction function)
    {
        PciScan scan = PciScan.Run(machine);
        function = Enumerable.Range(0, scan.Count).Select(i => scan[i]).Single(each => VirtioPciDriver.TypeOf(each) == 3);
        Assert.True(ModernPciTransport.TryCreate(function, 3, out ModernPciTransport? transport).IsBound);
        VirtioDevice device = new(transport!);
        Assert.True(device.Negotiate(0, VirtioFeature.Supported).IsBound);
        Assert.True(device.Has(VirtioFeature.RingReset));
        device.PrepareInterrupts(2);
        Assert.True(device.CreateQueue(0, 16, out _).IsBound);
        Assert.True(device.CreateQueue(1, 16, out _).IsBound);
        device.Start();
        return device;
    }

    private static void Transmit(QtestConsoleHost host, Virtqueue queue, in DmaBuffer buffer, string text, ref string sent)
    {
        Encoding.ASCII.GetBytes(text, buffer.Span);
        Assert.True(queue.TryAdd([buffer.Slice(0, (uint)text.Length)], [], 2));
        queue.Kick();
        ushort token = 0;
        Wait(host.Machine.Clock, () => queue.TryTakeUsed(out token, out _));
        Assert.Equal(2, token);
        string all = sent += text;
        Wait(host.Machine.Clock, () => Encoding.ASCII.GetString(host.Received()) == all);
    }

    private static void ExpectInput(QtestConsoleHost host, Virtqueue queue, in DmaBuffer memory, string text)
    {
        host.Send(Encoding.ASCII.GetBytes(text));
        uint length = 0;
        Wait(host.Machine.Clock, () => queue.TryTakeUsed(out _, out length));
        Assert.Equal(text, Encoding.ASCII.GetString(memory.Span.Slice(0, (int)length)));
    }

    private static void Wait(Clock clock, Func<bool> done)
    {
        ulong end = clock.Now + 30_000_000_000;
        while (!done())
        {
            Assert.True(clock.Now < end, "it never happens");
            clock.WaitForInterrupt(clock.Now + 1_000_000);
        }
    }
}
