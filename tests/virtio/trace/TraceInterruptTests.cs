// Interrupts in a trace, devices without a bus, and traces around whatever a machine has.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceInterruptTests
{
    private readonly TraceBench _bench = new TraceBench().UseMmio();

    [Fact]
    public void Interrupts_are_written_down_when_the_driver_comes_by_and_in_their_order()
    {
        BenchHandler[] handlers = [new(true), new(false), new(true)];
        TracedInterrupt[] interrupts = [.. handlers.Select((handler, i) => new TracedInterrupt(_bench.Trace, (ushort)(i + 10), handler))];
        _bench.Forget();
        Assert.True(interrupts[0].OnInterrupt());
        Assert.False(interrupts[1].OnInterrupt()); // of another device on the same pin
        Assert.True(interrupts[2].OnInterrupt());
        Assert.True(interrupts[0].OnInterrupt());
        Assert.Equal([2, 1, 1], handlers.Select(handler => handler.Calls));
        Assert.Same(handlers[1], interrupts[1].Handler);
        _bench.Says();
        _bench.Set(MmioRegisters.Status, 1);
        _bench.Trace.Look();
        _bench.Says(
            "irq 10 ; 2.3, 4.1.5.3", "irq 12 ; 2.3, 4.1.5.3", "irq 10 ; 2.3, 4.1.5.3", "w32 Status = 0x1 ; 2.1 ACKNOWLEDGE");
    }

    /// <summary>2.3, 4.2.3.4: what a handler finds in the ISR status is why there was an interrupt; that it acknowledges it is not written down.</summary>
    [Theory]
    [InlineData(0, "")]
    [InlineData(1, " used buffers")]
    [InlineData(2, " configuration change")]
    [InlineData(3, " used buffers configuration change")]
    [InlineData(4, "")]
    public void Why_there_was_an_interrupt_is_what_its_handler_read_first(uint status, string words)
    {
        TracedInterrupt interrupt = new(_bench.Trace, 3, new BenchHandler(true, () =>
        {
            _bench.Registers.Write32(MmioRegisters.InterruptStatus, status);
            Assert.Equal(status, _bench.Device.Read32(MmioRegisters.InterruptStatus));
            _bench.Device.Write32(MmioRegisters.InterruptAcknowledge, status);
            _bench.Registers.Write32(MmioRegisters.InterruptStatus, 0x77);
            _bench.Device.Read32(MmioRegisters.InterruptStatus);
        }));
        _bench.Forget();
        interrupt.OnInterrupt();
        Assert.Equal(status, _bench.Registers.Read32(MmioRegisters.InterruptAcknowledge)); // it reached the device
        _bench.Says();
        _bench.Device.Read32(MmioRegisters.InterruptStatus);
        _bench.Says($"irq 3 isr 0x{status:x} ; 4.1.4.5, 4.2.3.4{words}", "r32 InterruptStatus = 0x77 ; 4.2.3.4");
    }

    /// <summary>4.1.4.9: also where the ISR status is reached through config space. No line is written in interrupt context, whatever is in the rings.</summary>
    [Fact]
    public void A_handler_that_reads_through_config_space_does_not_write_lines()
    {
        BenchFunction function = new BenchFunction(_bench).WithVirtio(0x40, 5, 0, 0, 0).WithVirtio(0x60, 3, 1, 0x20, 1);
        TracedFunction traced = new(function, _bench.Trace);
        traced.WriteConfig8(0x44, 1);
        traced.WriteConfig32(0x48, 0x20);
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(4);
        function[0x50][0] = 1;
        TracedInterrupt interrupt = new(_bench.Trace, 0, new BenchHandler(true, () => Assert.Equal(1, traced.ReadConfig8(0x50))));
        ring.Put(0, memory, Piece.Write);
        ring.Offer(0);
        _bench.Forget();
        interrupt.OnInterrupt();
        _bench.Says();
        traced.ReadConfig8(0x50);
        _bench.Says("irq 0 isr 0x1 ; 4.1.4.5, 4.2.3.4 used buffers", "avail 0 c0 w m1+0x0:4 ; 2.7.13", "r8 isr = 0x1 ; 4.1.4.5");
    }

    [Fact]
    public void What_one_handler_read_is_not_what_the_next_one_found()
    {
        bool reads = true;
        TracedInterrupt interrupt = new(_bench.Trace, 0, new BenchHandler(true, () =>
        {
            if (reads)
            {
                _bench.Device.Read32(MmioRegisters.InterruptStatus);
            }
        }));
        _bench.Forget();
        interrupt.OnInterrupt();
        reads = false;
        interrupt.OnInterrupt();
        _bench.Trace.Look();
        _bench.Says("irq 0 isr 0x0 ; 4.1.4.5, 4.2.3.4", "irq 0 ; 2.3, 4.1.5.3");
    }

    /// <summary>A driver that never comes by: the last 64 are there, and how many were before them; again and again.</summary>
    [Fact]
    public void Interrupts_that_nobody_had_room_to_note_are_counted()
    {
        _bench.Forget();
        foreach ((int count, int lost) in new[] { (64, 0), (65, 1), (63, 0), (200, 136) })
        {
            for (int i = 0; i < count; i++)
            {
                new TracedInterrupt(_bench.Trace, (ushort)i, new BenchHandler(true)).OnInterrupt();
            }
            _bench.Trace.Look();
            List<string> expected = lost == 0 ? [] : [$"lost {lost} interrupts"];
            expected.AddRange(Enumerable.Range(lost, count - lost).Select(i => $"irq {i} ; 2.3, 4.1.5.3"));
            _bench.Says([.. expected]);
        }
    }

    [Fact]
    public void The_handler_of_a_function_is_called_through_the_trace()
    {
        BenchFunction function = new(_bench);
        TracedFunction traced = new(function, _bench.Trace, findsWindows: false);
        BenchHandler handler = new(true);
        _bench.Forget();
        traced.TryAttachInterrupt(2, handler);
        Assert.True(function.Handlers[2].OnInterrupt());
        Assert.Equal(1, handler.Calls);
        _bench.Trace.Look();
        _bench.Says("attach 2 = yes", "irq 2 ; 2.3, 4.1.5.3");
    }

    [Fact]
    public void A_device_without_a_bus_is_passed_on_and_written_down()
    {
        TraceBench bench = new();
        BenchPlatformDevice device = new(bench);
        bench.Forget();
        TracedPlatformDevice traced = new(device, bench.Trace);
        Assert.Equal(0xABCDul, traced.Address);
        Assert.Same(bench.Clock, traced.Clock);
        traced.Registers.Read32(MmioRegisters.Status);
        traced.Dma.TryAllocate(16, 16, out _);
        bench.Says("registers 0x400 ; 4.2.2", "r32 Status = 0x0 ; 2.1 reset", "alloc m0 16");
    }

    /// <summary>A line may be shared: only the handler that was attached is taken off it.</summary>
    [Fact]
    public void The_line_of_a_device_is_attached_and_given_back()
    {
        TraceBench bench = new();
        BenchPlatformDevice device = new(bench);
        TracedPlatformDevice traced = new(device, bench.Trace);
        BenchHandler handler = new(true);
        bench.ShowsMachine = true;
        bench.Forget();
        device.Answer = false;
        Assert.False(traced.TryAttachInterrupt(handler));
        traced.DetachInterrupt(handler); // it was not attached
        bench.Says("(attach)", "attach 0 = no", "release");
        device.Answer = true;
        Assert.True(traced.TryAttachInterrupt(handler));
        device.Handler!.OnInterrupt();
        Assert.Equal(1, handler.Calls);
        traced.DetachInterrupt(new BenchHandler(true)); // somebody else's
        bench.Says("(attach)", "attach 0 = yes", "irq 0 ; 2.3, 4.1.5.3", "release");
        device.Answer = false;
        Assert.False(traced.TryAttachInterrupt(new BenchHandler(true))); // one is enough
        device.Answer = true;
        InterruptHandler attached = device.Handler!;
        traced.DetachInterrupt(handler);
        Assert.NotSame(attached, device.Handler);
        Assert.Null(device.Handler);
        traced.DetachInterrupt(handler);
        bench.Says("(attach)", "attach 0 = no", "release", "(detach)", "release");
    }

    [Fact]
    public void The_rings_are_looked_at_before_a_line_is_attached_or_given_back()
    {
        TracedPlatformDevice traced = new(new BenchPlatformDevice(_bench), _bench.Trace);
        BenchHandler handler = new(true);
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(4);
        ring.Put(0, memory, Piece.Write);
        ring.Offer(0);
        _bench.Forget();
        traced.TryAttachInterrupt(handler);
        ring.Offer(0);
        traced.DetachInterrupt(handler);
        _bench.Says("avail 0 c0 w m1+0x0:4 ; 2.7.13", "attach 0 = yes", "avail 0 c1 w m1+0x0:4 ; 2.7.13", "release");
    }

    [Fact]
    public void Each_device_has_a_trace_of_its_own_and_a_name()
    {
        TraceBench bench = new();
        VirtioDriverTable drivers = new();
        drivers.Add(new BenchDriver());
        Tracer tracer = new(bench, drivers);
        bench.Forget();
        tracer.Around(new BenchFunction(bench), 7).ReadConfig8(0);
        tracer.Around(new BenchFunction(bench), 8);
        Assert.IsType<TracedPlatformDevice>(tracer.Around(new BenchPlatformDevice(bench).Is(MmioRegisters.Magic, 7)));
        Assert.Equal(
            [
                "@d0 0 0 trace 1 pci type 7 ; 5.99 virtio-bench",
                "@d0 1 0 window 5 0 0x0 0x1000 ; 4.1.4.10 legacy interface",
                "@d0 2 0 cfg r8 0x0 = 0x0 ; PCI 6.1",
                "@d1 0 0 trace 1 pci type 8 ; 5 no driver",
                "@d1 1 0 window 5 0 0x0 0x1000 ; 4.1.4.10 legacy interface",
                "@d2 0 0 trace 1 mmio type 7 ; 5.99 virtio-bench",
                "@d2 1 0 registers 0x400 ; 4.2.2",
            ],
            bench.Whole());
    }

    /// <summary>4.2.2: a place without a device has the id 0. What does not look like a device is left alone, and not asked further.</summary>
    [Theory]
    [InlineData(MmioRegisters.Magic, 7, 0x400, true)]
    [InlineData(MmioRegisters.Magic, 7, 0x100, true)]
    [InlineData(MmioRegisters.Magic, 65535, 0x400, true)]
    [InlineData(MmioRegisters.Magic, 65536, 0x400, false)]
    [InlineData(MmioRegisters.Magic, 0, 0x400, false)]
    [InlineData(0x12345678, 7, 0x400, false)]
    [InlineData(MmioRegisters.Magic, 7, 0xFC, false)]
    public void Only_what_is_a_device_gets_a_trace(uint magic, uint id, ulong length, bool isTraced)
    {
        TraceBench bench = new();
        bench.Forget();
        PlatformDevice device = new BenchPlatformDevice(bench, length).Is(magic, id);
        PlatformDevice found = new Tracer(bench, new VirtioDriverTable()).Around(device);
        Assert.Equal(isTraced, !ReferenceEquals(device, found));
        bench.Says(isTraced ? [$"trace 1 mmio type {id} ; 5 no driver", $"registers 0x{length:x} ; 4.2.2"] : []);
    }

    /// <summary>A driver with traces is the driver without them, for what it drives.</summary>
    [Fact]
    public void A_driver_that_traces_drives_what_it_did()
    {
        VirtioPciDriver plain = new(new VirtioDriverTable());
        TracingPciDriver tracing = new(plain, new Tracer(_bench, new VirtioDriverTable()));
        BenchFunction function = new(_bench);
        Assert.Equal(plain.Name, tracing.Name);
        Assert.False(tracing.Matches(function));
        BitConverter.TryWriteBytes(function[0], 0x1042_1AF4);
        Assert.Equal(plain.Matches(function), tracing.Matches(function));
        _bench.Forget();
        Assert.False(tracing.Probe(function, new DeviceTable()).IsBound);
        Assert.StartsWith("@d0 0 0 trace 1 pci type 2 ", _bench.Whole()[0]);
    }

    /// <summary>A device without a bus: registers, memory, a line.</summary>
    private sealed class BenchPlatformDevice(TraceBench bench, ulong length = 0x400) : PlatformDevice
    {
        private readonly BenchRegion _registers = new(bench, length);

        internal bool Answer { get; set; } = true;

        internal InterruptHandler? Handler { get; private set; }

        public override ulong Address => 0xABCD;

        public override IoRegion Registers => _registers;

        public override DmaSpace Dma => bench.Memory;

        public override Clock Clock => bench.Clock;

        internal BenchPlatformDevice Is(uint magic, uint id)
        {
            _registers.Write32(MmioRegisters.MagicValue, magic);
            _registers.Write32(MmioRegisters.DeviceId, id);
            return this;
        }

        public override bool TryAttachInterrupt(InterruptHandler handler)
        {
            bench.Machine("attach");
            Handler = Answer ? handler : Handler;
            return Answer;
        }

        public override void DetachInterrupt(InterruptHandler handler)
        {
            bench.Machine("detach");
            Handler = Handler == handler ? null : Handler;
        }
    }
}
