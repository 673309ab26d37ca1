// The contracts on QEMU's virtio-mmio devices, of both versions, with interrupt lines.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>A disk of microvm.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestMmioBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, bus: QtestBus.Mmio);
}

/// <summary>A disk of microvm with a packed ring.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPackedMmioBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",packed=on", bus: QtestBus.Mmio);
}

/// <summary>A disk of microvm with registers of version 1.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyMmioBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, bus: QtestBus.LegacyMmio);
}

/// <summary>A console of microvm.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestMmioConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(bus: QtestBus.Mmio);
}

/// <summary>A console of microvm with registers of version 1.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLegacyMmioConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(bus: QtestBus.LegacyMmio);
}

/// <summary>What only a real line shows.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestMmioTests
{
    [Theory]
    [InlineData(QtestBus.Mmio, "virtio-mmio", true)]
    [InlineData(QtestBus.LegacyMmio, "legacy virtio-mmio", false)]
    [Trait("Requirement", "MMIO-IRQ-1")]
    [Trait("Requirement", "MMIO-IRQ-3")]
    [Trait("Requirement", "MMIO-REG-19")]
    public void The_line_goes_up_with_a_used_buffer_and_down_when_it_is_acknowledged(QtestBus bus, string name, bool isModern)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), bus: bus);
        VirtioBlk disk = (VirtioBlk)backend.Disk;
        Assert.Equal((name, InterruptKind.Pin), (disk.Virtio.Transport.Name, disk.Virtio.InterruptKind));
        Assert.Equal(isModern, disk.Virtio.Has(VirtioFeature.Version1));
        QtestMmioMachine machine = backend.MmioMachine;
        DmaBuffer buffer = backend.Allocate(512);
        for (byte round = 1; round < 20; round++)
        {
            backend.WriteMedium(round, Enumerable.Repeat(round, 512).ToArray());
            Assert.False(machine.IsLineUp);
            TestRequest request = TestRequest.For(BlockOperation.Read, round, buffer);
            Assert.Equal(IoStatus.Ok, disk.Submit(request));
            disk.Kick();
            // Nobody looks at the ring: it is the line that has to say that there is something.
            Assert.True(backend.Clock.WaitForInterrupt(backend.Clock.Now + 30_000_000_000), "the line never went up");
            Assert.False(machine.IsLineUp, "the line stays up after it was acknowledged");
            disk.Poll();
            Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
            Assert.Equal(-1, buffer.Span.IndexOfAnyExcept(round));
            Assert.Equal(round, machine.Interrupts);
        }
        Assert.Equal(19ul, disk.Interrupts);
        backend.Disk.Dma.Free(buffer);
        disk.Remove();
    }

    [Theory]
    [InlineData(QtestBus.Mmio)]
    [InlineData(QtestBus.LegacyMmio)]
    public void A_device_that_was_removed_is_left_reset_with_its_line_down(QtestBus bus)
    {
        using QtestBlockBackend backend = new(new BlockSetup(), bus: bus);
        VirtioBlk disk = (VirtioBlk)backend.Disk;
        DmaBuffer buffer = backend.Allocate(512);
        Assert.Equal(IoStatus.Ok, disk.Submit(TestRequest.For(BlockOperation.Read, 0, buffer)));
        disk.Kick();
        disk.Remove();
        Assert.Equal(0, disk.Virtio.Transport.ReadStatus());
        Assert.False(disk.Virtio.Transport.IsQueueEnabled(0));
        Assert.False(backend.MmioMachine.IsLineUp);
        disk.Dma.Free(buffer);
    }
}
