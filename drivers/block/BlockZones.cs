// Zoned disks: what they say of their zones (virtio 5.2.4, 5.2.6, ZONED).
using System.Buffers.Binary;

namespace VirtioSharp.Drivers.Block;

/// <summary>How a disk treats its zones (virtio 5.2.5, VIRTIO_BLK_Z_*).</summary>
public enum ZoneModel : byte
{
    /// <summary>There are none.</summary>
    None,

    /// <summary>Host-managed: zones that require it are written from their write pointer on only.</summary>
    HostManaged,

    /// <summary>Host-aware: zones that prefer it should be, but all can be written anywhere.</summary>
    HostAware,
}

/// <summary>The zones of a disk in general. All in sectors of 512 bytes where nothing else is said.</summary>
public readonly struct ZoneLimits
{
    /// <summary>Describes the zones of a disk.</summary>
    public ZoneLimits(ZoneModel model, uint zoneSectors, uint maxOpen, uint maxActive, uint maxAppendSectors, uint writeGranularity)
    {
        Model = model;
        ZoneSectors = zoneSectors;
        MaxOpen = maxOpen;
        MaxActive = maxActive;
        MaxAppendSectors = maxAppendSectors;
        WriteGranularity = writeGranularity;
    }

    /// <summary>How the disk treats its zones.</summary>
    public ZoneModel Model { get; }

    /// <summary>The size of a zone; the last one may be smaller.</summary>
    public uint ZoneSectors { get; }

    /// <summary>How many zones may be open at a time; 0 for no limit.</summary>
    public uint MaxOpen { get; }

    /// <summary>How many zones may be open or closed at a time; 0 for no limit.</summary>
    public uint MaxActive { get; }

    /// <summary>The most that one append may write; 0 when there is no append.</summary>
    public uint MaxAppendSectors { get; }

    /// <summary>In bytes: writes to sequential zones begin and end at multiples of it.</summary>
    public uint WriteGranularity { get; }
}

/// <summary>The kind of a zone (virtio 5.2.6, VIRTIO_BLK_ZT_*).</summary>
public enum ZoneType : byte
{
    /// <summary>Written anywhere.</summary>
    Conventional = 1,

    /// <summary>Written from its write pointer on.</summary>
    SequentialRequired = 2,

    /// <summary>Best written from its write pointer on.</summary>
    SequentialPreferred = 3,
}

/// <summary>The state of a zone (virtio 5.2.6, VIRTIO_BLK_ZS_*).</summary>
public enum ZoneState : byte
{
    /// <summary>A conventional zone.</summary>
    NoWritePointer = 0,

    /// <summary>Nothing was written since its reset.</summary>
    Empty = 1,

    /// <summary>Opened by a write.</summary>
    ImplicitlyOpen = 2,

    /// <summary>Opened by an open.</summary>
    ExplicitlyOpen = 3,

    /// <summary>Partly written, not open.</summary>
    Closed = 4,

    /// <summary>Can't be written any more.</summary>
    ReadOnly = 13,

    /// <summary>Written to its end, or finished.</summary>
    Full = 14,

    /// <summary>Can be neither read nor written any more.</summary>
    Offline = 15,
}

/// <summary>One zone. Positions in sectors of 512 bytes.</summary>
public readonly struct Zone
{
    /// <summary>Describes a zone.</summary>
    public Zone(ulong start, ulong capacity, ulong writePointer, ZoneType type, ZoneState state)
    {
        Start = start;
        Capacity = capacity;
        WritePointer = writePointer;
        Type = type;
        State = state;
    }

    /// <summary>Its first sector.</summary>
    public ulong Start { get; }

    /// <summary>How many sectors of it can be used.</summary>
    public ulong Capacity { get; }

    /// <summary>Where the next write goes; without meaning for zones that are conventional, full, read-only or offline.</summary>
    public ulong WritePointer { get; }

    /// <summary>Its kind.</summary>
    public ZoneType Type { get; }

    /// <summary>Its state.</summary>
    public ZoneState State { get; }
}

/// <summary>
/// Reads the answer to <see cref="BlockOperation.ReportZones"/> (virtio 5.2.6, struct virtio_blk_zone_report). The driver has
/// checked that the number of zones in it is covered by what the device wrote.
/// </summary>
public static class ZoneReport
{
    /// <summary>The length of what precedes the zones, in bytes.</summary>
    public const int HeaderLength = 64;

    /// <summary>The length of a zone, in bytes: a report of n zones wants a buffer of 64 + 64 n.</summary>
    public const int ZoneLength = 64;

    /// <summary>How many zones there are in a report.</summary>
    public static int CountOf(ReadOnlySpan<byte> report)
    {
        if (report.Length < HeaderLength)
        {
            return 0;
        }
        ulong room = (ulong)(report.Length - HeaderLength) / ZoneLength;
        return (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(report), room);
    }

    /// <summary>Reads zone <paramref name="index"/>, from 0; false when there is none, or the device describes it in a way that makes no sense.</summary>
    public static bool TryRead(ReadOnlySpan<byte> report, int index, out Zone zone)
    {
        zone = default;
        if ((uint)index >= (uint)CountOf(report))
        {
            return false;
        }
        ReadOnlySpan<byte> bytes = report.Slice(HeaderLength + index * ZoneLength, ZoneLength);
        ulong capacity = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        ulong start = BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(8));
        ulong pointer = BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(16));
        ZoneType type = (ZoneType)bytes[24];
        ZoneState state = (ZoneState)bytes[25];
        bool hasPointer = state is ZoneState.Empty or ZoneState.ImplicitlyOpen or ZoneState.ExplicitlyOpen or ZoneState.Closed;
        bool known = hasPointer || state is ZoneState.NoWritePointer or ZoneState.ReadOnly or ZoneState.Full or ZoneState.Offline;
        bool makesSense = known && type is >= ZoneType.Conventional and <= ZoneType.SequentialPreferred && start <= ulong.MaxValue - capacity &&
            (!hasPointer || (pointer >= start && pointer - start <= capacity));
        zone = new Zone(start, capacity, pointer, type, state);
        return makesSense;
    }
}
