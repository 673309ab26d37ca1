// The command that lists the partitions of a disk.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Lists what the partition table names, an MBR or a GPT, with the label of a FAT file system.</summary>
internal static class PartitionListing
{
    private const int MaxGuidPartitions = 128;

    internal static async ValueTask<bool> RunAsync(BlockDevice disk, Terminal output)
    {
        if (!disk.Dma.TryAllocate(GuidPartitions.MaxEntriesLength, 4096, out DmaBuffer memory))
        {
            output.Write("there is not enough memory for the transfer; give the machine more (-m)\n");
            return false;
        }
        string wrong = await ListAsync(disk, memory, output);
        disk.Dma.Free(memory);
        if (wrong.Length != 0)
        {
            output.Write(disk.Name).Write(": ").Write(wrong).EndLine();
        }
        return wrong.Length == 0;
    }

    private static async ValueTask<string> ListAsync(BlockDevice disk, DmaBuffer memory, Terminal output)
    {
        uint sectorsPerBlock = disk.BlockSize / BlockDevice.SectorSize;
        DmaBuffer block = memory.Slice(0, disk.BlockSize);
        IoStatus status = await disk.ReadAsync(0, block);
        if (status != IoStatus.Ok)
        {
            return DiskCommands.NameOf(status);
        }
        Partition[] found = new Partition[Partitions.MaxCount];
        string wrong = Partitions.Read(block.Span, disk.SectorCount / sectorsPerBlock, found, out int count);
        if (wrong.Length != 0)
        {
            return wrong;
        }
        for (int i = 0; i < count; i++)
        {
            if (found[i].Type == Partitions.Protective)
            {
                return await ListGuidAsync(disk, memory, output);
            }
        }
        for (int i = 0; i < count; i++)
        {
            Partition partition = found[i];
            ulong first = partition.First * sectorsPerBlock;
            status = await disk.ReadAsync(first, block);
            WriteRange(output, disk, partition.Number, first, partition.Count * sectorsPerBlock);
            output.Write(", type ").WriteHex(partition.Type, 2).Write(" ").Write(Partitions.NameOf(partition.Type));
            WriteLabel(output, status == IoStatus.Ok ? Partitions.LabelOf(block.Span) : "");
        }
        return "";
    }

    private static async ValueTask<string> ListGuidAsync(BlockDevice disk, DmaBuffer memory, Terminal output)
    {
        uint sectorsPerBlock = disk.BlockSize / BlockDevice.SectorSize;
        DmaBuffer block = memory.Slice(0, disk.BlockSize);
        IoStatus status = await disk.ReadAsync(sectorsPerBlock, block);
        if (status != IoStatus.Ok)
        {
            return DiskCommands.NameOf(status);
        }
        string wrong = GuidPartitions.ReadHeader(block.Span, disk.SectorCount / sectorsPerBlock, out GuidTable table);
        if (wrong.Length != 0)
        {
            return wrong;
        }
        uint length = (table.EntriesLength + disk.BlockSize - 1) & ~(disk.BlockSize - 1);
        status = await disk.ReadAsync(table.EntriesAt * sectorsPerBlock, memory.Slice(0, length));
        if (status != IoStatus.Ok)
        {
            return DiskCommands.NameOf(status);
        }
        GuidPartition[] found = new GuidPartition[MaxGuidPartitions];
        wrong = GuidPartitions.ReadEntries(memory.Slice(0, length).Span, table, found, out int count);
        for (int i = 0; i < count && wrong.Length == 0; i++)
        {
            GuidPartition partition = found[i];
            ulong first = partition.First * sectorsPerBlock;
            status = await disk.ReadAsync(first, block);
            WriteRange(output, disk, partition.Number, first, partition.Count * sectorsPerBlock);
            output.Write(", ").Write(partition.Type);
            if (partition.Name.Length != 0)
            {
                output.Write(", name ").Write(partition.Name);
            }
            WriteLabel(output, status == IoStatus.Ok ? Partitions.LabelOf(block.Span) : "");
        }
        return wrong;
    }

    private static void WriteRange(Terminal output, BlockDevice disk, int number, ulong first, ulong count) => output
        .Write(disk.Name).Write("p").Write((ulong)number).Write(": sectors ").Write(first).Write(" to ").Write(first + count - 1);

    private static void WriteLabel(Terminal output, string label) =>
        output.Write(label.Length == 0 ? "" : ", label ").Write(label).EndLine();
}
