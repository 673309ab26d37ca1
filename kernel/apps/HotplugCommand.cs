// A command that keeps a disk busy until it is taken away, as often as wanted.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Waits for a disk, reads it with several requests in flight until it leaves, and sees that every request ended once: well, or as removed.
/// </summary>
internal sealed class HotplugCommand
{
    private const int Readers = 16;
    private const ulong LookInterval = 5_000_000;
    private const int MaxLooks = 12_000;

    private readonly SystemInformation _system;
    private readonly Terminal _output;
    private ulong _well;
    private ulong _removed;
    private ulong _other;
    private int _running;

    internal HotplugCommand(SystemInformation system, Terminal output)
    {
        _system = system;
        _output = output;
    }

    /// <summary>Does so <paramref name="times"/> times; false when no disk comes within a minute, or a request ends otherwise.</summary>
    internal async ValueTask<bool> RunAsync(uint times)
    {
        for (uint i = 0; i < times; i++)
        {
            _output.Write("waiting for a disk\n");
            for (int look = 0; _system.FindDisk(0) is null; look++)
            {
                if (look == MaxLooks)
                {
                    _output.Write("no disk came within a minute\n");
                    return false;
                }
                await _system.Loop.After(LookInterval);
            }
            BlockDevice disk = _system.FindDisk(0)!;
            if (!await KeepBusyAsync(disk))
            {
                return false;
            }
        }
        return true;
    }

    private async ValueTask<bool> KeepBusyAsync(BlockDevice disk)
    {
        DmaSpace dma = disk.Dma;
        ulong before = _system.Machine.DmaMemory.BytesInUse;
        if (!dma.TryAllocate(Readers * disk.BlockSize, 4096, out DmaBuffer memory))
        {
            _output.Write("there is no memory for the reads\n");
            return false;
        }
        _well = _removed = _other = 0;
        _running = Readers;
        ValueTask[] readers = new ValueTask[Readers];
        for (uint i = 0; i < Readers; i++)
        {
            readers[i] = ReadAsync(disk, memory.Slice(i * disk.BlockSize, disk.BlockSize), i);
        }
        for (int look = 0; _well == 0 && _running > 0 && look < MaxLooks; look++)
        {
            await _system.Loop.After(LookInterval);
        }
        _output.Write("reading ").Write(disk.Name).EndLine();
        for (int look = 0; _running > 0 && look < MaxLooks; look++)
        {
            await _system.Loop.After(LookInterval);
        }
        _output.Write(_well > 0 ? "reads ended well, " : "no read ended well, ").Write(_removed).Write(" as removed, ").Write(_other).Write(" otherwise, ")
            .Write((ulong)_running).Write(" never\n");
        if (_running > 0)
        {
            return false;
        }
        for (int i = 0; i < Readers; i++)
        {
            await readers[i];
        }
        dma.Free(memory);
        ulong left = _system.Machine.DmaMemory.BytesInUse;
        _output.Write(left < before ? "its memory came back\n" : "its memory did not come back\n");
        return _well > 0 && _removed == Readers && _other == 0 && left < before;
    }

    private async ValueTask ReadAsync(BlockDevice disk, DmaBuffer buffer, ulong sector)
    {
        IoStatus status = IoStatus.Ok;
        while (status == IoStatus.Ok)
        {
            status = await disk.ReadAsync(sector, buffer);
            _well += status == IoStatus.Ok ? 1ul : 0;
        }
        _removed += status == IoStatus.Removed ? 1ul : 0;
        _other += status == IoStatus.Removed ? 0ul : 1;
        _running--;
    }
}
