// The shell's commands for disks that are about ranges, caches, wear and zones.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary><c>disk [n] info|discard|zero|erase|cache|lifetime|zones|zone</c>.</summary>
internal static class DiskMaintenance
{
    private const int ZonesAtOnce = 63;

    /// <summary>Says what the disk is and can do.</summary>
    internal static void Info(BlockDevice disk, Terminal output)
    {
        output.Write(disk.Name).Write(": ").Write(disk.SectorCount).Write(" sectors of 512 bytes, ").Write(disk.SectorCount / 2048)
            .Write(" MiB, block size ").Write(disk.BlockSize).Write(disk.IsReadOnly ? ", read-only" : ", writable")
            .Write(!disk.CanFlush ? ", without flush\n" : disk.HasWriteCache ? ", with a cache that flush empties\n" : ", with a cache that is switched off\n");
        BlockTopology topology = disk.Topology;
        output.Write("  physical blocks of ").Write(topology.PhysicalBlockSize).Write(", the first at ").Write(topology.AlignmentOffset)
            .Write(", transfers of at least ").Write(topology.MinimumIoSize).Write(", best of ").Write(topology.OptimalIoSize).Write(" bytes (0: not said)\n");
        BlockGeometry geometry = disk.Geometry;
        output.Write("  geometry ").Write(geometry.Cylinders).Write("/").Write(geometry.Heads).Write("/").Write(geometry.Sectors);
        if (disk is VirtioBlk virtio)
        {
            output.Write(", request queues ").Write((ulong)virtio.QueueCount);
        }
        output.Write(", commands:");
        for (BlockOperation operation = BlockOperation.Read; operation <= BlockOperation.AppendZone; operation++)
        {
            if (disk.Supports(operation))
            {
                output.Write(" ").Write(NameOf(operation));
            }
        }
        output.EndLine();
    }

    /// <summary>Discards, zeroes or erases a range.</summary>
    internal static async ValueTask<bool> RangeAsync(BlockDevice disk, BlockOperation operation, string[] words, int at, Terminal output)
    {
        if (!DiskCommands.TryNumber(words, at, "the sector", output, out ulong sector) ||
            !DiskCommands.TryNumber(words, at + 1, "the count", output, out ulong count))
        {
            return false;
        }
        bool mayUnmap = words.Length > at + 2 && words[at + 2] == "unmap";
        IoStatus status = operation switch
        {
            BlockOperation.Discard => await disk.DiscardAsync(sector, count),
            BlockOperation.WriteZeroes => await disk.WriteZeroesAsync(sector, count, mayUnmap),
            _ => await disk.SecureEraseAsync(sector, count),
        };
        return DiskCommands.Report(status, NameOf(operation), output);
    }

    /// <summary>Shows or switches the write cache.</summary>
    internal static bool Cache(BlockDevice disk, string[] words, int at, Terminal output)
    {
        bool good = true;
        if (words.Length > at)
        {
            good = words[at] is "on" or "off" && disk.TrySetWriteCache(words[at] == "on");
        }
        output.Write(good ? "" : "cache: the device can't switch it so (cache on, cache off)\n")
            .Write("the write cache is ").Write(disk.HasWriteCache ? "on: flush makes what was written durable\n" : "off: what was written is durable\n");
        return good;
    }

    /// <summary>Shows the wear of the medium.</summary>
    internal static async ValueTask<bool> LifetimeAsync(BlockDevice disk, Terminal output)
    {
        if (!DiskCommands.TryBuffer(disk, BlockLifetime.Length, output, out DmaBuffer buffer))
        {
            return false;
        }
        IoStatus status = await disk.GetLifetimeAsync(buffer);
        bool isRead = BlockLifetime.TryRead(buffer.Span, out BlockLifetime lifetime);
        disk.Dma.Free(buffer);
        if (status != IoStatus.Ok)
        {
            return DiskCommands.Report(status, "lifetime", output);
        }
        if (!isRead)
        {
            output.Write("lifetime: the device answered with values that do not exist\n");
            return false;
        }
        output.Write("lifetime: reserve ").Write(lifetime.Reserve switch
        {
            MediumReserve.Normal => "normal",
            MediumReserve.Warning => "80 % used",
            MediumReserve.Urgent => "90 % used",
            _ => "unknown",
        }).Write(", SLC ").Write(lifetime.TypeA).Write(", MLC ").Write(lifetime.TypeB).Write(" tenths used (11: beyond, 0: unknown)\n");
        return true;
    }

