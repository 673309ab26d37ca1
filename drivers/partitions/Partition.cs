// A range of a disk that a partition table names.
namespace VirtioSharp.Drivers.Partitions;

/// <summary>A range of a disk, in sectors of 512 bytes, and what the table says it is for.</summary>
public readonly struct Partition
{
    /// <summary>Names a range.</summary>
    public Partition(int number, ulong first, ulong count, string kind, string label)
    {
        Number = number;
        First = first;
        Count = count;
        Kind = kind;
        Label = label;
    }

    /// <summary>Its number in the table, from 1; logical partitions of an MBR begin with 5.</summary>
    public int Number { get; }

    /// <summary>Its first sector.</summary>
    public ulong First { get; }

    /// <summary>How many sectors it has, at least one.</summary>
    public ulong Count { get; }

    /// <summary>What it is for, for people; where nobody knows, the number or GUID that says so.</summary>
    public string Kind { get; }

    /// <summary>The name somebody gave it; characters beyond ASCII show as '?'. Empty in an MBR.</summary>
    public string Label { get; }

    /// <summary>True when two ranges have a sector in common.</summary>
    internal bool Overlaps(ulong first, ulong count) => first < First + Count && First < first + count;
}
