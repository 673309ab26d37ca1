// Reads the partition table of a disk, block by block, as requests come back.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Partitions;

/// <summary>
/// Finds the partitions of a disk: those of an MBR with the logical ones of its extended partition, or those of a GUID table, from its copy
/// at the end of the disk when the first is damaged. Derived from by whoever wants to know when it ended.
/// </summary>
public abstract class PartitionScan : BlockRequest
{
    /// <summary>The most links of the chain of logical partitions that are followed, whether they hold one or not.</summary>
    public const int MaxLogical = 60;

    private enum Step
    {
        Record,
        Extended,
        GuidHeader,
        GuidEntries,
    }

    private readonly BlockDevice _disk;
    private readonly uint _blockSectors;
    private readonly ulong _blocks;
    private DmaBuffer _memory;
    private Step _step;
    private GuidTable _table;
    private bool _isCopy;
    private string _wrongWithFirst = "";

    // The extended partition, and the table in it that is read.
    private MbrEntry _extended;
    private ulong _chainAt;
    private int _logical;
    private int _links;

    /// <summary>Prepares to read the table of a disk.</summary>
    protected PartitionScan(BlockDevice disk)
    {
        _disk = disk;
        _blockSectors = disk.BlockSize / BlockDevice.SectorSize;
        _blocks = disk.SectorCount / _blockSectors;
    }

    /// <summary>What was found; complete when <see cref="Error"/> is empty at the end.</summary>
    public PartitionList Found { get; } = new();

    /// <summary>What is wrong, for people; empty when nothing is.</summary>
    public string Error { get; private set; } = "";

    /// <summary>How the reading of a block ended, when it ended badly.</summary>
    public IoStatus ReadStatus { get; private set; }

    /// <summary>What is wrong with a part of the table that could be done without; empty when nothing is.</summary>
    public string Warning { get; private set; } = "";

    /// <summary>Begins to read. <see cref="OnFinished"/> follows, once, maybe before this returns.</summary>
    public void Start()
    {
        if (!_disk.Dma.TryAllocate(Math.Max(GuidPartitionTable.MaxEntriesLength, _disk.BlockSize), Math.Min(_disk.BlockSize, 4096), out _memory))
        {
            Error = "there is not enough memory to read the partition table";
            OnFinished();
            return;
        }
        if (_blocks == 0)
        {
            Finish("there is no partition table: the disk is empty");
            return;
        }
        Read(Step.Record, 0, _disk.BlockSize);
    }

    /// <summary>Called once at the end.</summary>
    protected abstract void OnFinished();

    /// <inheritdoc/>
    protected sealed override void OnCompleted()
    {
        if (Status != IoStatus.Ok)
        {
            OnUnreadable(Status);
            return;
        }
        ReadOnlySpan<byte> bytes = Buffers[0].Span;
        switch (_step)
        {
            case Step.Record:
                OnRecord(bytes);
                break;
            case Step.Extended:
                OnExtended(bytes);
                break;
            case Step.GuidHeader:
                OnGuidHeader(bytes);
                break;
            default:
                OnGuidEntries(bytes);
                break;
        }
    }

    private void Read(Step step, ulong block, uint length)
    {
        _step = step;
        Prepare(BlockOperation.Read, block * _blockSectors, _memory.Slice(0, length));
        IoStatus status = _disk.Submit(this);
        if (status != IoStatus.Ok)
        {
            OnUnreadable(status);
            return;
        }
        _disk.Kick();
    }

    private void OnUnreadable(IoStatus status)
    {
        if (_step >= Step.GuidHeader && !_isCopy)
        {
            TryCopy("the GUID partition table can't be read");
            return;
        }
        ReadStatus = status;
        Finish("the partition table can't be read");
    }

    private void Finish(string error)
    {
        Error = error;
        if (error.Length != 0)
        {
            Found.Clear();
        }
        _disk.Dma.Free(_memory);
        OnFinished();
    }

    private void OnRecord(ReadOnlySpan<byte> block)
    {
        if (!MasterBootRecord.IsTable(block))
        {
            Finish("there is no partition table: the first sector does not end in 55 aa");
            return;
        }
        for (int i = 0; i < MasterBootRecord.EntryCount; i++)
        {
            if (MasterBootRecord.EntryAt(block, i).Type == MasterBootRecord.Protective)
            {
                Read(Step.GuidHeader, 1, _disk.BlockSize);
                return;
            }
        }
        for (int i = 0; i < MasterBootRecord.EntryCount; i++)
        {
            MbrEntry entry = MasterBootRecord.EntryAt(block, i);
            if (entry.Type == 0)
            {
                continue;
            }
            string wrong = entry.First == 0 ? "the partition table is corrupt: an entry begins at the table itself" : Add(i + 1, entry, 0);
            if (wrong.Length != 0)
            {
                Finish(wrong);
                return;
            }
            _extended = entry.IsExtended && _extended.Type == 0 ? entry : _extended;
        }
        if (_extended.Type == 0)
        {
            Finish("");
            return;
        }
        _chainAt = _extended.First;
        Read(Step.Extended, _chainAt, _disk.BlockSize);
    }

