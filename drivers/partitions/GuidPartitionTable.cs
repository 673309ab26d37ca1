// The GUID partition table of a disk (UEFI 2.10, 5.3), read without trusting it.
using System.Buffers.Binary;

namespace VirtioSharp.Drivers.Partitions;

/// <summary>What the header of the table says about the array of entries; all in blocks of the disk.</summary>
internal struct GuidTable
{
    /// <summary>The first block of the array.</summary>
    internal ulong EntriesAt;

    /// <summary>How many entries the array has, used or not.</summary>
    internal uint EntryCount;

    /// <summary>The size of an entry in bytes.</summary>
    internal uint EntryLength;

    /// <summary>The checksum of the array.</summary>
    internal uint EntriesChecksum;

    /// <summary>The first block that a partition may have.</summary>
    internal ulong FirstUsable;

    /// <summary>The last block that a partition may have.</summary>
    internal ulong LastUsable;

    /// <summary>The size of the array in bytes.</summary>
    internal readonly uint EntriesLength => EntryCount * EntryLength;
}

/// <summary>Reads header and entries. The answer is what is wrong with them; empty when they make sense.</summary>
internal static class GuidPartitionTable
{
    /// <summary>The most bytes of entries that are read; the usual table has 16 KiB.</summary>
    internal const uint MaxEntriesLength = 131072;

    private const uint MinHeaderLength = 92;
    private const uint MinEntryLength = 128;

    /// <summary>
    /// Reads the header, which is block <paramref name="at"/> of a disk of <paramref name="blockCount"/> blocks: the second, or of the copy the last.
    /// </summary>
    internal static string ReadHeader(ReadOnlySpan<byte> block, ulong at, ulong blockCount, out GuidTable table)
    {
        table = default;
        if (block.Length < 512 || BinaryPrimitives.ReadUInt64LittleEndian(block) != 0x5452415020494645)
        {
            return "the GUID partition table is missing: its block does not begin with EFI PART";
        }
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(block.Slice(12));
        if (length < MinHeaderLength || length > (uint)block.Length || ChecksumOfHeader(block.Slice(0, (int)length)) != At32(block, 16))
        {
            return "the GUID partition table is corrupt: the checksum of its header is wrong";
        }
        table.FirstUsable = At64(block, 40);
        table.LastUsable = At64(block, 48);
        table.EntriesAt = At64(block, 72);
        table.EntryCount = At32(block, 80);
        table.EntryLength = At32(block, 84);
        table.EntriesChecksum = At32(block, 88);
        bool sound = At64(block, 24) == at && table.FirstUsable <= table.LastUsable && table.LastUsable < blockCount &&
            table.EntryLength >= MinEntryLength && (table.EntryLength & (table.EntryLength - 1)) == 0 && table.EntryCount != 0 &&
            table.EntryLength <= MaxEntriesLength && table.EntryCount <= MaxEntriesLength / table.EntryLength;
        if (!sound)
        {
            return "the GUID partition table is corrupt: its header contradicts the disk or itself";
        }
        ulong blocks = ((ulong)table.EntriesLength + (uint)block.Length - 1) / (uint)block.Length;
        return table.EntriesAt >= 2 && table.EntriesAt < blockCount && blocks <= blockCount - table.EntriesAt
            ? "" : "the GUID partition table is corrupt: its entries lie outside the disk";
    }

    /// <summary>Reads the entries of a disk whose blocks have <paramref name="blockSectors"/> sectors.</summary>
    internal static string ReadEntries(ReadOnlySpan<byte> entries, in GuidTable table, uint blockSectors, ulong sectors, PartitionList found)
    {
        found.Clear();
        if (entries.Length < table.EntriesLength || Checksum(entries.Slice(0, (int)table.EntriesLength), 0xFFFFFFFF) != ~table.EntriesChecksum)
        {
            return "the GUID partition table is corrupt: the checksum of its entries is wrong";
        }
        for (int i = 0; i < table.EntryCount; i++)
        {
            ReadOnlySpan<byte> entry = entries.Slice(i * (int)table.EntryLength, (int)table.EntryLength);
            if (At64(entry, 0) == 0 && At64(entry, 8) == 0)
            {
                continue;
            }
            ulong first = At64(entry, 32);
            ulong last = At64(entry, 40);
            if (first > last || first < table.FirstUsable || last > table.LastUsable)
            {
                found.Clear();
                return "the GUID partition table is corrupt: a partition lies outside the usable blocks";
            }
            Partition partition = new(i + 1, first * blockSectors, (last - first + 1) * blockSectors, TypeOf(entry.Slice(0, 16)), NameOf(entry.Slice(56, 72)));
            string wrong = found.Add(partition, sectors);
            if (wrong.Length != 0)
            {
                found.Clear();
                return wrong;
            }
        }
        return "";
    }

    private static uint At32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.Slice(offset));

    private static ulong At64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(offset));

    /// <summary>The checksum of the header is computed with its own field as zero.</summary>
    private static uint ChecksumOfHeader(ReadOnlySpan<byte> header)
    {
        ReadOnlySpan<byte> zero = [0, 0, 0, 0];
        return ~Checksum(header.Slice(20), Checksum(zero, Checksum(header.Slice(0, 16), 0xFFFFFFFF)));
    }

    /// <summary>CRC-32 as of Ethernet, bit by bit: it runs once for each listing. The caller inverts the end.</summary>
    private static uint Checksum(ReadOnlySpan<byte> bytes, uint state)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            state ^= bytes[i];
            for (int bit = 0; bit < 8; bit++)
            {
                state = state >> 1 ^ ((state & 1) != 0 ? 0xEDB88320 : 0);
            }
        }
        return state;
    }

    private static string TypeOf(ReadOnlySpan<byte> guid)
    {
        string text = Text(guid);
        return text switch
        {
            "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" => "EFI system",
            "0FC63DAF-8483-4772-8E79-3D69D8477DE4" => "Linux",
            "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F" => "Linux swap",
            "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" => "Microsoft data",
            "21686148-6449-6E6F-744E-656564454649" => "BIOS boot",
            _ => text,
        };
    }

    /// <summary>A GUID as people write it: the first three groups are little-endian.</summary>
    private static string Text(ReadOnlySpan<byte> guid)
    {
        ReadOnlySpan<byte> order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        char[] text = new char[36];
        int length = 0;
        for (int i = 0; i < 16; i++)
        {
            if (i is 4 or 6 or 8 or 10)
            {
                text[length++] = '-';
            }
            text[length++] = Digit(guid[order[i]] >> 4);
            text[length++] = Digit(guid[order[i]] & 15);
        }
        return new string(text);
    }

    private static char Digit(int value) => (char)(value < 10 ? '0' + value : 'A' + value - 10);

    private static string NameOf(ReadOnlySpan<byte> utf16)
    {
        char[] name = new char[36];
        int length = 0;
        while (length < name.Length && (utf16[length * 2] | utf16[length * 2 + 1]) != 0)
        {
            char c = (char)(utf16[length * 2] | utf16[length * 2 + 1] << 8);
            name[length++] = c is >= ' ' and < (char)0x7F ? c : '?';
        }
        return new string(name, 0, length);
    }
}
