// A piece of memory that driver and device can both reach.
using System.Runtime.CompilerServices;

namespace VirtioSharp.Drivers.Platform;

/// <summary>
/// Memory for a device: the driver's pointer, the address under which the device sees it, and the length in bytes. The two
/// addresses may differ (an IOMMU, a fake machine). The memory stays where it is for as long as it is allocated.
/// </summary>
public readonly unsafe struct DmaBuffer
{
    /// <summary>Describes memory that a <see cref="DmaSpace"/> handed out.</summary>
    public DmaBuffer(byte* pointer, ulong deviceAddress, uint length)
    {
        Pointer = pointer;
        DeviceAddress = deviceAddress;
        Length = length;
    }

    /// <summary>Where the driver reads and writes the memory.</summary>
    public byte* Pointer { get; }

    /// <summary>The address to give to the device.</summary>
    public ulong DeviceAddress { get; }

    /// <summary>The length in bytes.</summary>
    public uint Length { get; }

    /// <summary>The memory as a span, for the driver, while it owns the bytes.</summary>
    public Span<byte> Span => new(Pointer, (int)Length);

    /// <summary>A part of the buffer: <paramref name="length"/> bytes from <paramref name="offset"/>, which must lie within it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public DmaBuffer Slice(uint offset, uint length)
    {
        Contract.Require(offset <= Length && length <= Length - offset, "a slice outside its DMA buffer");
        return new DmaBuffer(Pointer + offset, DeviceAddress + offset, length);
    }
}
