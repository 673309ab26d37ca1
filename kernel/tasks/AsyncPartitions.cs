// Awaiting the partitions of a disk.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Partitions;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>Makes reading a partition table awaitable.</summary>
public static class AsyncPartitions
{
    /// <summary>Reads the partition table of a disk; what was found and what is wrong with it is in the answer.</summary>
    public static async ValueTask<PartitionScan> ReadPartitionsAsync(this BlockDevice disk)
    {
        Scan scan = new(disk);
        scan.Start();
        if (!scan.IsFinished)
        {
            await scan.Finished;
        }
        return scan;
    }

    private sealed class Scan : PartitionScan
    {
        internal Scan(BlockDevice disk)
            : base(disk)
        {
        }

        internal Signal Finished { get; } = new();

        internal bool IsFinished { get; private set; }

        protected override void OnFinished()
        {
            IsFinished = true;
            Finished.Set();
        }
    }
}
