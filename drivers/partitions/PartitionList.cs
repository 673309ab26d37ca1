// The partitions that were found so far, none of which overlap.
namespace VirtioSharp.Drivers.Partitions;

/// <summary>A bounded list; what is added has to lie on the disk and apart from the others.</summary>
public sealed class PartitionList
{
    /// <summary>The most partitions that are listed.</summary>
    public const int MaxCount = 128;

    private readonly Partition[] _partitions = new Partition[MaxCount];

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The partition at <paramref name="index"/>, from 0, in the order of the table.</summary>
    public ref readonly Partition this[int index] => ref _partitions[index];

    /// <summary>Forgets all.</summary>
    internal void Clear() => Count = 0;

    /// <summary>Adds a range of a disk of <paramref name="sectors"/>; the answer is what is wrong with it, empty when nothing is.</summary>
    internal string Add(in Partition partition, ulong sectors)
    {
        if (partition.Count == 0 || partition.Count > sectors || partition.First > sectors - partition.Count)
        {
            return "the partition table is corrupt: an entry is empty, or lies beyond the end of the disk";
        }
        for (int i = 0; i < Count; i++)
        {
            if (_partitions[i].Overlaps(partition.First, partition.Count))
            {
                return "the partition table is corrupt: two entries overlap";
            }
        }
        return AddWithin(partition);
    }

    /// <summary>Adds a range that was checked, and may lie within another one.</summary>
    internal string AddWithin(in Partition partition)
    {
        if (Count == MaxCount)
        {
            return "the partition table names more partitions than are listed here: 128";
        }
        _partitions[Count++] = partition;
        return "";
    }
}
