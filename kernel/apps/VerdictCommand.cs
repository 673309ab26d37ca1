// What a disk that may lie made of requests whose results are known: a line for each step, and a sum.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// <c>verdict [MILLISECONDS [DISK]]</c>: reads, writes and flushes a disk, the first one by default, on which the host put
/// <see cref="VerdictPattern"/>. A request ends after the given time at the latest. What ended well and is not what has to be
/// there is wrong, and the command fails then, and only then.
/// </summary>
internal sealed class VerdictCommand
{
    private const uint Burst = 8;
    private const uint Units = 40;
    private const uint LeastUnit = 8;
    private const uint LargestUnit = 2048;
    private const uint FirstWritten = 16;
    private const uint ZeroUnit = 30;
    private const uint Written = 1;
    private const uint Zeroes = 2;
    private const byte Poison = 0xEE;
    private const ulong DefaultTimeout = 5000;
    private const ulong Millisecond = 1_000_000;
    private const ulong Pause = 30 * Millisecond;

    private readonly BlockDevice _disk;
    private readonly RunLoop _loop;
    private readonly Terminal _output;
    private readonly Signal _ended = new();
    private readonly VerdictRequest[] _requests = new VerdictRequest[(int)Burst];
    private readonly uint _unit;
    private readonly DmaBuffer _memory;
    // What a unit holds as far as anybody can know: one of these generations.
    private readonly uint[] _sure = new uint[(int)Units];
    private readonly uint[] _maybe = new uint[(int)Units];
    private int _submitted;
    private int _pending;
    private bool _waits;
    private Tally _step;
    private Tally _all;

    /// <summary>How requests ended.</summary>
    private struct Tally
    {
        internal ulong Ok;
        internal ulong Failed;
        internal ulong Late;
        internal ulong Refused;
        internal ulong Wrong;
    }

    private VerdictCommand(BlockDevice disk, RunLoop loop, Terminal output, uint unit, in DmaBuffer memory, ulong timeout)
    {
        _disk = disk;
        _loop = loop;
        _output = output;
        _unit = unit;
        _memory = memory;
        for (int i = 0; i < _requests.Length; i++)
        {
            _requests[i] = new VerdictRequest(this) { Timeout = timeout };
        }
    }

    /// <summary>A request that counts its end.</summary>
    private sealed class VerdictRequest(VerdictCommand command) : BlockRequest
    {
        internal uint Unit;
        internal DmaBuffer Data;

        protected override void OnCompleted()
        {
            if (--command._pending == 0 && command._waits)
            {
                command._waits = false;
                command._ended.Set();
            }
        }
    }

    /// <summary>Runs all steps; true when nothing ended well that was wrong.</summary>
    internal static async ValueTask<bool> RunAsync(SystemInformation system, string[] words, Terminal output)
    {
        ulong timeout = DefaultTimeout;
        ulong number = 0;
        if ((words.Length > 1 && !ulong.TryParse(words[1], out timeout)) || (words.Length > 2 && !ulong.TryParse(words[2], out number)))
        {
            output.Write("verdict takes milliseconds and the number of a disk\n");
            return false;
        }
        BlockDevice? disk = system.FindDisk(number);
        if (disk is null)
        {
            output.Write("VERDICT no disk\n");
            return true;
        }
        uint unit = Math.Max(LeastUnit, disk.BlockSize / BlockDevice.SectorSize);
        if (unit > LargestUnit || disk.SectorCount / unit < Units)
        {
            output.Write("VERDICT too small: ").Write(disk.SectorCount).Write(" sectors, blocks of ").Write(disk.BlockSize).Write(" bytes\n");
            return true;
        }
        uint length = unit * BlockDevice.SectorSize;
        ulong before = system.Machine.DmaMemory.BytesInUse;
        if (!disk.Dma.TryAllocate(length * Burst, 4096, out DmaBuffer memory))
        {
            output.Write("there is not enough memory; give the machine more (-m)\n");
            return false;
        }
        VerdictCommand command = new(disk, system.Loop, output, unit, memory, timeout * Millisecond);
        await command.RunAsync();
        disk.Dma.Free(memory);
        bool leaks = system.Machine.DmaMemory.BytesInUse > before;
        command.WriteSum(leaks);
        return command._all.Wrong == 0;
    }

