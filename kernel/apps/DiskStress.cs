// Random reads and writes of a disk, compared with a model of it.
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Workers read, write, zero, discard and flush ranges of the first blocks of a disk, which have to be zeroes at first. Of each block the model
/// keeps how often it was written, and from that what must be in it; no two requests in flight touch the same block.
/// </summary>
public sealed class DiskStress
{
    private const uint MaxBlocks = 16384;
    private const uint MaxTransfer = 64;
    private const uint Unknown = uint.MaxValue;
    private const int Pieces = 4;
    private const int Tries = 100;

    private readonly BlockDevice _disk;
    private readonly uint _blockSectors;
    private readonly uint _blocks;
    private readonly uint _transfer;
    private readonly uint[] _generations;
    private readonly bool[] _isBusy;
    private readonly bool _zeroes;
    private readonly bool _discards;
    private ulong _random;
    private ulong _left;

    /// <summary>Prepares to stress a disk; equal seeds make the same choices as long as requests end in the same order.</summary>
    public DiskStress(BlockDevice disk, ulong seed)
    {
        _disk = disk;
        Seed = seed;
        _random = seed * 0x9E3779B97F4A7C15 + 1;
        _blockSectors = disk.BlockSize / BlockDevice.SectorSize;
        _blocks = (uint)Math.Min(MaxBlocks, disk.SectorCount / _blockSectors);
        _transfer = Math.Min(MaxTransfer, Math.Max(1, _blocks / 4));
        _generations = new uint[(int)_blocks];
        _isBusy = new bool[(int)_blocks];
        _zeroes = disk.Supports(BlockOperation.WriteZeroes);
        _discards = disk.Supports(BlockOperation.Discard);
    }

    /// <summary>The seed of the choices and the contents.</summary>
    public ulong Seed { get; }

    /// <summary>How many blocks are touched.</summary>
    public uint Blocks => _blocks;

    /// <summary>What went wrong first; empty when nothing did.</summary>
    public string Error { get; private set; } = "";

    /// <summary>The block that went wrong.</summary>
    public ulong ErrorBlock { get; private set; }

    /// <summary>How a request ended that should have ended well.</summary>
    public IoStatus ErrorStatus { get; private set; }

    /// <summary>
    /// Does <paramref name="requests"/> requests with <paramref name="depth"/> workers, then writes what was discarded, flushes, and reads all back.
    /// </summary>
    public async ValueTask<bool> RunAsync(ulong requests, int depth)
    {
        uint length = _transfer * _disk.BlockSize;
        if (_blocks < 4 || !_disk.Dma.TryAllocate(length * (uint)depth, Math.Min(_disk.BlockSize, 4096), out DmaBuffer memory))
        {
            return Fail("the disk or the memory is too small", 0, IoStatus.Ok);
        }
        _left = requests;
        ValueTask[] workers = new ValueTask[depth];
        for (int i = 0; i < depth; i++)
        {
            workers[i] = WorkAsync(memory.Slice((uint)i * length, length));
        }
        for (int i = 0; i < depth; i++)
        {
            await workers[i];
        }
        bool good = Error.Length == 0 && await SettleAsync(memory.Slice(0, length)) && await VerifyAllAsync(memory.Slice(0, length));
        _disk.Dma.Free(memory);
        return good;
    }

    /// <summary>Writes what has to be in a block to <paramref name="bytes"/>, by the model.</summary>
    public void Expect(uint block, Span<byte> bytes) => Fill(bytes, block, _generations[(int)block]);

    private async ValueTask WorkAsync(DmaBuffer buffer)
    {
        DmaBuffer[] pieces = new DmaBuffer[Pieces];
        while (_left != 0 && Error.Length == 0)
        {
            _left--;
            if (!TryChoose(out uint first, out uint count))
            {
                IoStatus flushed = await _disk.FlushAsync();
                Check(flushed is IoStatus.Unsupported ? IoStatus.Ok : flushed, "a flush failed", first);
                continue;
            }
            uint what = Next(20);
            ulong sector = (ulong)first * _blockSectors;
            DmaBuffer data = buffer.Slice(0, count * _disk.BlockSize);
            if (what < 9)
            {
                Step(first, count, 0);
                FillAll(data, first, count);
                IoStatus status = count >= Pieces && what < 3 ? await _disk.WriteAsync(sector, Cut(data, pieces)) : await _disk.WriteAsync(sector, data);
                Check(status, "a write failed", first);
            }
            else if (what < 17 || (what == 17 && !_zeroes) || (what == 18 && !_discards))
            {
                data.Span.Fill(0xEE);
                IoStatus status = count >= Pieces && what < 12 ? await _disk.ReadAsync(sector, Cut(data, pieces)) : await _disk.ReadAsync(sector, data);
                Check(status, "a read failed", first);
                Verify(data, first, count);
            }
            else if (what == 17)
            {
                Check(await _disk.WriteZeroesAsync(sector, (ulong)count * _blockSectors, mayUnmap: (first & 1) != 0), "zeroing failed", first);
                Set(first, count, 0);
            }
            else if (what == 18)
            {
                Check(await _disk.DiscardAsync(sector, (ulong)count * _blockSectors), "a discard failed", first);
                Set(first, count, Unknown);
            }
            else if (_disk.CanFlush)
            {
                Check(await _disk.FlushAsync(), "a flush failed", first);
            }
            Free(first, count);
        }
    }