    /// <summary>A table in the extended partition: one logical partition, relative to it, and where the next table is, relative to the first.</summary>
    private void OnExtended(ReadOnlySpan<byte> block)
    {
        if (!MasterBootRecord.IsTable(block))
        {
            // An extended partition that holds nothing yet may have no table.
            Finish(_logical == 0 ? "" : "the partition table is corrupt: the chain of logical partitions leads to a block that is no table");
            return;
        }
        MbrEntry logical = MasterBootRecord.EntryAt(block, 0);
        MbrEntry next = MasterBootRecord.EntryAt(block, 1);
        if (logical.Type != 0)
        {
            string wrong = AddLogical(logical);
            if (wrong.Length != 0)
            {
                Finish(wrong);
                return;
            }
        }
        if (!next.IsExtended)
        {
            Finish("");
            return;
        }
        ulong at = _extended.First + (ulong)next.First;
        if (next.First >= _extended.Count || at <= _chainAt)
        {
            Finish("the partition table is corrupt: the chain of logical partitions goes back or leaves its partition");
            return;
        }
        if (++_links == MaxLogical)
        {
            Finish("the partition table has a longer chain of logical partitions than is followed: 60");
            return;
        }
        _chainAt = at;
        Read(Step.Extended, at, _disk.BlockSize);
    }

    private string Add(int number, in MbrEntry entry, ulong offset)
    {
        ulong first = (offset + entry.First) * _blockSectors;
        return Found.Add(new Partition(number, first, (ulong)entry.Count * _blockSectors, MasterBootRecord.KindOf(entry.Type), ""), _disk.SectorCount);
    }

    private string AddLogical(in MbrEntry entry)
    {
        ulong first = _chainAt + entry.First;
        ulong end = _extended.First + (ulong)_extended.Count;
        if (entry.First == 0 || entry.Count == 0 || first + entry.Count > end)
        {
            return "the partition table is corrupt: a logical partition leaves the extended one";
        }
        // Logical ones lie within the extended partition, and apart from each other.
        _logical++;
        Partition partition = new(4 + _logical, first * _blockSectors, (ulong)entry.Count * _blockSectors, MasterBootRecord.KindOf(entry.Type), "");
        for (int i = 0; i < Found.Count; i++)
        {
            if (Found[i].Number > 4 && Found[i].Overlaps(partition.First, partition.Count))
            {
                return "the partition table is corrupt: two entries overlap";
            }
        }
        return Found.AddWithin(partition);
    }

    private void OnGuidHeader(ReadOnlySpan<byte> block)
    {
        ulong at = _isCopy ? _blocks - 1 : 1;
        string wrong = GuidPartitionTable.ReadHeader(block, at, _blocks, out _table);
        if (wrong.Length != 0)
        {
            TryCopy(wrong);
            return;
        }
        uint length = (_table.EntriesLength + _disk.BlockSize - 1) & ~(_disk.BlockSize - 1);
        Read(Step.GuidEntries, _table.EntriesAt, length);
    }

    private void OnGuidEntries(ReadOnlySpan<byte> entries)
    {
        string wrong = GuidPartitionTable.ReadEntries(entries, _table, _blockSectors, _disk.SectorCount, Found);
        if (wrong.Length != 0)
        {
            TryCopy(wrong);
            return;
        }
        if (_isCopy)
        {
            Warning = _wrongWithFirst + "; the copy at the end of the disk is used, and gdisk on the host restores the first";
        }
        Finish("");
    }

    /// <summary>The copy of the table is in the last block of the disk.</summary>
    private void TryCopy(string wrong)
    {
        if (_isCopy || _blocks < 3)
        {
            Finish(_isCopy ? _wrongWithFirst + "; and so is its copy at the end of the disk" : wrong);
            return;
        }
        _isCopy = true;
        _wrongWithFirst = wrong;
        Read(Step.GuidHeader, _blocks - 1, _disk.BlockSize);
    }
}
