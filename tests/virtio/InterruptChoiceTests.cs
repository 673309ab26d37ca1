// Which kind of interrupt a device gets: MSI-X, fewer vectors, MSI, the pin, none; in that order, and by what is refused.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Virtio;

/// <summary>A console has two queues and its configuration: three vectors at most.</summary>
public sealed class InterruptChoiceTests : MachineScene
{
    private const ushort NoVector = 0xFFFF;

    private readonly FakeConsoleDevice _device = new();

    [Theory]
    [InlineData(5, 64, false, InterruptKind.MsiX, InterruptKind.MsiX, 3)]
    [InlineData(3, 64, true, InterruptKind.MsiX, InterruptKind.MsiX, 3)]
    [InlineData(2, 64, true, InterruptKind.MsiX, InterruptKind.MsiX, 2)]
    [InlineData(1, 64, true, InterruptKind.MsiX, InterruptKind.MsiX, 1)]
    [InlineData(5, 2, true, InterruptKind.MsiX, InterruptKind.MsiX, 2)] // the machine has fewer messages than the device vectors
    [InlineData(5, 1, true, InterruptKind.MsiX, InterruptKind.MsiX, 1)]
    [InlineData(5, 0, true, InterruptKind.MsiX, InterruptKind.Pin, 1)]
    [InlineData(0, 64, true, InterruptKind.MsiX, InterruptKind.Msi, 1)]
    [InlineData(0, 1, true, InterruptKind.MsiX, InterruptKind.Msi, 1)]
    [InlineData(0, 0, true, InterruptKind.MsiX, InterruptKind.Pin, 1)]
    [InlineData(0, 64, false, InterruptKind.MsiX, InterruptKind.Pin, 1)]
    [InlineData(5, 64, true, InterruptKind.Msi, InterruptKind.Msi, 1)]
    [InlineData(5, 64, true, InterruptKind.Pin, InterruptKind.Pin, 1)]
    [InlineData(5, 64, true, InterruptKind.None, InterruptKind.None, 0)]
    public void The_best_kind_there_is_is_chosen_and_works(int vectors, int messages, bool hasMsi, InterruptKind best, InterruptKind expected, int granted)
    {
        Machine.Messages = messages;
        Machine.BestInterrupts = best;
        FakeVirtioPciDevice function = Plug((ushort)vectors, hasMsi);
        VirtioConsole console = Attach();
        Assert.Equal((expected, granted), (console.Virtio.InterruptKind, (int)console.Virtio.VectorCount));
        Assert.Equal(expected == InterruptKind.None, console.Virtio.IsPolled);
        bool isPinOff = (function.Get16(PciRegisters.Command) & PciRegisters.CommandInterruptDisable) != 0;
        Assert.Equal(expected is InterruptKind.MsiX or InterruptKind.Msi, isPinOff);
        GoesBothWays(console);
        // Only what polls may look for itself.
        Assert.Equal(expected == InterruptKind.None, console.Virtio.Queue(0).Interrupts == 0);
        Assert.Equal(expected == InterruptKind.None, console.Virtio.Queue(1).Interrupts == 0);
        HearsOfItsSize(console);
        console.Remove();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_pin_that_leads_nowhere_leaves_the_device_polled(bool hasPin)
    {
        Machine.HasPins = false;
        Machine.Plug(new FakeVirtioPciDevice(_device, vectors: 0, hasPin), 0, 3);
        VirtioConsole console = Attach();
        Assert.Equal((InterruptKind.None, true), (console.Virtio.InterruptKind, console.Virtio.IsPolled));
        GoesBothWays(console);
        console.Remove();
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void MSI_of_every_shape_works_and_is_turned_off_at_the_end(bool is64Bit, bool hasMasks)
    {
        _device.SetSize(80, 25);
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(_device, vectors: 0), 0, 3).AddMsi(is64Bit, hasMasks);
        VirtioConsole console = Attach();
        Assert.Equal(InterruptKind.Msi, console.Virtio.InterruptKind);
        Assert.True(function.Msi!.IsEnabled);
        GoesBothWays(console);
        HearsOfItsSize(console);
        console.Remove();
        Assert.False(function.Msi.IsEnabled);
    }

    [Theory]
    [InlineData(1)] // one queue's own vector: it falls back to the first
    [InlineData(2)]
    [InlineData(0)] // the configuration's: nobody hears of changes, the queues work
    public void A_vector_that_the_device_refuses_is_replaced(int refused)
    {
        FakeVirtioPciDevice function = Plug(5, hasMsi: false);
        function.RefusesVector = vector => vector == refused;
        VirtioConsole console = Attach();
        Assert.Equal(InterruptKind.MsiX, console.Virtio.InterruptKind);
        Assert.False(console.Virtio.IsPolled);
        GoesBothWays(console);
        Assert.NotEqual(0ul, console.Virtio.Queue(0).Interrupts);
        Assert.NotEqual(0ul, console.Virtio.Queue(1).Interrupts);
        console.Remove();
    }

    [Fact]
    public void A_device_that_refuses_every_vector_is_polled_survives_a_reset_and_is_reported_once()
    {
        using CapturedLog log = new();
        Plug(5, hasMsi: false).RefusesVector = vector => vector != NoVector;
        VirtioConsole console = Attach();
        Assert.True(console.Virtio.IsPolled);
        Assert.All(_device.Queues.Take(2), queue => Assert.Equal(NoVector, queue.Vector));
        GoesBothWays(console);
        _device.AskForReset();
        Waiting.Until(console, Machine.Clock, () => console.Recoveries == 1, "the recovery");
        GoesBothWays(console);
        console.Remove();
        Assert.Single(log.Entries, "virtio: the device refused the vector of configuration changes 0x0");
        Assert.Contains("virtio: the device refused every vector for a queue, which is polled 0x0", log.Entries);
        Assert.Contains("virtio: the device refused every vector for a queue, which is polled 0x1", log.Entries);
    }

    [Fact]
    public void Devices_that_share_a_pin_hear_each_their_own()
    {
        FakeBlockDevice disk = new(64);
        FakeVirtioPciDevice first = Machine.Plug(new FakeVirtioPciDevice(disk, vectors: 0), 0, 3);
        FakeVirtioPciDevice second = Machine.Plug(new FakeVirtioPciDevice(_device, vectors: 0), 0, 3, 1);
        first.Set8(PciRegisters.HeaderType, PciRegisters.HeaderMultifunction);
        Machine.SharePin(first, second);
        DeviceTable devices = FakeBinding.Attach(Machine, out _);
        Assert.Equal(2, devices.Count);
        VirtioBlk block = (VirtioBlk)devices[0];
        VirtioConsole console = (VirtioConsole)devices[1];
        GoesBothWays(console);
        Assert.Equal(0ul, block.Interrupts);
        Assert.True(Machine.Dma.TryAllocate(512, 512, out DmaBuffer buffer));
        TestRequest request = TestRequest.For(BlockOperation.Read, 0, buffer);
        ulong before = console.Virtio.Queue(0).Interrupts + console.Virtio.Queue(1).Interrupts;
        Assert.Equal(IoStatus.Ok, block.Submit(request));
        block.Kick();
        Waiting.Until(block, Machine.Clock, () => request.Completions > 0, "a read");
        Assert.Equal(1ul, block.Interrupts);
        Assert.Equal(before, console.Virtio.Queue(0).Interrupts + console.Virtio.Queue(1).Interrupts);
        Machine.Dma.Free(buffer);
        block.Remove();
        GoesBothWays(console);
        console.Remove();
    }

    private FakeVirtioPciDevice Plug(ushort vectors, bool hasMsi)
    {
        _device.SetSize(80, 25);
        FakeVirtioPciDevice function = Machine.Plug(new FakeVirtioPciDevice(_device, vectors), 0, 3);
        return hasMsi ? function.AddMsi() : function;
    }

    private VirtioConsole Attach() => FakeBinding.AttachOne<VirtioConsole>(Machine);

    private void GoesBothWays(VirtioConsole console)
    {
        int before = _device.Output.Length;
        Assert.Equal(3u, console.Port(0).Write("abc"u8));
        Waiting.Until(console, Machine.Clock, () => !console.Port(0).HasUnsent, "the output");
        Assert.Equal(before + 3, _device.Output.Length);
        _device.Type("xyz"u8);
        byte[] into = new byte[3];
        Waiting.Until(console, Machine.Clock, () => console.Port(0).Read(into) == 3, "the input");
    }

    private void HearsOfItsSize(VirtioConsole console)
    {
        _device.ChangeConfig(config => config[0] = 132);
        Waiting.Until(console, Machine.Clock, () => console.Port(0).Columns == 132, "the new size");
    }
}
