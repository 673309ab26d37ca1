// The partition table in the first block of a disk (MBR), and the chain of those in an extended partition, read without trusting them.
using System.Buffers.Binary;

namespace VirtioSharp.Drivers.Partitions;

/// <summary>One of the four entries of a table; in blocks of the disk.</summary>
internal readonly struct MbrEntry
{
    internal MbrEntry(byte type, uint first, uint count)
    {
        Type = type;
        First = first;
        Count = count;
    }

    internal byte Type { get; }

    internal uint First { get; }

    internal uint Count { get; }

    internal bool IsExtended => Type is 0x05 or 0x0F or 0x85;
}

/// <summary>Reads tables of the old format.</summary>
internal static class MasterBootRecord
{
    internal const int EntryCount = 4;

    /// <summary>The type of the partition that stands for a GUID table.</summary>
    internal const byte Protective = 0xEE;

    private const int EntriesOffset = 446;
    private const int EntryLength = 16;

    /// <summary>True when a block ends its first 512 bytes as a table does.</summary>
    internal static bool IsTable(ReadOnlySpan<byte> block) => block.Length >= 512 && block[510] == 0x55 && block[511] == 0xAA;

    /// <summary>Reads entry <paramref name="index"/>, 0 to 3; its type is 0 when it is not used.</summary>
    internal static MbrEntry EntryAt(ReadOnlySpan<byte> block, int index)
    {
        ReadOnlySpan<byte> entry = block.Slice(EntriesOffset + index * EntryLength, EntryLength);
        return new MbrEntry(entry[4], BinaryPrimitives.ReadUInt32LittleEndian(entry.Slice(8)), BinaryPrimitives.ReadUInt32LittleEndian(entry.Slice(12)));
    }

    /// <summary>What a type is called.</summary>
    internal static string KindOf(byte type) => "type " + type.ToString("x2") + " " + type switch
    {
        0x01 => "FAT12",
        0x04 or 0x06 or 0x0E => "FAT16",
        0x0B or 0x0C => "FAT32",
        0x07 => "NTFS or exFAT",
        0x05 or 0x0F or 0x85 => "extended",
        0x82 => "Linux swap",
        0x83 => "Linux",
        Protective => "GPT protective",
        0xEF => "EFI system",
        _ => "unknown",
    };
}
