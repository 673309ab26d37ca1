// What a block device says of its medium: sizes it likes, its wear (virtio 5.2.4, 5.2.6).
using System.Buffers.Binary;

namespace VirtioSharp.Drivers.Block;

/// <summary>Advice for those who lay out data (virtio 5.2.5, TOPOLOGY). All sizes in bytes.</summary>
public readonly struct BlockTopology
{
    /// <summary>Describes a medium.</summary>
    public BlockTopology(ulong physicalBlockSize, ulong alignmentOffset, ulong minimumIoSize, ulong optimalIoSize)
    {
        PhysicalBlockSize = physicalBlockSize;
        AlignmentOffset = alignmentOffset;
        MinimumIoSize = minimumIoSize;
        OptimalIoSize = optimalIoSize;
    }

    /// <summary>What the medium writes at once: smaller or unaligned writes make it read first.</summary>
    public ulong PhysicalBlockSize { get; }

    /// <summary>Where the first physical block begins.</summary>
    public ulong AlignmentOffset { get; }

    /// <summary>The smallest transfer that costs nothing extra; 0 when the device does not say.</summary>
    public ulong MinimumIoSize { get; }

    /// <summary>The transfer size that is fastest; 0 when the device does not say.</summary>
    public ulong OptimalIoSize { get; }

    /// <summary>A medium of which nothing is known but its block size.</summary>
    public static BlockTopology Plain(uint blockSize) => new(blockSize, 0, 0, 0);
}

/// <summary>Cylinders, heads and sectors a track (virtio 5.2.4, GEOMETRY): numbers of old, without meaning for today's media.</summary>
public readonly struct BlockGeometry
{
    /// <summary>Names the three.</summary>
    public BlockGeometry(ushort cylinders, byte heads, byte sectors)
    {
        Cylinders = cylinders;
        Heads = heads;
        Sectors = sectors;
    }

    /// <summary>Cylinders.</summary>
    public ushort Cylinders { get; }

    /// <summary>Heads.</summary>
    public byte Heads { get; }

    /// <summary>Sectors a track.</summary>
    public byte Sectors { get; }
}

/// <summary>How much of the reserved blocks of a medium is used up (virtio 5.2.6, pre_eol_info).</summary>
public enum MediumReserve
{
    /// <summary>The device does not say.</summary>
    Unknown,

    /// <summary>Less than 80 %.</summary>
    Normal,

    /// <summary>80 %.</summary>
    Warning,

    /// <summary>90 %.</summary>
    Urgent,
}

/// <summary>The wear of a medium (virtio 5.2.6, struct virtio_blk_lifetime).</summary>
public readonly struct BlockLifetime
{
    /// <summary>How many bytes the device answers.</summary>
    public const int Length = 6;

    private const ushort Exceeded = 11;

    private BlockLifetime(MediumReserve reserve, ushort typeA, ushort typeB)
    {
        Reserve = reserve;
        TypeA = typeA;
        TypeB = typeB;
    }

    /// <summary>The state of the reserved blocks.</summary>
    public MediumReserve Reserve { get; }

    /// <summary>The wear of SLC cells: n stands for up to n × 10 % of the lifetime, 11 for beyond it, 0 for unknown.</summary>
    public ushort TypeA { get; }

    /// <summary>The wear of MLC cells, in the same units.</summary>
    public ushort TypeB { get; }

    /// <summary>Reads an answer; false when it holds values that the specification does not know.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out BlockLifetime lifetime)
    {
        lifetime = default;
        if (bytes.Length < Length)
        {
            return false;
        }
        ushort reserve = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        ushort typeA = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Slice(2));
        ushort typeB = BinaryPrimitives.ReadUInt16LittleEndian(bytes.Slice(4));
        if (reserve > (ushort)MediumReserve.Urgent || typeA > Exceeded || typeB > Exceeded)
        {
            return false;
        }
        lifetime = new BlockLifetime((MediumReserve)reserve, typeA, typeB);
        return true;
    }
}
