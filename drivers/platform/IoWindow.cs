// A checked part of an IoRegion: what a driver reads and writes registers through.
using System.Runtime.CompilerServices;

namespace VirtioSharp.Drivers.Platform;

/// <summary>
/// A part of an <see cref="IoRegion"/> that was checked once, when it was made: offset and length came from a device and
/// may be anything. Accesses outside the window are bugs of the caller and end in <see cref="Contract.Require"/>.
/// </summary>
public readonly struct IoWindow
{
    private readonly IoRegion? _region;
    private readonly ulong _start;
    private readonly ulong _length;

    private IoWindow(IoRegion region, ulong start, ulong length)
    {
        _region = region;
        _start = start;
        _length = length;
    }

    /// <summary>The size of the window in bytes; 0 for a window that was never made.</summary>
    public ulong Length => _length;

    /// <summary>True when the window shows registers.</summary>
    public bool IsValid => _region is not null;

    /// <summary>Makes a window of <paramref name="length"/> bytes at <paramref name="offset"/>; false when it does not fit.</summary>
    public static bool TryCreate(IoRegion? region, ulong offset, ulong length, out IoWindow window)
    {
        if (region is null || length == 0 || offset > region.Length || length > region.Length - offset)
        {
            window = default;
            return false;
        }
        window = new IoWindow(region, offset, length);
        return true;
    }

    /// <summary>True when <paramref name="width"/> bytes at <paramref name="offset"/> lie inside the window.</summary>
    public bool Contains(ulong offset, uint width) => offset <= _length && width <= _length - offset;

    /// <summary>Reads one byte at <paramref name="offset"/>.</summary>
    public byte Read8(ulong offset) => Checked(offset, 1).Read8(_start + offset);

    /// <summary>Reads 16 bits at <paramref name="offset"/>.</summary>
    public ushort Read16(ulong offset) => Checked(offset, 2).Read16(_start + offset);

    /// <summary>Reads 32 bits at <paramref name="offset"/>.</summary>
    public uint Read32(ulong offset) => Checked(offset, 4).Read32(_start + offset);

    /// <summary>Writes one byte at <paramref name="offset"/>.</summary>
    public void Write8(ulong offset, byte value) => Checked(offset, 1).Write8(_start + offset, value);

    /// <summary>Writes 16 bits at <paramref name="offset"/>.</summary>
    public void Write16(ulong offset, ushort value) => Checked(offset, 2).Write16(_start + offset, value);

    /// <summary>Writes 32 bits at <paramref name="offset"/>.</summary>
    public void Write32(ulong offset, uint value) => Checked(offset, 4).Write32(_start + offset, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IoRegion Checked(ulong offset, uint width)
    {
        Contract.Require(Contains(offset, width), "a register access outside its window");
        return _region!;
    }
}
