// virtio-blk for people: the specification's words for fields, requests and answers (virtio 5.2.4, 5.2.6).
using System.Buffers.Binary;

namespace VirtioSharp.Drivers.Block;

/// <summary>What traces call things.</summary>
internal static class VirtioBlkWords
{
    /// <summary>The field of the configuration at an offset.</summary>
    internal static string FieldAt(uint offset) => offset switch
    {
        < VirtioBlkFormat.SizeMaxOffset => "capacity",
        < VirtioBlkFormat.SegMaxOffset => "size_max",
        < VirtioBlkFormat.CylindersOffset => "seg_max",
        < VirtioBlkFormat.BlockSizeOffset => "geometry",
        < VirtioBlkFormat.PhysicalBlockExponentOffset => "blk_size",
        < VirtioBlkFormat.WriteBackOffset => "topology",
        VirtioBlkFormat.WriteBackOffset => "writeback",
        < VirtioBlkFormat.NumQueuesOffset => "unused0",
        < VirtioBlkFormat.DiscardOffset => "num_queues",
        < VirtioBlkFormat.WriteZeroesOffset => "discard",
        <= VirtioBlkFormat.WriteZeroesMayUnmapOffset => "write_zeroes",
        < VirtioBlkFormat.SecureEraseOffset => "unused1",
        < VirtioBlkFormat.ZoneSectorsOffset => "secure_erase",
        _ => "zoned",
    };

    /// <summary>The type of a request, by its header, and the sector that it is about; empty for what is no header.</summary>
    internal static string RequestOf(ReadOnlySpan<byte> header, out ulong sector)
    {
        sector = 0;
        if (header.Length < (int)VirtioBlkFormat.HeaderLength)
        {
            return "";
        }
        sector = BinaryPrimitives.ReadUInt64LittleEndian(header.Slice((int)VirtioBlkFormat.SectorOffset));
        return BinaryPrimitives.ReadUInt32LittleEndian(header) switch
        {
            0 => "IN",
            1 => "OUT",
            4 => "FLUSH",
            8 => "GET_ID",
            10 => "GET_LIFETIME",
            11 => "DISCARD",
            13 => "WRITE_ZEROES",
            14 => "SECURE_ERASE",
            15 => "ZONE_APPEND",
            16 => "ZONE_REPORT",
            18 => "ZONE_OPEN",
            20 => "ZONE_CLOSE",
            22 => "ZONE_FINISH",
            24 => "ZONE_RESET",
            26 => "ZONE_RESET_ALL",
            _ => "unknown type",
        };
    }

    /// <summary>The status of a request, by the last bytes that the device wrote.</summary>
    internal static string AnswerOf(ReadOnlySpan<byte> last) => last.Length == 0 ? "" : last[last.Length - 1] switch
    {
        VirtioBlkFormat.StatusOk => "OK",
        VirtioBlkFormat.StatusError => "IOERR",
        VirtioBlkFormat.StatusUnsupported => "UNSUPP",
        VirtioBlkFormat.StatusPoison => "no status",
        _ => "another status",
    };
}