    private async ValueTask RunAsync()
    {
        AddRead(1);
        await EndStep("first");
        AddReads(2);
        await EndStep("reads");
        for (uint i = 0; i < Burst; i++)
        {
            AddWrite(FirstWritten + i);
        }
        await EndStep("writes");
        AddReads(FirstWritten);
        await EndStep("back");
        AddPieces(BlockOperation.Read, 3, 6);
        AddPieces(BlockOperation.Write, FirstWritten + Burst, 3);
        AddPieces(BlockOperation.Read, FirstWritten, 4);
        await EndStep("pieces");
        for (uint i = 0; i < Burst; i++)
        {
            AddRead(i);
            await EndRequests();
        }
        WriteStep("alone");
        AddCommands();
        await EndStep("commands");
        _requests[_submitted].Unit = 0;
        Add(BlockOperation.Read, (_disk.SectorCount / _unit - 1) * _unit, known: false);
        await EndStep("last");
        // What comes late comes now.
        await _loop.After(Pause);
        for (uint i = 0; i < Units; i += Burst)
        {
            AddReads(i);
            await EndRequests();
        }
        WriteStep("all");
    }

    private void AddReads(uint first)
    {
        for (uint i = 0; i < Burst; i++)
        {
            AddRead(first + i);
        }
    }

    private void AddRead(uint unit)
    {
        _requests[_submitted].Unit = unit;
        Add(BlockOperation.Read, (ulong)unit * _unit, known: true);
    }

    private void AddWrite(uint unit)
    {
        _requests[_submitted].Unit = unit;
        Add(BlockOperation.Write, (ulong)unit * _unit, known: true);
    }

    private void Add(BlockOperation operation, ulong sector, bool known)
    {
        VerdictRequest request = Begin(operation, known);
        request.Prepare(operation, sector, request.Data);
        Submit(request);
    }

    /// <summary>A read or a write whose memory comes in pieces, whole blocks where the unit has so many.</summary>
    private void AddPieces(BlockOperation operation, uint unit, int count)
    {
        _requests[_submitted].Unit = unit;
        VerdictRequest request = Begin(operation, known: true);
        uint block = _disk.BlockSize;
        DmaBuffer[] pieces = new DmaBuffer[(int)Math.Min((uint)count, request.Data.Length / block)];
        for (int i = 0; i < pieces.Length; i++)
        {
            uint at = (uint)i * block;
            pieces[i] = request.Data.Slice(at, i + 1 < pieces.Length ? block : request.Data.Length - at);
        }
        request.Prepare(operation, (ulong)unit * _unit, pieces);
        Submit(request);
    }

    private void AddCommands()
    {
        if (_disk.CanFlush)
        {
            VerdictRequest flush = Begin(BlockOperation.Flush, known: false);
            flush.Prepare(BlockOperation.Flush, 0, default(DmaBuffer));
            Submit(flush);
        }
        VerdictRequest id = Begin(BlockOperation.GetId, known: false);
        id.Data = id.Data.Slice(0, 20);
        id.Prepare(BlockOperation.GetId, 0, id.Data);
        Submit(id);
        if (_disk.Supports(BlockOperation.WriteZeroes))
        {
            _requests[_submitted].Unit = ZeroUnit;
            VerdictRequest zeroes = Begin(BlockOperation.WriteZeroes, known: false);
            _maybe[(int)ZeroUnit] = Zeroes;
            zeroes.PrepareRange(BlockOperation.WriteZeroes, ZeroUnit * _unit, _unit);
            Submit(zeroes);
        }
    }

    private VerdictRequest Begin(BlockOperation operation, bool known)
    {
        VerdictRequest request = _requests[_submitted];
        uint length = _unit * BlockDevice.SectorSize;
        request.Data = _memory.Slice((uint)_submitted * length, length);
        request.Data.Span.Fill(Poison);
        if (!known)
        {
            request.Unit = operation == BlockOperation.WriteZeroes ? request.Unit : Units;
        }
        else if (operation == BlockOperation.Write)
        {
            for (uint i = 0; i < _unit; i++)
            {
                VerdictPattern.Fill(Sector(request.Data, i), (ulong)request.Unit * _unit + i, Written);
            }
            _maybe[(int)request.Unit] = Written;
        }
        return request;
    }

