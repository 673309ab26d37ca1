// A virtio block device: what is refused before the device sees anything (virtio 5.2.6.1).
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    /// <inheritdoc/>
    public override bool Supports(BlockOperation operation) => operation switch
    {
        BlockOperation.Read or BlockOperation.GetId => true,
        BlockOperation.Write => !_limits.IsReadOnly,
        BlockOperation.Flush => _limits.HasFlush,
        BlockOperation.GetLifetime => _limits.HasLifetime,
        BlockOperation.Discard or BlockOperation.WriteZeroes or BlockOperation.SecureErase =>
            !_limits.IsReadOnly && _limits.RangeOf(operation).MaxSectors != 0,
        BlockOperation.ReportZones => _limits.Zones.Model != ZoneModel.None,
        BlockOperation.AppendZone => !_limits.IsReadOnly && _limits.Zones.MaxAppendSectors != 0,
        _ => !_limits.IsReadOnly && _limits.Zones.Model != ZoneModel.None,
    };

    private IoStatus Check(BlockRequest request) =>
        request.Operation <= BlockOperation.Write ? CheckTransfer(request) : CheckCommand(request);

    private IoStatus CheckTransfer(BlockRequest request)
    {
        IoStatus status = CheckBuffers(request, out ulong sectors);
        if (status != IoStatus.Ok || request.Operation == BlockOperation.Read)
        {
            return status;
        }
        return _limits.IsReadOnly ? IoStatus.ReadOnly : _limits.Zones.Model != ZoneModel.HostManaged ? IoStatus.Ok : CheckManaged(request, sectors);
    }

    private IoStatus CheckManaged(BlockRequest request, ulong sectors)
    {
        // Wherever the request may be cut, a part has to be whole too.
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        for (int i = 0; i < buffers.Length; i++)
        {
            if (buffers[i].Length % _pieceUnit != 0)
            {
                return IoStatus.Misaligned;
            }
        }
        return CheckZoneWrite(request.DeviceSector, sectors);
    }

    /// <summary>Buffers of whole blocks, which lie on the disk with the place they are for.</summary>
    private IoStatus CheckBuffers(BlockRequest request, out ulong sectors)
    {
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        ulong length = 0;
        uint mask = _limits.BlockSize - 1;
        sectors = 0;
        for (int i = 0; i < buffers.Length; i++)
        {
            if (buffers[i].Length == 0 || (buffers[i].Length & mask) != 0)
            {
                return IoStatus.Misaligned;
            }
            length += buffers[i].Length;
        }
        sectors = length / SectorSize;
        ulong sector = request.DeviceSector;
        if (length == 0 || (sector & (mask / SectorSize)) != 0)
        {
            return IoStatus.Misaligned;
        }
        return IsInside(sector, sectors) ? IoStatus.Ok : IoStatus.OutOfRange;
    }

    private bool IsInside(ulong sector, ulong sectors) => sectors <= _limits.SectorCount && sector <= _limits.SectorCount - sectors;

    private IoStatus CheckCommand(BlockRequest request)
    {
        BlockOperation operation = request.Operation;
        if (!Supports(operation))
        {
            bool isRefused = _limits.IsReadOnly && operation is not (BlockOperation.Flush or BlockOperation.GetLifetime or BlockOperation.ReportZones);
            return isRefused ? IoStatus.ReadOnly : IoStatus.Unsupported;
        }
        int buffers = request.Buffers.Length;
        ulong sector = request.DeviceSector;
        switch (operation)
        {
            case BlockOperation.Flush:
                return buffers != 0 ? IoStatus.Misaligned : IoStatus.Ok;
            case BlockOperation.GetId:
                return CheckAnswer(request, VirtioBlkFormat.IdLength);
            case BlockOperation.GetLifetime:
                return CheckAnswer(request, BlockLifetime.Length);
            case BlockOperation.Discard:
            case BlockOperation.WriteZeroes:
            case BlockOperation.SecureErase:
                return CheckRange(request);
            case BlockOperation.ReportZones:
                return sector >= _limits.SectorCount ? IoStatus.OutOfRange : CheckAnswer(request, ZoneReport.HeaderLength + ZoneReport.ZoneLength);
            case BlockOperation.AppendZone:
                return CheckAppend(request);
            case BlockOperation.ResetAllZones:
                return buffers != 0 || sector != 0 ? IoStatus.Misaligned : IoStatus.Ok;
            default:
                return buffers != 0 || sector % _limits.Zones.ZoneSectors != 0 ? IoStatus.Misaligned
                    : sector >= _limits.SectorCount ? IoStatus.OutOfRange : IoStatus.Ok;
        }
    }

    /// <summary>One buffer, large enough for what the device answers.</summary>
    private IoStatus CheckAnswer(BlockRequest request, uint least)
    {
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        return buffers.Length == 1 && buffers[0].Length >= least && (request.Operation != BlockOperation.ReportZones || buffers[0].Length <= _limits.SizeMax)
            ? IoStatus.Ok
            : IoStatus.Misaligned;
    }

    private IoStatus CheckRange(BlockRequest request)
    {
        ulong sector = request.DeviceSector;
        ulong sectors = request.RangeSectors;
        uint mask = _limits.BlockSectors - 1;
        // A zoned disk erases whole zones (5.2.6.2).
        bool isWhole = request.Operation != BlockOperation.SecureErase || _limits.Zones.Model == ZoneModel.None || sectors % _limits.Zones.ZoneSectors == 0;
        if (request.Buffers.Length != 0 || sectors == 0 || ((sector | sectors) & mask) != 0 || !isWhole)
        {
            return IoStatus.Misaligned;
        }
        return IsInside(sector, sectors) ? IoStatus.Ok : IoStatus.OutOfRange;
    }

    private IoStatus CheckAppend(BlockRequest request)
    {
        IoStatus status = CheckBuffers(request, out ulong sectors);
        if (status != IoStatus.Ok)
        {
            return status;
        }
        ReadOnlySpan<DmaBuffer> buffers = request.Buffers;
        for (int i = 0; i < buffers.Length; i++)
        {
            if (buffers[i].Length > _limits.SizeMax)
            {
                return IoStatus.Misaligned;
            }
        }
        // One append is one request of the protocol: cut in two, others could come in between.
        bool fits = buffers.Length <= _maxSegments && sectors <= Math.Min(_limits.Zones.MaxAppendSectors, _limits.Zones.ZoneSectors);
        return !fits || request.DeviceSector % _limits.Zones.ZoneSectors != 0 ? IoStatus.Misaligned : CheckZoneWrite(request.DeviceSector, sectors);
    }

    /// <summary>A write of a host-managed disk, or an append: whole pieces of the write granularity, within one zone.</summary>
    private IoStatus CheckZoneWrite(ulong sector, ulong sectors)
    {
        uint granularity = _limits.Zones.WriteGranularity / SectorSize;
        uint zone = _limits.Zones.ZoneSectors;
        return sector % granularity != 0 || sectors % granularity != 0 || sector / zone != (sector + sectors - 1) / zone ? IoStatus.Misaligned : IoStatus.Ok;
    }
}
