// virtio-blk: features, configuration, requests (virtio 5.2).
namespace VirtioSharp.Drivers.Block;

/// <summary>Numbers of the block device (virtio 5.2.3 to 5.2.6).</summary>
public static class VirtioBlkFormat
{
    /// <summary>VIRTIO_BLK_F_SIZE_MAX: the most bytes of a segment are given.</summary>
    public const ulong SizeMax = 1ul << 1;

    /// <summary>VIRTIO_BLK_F_SEG_MAX: the most segments of a request are given.</summary>
    public const ulong SegMax = 1ul << 2;

    /// <summary>VIRTIO_BLK_F_RO: read only.</summary>
    public const ulong ReadOnly = 1ul << 5;

    /// <summary>VIRTIO_BLK_F_BLK_SIZE: the block size is given.</summary>
    public const ulong BlockSize = 1ul << 6;

    /// <summary>VIRTIO_BLK_F_FLUSH: there is a flush command.</summary>
    public const ulong Flush = 1ul << 9;

    // struct virtio_blk_config (5.2.4): offsets.
    internal const ushort CapacityOffset = 0;
    internal const ushort SizeMaxOffset = 8;
    internal const ushort SegMaxOffset = 12;
    internal const ushort BlockSizeOffset = 20;

    // struct virtio_blk_req (5.2.6): offsets and lengths.
    internal const uint TypeOffset = 0;
    internal const uint SectorOffset = 8;
    internal const uint HeaderLength = 16;
    internal const uint IdLength = 20;

    // Types.
    internal const uint TypeIn = 0;
    internal const uint TypeOut = 1;
    internal const uint TypeFlush = 4;
    internal const uint TypeGetId = 8;

    // Status bytes.
    internal const byte StatusOk = 0;
    internal const byte StatusUnsupported = 2;

    /// <summary>No device writes this; it stands in the status byte until one writes something.</summary>
    internal const byte StatusPoison = 0xFF;

    /// <summary>The name of a feature bit in the specification's words; empty for one without a name.</summary>
    public static string NameOf(int bit) => bit switch
    {
        0 => "BARRIER",
        1 => "SIZE_MAX",
        2 => "SEG_MAX",
        4 => "GEOMETRY",
        5 => "RO",
        6 => "BLK_SIZE",
        7 => "SCSI",
        9 => "FLUSH",
        10 => "TOPOLOGY",
        11 => "CONFIG_WCE",
        12 => "MQ",
        13 => "DISCARD",
        14 => "WRITE_ZEROES",
        15 => "LIFETIME",
        16 => "SECURE_ERASE",
        17 => "ZONED",
        _ => "",
    };
}
