// A PCI function with a trace around it: what its driver asks and does is passed on, and written down in that order.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Trace;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TracedFunctionTests
{
    private readonly TraceBench _bench = new();
    private readonly BenchFunction _function;

    public TracedFunctionTests() => _function = new BenchFunction(_bench);

    /// <summary>virtio 4.1.4: structures 1 to 4 are registers; the window of 4.1.4.9 is not in a BAR; what is not known is passed over.</summary>
    [Fact]
    public void Where_structures_are_is_said_in_the_order_of_the_capabilities()
    {
        _function[2][0] = 0x42;
        _function[3][0] = 0x10; // a modern id
        _function.WithVirtio(0x40, 4, 2, 0x2000, 0x1000).With(0x50, 0x05).WithVirtio(0x60, 5, 0, 0x77, 4).WithVirtio(0x74, 1, 4, 0, 0x38)
            .WithVirtio(0x84, 8, 1, 0, 0x10000).WithVirtio(0x94, 0, 1, 1, 1).WithVirtio(0xA4, 3, 5, 0x12345678, 0x9ABCDEF0).WithVirtio(0xB4, 2, 0, 8, 16)
            .WithVirtio(0xC4, 5, 0, 0, 4);
        Wrap();
        _bench.Says(
            "window 4 2 0x2000 0x1000 ; 4.1.4.6 device configuration",
            "window 1 4 0x0 0x38 ; 4.1.4.3 common configuration",
            "window 3 5 0x12345678 0x9abcdef0 ; 4.1.4.5 ISR status",
            "window 2 0 0x8 0x10 ; 4.1.4.4 notifications",
            "access 0x60 ; 4.1.4.9"); // the first of two
    }

    /// <summary>A transitional device has the legacy interface in BAR 0 besides (4.1.2.1).</summary>
    [Theory]
    [InlineData(0x1001, true, true)]
    [InlineData(0x103F, true, true)]
    [InlineData(0x1040, true, false)]
    [InlineData(0x1042, true, false)]
    [InlineData(0x1042, false, true)] // no structures: nothing else can be there
    public void A_device_with_the_legacy_interface_has_a_window_for_it(ushort id, bool hasStructures, bool isLegacy)
    {
        BitConverter.TryWriteBytes(_function[2], id);
        if (hasStructures)
        {
            _function.WithVirtio(0x40, 1, 4, 0, 0x38);
        }
        Wrap();
        List<string> expected = [];
        if (hasStructures)
        {
            expected.Add("window 1 4 0x0 0x38 ; 4.1.4.3 common configuration");
        }
        if (isLegacy)
        {
            expected.Add("window 5 0 0x0 0x1000 ; 4.1.4.10 legacy interface");
        }
        _bench.Says([.. expected]);
    }

    /// <summary>A capability that begins in the last bytes of config space has no fields.</summary>
    [Theory]
    [InlineData(0xF0, true)]
    [InlineData(0xF4, false)]
    public void A_capability_that_does_not_fit_is_passed_over(byte at, bool fits)
    {
        BitConverter.TryWriteBytes(_function[2], 0x1042);
        _function.WithVirtio(0x40, 2, 1, 0, 4);
        _function.WithVirtio(at, 1, 4, 0, 0x38);
        Wrap();
        _bench.Says(fits
            ? ["window 2 1 0x0 0x4 ; 4.1.4.4 notifications", "window 1 4 0x0 0x38 ; 4.1.4.3 common configuration"]
            : ["window 2 1 0x0 0x4 ; 4.1.4.4 notifications"]);
    }

    [Fact]
    public void Config_space_is_read_and_written_with_the_width_that_was_asked_for()
    {
        TracedFunction function = Plain();
        function.WriteConfig8(0x3C, 0x12);
        function.WriteConfig16(0x04, 0x3456);
        function.WriteConfig32(0x40, 0x789ABCDE);
        Assert.Equal((0x12, 0x3456, 0x789ABCDEu), (function.ReadConfig8(0x3C), function.ReadConfig16(0x04), function.ReadConfig32(0x40)));
        _bench.Says(
            "cfg w8 0x3c = 0x12 ; PCI 6.1", "(write 8 at 0x3c: 0x12)",
            "cfg w16 0x4 = 0x3456 ; PCI 6.1", "(write 16 at 0x4: 0x3456)",
            "cfg w32 0x40 = 0x789abcde ; PCI 6.7, 4.1.4", "(write 32 at 0x40: 0x789abcde)",
            "(read 8 at 0x3c)", "cfg r8 0x3c = 0x12 ; PCI 6.1",
            "(read 16 at 0x4)", "cfg r16 0x4 = 0x3456 ; PCI 6.1",
            "(read 32 at 0x40)", "cfg r32 0x40 = 0x789abcde ; PCI 6.7, 4.1.4");
        Assert.Equal((new PciAddress(0, 1, 2, 3), (ushort)4096), (function.Address, function.ConfigSpaceLength));
        Assert.Same(_bench.Clock, function.Clock);
    }

    /// <summary>Questions that are asked again and again are counted, whatever they are about.</summary>
    [Fact]
    public void What_is_asked_twice_is_counted()
    {
        TracedFunction function = Plain();
        _bench.ShowsMachine = false;
        for (int i = 0; i < 2; i++)
        {
            function.ReadConfig8(0x34);
        }
        for (int i = 0; i < 2; i++)
        {
            function.TryGetBar(1, out _);
        }
        for (int i = 0; i < 2; i++)
        {
            function.TryMapBar(2, out _);
        }
        for (int i = 0; i < 2; i++)
        {
            _ = function.IsPresent;
        }
        function.Disable();
        _bench.Says(
            "cfg r8 0x34 = 0x0 ; PCI 6.1", "same 1", "bar 1 = memory 0x4000", "same 1", "map 2 = 0x4000", "same 1", "present = yes", "same 1",
            "disable ; PCI 6.2.2 no bus mastering");
    }

    [Fact]
    public void What_a_function_grants_is_written_down()
    {
        TracedFunction function = Plain();
        Assert.True(function.TryGetBar(0, out PciBar bar));
        _function.IsPorts = true;
        Assert.True(function.TryGetBar(5, out _));
        Assert.True(function.TryMapBar(4, out IoRegion? region));
        Assert.True(function.TryEnable());
        Assert.True(function.IsPresent);
        Assert.True(function.TryAttachInterrupt(3, new BenchHandler(true)));
        Assert.Equal((0x4000ul, 0x4000ul), (bar.Length, region!.Length));
        _bench.Says(
            "(get BAR 0)", "bar 0 = memory 0x4000",
            "(get BAR 5)", "bar 5 = ports 0x4000",
            "(map BAR 4)", "map 4 = 0x4000",
            "(enable)", "enable = yes",
            "present = yes",
            "(attach 3)", "attach 3 = yes");
    }

    [Fact]
    public void What_a_function_refuses_is_written_down()
    {
        TracedFunction function = Plain();
        _function.Answer = false;
        Assert.False(function.TryGetBar(1, out _));
        Assert.False(function.TryMapBar(4, out IoRegion? region));
        Assert.False(function.TryEnable());
        Assert.False(function.TryAttachInterrupt(3, new BenchHandler(true)));
        Assert.False(function.IsPresent);
        Assert.Null(region);
        _bench.Says(
            "(get BAR 1)", "bar 1 = no",
            "(map BAR 4)", "map 4 = no",
            "(enable)", "enable = no",
            "(attach 3)", "attach 3 = no",
            "present = no");
    }

    [Fact]
    public void What_is_ended_is_said_before_it_is_ended()
    {
        TracedFunction function = Plain();
        function.ReleaseInterrupts();
        function.Disable();
        _bench.Says("release", "(release interrupts)", "disable ; PCI 6.2.2 no bus mastering", "(disable)");
    }

    [Theory]
    [InlineData(InterruptKind.MsiX, 3, " MSI-X")]
    [InlineData(InterruptKind.Msi, 3, " MSI")]
    [InlineData(InterruptKind.Pin, 3, " pin")]
    [InlineData(InterruptKind.None, 0, " none")]
    public void Interrupts_are_said_by_their_number_and_kind(InterruptKind kind, ushort granted, string words)
    {
        TracedFunction function = Plain();
        _function.Kind = kind;
        Assert.Equal(granted, function.PrepareInterrupts(4, out InterruptKind found));
        Assert.Equal(kind, found);
        _bench.Says("(prepare 4 interrupts)", $"interrupts 4 = {granted}{words} ; 4.1.5.1.2");
    }

    /// <summary>Only MSI-X moves the configuration of the legacy interface (4.1.4.10), and only while it is there.</summary>
    [Theory]
    [InlineData(InterruptKind.MsiX, "config_msix_vector = 0x0 ; 4.1.5.1.2")]
    [InlineData(InterruptKind.Msi, "config+0x0 = 0x0 ; 2.5 ")]
    [InlineData(InterruptKind.Pin, "config+0x0 = 0x0 ; 2.5 ")]
    public void Vectors_move_the_legacy_configuration(InterruptKind kind, string line)
    {
        TracedFunction function = Plain();
        _bench.Trace.AddWindow(WindowKind.Legacy, 0, 0, 4096);
        _bench.ShowsMachine = false;
        function.TryMapBar(0, out IoRegion? region);
        _function.Kind = kind;
        function.PrepareInterrupts(2, out _);
        _bench.Forget();
        region!.Read16(20);
        function.ReleaseInterrupts();
        region.Read16(20);
        _bench.Says("r16 " + line, "release", "r16 config+0x0 = 0x0 ; 2.5 ");
    }

    [Fact]
    public void A_BAR_that_is_mapped_twice_is_the_same_and_its_registers_are_those_of_its_windows()
    {
        TracedFunction function = Plain();
        _bench.Trace.AddWindow(WindowKind.Isr, 1, 0x10, 1);
        _bench.ShowsMachine = false;
        function.TryMapBar(1, out IoRegion? region);
        function.TryMapBar(1, out IoRegion? again);
        function.TryMapBar(2, out IoRegion? other);
        Assert.Same(region, again);
        Assert.NotSame(region, other);
        _bench.Forget();
        again!.Read8(0x10);
        other!.Read8(0x10);
        _bench.Says("r8 isr = 0x0 ; 4.1.4.5", "r8 register0x10 = 0x0 ; ");
    }

    /// <summary>Registers may be reached through config space alone: a BAR, an offset and a length are aimed at, then there is data (4.1.4.9).</summary>
    [Fact]
    public void What_goes_through_the_window_in_config_space_is_a_register()
    {
        BitConverter.TryWriteBytes(_function[2], 0x1042);
        _function.WithVirtio(0x40, 1, 4, 0x100, 0x38).WithVirtio(0x60, 5, 0, 0, 0);
        TracedFunction function = Wrap();
        _bench.Forget();
        function.WriteConfig8(0x64, 4);
        function.WriteConfig32(0x68, 0x114);
        function.WriteConfig32(0x6C, 1);
        function.WriteConfig8(0x70, 0x0F);
        function.ReadConfig8(0x70);
        function.WriteConfig32(0x68, 0x116);
        function.WriteConfig32(0x6C, 2);
        function.WriteConfig16(0x70, 3);
        function.ReadConfig16(0x70);
        function.WriteConfig32(0x68, 0x104);
        function.ReadConfig32(0x70);
        function.WriteConfig8(0x64, 3); // a BAR in which nothing is
        function.ReadConfig32(0x70);
        _bench.Says(
            "w8 device_status = 0xf ; 2.1 ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK",
            "r8 device_status = 0xf ; 2.1 ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK",
            "w16 queue_select = 0x3 ; 4.1.4.3",
            "r16 queue_select = 0x3 ; 4.1.4.3",
            "r32 device_feature[0] = 0x3 ; 2.2 bit0 bit1",
            "r32 register0x104 = 0x3 ; ");
        // What is next to the window is config space like any other.
        function.WriteConfig16(0x5C, 1);
        function.WriteConfig16(0x62, 2);
        function.WriteConfig16(0x74, 3);
        function.ReadConfig16(0x6E);
        function.ReadConfig16(0x74);
        _bench.Says(
            "cfg w16 0x5c = 0x1 ; PCI 6.7, 4.1.4",
            "cfg w16 0x62 = 0x2 ; PCI 6.7, 4.1.4",
            "cfg w16 0x74 = 0x3 ; PCI 6.7, 4.1.4",
            "cfg r16 0x6e = 0x0 ; PCI 6.7, 4.1.4",
            "cfg r16 0x74 = 0x3 ; PCI 6.7, 4.1.4");
    }

    /// <summary>The parts of the window reach the function, whoever writes them down.</summary>
    [Fact]
    public void Aiming_the_window_reaches_the_function()
    {
        _function.WithVirtio(0x40, 5, 0, 0, 0);
        TracedFunction function = Wrap();
        _bench.Forget();
        _bench.ShowsMachine = true;
        function.WriteConfig8(0x44, 4);
        function.WriteConfig32(0x48, 0x10);
        function.WriteConfig32(0x4C, 4);
        function.WriteConfig32(0x50, 7);
        _bench.Says(
            "(write 8 at 0x44: 0x4)", "(write 32 at 0x48: 0x10)", "(write 32 at 0x4c: 0x4)",
            "w32 register0x10 = 0x7 ; ", "(write 32 at 0x50: 0x7)");
    }

    /// <summary>Where there is no window, a register of config space with a number like those of its fields is nothing else.</summary>
    [Fact]
    public void Without_a_window_everything_is_config_space()
    {
        TracedFunction function = Plain();
        _bench.ShowsMachine = false;
        foreach (ushort offset in new ushort[] { 0x04, 0x08, 0x0C, 0x10, 0x14 })
        {
            function.WriteConfig16(offset, 1);
            function.ReadConfig16(offset);
        }
        _bench.Says(
            "cfg w16 0x4 = 0x1 ; PCI 6.1", "cfg r16 0x4 = 0x1 ; PCI 6.1", "cfg w16 0x8 = 0x1 ; PCI 6.1", "cfg r16 0x8 = 0x1 ; PCI 6.1",
            "cfg w16 0xc = 0x1 ; PCI 6.1", "cfg r16 0xc = 0x1 ; PCI 6.1", "cfg w16 0x10 = 0x1 ; PCI 6.1", "cfg r16 0x10 = 0x1 ; PCI 6.1",
            "cfg w16 0x14 = 0x1 ; PCI 6.1", "cfg r16 0x14 = 0x1 ; PCI 6.1");
    }

    [Fact]
    public void Memory_for_the_device_is_that_of_the_function_with_the_trace_around_it()
    {
        TracedFunction function = Plain();
        Assert.True(function.Dma.TryAllocate(64, 4096, out _));
        _bench.Says("(allocate 64, aligned to 4096)", "alloc m0 64");
    }

    /// <summary>A function whose structures a test says: nothing is read before the driver does.</summary>
    [Fact]
    public void A_function_that_is_played_is_not_asked_for_its_structures()
    {
        _function.WithVirtio(0x40, 1, 4, 0, 0x38);
        Plain();
        _bench.Says();
    }

    private TracedFunction Wrap()
    {
        _bench.Forget();
        return new TracedFunction(_function, _bench.Trace);
    }

    private TracedFunction Plain()
    {
        _bench.Forget();
        _bench.ShowsMachine = true;
        return new TracedFunction(_function, _bench.Trace, findsWindows: false);
    }
}
