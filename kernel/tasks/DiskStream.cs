// A disk byte by byte, through a small cache of its blocks.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>
/// Reads and writes at any position and of any length. What is written stays in the cache until its place is needed, or until
/// <see cref="FlushAsync"/>, which also makes it durable; a write that failed stays there and is tried again by the next flush. One operation at a
/// time. Nothing is allocated once every kind of operation was done.
/// </summary>
public sealed class DiskStream
{
    private const uint MinLineLength = 4096;

    private readonly BlockDevice _disk;
    private readonly DmaBuffer _memory;
    private readonly Line[] _lines;
    private readonly uint _lineLength;
    private ulong _uses;

    /// <summary>A piece of the disk that is in memory.</summary>
    private struct Line
    {
        internal ulong Number;
        internal ulong LastUse;
        internal uint Length; // of the last piece less than the others; the disk may grow
        internal bool IsValid;
        internal bool IsDirty;
    }

    private DiskStream(BlockDevice disk, in DmaBuffer memory, int lines, uint lineLength)
    {
        _disk = disk;
        _memory = memory;
        _lines = new Line[lines];
        _lineLength = lineLength;
    }

    /// <summary>The length of the disk in bytes.</summary>
    public ulong Length => _disk.SectorCount * BlockDevice.SectorSize;

    /// <summary>How many pieces of the disk were read or written, for those who want to know whether the cache helps.</summary>
    public ulong Transfers { get; private set; }

    /// <summary>
    /// Makes a stream with a cache of <paramref name="lines"/> pieces of 4 KiB, or of a block where blocks are larger; false when there is no memory.
    /// </summary>
    public static bool TryCreate(BlockDevice disk, int lines, out DiskStream? stream)
    {
        Contract.Require(lines > 0, "a cache of no lines");
        stream = null;
        uint lineLength = Math.Max(MinLineLength, disk.BlockSize);
        if (!disk.Dma.TryAllocate((uint)lines * lineLength, Math.Min(lineLength, 4096), out DmaBuffer memory))
        {
            return false;
        }
        stream = new DiskStream(disk, memory, lines, lineLength);
        return true;
    }

    /// <summary>Gives the memory back. What was written and not flushed is lost; nothing may be on its way.</summary>
    public void Free() => _disk.Dma.Free(_memory);

    /// <summary>Reads <paramref name="count"/> bytes from <paramref name="position"/> on; all of them have to lie on the disk.</summary>
    public async ValueTask<IoStatus> ReadAsync(ulong position, byte[] buffer, int offset, int count)
    {
        if (!IsInside(position, count))
        {
            return IoStatus.OutOfRange;
        }
        while (count > 0)
        {
            int length = LengthInLine(position, count);
            int line = Find(position / _lineLength);
            if (line < 0 || _lines[line].Length < LengthOf(position / _lineLength))
            {
                line = line < 0 ? Oldest() : line;
                IoStatus status = await FillAsync(line, position / _lineLength);
                if (status != IoStatus.Ok)
                {
                    return status;
                }
            }
            _lines[line].LastUse = ++_uses;
            Bytes(line, position, length).CopyTo(new Span<byte>(buffer, offset, length));
            position += (uint)length;
            offset += length;
            count -= length;
        }
        return IoStatus.Ok;
    }

    /// <summary>Writes <paramref name="count"/> bytes to <paramref name="position"/>; all of them have to lie on the disk.</summary>
    public async ValueTask<IoStatus> WriteAsync(ulong position, byte[] buffer, int offset, int count)
    {
        if (!IsInside(position, count))
        {
            return IoStatus.OutOfRange;
        }
        if (_disk.IsReadOnly)
        {
            return IoStatus.ReadOnly;
        }
        while (count > 0)
        {
            int length = LengthInLine(position, count);
            ulong number = position / _lineLength;
            int line = Find(number);
            if (line < 0 || _lines[line].Length < LengthOf(number))
            {
                line = line < 0 ? Oldest() : line;
                // What is overwritten whole need not be read before.
                IoStatus status = length == (int)LengthOf(number) ? await EmptyAsync(line, number) : await FillAsync(line, number);
                if (status != IoStatus.Ok)
                {
                    return status;
                }
            }
            _lines[line].LastUse = ++_uses;
            _lines[line].IsDirty = true;
            new ReadOnlySpan<byte>(buffer, offset, length).CopyTo(Bytes(line, position, length));
            position += (uint)length;
            offset += length;
            count -= length;
        }
        return IoStatus.Ok;
    }