    private void Submit(VerdictRequest request)
    {
        _submitted++;
        _pending++;
        IoStatus status = _disk.Submit(request);
        if (status != IoStatus.Ok)
        {
            _pending--;
            _submitted--;
            _step.Refused++;
        }
    }

    private async ValueTask EndStep(string name)
    {
        await EndRequests();
        WriteStep(name);
    }

    /// <summary>Waits for everything submitted, and judges it.</summary>
    private async ValueTask EndRequests()
    {
        if (_pending != 0)
        {
            _waits = true;
            await _ended;
        }
        for (int i = 0; i < _submitted; i++)
        {
            Judge(_requests[i]);
        }
        _submitted = 0;
    }

    private void Judge(VerdictRequest request)
    {
        if (request.Status == IoStatus.TimedOut)
        {
            _step.Late++;
            return;
        }
        if (request.Status != IoStatus.Ok)
        {
            _step.Failed++;
            return;
        }
        _step.Ok++;
        if (request.Operation == BlockOperation.GetId)
        {
            _output.Write("id ").WriteUntrusted(request.Data.Span).EndLine();
        }
        if (request.Unit >= Units)
        {
            return;
        }
        if (request.Operation != BlockOperation.Read)
        {
            _sure[(int)request.Unit] = _maybe[(int)request.Unit];
        }
        else if (!IsRight(request))
        {
            _step.Wrong++;
        }
    }

    /// <summary>Each sector has what was written last, or, when nobody knows whether that arrived, what was there before.</summary>
    private bool IsRight(VerdictRequest request)
    {
        for (uint i = 0; i < _unit; i++)
        {
            ulong sector = (ulong)request.Unit * _unit + i;
            Span<byte> bytes = Sector(request.Data, i);
            if (!IsRight(bytes, sector, _sure[(int)request.Unit]) && !IsRight(bytes, sector, _maybe[(int)request.Unit]))
            {
                return false;
            }
        }
        return true;
    }

    private static bool IsRight(Span<byte> bytes, ulong sector, uint generation) =>
        generation == Zeroes ? IsZero(bytes) : VerdictPattern.IsRight(bytes, sector, generation);

    private static bool IsZero(Span<byte> bytes)
    {
        byte any = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            any |= bytes[i];
        }
        return any == 0;
    }

    private static Span<byte> Sector(in DmaBuffer data, uint index) =>
        data.Slice(index * BlockDevice.SectorSize, BlockDevice.SectorSize).Span;

    private void WriteStep(string name)
    {
        Write(name, _step);
        _all.Ok += _step.Ok;
        _all.Failed += _step.Failed;
        _all.Late += _step.Late;
        _all.Refused += _step.Refused;
        _all.Wrong += _step.Wrong;
        _step = default;
    }

    private void WriteSum(bool leaks)
    {
        Write("sum", _all);
        if (_disk is VirtioBlk block)
        {
            _output.Write("VERDICT recoveries ").Write(block.Recoveries).Write(", repeats ").Write(block.Repeats)
                .Write(", rung again ").Write(block.LostDoorbells).Write(", capacity changes ").Write(block.CapacityChanges)
                .Write(", lengths cut ").Write(block.Virtio.IsRunning ? block.Virtio.Queue(0).ClampedLengths : 0).EndLine();
        }
        _output.Write(leaks ? "VERDICT memory was kept\n" : "VERDICT memory is back\n");
    }

    private void Write(string name, in Tally tally) => _output.Write("VERDICT ").Write(name).Write(": ok ").Write(tally.Ok).Write(", failed ")
        .Write(tally.Failed).Write(", late ").Write(tally.Late).Write(", refused ").Write(tally.Refused).Write(", wrong ").Write(tally.Wrong).EndLine();
}
