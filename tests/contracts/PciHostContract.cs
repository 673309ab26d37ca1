// What every machine with PCI promises, whatever it is made of.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>A machine with at least one virtio function that nobody drives.</summary>
public abstract class PciHostBackend : IDisposable
{
    /// <summary>The machine.</summary>
    public abstract PciHost Host { get; }

    /// <summary>A slot where nothing is.</summary>
    public abstract PciAddress EmptySlot { get; }

    /// <summary>An address in RAM.</summary>
    public abstract ulong RamAddress { get; }

    /// <summary>Ends the machine.</summary>
    public abstract void Dispose();
}

/// <summary>The contract of <see cref="PciHost"/> and its memory and clock. One subclass for each backend.</summary>
public abstract class PciHostContract
{
    /// <summary>Makes a machine.</summary>
    protected abstract PciHostBackend Open();

    [Fact]
    public void An_empty_slot_reads_as_all_ones_in_every_width()
    {
        using PciHostBackend backend = Open();
        Assert.Equal(0xFF, backend.Host.ReadConfig8(backend.EmptySlot, 0));
        Assert.Equal(0xFFFF, backend.Host.ReadConfig16(backend.EmptySlot, 2));
        Assert.Equal(0xFFFF_FFFFu, backend.Host.ReadConfig32(backend.EmptySlot, 8));
    }

    [Fact]
    public void A_virtio_function_is_found_and_a_second_scan_finds_the_same()
    {
        using PciHostBackend backend = Open();
        string[] first = Describe(PciScan.Run(backend.Host));
        Assert.Contains(first, each => each.Contains("1af4:", StringComparison.Ordinal));
        Assert.Equal(first, Describe(PciScan.Run(backend.Host)));
    }

    [Fact]
    public void Narrow_reads_see_the_lanes_of_wide_ones()
    {
        using PciHostBackend backend = Open();
        PciFunction function = FindVirtio(backend);
        foreach (ushort offset in (ushort[])[0x00, 0x08, 0x2C, 0x34])
        {
            uint wide = function.ReadConfig32(offset);
            for (int lane = 0; lane < 4; lane++)
            {
                Assert.Equal((byte)(wide >> 8 * lane), function.ReadConfig8((ushort)(offset + lane)));
            }
            Assert.Equal((ushort)wide, function.ReadConfig16(offset));
            Assert.Equal((ushort)(wide >> 16), function.ReadConfig16((ushort)(offset + 2)));
        }
    }

    [Theory]
    [InlineData(0x5A)]
    [InlineData(0xA5)]
    public void A_narrow_write_changes_its_own_lane_only(byte value)
    {
        using PciHostBackend backend = Open();
        PciFunction function = FindVirtio(backend);
        uint before = function.ReadConfig32(PciRegisters.InterruptLine);
        function.WriteConfig8(PciRegisters.InterruptLine, value);
        Assert.Equal(before & ~0xFFu | value, function.ReadConfig32(PciRegisters.InterruptLine));
        function.WriteConfig32(PciRegisters.InterruptLine, before);
        Assert.Equal(before, function.ReadConfig32(PciRegisters.InterruptLine));
    }

    [Fact]
    public void Sizing_leaves_every_BAR_and_the_command_register_as_they_were()
    {
        using PciHostBackend backend = Open();
        PciFunction function = FindVirtio(backend);
        uint[] before = Header(function);
        List<PciBar> bars = [];
        for (int i = 0; i < 6; i++)
        {
            if (function.TryGetBar(i, out PciBar bar))
            {
                bars.Add(bar);
            }
        }
        Assert.Equal(before, Header(function));
        Assert.NotEmpty(bars);
        foreach (PciBar bar in bars)
        {
            Assert.True((bar.Length & (bar.Length - 1)) == 0, $"a BAR of 0x{bar.Length:X} bytes");
            Assert.Equal(0ul, bar.Address % bar.Length);
        }
    }

    [Fact]
    public void Mapping_the_same_BAR_twice_gives_the_same_region_of_its_length()
    {
        using PciHostBackend backend = Open();
        PciFunction function = FindVirtio(backend);
        int index = Enumerable.Range(0, 6).First(i => function.TryGetBar(i, out PciBar each) && !each.IsPorts && each.Address != 0);
        Assert.True(function.TryGetBar(index, out PciBar bar));
        Assert.True(function.TryMapBar(index, out IoRegion? first));
        Assert.True(function.TryMapBar(index, out IoRegion? second));
        Assert.Same(first, second);
        Assert.Equal(bar.Length, first!.Length);
        Assert.False(function.TryMapBar(6, out _));
        Assert.False(function.TryMapBar(-1, out _));
    }

