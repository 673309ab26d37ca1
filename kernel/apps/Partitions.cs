// The partition table of a disk, read without trusting it.
using System.Buffers.Binary;

namespace VirtioSharp.Kernel.Apps;

/// <summary>A range of blocks that a table names.</summary>
public readonly struct Partition
{
    /// <summary>Names a range.</summary>
    public Partition(int number, ulong first, ulong count, byte type)
    {
        Number = number;
        First = first;
        Count = count;
        Type = type;
    }

    /// <summary>Its number, from 1.</summary>
    public int Number { get; }

    /// <summary>Its first block.</summary>
    public ulong First { get; }

    /// <summary>How many blocks it has.</summary>
    public ulong Count { get; }

    /// <summary>Its type in an MBR.</summary>
    public byte Type { get; }
}

/// <summary>Reads the table in the first block (MBR). A disk with a GPT has a protective partition here.</summary>
public static class Partitions
{
    /// <summary>The most that an MBR holds.</summary>
    public const int MaxCount = 4;

    /// <summary>The type of the partition that stands for a GPT.</summary>
    public const byte Protective = 0xEE;

    /// <summary>
    /// Finds the partitions in <paramref name="sector"/>, the first block of a disk of <paramref name="blockCount"/> blocks. The answer is what is
    /// wrong with the table; empty when it makes sense.
    /// </summary>
    public static string Read(ReadOnlySpan<byte> sector, ulong blockCount, Span<Partition> found, out int count)
    {
        count = 0;
        if (sector.Length < 512 || sector[510] != 0x55 || sector[511] != 0xAA)
        {
            return "there is no partition table: the first sector does not end in 55 aa";
        }
        for (int i = 0; i < MaxCount; i++)
        {
            ReadOnlySpan<byte> entry = sector.Slice(446 + i * 16, 16);
            byte type = entry[4];
            ulong first = BinaryPrimitives.ReadUInt32LittleEndian(entry.Slice(8));
            ulong length = BinaryPrimitives.ReadUInt32LittleEndian(entry.Slice(12));
            if (type == 0)
            {
                continue;
            }
            // A protective partition may claim all 32 bits, and tools leave the size of the disk they knew (UEFI 5.2.3).
            bool protective = type == Protective;
            if (first == 0 || length == 0 || (!protective && first + length > blockCount))
            {
                count = 0;
                return "the partition table is corrupt: an entry is empty, or lies beyond the end of the disk";
            }
            for (int j = 0; j < count; j++)
            {
                if (first < found[j].First + found[j].Count && found[j].First < first + length)
                {
                    count = 0;
                    return "the partition table is corrupt: two entries overlap";
                }
            }
            found[count++] = new Partition(i + 1, first, length, type);
        }
        return "";
    }

    /// <summary>The name of a type, for people.</summary>
    public static string NameOf(byte type) => type switch
    {
        0x01 => "FAT12",
        0x04 or 0x06 or 0x0E => "FAT16",
        0x0B or 0x0C => "FAT32",
        0x07 => "NTFS or exFAT",
        0x05 or 0x0F => "extended",
        0x82 => "Linux swap",
        0x83 => "Linux",
        Protective => "GPT protective",
        0xEF => "EFI system",
        _ => "unknown",
    };

    /// <summary>The label in the first block of a FAT file system; empty when it is none, or has none.</summary>
    public static string LabelOf(ReadOnlySpan<byte> block)
    {
        if (block.Length < 512 || block[510] != 0x55 || block[511] != 0xAA)
        {
            return "";
        }
        // FAT12 and FAT16 keep label and type at 43, FAT32 at 71, each announced by the signature 0x29.
        int at = IsFat(block.Slice(38)) ? 43 : IsFat(block.Slice(66)) ? 71 : 0;
        if (at == 0)
        {
            return "";
        }
        char[] label = new char[11];
        int length = 0;
        for (int i = 0; i < label.Length; i++)
        {
            byte c = block[at + i];
            label[i] = c is >= 0x20 and < 0x7F ? (char)c : '?';
            length = c == 0x20 ? length : i + 1;
        }
        string text = new(label, 0, length);
        return text == "NO NAME" ? "" : text;
    }

    private static bool IsFat(ReadOnlySpan<byte> signature) =>
        signature[0] == 0x29 && signature[16] == (byte)'F' && signature[17] == (byte)'A' && signature[18] == (byte)'T';
}
