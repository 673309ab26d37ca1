// Register access: one mapped BAR, port range or other window of device registers.
namespace VirtioSharp.Drivers.Platform;

/// <summary>
/// A range of device registers, in memory or in port space. Every call is exactly one access of exactly that width.
/// Offsets are in bytes from the start of the region; the caller keeps <c>offset + width</c> within <see cref="Length"/>
/// and offsets aligned to the width. Drivers go through an <see cref="IoWindow"/>, which was checked when it was made.
/// </summary>
public abstract class IoRegion
{
    /// <summary>The size of the region in bytes.</summary>
    public abstract ulong Length { get; }

    /// <summary>Reads one byte.</summary>
    public abstract byte Read8(ulong offset);

    /// <summary>Reads 16 bits, little-endian; <paramref name="offset"/> is a multiple of 2.</summary>
    public abstract ushort Read16(ulong offset);

    /// <summary>Reads 32 bits, little-endian; <paramref name="offset"/> is a multiple of 4.</summary>
    public abstract uint Read32(ulong offset);

    /// <summary>Writes one byte.</summary>
    public abstract void Write8(ulong offset, byte value);

    /// <summary>Writes 16 bits, little-endian; <paramref name="offset"/> is a multiple of 2.</summary>
    public abstract void Write16(ulong offset, ushort value);

    /// <summary>Writes 32 bits, little-endian; <paramref name="offset"/> is a multiple of 4.</summary>
    public abstract void Write32(ulong offset, uint value);
}
