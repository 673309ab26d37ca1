// Self-tests of the disk's commands besides read and write, on scratch space whose content is put back.
using System.Threading;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Each test answers with what failed; empty when nothing did, and with '-' in front when it can't be done here.</summary>
internal static class DiskCommandTests
{
    /// <summary>
    /// Zeroes (or discards and writes) sectors from <paramref name="sector"/> on; <paramref name="saved"/> and <paramref name="read"/> are as
    /// long as the range.
    /// </summary>
    internal static async ValueTask<string> WriteZeroesAsync(BlockDevice disk, ulong sector, DmaBuffer saved, DmaBuffer read, bool mayUnmap)
    {
        if (!disk.Supports(BlockOperation.WriteZeroes))
        {
            return "-the disk can't write zeroes";
        }
        uint half = saved.Length / 2;
        if (await disk.ReadAsync(sector, saved) != IoStatus.Ok)
        {
            return "the old content can't be read";
        }
        read.Span.Fill(0x5A);
        IoStatus filled = await disk.WriteAsync(sector, read);
        IoStatus zeroed = await disk.WriteZeroesAsync(sector, half / BlockDevice.SectorSize, mayUnmap);
        IoStatus again = await disk.ReadAsync(sector, read);
        IoStatus restored = await disk.WriteAsync(sector, saved);
        if (filled != IoStatus.Ok || zeroed != IoStatus.Ok || again != IoStatus.Ok || restored != IoStatus.Ok)
        {
            return "a command failed: " + DiskCommands.NameOf(zeroed);
        }
        return IsAll(read.Slice(0, half), 0) && IsAll(read.Slice(half, half), 0x5A) ? "" : "zeroes are not where they should be, or where they should not";
    }

    /// <summary>Discards; what is written afterwards has to stay.</summary>
    internal static async ValueTask<string> DiscardAsync(BlockDevice disk, ulong sector, DmaBuffer saved, DmaBuffer read)
    {
        if (!disk.Supports(BlockOperation.Discard))
        {
            return "-the disk can't discard";
        }
        if (await disk.ReadAsync(sector, saved) != IoStatus.Ok)
        {
            return "the old content can't be read";
        }
        IoStatus discarded = await disk.DiscardAsync(sector, saved.Length / BlockDevice.SectorSize);
        IoStatus restored = await disk.WriteAsync(sector, saved);
        IoStatus again = await disk.ReadAsync(sector, read);
        return discarded != IoStatus.Ok ? DiskCommands.NameOf(discarded)
            : restored != IoStatus.Ok || again != IoStatus.Ok ? "a write or read failed"
            : read.Span.SequenceEqual(saved.Span) ? "" : "what was written after a discard is not what is read";
    }

    /// <summary>Switches the write cache and back.</summary>
    internal static async ValueTask<string> CacheAsync(BlockDevice disk)
    {
        bool was = disk.HasWriteCache;
        if (!disk.TrySetWriteCache(!was))
        {
            return disk.HasWriteCache == was ? "-the disk's cache can't be switched" : "the switch moved, and says it did not";
        }
        IoStatus status = disk.CanFlush ? await disk.FlushAsync() : IoStatus.Ok;
        return status != IoStatus.Ok ? DiskCommands.NameOf(status)
            : disk.HasWriteCache != was && disk.TrySetWriteCache(was) && disk.HasWriteCache == was ? "" : "the cache did not switch back";
    }

    /// <summary>Calls off the last of many reads: it never reaches the device, or ends by itself; the others end well.</summary>
    internal static async ValueTask<string> CancelAsync(BlockDevice disk, DmaBuffer memory)
    {
        using CancellationTokenSource source = new();
        DmaBuffer block = memory.Slice(0, disk.BlockSize);
        AsyncBlockRequest[] requests = new AsyncBlockRequest[1500];
        for (int i = 0; i < requests.Length; i++)
        {
            requests[i] = i + 1 == requests.Length ? disk.ReadAsync(0, block, source.Token) : disk.ReadAsync(0, block);
        }
        source.Cancel();
        for (int i = 0; i < requests.Length - 1; i++)
        {
            if (await requests[i] != IoStatus.Ok)
            {
                return "a read ended badly that was not called off";
            }
        }
        IoStatus last = await requests[requests.Length - 1];
        IoStatus after = await disk.ReadAsync(0, block, source.Token);
        return last != IoStatus.Cancelled ? "a read that was called off ended as if it was not"
            : after == IoStatus.Cancelled ? "" : "a read was begun though it was called off before";
    }

    private static bool IsAll(in DmaBuffer buffer, byte value)
    {
        Span<byte> bytes = buffer.Span;
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != value)
            {
                return false;
            }
        }
        return true;
    }
}