    /// <summary>Lists the zones.</summary>
    internal static async ValueTask<bool> ZonesAsync(BlockDevice disk, Terminal output)
    {
        if (!DiskCommands.TryBuffer(disk, ZoneReport.HeaderLength + ZonesAtOnce * ZoneReport.ZoneLength, output, out DmaBuffer buffer))
        {
            return false;
        }
        IoStatus status = IoStatus.Ok;
        ulong sector = 0;
        while (status == IoStatus.Ok && sector < disk.SectorCount)
        {
            status = await disk.ReportZonesAsync(sector, buffer);
            int count = status == IoStatus.Ok ? ZoneReport.CountOf(buffer.Span) : 0;
            ulong from = sector;
            for (int i = 0; i < count; i++)
            {
                if (!ZoneReport.TryRead(buffer.Span, i, out Zone zone) || zone.Start < sector)
                {
                    status = IoStatus.DeviceError;
                    break;
                }
                output.Write("zone at ").Write(zone.Start).Write(", capacity ").Write(zone.Capacity).Write(", next ").Write(zone.WritePointer)
                    .Write(NameOf(zone)).EndLine();
                sector = zone.Start + disk.Zones.ZoneSectors;
            }
            await output.FlushAsync();
            if (sector == from)
            {
                break;
            }
        }
        disk.Dma.Free(buffer);
        return status == IoStatus.Ok || DiskCommands.Report(status, "zones", output);
    }

    /// <summary>Opens, closes, finishes or resets a zone.</summary>
    internal static async ValueTask<bool> ZoneAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        BlockOperation operation = (words.Length > at ? words[at] : "") switch
        {
            "open" => BlockOperation.OpenZone,
            "close" => BlockOperation.CloseZone,
            "finish" => BlockOperation.FinishZone,
            "reset" => BlockOperation.ResetZone,
            _ => BlockOperation.Read,
        };
        if (operation == BlockOperation.Read)
        {
            output.Write("zone open|close|finish|reset SECTOR\n");
            return false;
        }
        if (!DiskCommands.TryNumber(words, at + 1, "the sector", output, out ulong sector))
        {
            return false;
        }
        return DiskCommands.Report(await disk.ManageZoneAsync(operation, sector), NameOf(operation), output);
    }

    private static string NameOf(in Zone zone) => zone.Type switch
    {
        ZoneType.Conventional => ", conventional",
        _ => zone.State switch
        {
            ZoneState.Empty => ", empty",
            ZoneState.ImplicitlyOpen or ZoneState.ExplicitlyOpen => ", open",
            ZoneState.Closed => ", closed",
            ZoneState.Full => ", full",
            ZoneState.ReadOnly => ", read-only",
            _ => ", offline",
        },
    };

    private static string NameOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => "read",
        BlockOperation.Write => "write",
        BlockOperation.Flush => "flush",
        BlockOperation.GetId => "id",
        BlockOperation.GetLifetime => "lifetime",
        BlockOperation.Discard => "discard",
        BlockOperation.WriteZeroes => "zero",
        BlockOperation.SecureErase => "erase",
        BlockOperation.ReportZones => "zones",
        BlockOperation.OpenZone => "open",
        BlockOperation.CloseZone => "close",
        BlockOperation.FinishZone => "finish",
        BlockOperation.ResetZone => "reset",
        BlockOperation.ResetAllZones => "reset-all",
        _ => "append",
    };
}
