// What answers behind a BAR.
namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>The registers behind one BAR. Accesses come aligned and within <see cref="Length"/>.</summary>
public abstract class FakeBar
{
    /// <summary>The size in bytes, a power of two of at least 16 for memory and 4 for ports.</summary>
    public abstract ulong Length { get; }

    /// <summary>Reads 1, 2 or 4 bytes.</summary>
    public abstract uint Read(ulong offset, int width);

    /// <summary>Writes 1, 2 or 4 bytes.</summary>
    public abstract void Write(ulong offset, int width, uint value);
}

/// <summary>A BAR with plain memory behind it, which takes any access.</summary>
public sealed class FakeMemoryBar(ulong length) : FakeBar
{
    private readonly byte[] _bytes = new byte[length];

    /// <inheritdoc/>
    public override ulong Length => length;

    /// <inheritdoc/>
    public override uint Read(ulong offset, int width)
    {
        uint value = 0;
        for (int i = 0; i < width; i++)
        {
            value |= (uint)_bytes[(int)offset + i] << (8 * i);
        }
        return value;
    }

    /// <inheritdoc/>
    public override void Write(ulong offset, int width, uint value)
    {
        for (int i = 0; i < width; i++)
        {
            _bytes[(int)offset + i] = (byte)(value >> (8 * i));
        }
    }
}

/// <summary>A part of a BAR: where it begins, how long it is, and what answers.</summary>
public readonly record struct FakeBarPart(ulong Offset, ulong Length, Func<ulong, int, uint> Read, Action<ulong, int, uint> Write);

/// <summary>A BAR made of parts with holes between them; an access to a hole breaks a rule.</summary>
public sealed class FakePartedBar(ulong length, Func<ViolationLog> violations) : FakeBar
{
    private readonly List<FakeBarPart> _parts = [];

    /// <inheritdoc/>
    public override ulong Length => length;

    /// <summary>Adds a part.</summary>
    public void Add(FakeBarPart part) => _parts.Add(part);

    /// <inheritdoc/>
    public override uint Read(ulong offset, int width)
    {
        FakeBarPart part = Find(offset, width);
        return part.Read(offset - part.Offset, width);
    }

    /// <inheritdoc/>
    public override void Write(ulong offset, int width, uint value)
    {
        FakeBarPart part = Find(offset, width);
        part.Write(offset - part.Offset, width, value);
    }

    private FakeBarPart Find(ulong offset, int width)
    {
        foreach (FakeBarPart part in _parts)
        {
            if (offset >= part.Offset && offset - part.Offset < part.Length && (uint)width <= part.Length - (offset - part.Offset))
            {
                return part;
            }
        }
        violations().Break($"an access of {width} bytes at 0x{offset:X} of a BAR, where no register is");
        return default;
    }
}