    [Fact]
    public void RAM_and_ranges_that_wrap_around_or_are_empty_are_not_mapped()
    {
        using PciHostBackend backend = Open();
        Assert.False(backend.Host.TryMapMemory(backend.RamAddress, 0x1000, out _));
        Assert.False(backend.Host.TryMapMemory(ulong.MaxValue - 0xFFF, 0x2000, out _));
        Assert.False(backend.Host.TryMapMemory(0xFFFF_FFFF_FFFF_0000, 0x1000, out _));
        Assert.False(backend.Host.TryMapPorts(0xFFFF, 2, out _));
        Assert.False(backend.Host.TryMapPorts(0x10000, 4, out _));
    }

    [Fact]
    public void Messages_are_told_apart()
    {
        using PciHostBackend backend = Open();
        Nobody handler = new();
        Assert.True(backend.Host.TryAllocateMessage(handler, out MsiMessage first));
        Assert.True(backend.Host.TryAllocateMessage(handler, out MsiMessage second));
        Assert.NotEqual((first.Address, first.Data), (second.Address, second.Data));
        Assert.Equal(0ul, first.Address % 4);
        backend.Host.ReleaseMessage(first);
        backend.Host.ReleaseMessage(second);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(512, 512)]
    [InlineData(4096, 4096)]
    [InlineData(100_000, 64)]
    public void Memory_is_zeroed_aligned_and_not_given_twice(uint length, uint alignment)
    {
        using PciHostBackend backend = Open();
        DmaSpace dma = backend.Host.Dma;
        Assert.True(dma.TryAllocate(length, alignment, out DmaBuffer first));
        Assert.True(dma.TryAllocate(length, alignment, out DmaBuffer second));
        foreach (DmaBuffer buffer in (DmaBuffer[])[first, second])
        {
            Assert.Equal(length, buffer.Length);
            Assert.Equal(0ul, buffer.DeviceAddress % alignment);
            Assert.False(buffer.Span.ContainsAnyExcept((byte)0));
        }
        bool apart = first.DeviceAddress + length <= second.DeviceAddress || second.DeviceAddress + length <= first.DeviceAddress;
        Assert.True(apart, "two allocations overlap");
        first.Span.Fill(0xFF);
        Assert.False(second.Span.ContainsAnyExcept((byte)0));
        dma.Free(first);
        Assert.True(dma.TryAllocate(length, alignment, out DmaBuffer third));
        Assert.False(third.Span.ContainsAnyExcept((byte)0));
        dma.Free(second);
        dma.Free(third);
    }

    [Fact]
    public void Time_goes_on_and_a_wait_ends_at_its_deadline()
    {
        using PciHostBackend backend = Open();
        Clock clock = backend.Host.Clock;
        ulong before = clock.Now;
        Assert.True(clock.Now >= before);
        ulong deadline = clock.Now + 2_000_000;
        for (int i = 0; i < 1000 && clock.WaitForInterrupt(deadline); i++)
        {
        }
        Assert.True(clock.Now >= deadline, "a wait ended before its deadline for no reason, a thousand times");
    }

    private static PciFunction FindVirtio(PciHostBackend backend)
    {
        PciScan scan = PciScan.Run(backend.Host);
        for (int i = 0; i < scan.Count; i++)
        {
            if (scan[i].ReadConfig16(PciRegisters.VendorId) == 0x1AF4)
            {
                return scan[i];
            }
        }
        throw new InvalidOperationException("the machine has no virtio function");
    }

    private static string[] Describe(PciScan scan) =>
    [
        .. Enumerable.Range(0, scan.Count).Select(i =>
            $"{scan[i].Address.BusDeviceFunction:x4} {scan[i].ReadConfig16(PciRegisters.VendorId):x4}:{scan[i].ReadConfig16(PciRegisters.DeviceId):x4}"),
    ];

    private static uint[] Header(PciFunction function) =>
        [function.ReadConfig16(PciRegisters.Command), .. Enumerable.Range(4, 6).Select(i => function.ReadConfig32((ushort)(i * 4)))];

    private sealed class Nobody : InterruptHandler
    {
        public override bool OnInterrupt() => false;
    }
}
