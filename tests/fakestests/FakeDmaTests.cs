// The fake memory finds whoever uses it wrongly.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Fakestests;

/// <summary>What the fake DMA space refuses.</summary>
public sealed unsafe class FakeDmaTests : IDisposable
{
    private readonly ViolationLog _violations = new();
    private readonly FakeDma _dma;
    private readonly DmaBuffer _buffer;

    public FakeDmaTests()
    {
        _dma = new FakeDma(_violations);
        Assert.True(_dma.TryAllocate(256, 64, out _buffer));
    }

    [Fact]
    public void Devices_see_other_addresses_than_drivers_and_above_4_GiB()
    {
        Assert.NotEqual((ulong)_buffer.Pointer, _buffer.DeviceAddress);
        Assert.True(_buffer.DeviceAddress > uint.MaxValue);
        Assert.Equal(0ul, (ulong)_buffer.Pointer % 64);
    }

    [Fact]
    public void A_device_reaches_only_what_was_lent_and_only_in_its_direction()
    {
        byte[] bytes = new byte[16];
        Breaks("not lent for reading", () => _dma.DeviceRead(_buffer.DeviceAddress, bytes));
        _dma.Share(_buffer.Slice(0, 128), DmaDirection.ToDevice);
        _dma.DeviceRead(_buffer.DeviceAddress + 112, bytes);
        Breaks("not lent for reading", () => _dma.DeviceRead(_buffer.DeviceAddress + 113, bytes));
        Breaks("not lent for writing", () => _dma.DeviceWrite(_buffer.DeviceAddress, bytes));
        Assert.False(_dma.TryDeviceWrite(_buffer.DeviceAddress, bytes));
        Assert.Equal(2, _dma.BlockedAccesses);
        _dma.Unshare(_buffer.Slice(0, 128), DmaDirection.ToDevice);
        Breaks("not lent for reading", () => _dma.DeviceRead(_buffer.DeviceAddress, bytes));
    }

    [Theory]
    [InlineData(DmaDirection.ToDevice)]
    [InlineData(DmaDirection.FromDevice)]
    public void A_change_by_the_driver_while_the_device_owns_the_bytes_is_found(DmaDirection direction)
    {
        _dma.Share(_buffer, direction);
        _buffer.Pointer[7] = 1;
        Breaks("that the device owned", () => _dma.Unshare(_buffer, direction));
    }

    [Fact]
    public void What_the_device_writes_is_no_change_by_the_driver()
    {
        _dma.Share(_buffer, DmaDirection.FromDevice);
        _dma.DeviceWrite(_buffer.DeviceAddress + 3, [1, 2, 3]);
        _dma.Unshare(_buffer, DmaDirection.FromDevice);
        Assert.Equal([1, 2, 3], _buffer.Span[3..6].ToArray());
    }

    [Fact]
    public void Lending_twice_for_writing_freeing_what_is_lent_and_unpaired_unsharing_are_found()
    {
        _dma.Share(_buffer.Slice(0, 100), DmaDirection.FromDevice);
        Breaks("lent twice", () => _dma.Share(_buffer.Slice(99, 10), DmaDirection.ToDevice));
        Breaks("while a device owns it", () => _dma.Free(_buffer));
        Breaks("not lent so", () => _dma.Unshare(_buffer.Slice(0, 100), DmaDirection.ToDevice));
        Breaks("not lent so", () => _dma.Unshare(_buffer.Slice(0, 99), DmaDirection.FromDevice));
        _dma.Unshare(_buffer.Slice(0, 100), DmaDirection.FromDevice);
        Breaks("a part of an allocation", () => _dma.Free(_buffer.Slice(0, 100)));
        _dma.Free(_buffer);
        Breaks("after it was freed", () => _dma.Share(_buffer, DmaDirection.ToDevice));
        Breaks("after it was freed", () => _dma.Free(_buffer));
    }

    [Fact]
    public void A_write_past_the_end_and_an_address_that_is_a_pointer_are_found()
    {
        _buffer.Pointer[256] = 0;
        Breaks("outside of an allocation", () => _dma.Free(_buffer));
        DmaBuffer mixedUp = new(_buffer.Pointer, (ulong)_buffer.Pointer, 16);
        Breaks("never allocated", () => _dma.Share(mixedUp, DmaDirection.ToDevice));
        DmaBuffer apart = new(_buffer.Pointer + 1, _buffer.DeviceAddress, 16);
        Breaks("do not belong together", () => _dma.Share(apart, DmaDirection.ToDevice));
    }

    [Theory]
    [InlineData(0, "after it was freed")]
    [InlineData(255, "after it was freed")]
    [InlineData(-1, "outside of an allocation")]
    [InlineData(256, "outside of an allocation")]
    public void A_write_to_memory_that_was_freed_and_beside_it_is_found_at_the_end(int offset, string what)
    {
        _dma.Free(_buffer);
        _buffer.Pointer[offset] = 1;
        _dma.Dispose();
        Assert.Contains(what, Assert.Single(_violations.Entries));
    }

    [Fact]
    public void A_write_beside_memory_that_is_never_freed_is_found_at_the_end()
    {
        _buffer.Pointer[256] = 1;
        _dma.Dispose();
        Assert.Contains("outside of an allocation", Assert.Single(_violations.Entries));
    }

    [Fact]
    public void An_allocation_fails_when_it_is_told_to()
    {
        _dma.FailAllocation(2);
        Assert.True(_dma.TryAllocate(16, 16, out _));
        Assert.False(_dma.TryAllocate(16, 16, out _));
        Assert.True(_dma.TryAllocate(16, 16, out _));
    }

    public void Dispose() => _dma.Dispose();

    private void Breaks(string part, Action what)
    {
        Assert.Contains(part, Assert.Throws<FakeDeviceException>(what).Message);
        _violations.Forgive();
    }
}
