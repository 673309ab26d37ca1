// The order of a trace: interrupts first, then rings, whatever the driver comes by for (virtio 2.7.13: buffers before notifications).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceOrderTests
{
    private readonly TraceBench _bench = new TraceBench().UseMmio();

    /// <summary>Ways in which a driver comes by, and the line about each.</summary>
    public static TheoryData<string, string> Ways => new()
    {
        { "look", "" },
        { "allocate", "alloc m3 8" },
        { "none", "alloc none 8" },
        { "free", "free m2" },
        { "lend", "" },
        { "take", "" },
        { "read", "r32 Status = 0x0 ; 2.1 reset" },
        { "read 8", "r8 config+0x1 = 0x0 ; 2.5 " },
        { "read 16", "r16 config+0x2 = 0x0 ; 2.5 " },
        { "write", "w32 QueueSel = 0x1 ; 4.2.2" },
        { "notify", "w32 QueueNotify = 0x0 ; 4.2.3.3 queue 0" },
        { "present", "present = yes" },
        { "config", "cfg r16 0x0 = 0x0 ; PCI 6.1" },
        { "write config", "cfg w16 0x4 = 0x1 ; PCI 6.1" },
        { "bar", "bar 0 = memory 0x4000" },
        { "map", "map 0 = 0x4000" },
        { "enable", "enable = yes" },
        { "disable", "disable ; PCI 6.2.2 no bus mastering" },
        { "interrupts", "interrupts 1 = 0 none ; 4.1.5.1.2" },
        { "attach", "attach 0 = yes" },
        { "release", "release" },
        { "window", "r32 register0x10 = 0x0 ; " },
    };

    /// <summary>
    /// What the rings say is said before it. What the device wishes comes last: it wished something else while the buffer was made available, unless
    /// it is told just now.
    /// </summary>
    [Theory]
    [MemberData(nameof(Ways))]
    public void Whatever_a_driver_does_the_rings_are_looked_at_before(string way, string line)
    {
        _bench.AddSplit(queue: 0);
        BenchSplitRing ring = _bench.AddSplit(queue: 1);
        BenchFunction function = new BenchFunction(_bench).With(0x80, 9, 20, 5);
        TracedFunction traced = new(function, _bench.Trace, findsWindows: false, access: 0x80);
        DmaBuffer memory = _bench.Allocate(4);
        traced.WriteConfig8(0x84, 1);
        traced.WriteConfig32(0x88, 0x10);
        ring.Put(0, memory, Piece.Write);
        ring.Offer(0);
        ring.Flags = 1;
        ring.DeviceFlags = 1;
        _bench.Forget();
        Do(way, memory, traced);
        List<string> expected = ["avail 1 c0 w m2+0x0:4 ; 2.7.13", "wish 1 0x1 ; 2.7.7, 2.8.10 interrupts", "want 1 0x1 ; 2.7.10, 2.8.10 notifications"];
        if (line.Length != 0)
        {
            expected.Add(line);
        }
        _bench.Says([.. expected]);
    }

    /// <summary>
    /// The driver looked at what the device wishes, and tells it: the wish was there before the buffer. With NOTIFICATION_DATA (2.9) there is more in it.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(0xFFFF0001)]
    public void A_device_that_is_told_wished_so_before(uint notification)
    {
        BenchSplitRing other = _bench.AddSplit(queue: 0);
        BenchSplitRing told = _bench.AddSplit(queue: 1);
        DmaBuffer memory = _bench.Allocate(4);
        foreach (BenchSplitRing ring in new[] { other, told })
        {
            ring.Put(0, memory, Piece.Write);
            ring.Offer(0);
            ring.DeviceFlags = 2;
        }
        _bench.Forget();
        _bench.Set(MmioRegisters.QueueNotify, notification);
        _bench.Says(
            "avail 0 c0 w m2+0x0:4 ; 2.7.13",
            "want 0 0x2 ; 2.7.10, 2.8.10 notifications",
            "want 1 0x2 ; 2.7.10, 2.8.10 notifications",
            "avail 1 c0 w m2+0x0:4 ; 2.7.13",
            $"w32 QueueNotify = 0x{notification:x} ; 4.2.3.3 queue 1");
    }

    [Fact]
    public void All_buffers_that_were_made_available_are_said()
    {
        BenchSplitRing ring = _bench.AddSplit();
        DmaBuffer memory = _bench.Allocate(4);
        for (ushort i = 0; i < 3; i++)
        {
            ring.Put(i, memory.Slice(i, 1), Piece.Write);
        }
        ring.Offer(2, 0, 1);
        _bench.Forget();
        _bench.Trace.Look();
        _bench.Trace.Look();
        _bench.Says("avail 0 c0 w m1+0x2:1 ; 2.7.13", "avail 0 c1 w m1+0x0:1 ; 2.7.13", "avail 0 c2 w m1+0x1:1 ; 2.7.13");
    }

    /// <summary>4.1.5.1.2: a queue is enabled when that is written, and not when it is taken back.</summary>
    [Fact]
    public void A_queue_is_there_when_it_is_enabled_and_lives_at_the_addresses_of_its_registers()
    {
        DmaBuffer memory = _bench.Allocate(0x1000);
        ulong address = memory.DeviceAddress;
        _bench.Set(MmioRegisters.QueueReady, 0);
        _bench.Set(MmioRegisters.QueueSelect, 6, MmioRegisters.QueueSize, 4);
        // High parts first, and twice: each leaves the other as it is.
        foreach ((ulong register, ulong value) in new[] { (0x80ul, address), (0x90ul, address + 0x100), (0xA0ul, address + 0x200) })
        {
            _bench.Set(register + 4, 0x55, register, 0xFFFFFFFF, register + 4, value >> 32, register, (uint)value);
        }
        _bench.Forget();
        _bench.Set(MmioRegisters.QueueReady, 1);
        _bench.Says("w32 QueueReady[6] = 0x1 ; 4.2.3.2", "queue 6 split 4 m0+0x0 m0+0x100 m0+0x200 ; 2.7");
        // The others have nothing.
        _bench.Set(MmioRegisters.QueueSelect, 5, MmioRegisters.QueueReady, 1);
        _bench.Says("w32 QueueSel = 0x5 ; 4.2.2", "w32 QueueReady[5] = 0x1 ; 4.2.3.2", "queue 5 split 0 unknown unknown unknown ; 2.7");
        Assert.Null(_bench.Trace.QueueAt(5));
    }

    /// <summary>4.1.5.1.3: the device says how large a queue may be, and a driver that agrees writes nothing.</summary>
    [Fact]
    public void The_size_of_a_queue_is_what_was_read_when_nothing_is_written()
    {
        DmaBuffer memory = _bench.Allocate(0x1000);
        ulong address = memory.DeviceAddress;
        _bench.Trace.AddWindow(WindowKind.Common, 2, 0, 0x40);
        IoRegion common = new TracedRegion(_bench.Registers, _bench.Trace, 2);
        _bench.Registers.Write16(0x18, 16);
        Assert.Equal(16, common.Read16(0x18));
        foreach ((uint offset, ulong value) in new[] { (0x20u, address), (0x28u, address + 0x200), (0x30u, address + 0x400) })
        {
            common.Write32(offset, (uint)value);
            common.Write32(offset + 4, (uint)(value >> 32));
        }
        _bench.Forget();
        common.Write16(0x1C, 1);
        _bench.Says("w16 queue_enable[0] = 0x1 ; 4.1.5.1.3", "queue 0 split 16 m0+0x0 m0+0x200 m0+0x400 ; 2.7");
    }

    /// <summary>2.7.2, 4.1.5.1.3.1: a legacy queue has one address, a page, and its areas follow from its size.</summary>
    [Theory]
    [InlineData(4, 0x40, 0x1000)]
    [InlineData(256, 0x1000, 0x2000)]
    public void A_legacy_queue_is_at_its_page(ushort size, uint driver, uint device)
    {
        _bench.Memory.NextAddress = 0x5000;
        _bench.Allocate(0x3000);
        _bench.Trace.AddWindow(WindowKind.Legacy, 2, 0, 0x1000);
        IoRegion legacy = new TracedRegion(_bench.Registers, _bench.Trace, 2);
        _bench.Registers.Write16(12, size);
        legacy.Write16(14, 1);
        legacy.Read16(12);
        _bench.Forget();
        legacy.Write32(8, 5);
        _bench.Says("w32 queue_address[1] = * ; 4.1.5.1.3.1", $"queue 1 split {size} m0+0x0 m0+0x{driver:x} m0+0x{device:x} ; 2.7");
        Assert.NotNull(_bench.Trace.QueueAt(1));
        legacy.Write32(8, 0);
        _bench.Says("w32 queue_address[1] = * ; 4.1.5.1.3.1", $"queue 1 split {size} unknown unknown unknown ; 2.7");
        Assert.Null(_bench.Trace.QueueAt(1)); // a queue without an address is none
    }

    private void Do(string way, DmaBuffer memory, TracedFunction function)
    {
        switch (way)
        {
            case "look":
                _bench.Trace.Look();
                break;
            case "allocate":
                _bench.Allocate(8);
                break;
            case "none":
                _bench.Memory.IsEmpty = true;
                _bench.Dma.TryAllocate(8, 8, out _);
                break;
            case "free":
                _bench.Dma.Free(memory);
                break;
            case "lend":
                _bench.Dma.Share(memory, DmaDirection.ToDevice);
                break;
            case "take":
                _bench.Dma.Unshare(memory, DmaDirection.ToDevice);
                break;
            case "read":
                _bench.Device.Read32(MmioRegisters.Status);
                break;
            case "read 8":
                _bench.Device.Read8(0x101);
                break;
            case "read 16":
                _bench.Device.Read16(0x102);
                break;
            case "write":
                _bench.Set(MmioRegisters.QueueSelect, 1);
                break;
            case "notify":
                _bench.Set(MmioRegisters.QueueNotify, 0);
                break;
            case "present":
                _ = function.IsPresent;
                break;
            case "config":
                function.ReadConfig16(0);
                break;
            case "write config":
                function.WriteConfig16(4, 1);
                break;
            case "bar":
                function.TryGetBar(0, out _);
                break;
            case "map":
                function.TryMapBar(0, out _);
                break;
            case "enable":
                function.TryEnable();
                break;
            case "disable":
                function.Disable();
                break;
            case "interrupts":
                function.PrepareInterrupts(1, out _);
                break;
            case "attach":
                function.TryAttachInterrupt(0, new BenchHandler(true));
                break;
            case "release":
                function.ReleaseInterrupts();
                break;
            default:
                function.ReadConfig32(0x90);
                break;
        }
    }
}
