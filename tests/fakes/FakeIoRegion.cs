// A mapped range of the fake machine: each access goes to whatever function answers there at that moment.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Fakes.Pci;

namespace VirtioSharp.Tests.Fakes;

/// <summary>Memory or ports of devices. An access that nobody answers reads as all ones after a device was pulled, else fails the test.</summary>
public sealed class FakeIoRegion(FakeMachine machine, ulong address, ulong length, bool isPorts) : IoRegion
{
    /// <inheritdoc/>
    public override ulong Length => length;

    /// <inheritdoc/>
    public override byte Read8(ulong offset) => (byte)Read(offset, 1);

    /// <inheritdoc/>
    public override ushort Read16(ulong offset) => (ushort)Read(offset, 2);

    /// <inheritdoc/>
    public override uint Read32(ulong offset) => Read(offset, 4);

    /// <inheritdoc/>
    public override void Write8(ulong offset, byte value) => Write(offset, 1, value);

    /// <inheritdoc/>
    public override void Write16(ulong offset, ushort value) => Write(offset, 2, value);

    /// <inheritdoc/>
    public override void Write32(ulong offset, uint value) => Write(offset, 4, value);

    private uint Read(ulong offset, int width)
    {
        FakeBar? bar = Find(offset, width, out ulong place);
        return bar is null ? uint.MaxValue : bar.Read(place, width);
    }

    private void Write(ulong offset, int width, uint value) => Find(offset, width, out ulong place)?.Write(place, width, value);

    private FakeBar? Find(ulong offset, int width, out ulong place)
    {
        machine.Violations.Require(
            offset <= length && (uint)width <= length - offset,
            $"an access of {width} bytes at 0x{offset:X} lies outside of its region of 0x{length:X} bytes");
        machine.Violations.Require(offset % (uint)width == 0, $"an access of {width} bytes at 0x{offset:X} is not aligned");
        FakeBar? bar = machine.FindBar(address + offset, isPorts, out FakePciFunction? owner, out place);
        machine.Violations.Require(
            bar is not null || machine.MayMiss,
            $"nothing answers at 0x{address + offset:X}: no BAR is there, or its decoding is off");
        return owner is { IsPresent: false } ? null : bar;
    }
}