    /// <summary>Writes back what was changed, and makes it durable. The first error is the answer; the rest is tried nevertheless.</summary>
    public async ValueTask<IoStatus> FlushAsync()
    {
        IoStatus result = IoStatus.Ok;
        for (int i = 0; i < _lines.Length; i++)
        {
            IoStatus status = await CleanAsync(i);
            result = result == IoStatus.Ok ? status : result;
        }
        if (_disk.CanFlush)
        {
            IoStatus status = await _disk.FlushAsync();
            result = result == IoStatus.Ok ? status : result;
        }
        return result;
    }

    private bool IsInside(ulong position, int count) => count >= 0 && (ulong)count <= Length && position <= Length - (ulong)count;

    private int LengthInLine(ulong position, int count) => (int)Math.Min((ulong)count, _lineLength - position % _lineLength);

    /// <summary>How many bytes of a line lie on the disk: the last one may be short.</summary>
    private uint LengthOf(ulong number) => number * _lineLength < Length ? (uint)Math.Min(_lineLength, Length - number * _lineLength) : 0;

    private DmaBuffer Memory(int line, uint length) => _memory.Slice((uint)line * _lineLength, length);

    private Span<byte> Bytes(int line, ulong position, int length) => Memory(line, _lineLength).Span.Slice((int)(position % _lineLength), length);

    private int Find(ulong number)
    {
        int line = _lines.Length - 1;
        while (line >= 0 && !(_lines[line].IsValid && _lines[line].Number == number))
        {
            line--;
        }
        return line;
    }

    /// <summary>The place that is given up: one that need not be written, so that a block that can't be written does not stand in the way of others.</summary>
    private int Oldest()
    {
        int clean = -1;
        int oldest = 0;
        for (int i = 0; i < _lines.Length; i++)
        {
            if (!_lines[i].IsValid)
            {
                return i;
            }
            oldest = _lines[i].LastUse < _lines[oldest].LastUse ? i : oldest;
            clean = !_lines[i].IsDirty && (clean < 0 || _lines[i].LastUse < _lines[clean].LastUse) ? i : clean;
        }
        return clean < 0 ? oldest : clean;
    }

    private async ValueTask<IoStatus> EmptyAsync(int line, ulong number)
    {
        IoStatus status = await CleanAsync(line);
        if (status == IoStatus.Ok)
        {
            _lines[line].Number = number;
            _lines[line].Length = LengthOf(number);
            _lines[line].IsValid = true;
        }
        return status;
    }

    private async ValueTask<IoStatus> FillAsync(int line, ulong number)
    {
        IoStatus status = await CleanAsync(line);
        if (status != IoStatus.Ok)
        {
            return status;
        }
        _lines[line].IsValid = false;
        Transfers++;
        status = await _disk.ReadAsync(number * (_lineLength / BlockDevice.SectorSize), Memory(line, LengthOf(number)));
        if (status == IoStatus.Ok)
        {
            _lines[line].Number = number;
            _lines[line].Length = LengthOf(number);
            _lines[line].IsValid = true;
        }
        return status;
    }

    private async ValueTask<IoStatus> CleanAsync(int line)
    {
        if (!_lines[line].IsValid || !_lines[line].IsDirty)
        {
            return IoStatus.Ok;
        }
        ulong number = _lines[line].Number;
        Transfers++;
        IoStatus status = await _disk.WriteAsync(number * (_lineLength / BlockDevice.SectorSize), Memory(line, _lines[line].Length));
        if (status == IoStatus.Ok)
        {
            _lines[line].IsDirty = false;
        }
        return status;
    }
}
