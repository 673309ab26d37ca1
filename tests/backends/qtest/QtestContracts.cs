// The contracts on QEMU's own devices.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>A PC of QEMU with a disk.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPciHostTests : PciHostContract
{
    /// <inheritdoc/>
    protected override PciHostBackend Open() => new Backend();

    private sealed class Backend : PciHostBackend
    {
        private readonly QtestMachine _machine = new(
            QtestBinding.NewFolder(), "-blockdev", "driver=null-co,node-name=null,size=1048576", "-device", "virtio-blk-pci,drive=null,disable-legacy=on");

        public override PciHost Host => _machine;

        public override PciAddress EmptySlot => new(0, 0, 30, 0);

        public override ulong RamAddress => 0x0010_0000;

        public override void Dispose() => _machine.Dispose();
    }
}

/// <summary>QEMU's disk as it comes.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup);
}

/// <summary>QEMU's disk without EVENT_IDX and indirect descriptors, and with a short queue.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPlainBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",event_idx=off,indirect_desc=off,queue-size=16");
}

/// <summary>QEMU's disk with one vector for everything.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceWithOneVectorTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",vectors=1");
}

/// <summary>QEMU's disk without MSI-X: it interrupts by its pin.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestBlockDeviceWithPinTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",vectors=0");

    [Fact]
    public void The_pin_is_seen_to_rise()
    {
        using QtestBlockBackend backend = new(new BlockSetup(), ",vectors=0");
        VirtioBlk disk = (VirtioBlk)backend.Disk;
        Assert.Equal(InterruptKind.Pin, disk.Virtio.InterruptKind);
        DmaBuffer buffer = backend.Allocate(512);
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Waiting.Until(disk, backend.Clock, () => request.Completions == 1 && disk.Interrupts > 0, "a read and its interrupt");
        disk.Remove();
        disk.Dma.Free(buffer);
    }
}

/// <summary>QEMU's disk without any interrupt.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPolledBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, bus: QtestBus.PolledPci);
}

/// <summary>QEMU's console with two vectors for three events.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestConsolePortWithTwoVectorsTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",vectors=2");
}

/// <summary>QEMU's console without MSI-X: it interrupts by its pin.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestConsolePortWithPinTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",vectors=0");
}

/// <summary>QEMU's console as it comes.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend();
}

/// <summary>QEMU's console without EVENT_IDX and indirect descriptors.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPlainConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",event_idx=off,indirect_desc=off");
}

/// <summary>QEMU's disk with a packed ring.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPackedBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",packed=on");
}

/// <summary>QEMU's disk with a short packed ring, without EVENT_IDX and indirect descriptors.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPlainPackedBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",packed=on,event_idx=off,indirect_desc=off,queue-size=16");
}

/// <summary>QEMU's disk with the longest packed ring that it offers.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestLongPackedBlockDeviceTests(ITestOutputHelper output) : BlockDeviceContract(output)
{
    /// <inheritdoc/>
    protected override BlockBackend Open(BlockSetup setup) => new QtestBlockBackend(setup, ",packed=on,queue-size=1024");
}

/// <summary>QEMU's console with packed rings.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPackedConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",packed=on");
}

/// <summary>QEMU's console with packed rings, without EVENT_IDX and indirect descriptors.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPlainPackedConsolePortTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",packed=on,event_idx=off,indirect_desc=off");
}

/// <summary>QEMU's console without several ports.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestSinglePortConsoleTests(ITestOutputHelper output) : ConsolePortContract(output)
{
    /// <inheritdoc/>
    protected override ConsoleBackend Open() => new QtestConsoleBackend(",max_ports=1");
}
