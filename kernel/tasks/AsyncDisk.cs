// Awaiting a block device.
using System.Threading;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>
/// Makes block devices awaitable; what is awaited says how it ended. Sectors have 512 bytes; buffers and ranges are whole blocks
/// (<see cref="BlockDevice.BlockSize"/>). Requests come from a pool: none is allocated once enough exist. The device is told when the run
/// loop gets its turn, about everything submitted until then.
/// </summary>
public static class AsyncDisk
{
    /// <summary>Reads whole blocks into <paramref name="buffer"/>.</summary>
    public static AsyncBlockRequest ReadAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Read, sector, buffer);

    /// <summary>
    /// Reads whole blocks; may be called off, and is given up after <paramref name="timeout"/> nanoseconds (0: when the device says).
    /// </summary>
    public static AsyncBlockRequest ReadAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer, CancellationToken cancellation, ulong timeout = 0) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Read, sector, new ReadOnlySpan<DmaBuffer>(in buffer), cancellation, timeout);

    /// <summary>Reads whole blocks into several buffers, one after the other.</summary>
    public static AsyncBlockRequest ReadAsync(
        this BlockDevice disk, ulong sector, ReadOnlySpan<DmaBuffer> buffers, CancellationToken cancellation = default, ulong timeout = 0) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Read, sector, buffers, cancellation, timeout);

    /// <summary>Writes whole blocks from <paramref name="buffer"/>. Durable after a flush, see <see cref="BlockDevice.HasWriteCache"/>.</summary>
    public static AsyncBlockRequest WriteAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Write, sector, buffer);

    /// <summary>
    /// Writes whole blocks; may be called off, and is given up after <paramref name="timeout"/> nanoseconds (0: when the device says). What
    /// became of the blocks then is not known.
    /// </summary>
    public static AsyncBlockRequest WriteAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer, CancellationToken cancellation, ulong timeout = 0) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Write, sector, new ReadOnlySpan<DmaBuffer>(in buffer), cancellation, timeout);

    /// <summary>Writes whole blocks from several buffers, one after the other.</summary>
    public static AsyncBlockRequest WriteAsync(
        this BlockDevice disk, ulong sector, ReadOnlySpan<DmaBuffer> buffers, CancellationToken cancellation = default, ulong timeout = 0) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Write, sector, buffers, cancellation, timeout);

    /// <summary>Makes every write that ended before durable.</summary>
    public static AsyncBlockRequest FlushAsync(this BlockDevice disk) => AsyncBlockRequest.Submit(disk, BlockOperation.Flush, 0, default);

    /// <summary>Tells the device that a range is not needed any more. What reads of it give afterwards is not said.</summary>
    public static AsyncBlockRequest DiscardAsync(this BlockDevice disk, ulong sector, ulong sectors, CancellationToken cancellation = default) =>
        AsyncBlockRequest.SubmitRange(disk, BlockOperation.Discard, sector, sectors, false, cancellation);

    /// <summary>Makes a range read as zeroes; the device may give its space back when <paramref name="mayUnmap"/>.</summary>
    public static AsyncBlockRequest WriteZeroesAsync(
        this BlockDevice disk, ulong sector, ulong sectors, bool mayUnmap = false, CancellationToken cancellation = default) =>
        AsyncBlockRequest.SubmitRange(disk, BlockOperation.WriteZeroes, sector, sectors, mayUnmap, cancellation);

    /// <summary>Erases a range so that its content can't be got back.</summary>
    public static AsyncBlockRequest SecureEraseAsync(this BlockDevice disk, ulong sector, ulong sectors, CancellationToken cancellation = default) =>
        AsyncBlockRequest.SubmitRange(disk, BlockOperation.SecureErase, sector, sectors, false, cancellation);

    /// <summary>Reads the device's identification, 20 bytes.</summary>
    public static AsyncBlockRequest GetIdAsync(this BlockDevice disk, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.GetId, 0, buffer);

    /// <summary>Reads the wear of the medium, for <see cref="BlockLifetime.TryRead"/>.</summary>
    public static AsyncBlockRequest GetLifetimeAsync(this BlockDevice disk, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.GetLifetime, 0, buffer);

    /// <summary>Describes zones from the one that holds <paramref name="sector"/> on, for <see cref="ZoneReport"/>.</summary>
    public static AsyncBlockRequest ReportZonesAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.ReportZones, sector, buffer);

    /// <summary>Opens, closes, finishes or resets the zone that begins at <paramref name="sector"/>, or resets all of them.</summary>
    public static AsyncBlockRequest ManageZoneAsync(this BlockDevice disk, BlockOperation operation, ulong sector) =>
        AsyncBlockRequest.Submit(disk, operation, sector, default);
}
