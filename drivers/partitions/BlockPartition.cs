// A partition as a block device of its own.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Partitions;

/// <summary>
/// A range of a disk: its first sector is sector 0, and nothing outside of it can be reached. Requests go to the disk, which has to be polled;
/// the partition itself needs no polling and is in no device table.
/// </summary>
public sealed class BlockPartition : BlockDevice
{
    private readonly BlockDevice _disk;
    private readonly Partition _partition;
    private bool _removed;

    /// <summary>Makes a device of a range of a disk.</summary>
    public BlockPartition(BlockDevice disk, in Partition partition)
    {
        _disk = disk;
        _partition = partition;
        Name = disk.Name + "p" + partition.Number.ToString();
    }

    /// <summary>The disk it lies on.</summary>
    public BlockDevice Disk => _disk;

    /// <summary>What the table says of it.</summary>
    public Partition Partition => _partition;

    /// <inheritdoc/>
    public override DmaSpace Dma => _disk.Dma;

    /// <inheritdoc/>
    public override ulong SectorCount => _partition.Count;

    /// <inheritdoc/>
    public override uint BlockSize => _disk.BlockSize;

    /// <inheritdoc/>
    public override bool IsReadOnly => _disk.IsReadOnly;

    /// <inheritdoc/>
    public override bool CanFlush => _disk.CanFlush;

    /// <inheritdoc/>
    public override bool HasWriteCache => _disk.HasWriteCache;

    /// <inheritdoc/>
    public override int MaxInFlight => _disk.MaxInFlight;

    /// <inheritdoc/>
    public override BlockTopology Topology
    {
        get
        {
            BlockTopology topology = _disk.Topology;
            ulong physical = topology.PhysicalBlockSize;
            ulong into = (_partition.First * SectorSize + physical - topology.AlignmentOffset % physical) % physical;
            return new BlockTopology(physical, into == 0 ? 0 : physical - into, topology.MinimumIoSize, topology.OptimalIoSize);
        }
    }

    /// <inheritdoc/>
    public override bool Supports(BlockOperation operation) => operation < BlockOperation.ReportZones && _disk.Supports(operation);

    /// <inheritdoc/>
    public override IoStatus Submit(BlockRequest request)
    {
        if (_removed)
        {
            return IoStatus.Removed;
        }
        if (request.Operation >= BlockOperation.ReportZones)
        {
            return IoStatus.Unsupported; // zones belong to the disk
        }
        if (!IsInside(request))
        {
            return IoStatus.OutOfRange;
        }
        request.Origin += _partition.First;
        IoStatus status = _disk.Submit(request);
        if (status != IoStatus.Ok)
        {
            request.Origin = 0;
        }
        return status;
    }

    /// <inheritdoc/>
    public override void Kick() => _disk.Kick();

    /// <inheritdoc/>
    public override bool TryCancel(BlockRequest request) => _disk.TryCancel(request);

    /// <inheritdoc/>
    public override void Poll()
    {
    }

    /// <summary>Takes no more requests; those on their way end as the disk ends them.</summary>
    public override void Remove() => _removed = true;

    private bool IsInside(BlockRequest request)
    {
        ulong sectors = request.RangeSectors;
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        if (request.Operation <= BlockOperation.Write)
        {
            ulong length = 0;
            for (int i = 0; i < buffers.Length; i++)
            {
                length += buffers[i].Length;
            }
            sectors = (length + SectorSize - 1) / SectorSize;
        }
        return sectors <= _partition.Count && request.Sector <= _partition.Count - sectors;
    }
}
