// What an application must have asked of a disk.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;

namespace VirtioSharp.Tests.Traces;

/// <summary>Each buffer that was made available is a request; what was in flight at a reset the driver repeats by itself.</summary>
internal sealed class DiskPlayer : Player
{
    private readonly BlockDevice _disk;
    private readonly Dictionary<string, DmaBuffer> _memory = [];
    private readonly List<Asked> _asked = [];

    internal DiskPlayer(Replay replay, VirtioBlk disk, int maxRecoveries)
        : base(replay)
    {
        _disk = disk;
        disk.MaxRecoveries = maxRecoveries;
    }

    /// <inheritdoc/>
    internal override Device Device => _disk;

    /// <summary>How many requests ended.</summary>
    internal int Ended { get; private set; }

    /// <inheritdoc/>
    internal override bool TryStep(TraceEvent next)
    {
        if (next.Words[0] == "w8" && next.Words[1] == "config+0x20")
        {
            _disk.TrySetWriteCache(next.Value != "0x0");
            return true;
        }
        return next.Words[0] == "avail" && TrySupply(kicks: true);
    }

    /// <inheritdoc/>
    internal override void OnCompared(TraceEvent line)
    {
        if (line.Value == "0x0" && line.Words[1] is "device_status" or "Status")
        {
            foreach (Asked asked in _asked)
            {
                asked.MayRepeat = true;
            }
        }
        else if (line.Words[0] == "avail" && FindRepeated(line) is Asked repeated)
        {
            repeated.MayRepeat = false;
        }
    }

    private bool TrySupply(bool kicks)
    {
        if (Replay.Rest.Length == 0 || Replay.Rest[0].Words[0] != "avail" || FindRepeated(Replay.Rest[0]) is not null)
        {
            return false;
        }
        List<TraceEvent> lines = TakeAvailable();
        foreach (TraceEvent line in lines)
        {
            Asked asked = new(KeyOf(line));
            _asked.Add(asked);
            TestRequest request = new() { Then = _ => OnEnded(asked) };
            Prepare(request, line);
            IoStatus status = _disk.Submit(request);
            if (status != IoStatus.Ok)
            {
                throw new ReplayMismatchException(line, $"the driver refused the request: {status}");
            }
        }
        if (kicks)
        {
            _disk.Kick();
        }
        return lines.Count != 0;
    }

    private void OnEnded(Asked asked)
    {
        Ended++;
        _asked.Remove(asked);
        // Whoever waited for it may have asked for more at once.
        if (TrySupply(kicks: false))
        {
            Replay.Look();
        }
    }

    private Asked? FindRepeated(TraceEvent line)
    {
        string key = KeyOf(line);
        return _asked.Find(asked => asked.MayRepeat && asked.Key == key);
    }

    /// <summary>Two lines are about the same request when they ask the same of the same memory.</summary>
    private static string KeyOf(TraceEvent line)
    {
        List<TracedPiece> pieces = TracedPiece.Of(line);
        IEnumerable<TracedPiece> data = pieces.Skip(1).SkipLast(1);
        return Convert.ToHexString(pieces[0].Content) + string.Join(',', data.Select(piece => $"{piece.Memory}+{piece.Offset}:{piece.Length}"));
    }

    private void Prepare(TestRequest request, TraceEvent line)
    {
        List<TracedPiece> pieces = TracedPiece.Of(line);
        byte[] header = pieces[0].Content;
        if (header.Length != 16 || pieces.Count < 2)
        {
            throw new ReplayMismatchException(line, "this is no request of a disk");
        }
        uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(8));
        DmaBuffer[] data = [.. pieces.Skip(1).SkipLast(1).Where(piece => type is not (11 or 13 or 14)).Select(MemoryOf)];
        byte[] range = pieces[1].Content;
        switch (type)
        {
            case 0:
                request.Prepare(BlockOperation.Read, sector, data);
                break;
            case 1:
                request.Prepare(BlockOperation.Write, sector, data);
                break;
            case 4:
                request.Prepare(BlockOperation.Flush, 0, default(DmaBuffer));
                break;
            case 8:
                request.Prepare(BlockOperation.GetId, 0, data);
                break;
            case 10:
                request.Prepare(BlockOperation.GetLifetime, 0, data);
                break;
            case 11 or 13 or 14 when range.Length == 16:
                request.PrepareRange(
                    type == 11 ? BlockOperation.Discard : type == 13 ? BlockOperation.WriteZeroes : BlockOperation.SecureErase,
                    BinaryPrimitives.ReadUInt64LittleEndian(range), BinaryPrimitives.ReadUInt32LittleEndian(range.AsSpan(8)),
                    mayUnmap: range[12] != 0);
                break;
            default:
                throw new ReplayMismatchException(line, $"nobody here knows how to ask a disk for type {type}");
        }
    }

    /// <summary>Memory of the application: as much as the trace says that it had.</summary>
    private DmaBuffer MemoryOf(TracedPiece piece)
    {
        if (!_memory.TryGetValue(piece.Memory, out DmaBuffer memory))
        {
            ulong length = Replay.Events.Where(line => line.Words[0] == "alloc" && line.Words[1] == piece.Memory)
                .Select(line => TraceEvent.Number(line.Words[2])).FirstOrDefault();
            if (length == 0)
            {
                length = Replay.Events.Where(line => line.Words[0] == "avail").SelectMany(TracedPiece.Of)
                    .Where(other => other.Memory == piece.Memory).Max(other => (ulong)other.Offset + other.Length);
            }
            if (!_disk.Dma.TryAllocate((uint)length, 4096, out memory))
            {
                throw new InvalidOperationException("no memory");
            }
            _memory.Add(piece.Memory, memory);
            Replay.NameMemory(piece.Memory, Replay.LastMemory);
        }
        return memory.Slice(piece.Offset, piece.Length);
    }

    private sealed class Asked(string key)
    {
        internal string Key { get; } = key;

        internal bool MayRepeat { get; set; }
    }
}
