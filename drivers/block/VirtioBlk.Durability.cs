// A virtio block device: what is durable, and when (virtio 5.2.5.2, 5.2.6.2).
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Block;

public sealed partial class VirtioBlk
{
    // Writes that were completed into a cache, those among them that a flush made durable, and whether a reset may have lost some.
    private ulong _writesDone;
    private ulong _writesFlushed;
    private bool _cacheInDoubt;
    private bool _hasWriteCache;
    private uint _writesCounted; // all ones while there is a write cache, 0 otherwise
    private bool _wasSwitched;

    /// <inheritdoc/>
    public override bool HasWriteCache => _hasWriteCache;

    /// <inheritdoc/>
    public override bool TrySetWriteCache(bool on)
    {
        if (_failure != IoStatus.Ok || !_virtio.Has(VirtioBlkFormat.ConfigWriteCache))
        {
            return false;
        }
        bool was = _hasWriteCache;
        _virtio.TryWriteConfig8(VirtioBlkFormat.WriteBackOffset, on ? (byte)1 : (byte)0);
        ReadWriteCache();
        _wasSwitched |= _hasWriteCache != was;
        return _hasWriteCache == on;
    }

    /// <summary>
    /// With CONFIG_WCE the device says; with FLUSH alone there is a cache; without either every write goes through (5.2.5.2).
    /// </summary>
    private void ReadWriteCache()
    {
        _hasWriteCache = _virtio.Has(VirtioBlkFormat.ConfigWriteCache)
            ? _virtio.ReadConfig8(VirtioBlkFormat.WriteBackOffset) != 0
            : _limits.HasFlush;
        _writesCounted = _hasWriteCache ? uint.MaxValue : 0;
    }

    /// <summary>A reset forgets what was switched: it is switched again.</summary>
    private void RestoreWriteCache()
    {
        bool wanted = _hasWriteCache;
        ReadWriteCache();
        if (_wasSwitched && _hasWriteCache != wanted && !TrySetWriteCache(wanted))
        {
            Log.Write(LogLevel.Warning, "virtio-blk", "the write cache can't be switched again after the reset", _hasWriteCache ? 1u : 0u);
        }
    }

    /// <summary>Notes what a request that ended well means for later flushes.</summary>
    private void NoteDurability(BlockRequest request)
    {
        switch (request.Operation)
        {
            case BlockOperation.Flush:
                _writesFlushed = Math.Max(_writesFlushed, request.WritesBefore);
                break;
            case BlockOperation.GetId:
            case BlockOperation.GetLifetime:
            case BlockOperation.ReportZones:
                break;
            default:
                NoteWrites(1);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void NoteWrites(uint count) => _writesDone += count & _writesCounted;
}
