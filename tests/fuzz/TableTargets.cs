// Fuzzing of partition tables: anything in the first block, in the chain of logical partitions, in a GUID table and its copy.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Partitions;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Partitions;
using Xunit;

namespace VirtioSharp.Tests.Fuzz;

/// <summary>Tables that are nearly right, of which some blocks can't be read. What is found lies on the disk.</summary>
internal static class TableTargets
{
    private const ulong Blocks = 200;
    private const int MostEntries = 8;

    /// <summary>One run.</summary>
    public static void Run(byte[] bytes)
    {
        FuzzInput input = new(bytes);
        byte first = input.Next8();
        using TableDisk table = new(Blocks, (first & 1) != 0 ? 1024u : 512, MostEntries);
        switch (first >> 1 & 3)
        {
            case 0:
                table.Mbr(0);
                input.Take(64).CopyTo(table.Block(0)[446..]);
                break;
            case 1:
                Mbr(table, input);
                break;
            default:
                Guid(table, input, sealsAgain: (first & 8) != 0);
                break;
        }
        if ((first & 16) != 0)
        {
            int readable = input.Next8() % 4;
            table.Disk.Fails = _ => readable-- == 0 ? IoStatus.DeviceError : null;
        }
        TestScan scan = table.Scan();
        Assert.True(scan.Error.Length == 0 || scan.Found.Count == 0, "partitions of a table that is wrong");
        foreach (Partition partition in scan.All)
        {
            bool isInside = partition.Count != 0 && partition.First < table.Disk.SectorCount && partition.Count <= table.Disk.SectorCount - partition.First;
            Assert.True(isInside, $"partition {partition.Number} is not on the disk");
            Assert.True(partition.Label.Length <= 36 && partition.Kind.Length != 0);
        }
        Assert.Equal(scan.Found.Count, scan.All.Select(partition => partition.Number).Distinct().Count());
    }

    /// <summary>Tables in a row, each with entries that nearly make sense; the first names the second as extended.</summary>
    private static void Mbr(TableDisk table, FuzzInput input)
    {
        ulong at = 0;
        for (int i = 0; i < 6 && !input.IsEmpty && at < Blocks; i++)
        {
            byte types = input.Next8();
            byte[] known = [0x83, 0x05, 0x00, 0x0F];
            for (int entry = 0; entry < (at == 0 ? 4 : 2); entry++)
            {
                byte type = (types >> (2 * entry) & 3) == 3 ? input.Next8() : known[types >> (2 * entry) & 3];
                table.Mbr(at, (entry, type, input.NextInteresting(10u * (uint)i), input.NextInteresting(20)));
            }
            at = input.Next8();
        }
    }

    /// <summary>A right GUID table with some partitions, then numbers that are wrong, with the checksums made right again or not.</summary>
    private static void Guid(TableDisk table, FuzzInput input, bool sealsAgain)
    {
        table.Guid();
        for (int i = 0; i < MostEntries / 2 && !input.IsEmpty; i++)
        {
            byte where = input.Next8();
            table.Put(i, TableDisk.LinuxType, 34 + (ulong)(where >> 4) * 8, 34 + (ulong)(where >> 4) * 8 + (ulong)(where & 15), "fuzz");
        }
        for (int i = 0; i < 6 && !input.IsEmpty; i++)
        {
            byte what = input.Next8();
            bool copy = (what & 0x80) != 0;
            Span<byte> place = (what & 0x40) != 0 ? table.Entries(copy) : table.Header(copy);
            int offset = (what & 0x40) != 0 ? (what & 3) * 128 + (input.Next8() & 0x7C) : (what & 31) * 4 % 92;
            BinaryPrimitives.WriteUInt32LittleEndian(place[offset..], input.NextInteresting(BinaryPrimitives.ReadUInt32LittleEndian(place[offset..])));
        }
        if (sealsAgain)
        {
            table.Seal();
        }
    }
}
