// Memory for QEMU's devices: pieces of the guest's RAM, which this process maps.
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>First fit over a part of the guest's RAM that nobody else uses. Pointers and device addresses differ.</summary>
internal sealed unsafe class QtestDma(byte* memory, ulong start, ulong end) : DmaSpace
{
    private readonly SortedDictionary<ulong, ulong> _used = [];

    /// <summary>How many pieces have not been given back.</summary>
    internal int InUse => _used.Count;

    /// <inheritdoc/>
    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        ulong place = Align(start, alignment);
        foreach ((ulong usedStart, ulong usedLength) in _used)
        {
            if (place + length <= usedStart)
            {
                break;
            }
            place = Align(usedStart + usedLength, alignment);
        }
        if (place + length > end)
        {
            buffer = default;
            return false;
        }
        _used.Add(place, length);
        new Span<byte>(memory + place, (int)length).Clear();
        buffer = new DmaBuffer(memory + place, place, length);
        return true;
    }

    /// <inheritdoc/>
    public override void Free(in DmaBuffer buffer) => Assert.True(_used.Remove(buffer.DeviceAddress), "memory was freed that was not allocated");

    /// <inheritdoc/>
    public override void Share(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public override void Unshare(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    private static ulong Align(ulong place, uint alignment) => place + alignment - 1 & ~((ulong)alignment - 1);
}
