// The command that lists the partitions of a disk, and disks that are named with a partition.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Partitions;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Lists what the partition table names, an MBR or a GPT, with the label of a FAT file system.</summary>
internal static class PartitionListing
{
    internal static async ValueTask<bool> RunAsync(BlockDevice disk, Terminal output)
    {
        PartitionScan scan = await ReadAsync(disk, output);
        if (scan.Error.Length != 0 || !DiskCommands.TryBuffer(disk, disk.BlockSize, output, out DmaBuffer block))
        {
            return false;
        }
        for (int i = 0; i < scan.Found.Count; i++)
        {
            BlockPartition partition = new(disk, scan.Found[i]);
            IoStatus status = await partition.ReadAsync(0, block);
            string label = status == IoStatus.Ok ? FatLabel.Of(block.Span) : "";
            Partition entry = partition.Partition;
            output.Write(partition.Name).Write(": sectors ").Write(entry.First).Write(" to ").Write(entry.First + entry.Count - 1).Write(", ").Write(entry.Kind)
                .Write(entry.Label.Length == 0 ? "" : ", name ").Write(entry.Label).Write(label.Length == 0 ? "" : ", label ").Write(label).EndLine();
            await output.FlushAsync();
        }
        disk.Dma.Free(block);
        return true;
    }

    /// <summary>The partition of a disk that has a number; null, and said why, when there is none.</summary>
    internal static async ValueTask<BlockDevice?> FindAsync(BlockDevice disk, ulong number, Terminal output)
    {
        PartitionScan scan = await ReadAsync(disk, output);
        for (int i = 0; i < scan.Found.Count; i++)
        {
            if ((ulong)scan.Found[i].Number == number)
            {
                return new BlockPartition(disk, scan.Found[i]);
            }
        }
        if (scan.Error.Length == 0)
        {
            output.Write(disk.Name).Write(" has no partition ").Write(number).Write("; disk parts lists them\n");
        }
        return null;
    }

    private static async ValueTask<PartitionScan> ReadAsync(BlockDevice disk, Terminal output)
    {
        PartitionScan scan = await disk.ReadPartitionsAsync();
        string said = scan.Error.Length != 0 ? scan.Error : scan.Warning;
        if (said.Length != 0)
        {
            output.Write(disk.Name).Write(": ").Write(said);
            output.Write(scan.ReadStatus == IoStatus.Ok ? "" : ": ").Write(scan.ReadStatus == IoStatus.Ok ? "" : DiskCommands.NameOf(scan.ReadStatus)).EndLine();
        }
        return scan;
    }
}
