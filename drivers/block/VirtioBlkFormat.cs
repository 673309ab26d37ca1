// virtio-blk: features, configuration, requests (virtio 5.2).
namespace VirtioSharp.Drivers.Block;

/// <summary>Numbers of the block device (virtio 5.2.3 to 5.2.6).</summary>
public static class VirtioBlkFormat
{
    /// <summary>VIRTIO_BLK_F_SIZE_MAX: the most bytes of a segment are given.</summary>
    public const ulong SizeMax = 1ul << 1;

    /// <summary>VIRTIO_BLK_F_SEG_MAX: the most segments of a request are given.</summary>
    public const ulong SegMax = 1ul << 2;

    /// <summary>VIRTIO_BLK_F_GEOMETRY: cylinders, heads and sectors are given.</summary>
    public const ulong Geometry = 1ul << 4;

    /// <summary>VIRTIO_BLK_F_RO: read only.</summary>
    public const ulong ReadOnly = 1ul << 5;

    /// <summary>VIRTIO_BLK_F_BLK_SIZE: the block size is given.</summary>
    public const ulong BlockSize = 1ul << 6;

    /// <summary>VIRTIO_BLK_F_FLUSH: there is a flush command.</summary>
    public const ulong Flush = 1ul << 9;

    /// <summary>VIRTIO_BLK_F_TOPOLOGY: what the medium likes best is given.</summary>
    public const ulong Topology = 1ul << 10;

    /// <summary>VIRTIO_BLK_F_CONFIG_WCE: the write cache can be switched.</summary>
    public const ulong ConfigWriteCache = 1ul << 11;

    /// <summary>VIRTIO_BLK_F_MQ: there may be several request queues.</summary>
    public const ulong MultiQueue = 1ul << 12;

    /// <summary>VIRTIO_BLK_F_DISCARD: there is a discard command.</summary>
    public const ulong Discard = 1ul << 13;

    /// <summary>VIRTIO_BLK_F_WRITE_ZEROES: there is a write zeroes command.</summary>
    public const ulong WriteZeroes = 1ul << 14;

    /// <summary>VIRTIO_BLK_F_LIFETIME: the wear of the medium can be asked for.</summary>
    public const ulong Lifetime = 1ul << 15;

    /// <summary>VIRTIO_BLK_F_SECURE_ERASE: there is a secure erase command.</summary>
    public const ulong SecureErase = 1ul << 16;

    /// <summary>VIRTIO_BLK_F_ZONED: the disk may have zones.</summary>
    public const ulong Zoned = 1ul << 17;

    // struct virtio_blk_config (5.2.4): offsets.
    internal const ushort CapacityOffset = 0;
    internal const ushort SizeMaxOffset = 8;
    internal const ushort SegMaxOffset = 12;
    internal const ushort CylindersOffset = 16;
    internal const ushort HeadsOffset = 18;
    internal const ushort SectorsOffset = 19;
    internal const ushort BlockSizeOffset = 20;
    internal const ushort PhysicalBlockExponentOffset = 24;
    internal const ushort AlignmentOffsetOffset = 25;
    internal const ushort MinIoSizeOffset = 26;
    internal const ushort OptIoSizeOffset = 28;
    internal const ushort WriteBackOffset = 32;
    internal const ushort NumQueuesOffset = 34;
    internal const ushort DiscardOffset = 36; // max sectors, max segments, alignment: 4 bytes each
    internal const ushort WriteZeroesOffset = 48; // max sectors, max segments
    internal const ushort WriteZeroesMayUnmapOffset = 56;
    internal const ushort SecureEraseOffset = 60; // as for discard
    internal const ushort ZoneSectorsOffset = 72;
    internal const ushort MaxOpenZonesOffset = 76;
    internal const ushort MaxActiveZonesOffset = 80;
    internal const ushort MaxAppendSectorsOffset = 84;
    internal const ushort WriteGranularityOffset = 88;
    internal const ushort ZoneModelOffset = 92;

    // struct virtio_blk_req (5.2.6): offsets and lengths.
    internal const uint TypeOffset = 0;
    internal const uint SectorOffset = 8;
    internal const uint HeaderLength = 16;
    internal const uint IdLength = 20;

    // struct virtio_blk_discard_write_zeroes (5.2.6).
    internal const uint RangeSectorOffset = 0;
    internal const uint RangeCountOffset = 8;
    internal const uint RangeFlagsOffset = 12;
    internal const uint RangeLength = 16;
    internal const uint RangeUnmap = 1;

    /// <summary>What precedes the status byte in the answer to a zone append: the sector (5.2.6, struct virtio_blk_req_za).</summary>
    internal const uint AppendSectorLength = 8;

    // Status bytes.
    internal const byte StatusOk = 0;
    internal const byte StatusError = 1;
    internal const byte StatusUnsupported = 2;
    internal const byte StatusZoneInvalid = 3;
    internal const byte StatusZoneUnaligned = 4;
    internal const byte StatusZoneOpen = 5;
    internal const byte StatusZoneActive = 6;

    /// <summary>No device writes this; it stands in the status byte until one writes something.</summary>
    internal const byte StatusPoison = 0xFF;

    /// <summary>The type of a request (5.2.6).</summary>
    internal static uint TypeOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => 0,
        BlockOperation.Write => 1,
        BlockOperation.Flush => 4,
        BlockOperation.GetId => 8,
        BlockOperation.GetLifetime => 10,
        BlockOperation.Discard => 11,
        BlockOperation.WriteZeroes => 13,
        BlockOperation.SecureErase => 14,
        BlockOperation.AppendZone => 15,
        BlockOperation.ReportZones => 16,
        BlockOperation.OpenZone => 18,
        BlockOperation.CloseZone => 20,
        BlockOperation.FinishZone => 22,
        BlockOperation.ResetZone => 24,
        _ => 26, // ResetAllZones
    };

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