    /// <summary>Chooses blocks that nobody uses, mostly few; false when none were found.</summary>
    private bool TryChoose(out uint first, out uint count)
    {
        first = 0;
        count = 0;
        for (int i = 0; i < Tries; i++)
        {
            count = 1 + Next(Next(8) == 0 ? _transfer : Math.Min(8, _transfer));
            first = Next(_blocks - count + 1);
            if (IsFree(first, count))
            {
                for (uint j = 0; j < count; j++)
                {
                    _isBusy[(int)(first + j)] = true;
                }
                return true;
            }
        }
        return false;
    }

    private bool IsFree(uint first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            if (_isBusy[(int)(first + i)])
            {
                return false;
            }
        }
        return true;
    }

    private void Free(uint first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            _isBusy[(int)(first + i)] = false;
        }
    }

    private void Set(uint first, uint count, uint generation)
    {
        for (uint i = 0; i < count; i++)
        {
            _generations[(int)(first + i)] = generation;
        }
    }

    /// <summary>Blocks that are written get a new generation each.</summary>
    private void Step(uint first, uint count, uint after)
    {
        for (uint i = 0; i < count; i++)
        {
            uint generation = _generations[(int)(first + i)];
            _generations[(int)(first + i)] = generation == Unknown ? after + 1 : generation + 1;
        }
    }

    private ReadOnlySpan<DmaBuffer> Cut(in DmaBuffer data, DmaBuffer[] pieces)
    {
        uint part = data.Length / Pieces / _disk.BlockSize * _disk.BlockSize;
        for (int i = 0; i < Pieces; i++)
        {
            uint at = (uint)i * part;
            pieces[i] = data.Slice(at, i + 1 < Pieces ? part : data.Length - at);
        }
        return pieces;
    }

    private void FillAll(in DmaBuffer data, uint first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            Expect(first + i, data.Slice(i * _disk.BlockSize, _disk.BlockSize).Span);
        }
    }

    private void Verify(in DmaBuffer data, uint first, uint count)
    {
        for (uint i = 0; i < count && Error.Length == 0; i++)
        {
            if (_generations[(int)(first + i)] != Unknown && !IsRight(data.Slice(i * _disk.BlockSize, _disk.BlockSize).Span, first + i))
            {
                Fail("what was read is not what was written", first + i, IoStatus.Ok);
            }
        }
    }

    private void Fill(Span<byte> bytes, uint block, uint generation)
    {
        if (generation == 0)
        {
            bytes.Clear();
            return;
        }
        ulong x = Start(block, generation);
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = x += 0x9E3779B97F4A7C15;
        }
    }

    private bool IsRight(ReadOnlySpan<byte> bytes, uint block)
    {
        uint generation = _generations[(int)block];
        ulong x = generation == 0 ? 0 : Start(block, generation);
        ulong step = generation == 0 ? 0 : 0x9E3779B97F4A7C15;
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int i = 0; i < words.Length; i++)
        {
            x += step;
            if (words[i] != x)
            {
                return false;
            }
        }
        return true;
    }

    private ulong Start(uint block, uint generation)
    {
        ulong x = Seed ^ ((ulong)block << 32 | generation);
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
        return (x ^ x >> 27) * 0x94D049BB133111EB;
    }

    /// <summary>Discarded blocks are written, so that the host can compare everything; then all is made durable.</summary>
    private async ValueTask<bool> SettleAsync(DmaBuffer buffer)
    {
        for (uint block = 0; block < _blocks && Error.Length == 0; block++)
        {
            if (_generations[(int)block] == Unknown)
            {
                Set(block, 1, 1);
                FillAll(buffer, block, 1);
                Check(await _disk.WriteAsync((ulong)block * _blockSectors, buffer.Slice(0, _disk.BlockSize)), "a write failed", block);
            }
        }
        if (_disk.CanFlush)
        {
            Check(await _disk.FlushAsync(), "a flush failed", 0);
        }
        return Error.Length == 0;
    }

    private async ValueTask<bool> VerifyAllAsync(DmaBuffer buffer)
    {
        for (uint block = 0; block < _blocks && Error.Length == 0; block += _transfer)
        {
            uint count = Math.Min(_transfer, _blocks - block);
            DmaBuffer data = buffer.Slice(0, count * _disk.BlockSize);
            Check(await _disk.ReadAsync((ulong)block * _blockSectors, data), "a read failed", block);
            Verify(data, block, count);
        }
        return Error.Length == 0;
    }

    private void Check(IoStatus status, string what, uint block)
    {
        if (status != IoStatus.Ok)
        {
            Fail(what, block, status);
        }
    }

    private bool Fail(string what, ulong block, IoStatus status)
    {
        if (Error.Length == 0)
        {
            Error = what;
            ErrorBlock = block;
            ErrorStatus = status;
        }
        return false;
    }

    private uint Next(uint below)
    {
        ulong x = _random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        _random = x;
        return (uint)((x >> 32) * below >> 32);
    }
}
