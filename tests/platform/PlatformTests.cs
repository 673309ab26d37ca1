// The small types under everything: slices, windows and noted interrupts, at their edges.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Platform;

/// <summary>What they promise to callers, and which mistakes of callers they stop.</summary>
public sealed unsafe class PlatformTests
{
    private readonly Registers _registers = new();

    [Fact]
    public void A_slice_lies_within_its_buffer_and_may_be_all_of_it_or_nothing_at_its_end()
    {
        DmaBuffer buffer = new((byte*)0x1000, 0x8000, 100);
        foreach ((uint offset, uint length) in new[] { (0u, 100u), (1u, 99u), (99u, 1u), (100u, 0u) })
        {
            DmaBuffer slice = buffer.Slice(offset, length);
            Assert.Equal(((nint)0x1000 + (nint)offset, 0x8000ul + offset, length), ((nint)slice.Pointer, slice.DeviceAddress, slice.Length));
        }
    }

    [Theory]
    [InlineData(0u, 101u)]
    [InlineData(1u, 100u)]
    [InlineData(101u, 0u)]
    [InlineData(101u, uint.MaxValue)] // together they wrap to 100
    [InlineData(uint.MaxValue, 1u)]
    public void A_slice_beyond_its_buffer_is_a_bug_of_the_caller(uint offset, uint length) =>
        Assert.Throws<ContractException>(() => new DmaBuffer((byte*)0x1000, 0x8000, 100).Slice(offset, length));

    [Theory]
    [InlineData(0ul, 64ul, true)]
    [InlineData(63ul, 1ul, true)]
    [InlineData(0ul, 65ul, false)]
    [InlineData(64ul, 0ul, false)]
    [InlineData(0ul, 0ul, false)]
    [InlineData(64ul, 1ul, false)]
    [InlineData(65ul, 1ul, false)]
    [InlineData(65ul, ulong.MaxValue, false)] // together they wrap to 64
    public void A_window_lies_within_its_region_and_is_not_empty(ulong offset, ulong length, bool fits)
    {
        Assert.Equal(fits, IoWindow.TryCreate(_registers, offset, length, out IoWindow window));
        Assert.Equal((fits, fits ? length : 0), (window.IsValid, window.Length));
        Assert.False(IoWindow.TryCreate(null, offset, length, out _));
    }

    [Fact]
    public void Accesses_go_through_a_window_to_where_it_lies_and_never_beyond()
    {
        Assert.True(IoWindow.TryCreate(_registers, 16, 8, out IoWindow window));
        Assert.Equal((16, 22, 20u), (window.Read8(0), window.Read16(6), window.Read32(4)));
        window.Write8(7, 1);
        window.Write16(6, 1);
        window.Write32(4, 1);
        Assert.Equal([23ul, 22ul, 20ul], _registers.Written);
        Assert.True(window.Contains(8, 0) && window.Contains(0, 8));
        Assert.False(window.Contains(9, 0) || window.Contains(1, 8) || window.Contains(ulong.MaxValue, 2));
        Assert.Throws<ContractException>(() => window.Read8(8));
        Assert.Throws<ContractException>(() => window.Read16(7));
        Assert.Throws<ContractException>(() => window.Read32(5));
        Assert.Throws<ContractException>(() => window.Write8(8, 0));
        Assert.Throws<ContractException>(() => window.Write16(7, 0));
        Assert.Throws<ContractException>(() => window.Write32(ulong.MaxValue - 1, 0));
        Assert.Equal(3, _registers.Written.Count);
    }

    [Fact]
    public void A_noted_interrupt_is_taken_once_and_says_that_it_was_its_own()
    {
        NotedInterrupt interrupt = new();
        Assert.False(interrupt.Take());
        Assert.True(interrupt.OnInterrupt());
        Assert.True(interrupt.OnInterrupt());
        Assert.True(interrupt.Take());
        Assert.False(interrupt.Take());
    }

    /// <summary>64 bytes of registers, each of which reads as its own number.</summary>
    private sealed class Registers : IoRegion
    {
        public List<ulong> Written { get; } = [];

        public override ulong Length => 64;

        public override byte Read8(ulong offset) => (byte)offset;

        public override ushort Read16(ulong offset) => (ushort)offset;

        public override uint Read32(ulong offset) => (uint)offset;

        public override void Write8(ulong offset, byte value) => Written.Add(offset);

        public override void Write16(ulong offset, ushort value) => Written.Add(offset);

        public override void Write32(ulong offset, uint value) => Written.Add(offset);
    }
}
