// Tests of this kernel on this machine: each prints one line, and the sum ends them.
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Runs the tests, or those whose name begins with a word. What is missing on this machine is skipped with the reason. A disk is written
/// to only at its end, and what was there is put back.
/// </summary>
internal sealed class SelfTest
{
    private const int InterruptReads = 100;
    private const ulong InterruptPause = 2_000_000;
    private const uint ScratchSectors = 64;
    private const uint ScratchLength = ScratchSectors * BlockDevice.SectorSize;
    private const int SteadyReads = 1000;

    private readonly SystemInformation _system;
    private readonly Terminal _output;
    private string _filter = "";
    private ulong _passed;
    private ulong _failed;

    internal SelfTest(SystemInformation system, Terminal output)
    {
        _system = system;
        _output = output;
    }

    internal async ValueTask<bool> RunAsync(string filter)
    {
        _filter = filter;
        if (filter == "recovery")
        {
            return await RunRecoveryAsync();
        }
        Verdict("heap-zeroed", HeapIsZeroed());
        Verdict("type-checks", TypeChecks());
        Verdict("strings", Strings());
        Verdict("sha256-vector", HashVector());
        Verdict("pci-scan", _system.Scan.Count > 0 ? "" : "-no PCI functions");
        Verdict("timer", await TimerAsync());
        Verdict("random-vector", RandomTests.Vector());
        if (_system.Random.HasSource)
        {
            Verdict("random-numbers", await RandomTests.NumbersAsync(_system.Random, _system.Loop));
        }
        BlockDevice? disk = _system.FindDisk(0);
        if (disk is null)
        {
            Verdict("disk", "-no disk");
        }
        else
        {
            await TestDiskAsync(disk);
        }
        ConsolePort? port = await ConsolePorts.FindConsoleAsync(_system.Loop);
        Verdict("console-write", port is null ? "-no console" : await ConsoleAsync(port));
        Verdict("console-queue-reset", port is null ? "-no console" : await QueueResetTests.ConsoleAsync(port, _system.Loop));
        WriteSummary();
        return _failed == 0;
    }

    private void WriteSummary() => _output.Write("SUMMARY: ").Write(_passed).Write(" passed, ").Write(_failed).Write(" failed\n");

    /// <summary>What breaks devices on purpose is only done when it is asked for: not every host forgives it.</summary>
    private async ValueTask<bool> RunRecoveryAsync()
    {
        BlockDevice? disk = _system.FindDisk(0);
        ConsolePort? port = await ConsolePorts.FindConsoleAsync(_system.Loop);
        DmaBuffer memory = default;
        bool hasDisk = disk is not null && disk.Dma.TryAllocate(2 * disk.BlockSize, 4096, out memory);
        Verdict("recovery-disk", hasDisk ? await RecoveryTests.DiskAsync(disk!, memory, _system.Loop) : "-no disk");
        Verdict("recovery-console", port is null ? "-no console" : await RecoveryTests.ConsoleAsync(port, _system.Loop));
        if (hasDisk)
        {
            disk!.Dma.Free(memory);
        }
        WriteSummary();
        return _failed == 0;
    }

    private async ValueTask TestDiskAsync(BlockDevice disk)
    {
        if (disk.SectorCount < ScratchSectors || !disk.Dma.TryAllocate(ScratchLength * 3, 4096, out DmaBuffer memory))
        {
            Verdict("disk", "-the disk or the memory is too small");
            return;
        }
        Verdict("disk-interrupts", await InterruptsAsync(disk, memory));
        Verdict("disk-out-of-range", await OutOfRangeAsync(disk, memory));
        Verdict("disk-scatter-gather", await ScatterAsync(disk, memory));
        Verdict("disk-many-in-flight", await ManyAsync(disk, memory));
        Verdict("disk-no-allocation", await NoAllocationAsync(disk, memory));
        Verdict("disk-queue-reset", await QueueResetTests.DiskAsync(disk, memory));
        Verdict("disk-id", await IdAsync(disk, memory));
        Verdict("disk-flush", disk.CanFlush ? Expect(await disk.FlushAsync(), IoStatus.Ok) : "-the disk has no flush");
        Verdict("disk-cancel", await DiskCommandTests.CancelAsync(disk, memory));
        Verdict("disk-write-compare", disk.IsReadOnly ? await RefusedAsync(disk, memory) : await WriteCompareAsync(disk, memory));
        if (!disk.IsReadOnly)
        {
            ulong scratch = disk.SectorCount - ScratchSectors;
            DmaBuffer saved = memory.Slice(0, ScratchLength);
            DmaBuffer read = memory.Slice(ScratchLength, ScratchLength);
            Verdict("disk-write-zeroes", await DiskCommandTests.WriteZeroesAsync(disk, scratch, saved, read, mayUnmap: false));
            Verdict("disk-write-zeroes-unmap", await DiskCommandTests.WriteZeroesAsync(disk, scratch, saved, read, mayUnmap: true));
            Verdict("disk-discard", await DiskCommandTests.DiscardAsync(disk, scratch, saved, read));
            Verdict("disk-cache", await DiskCommandTests.CacheAsync(disk));
        }
        disk.Dma.Free(memory);
    }

    /// <summary>An empty outcome passes, one that begins with '-' is skipped, anything else is what failed.</summary>
    private void Verdict(string name, string outcome)
    {
        if (_filter.Length != 0 && !name.StartsWith(_filter, StringComparison.Ordinal))
        {
            return;
        }
        if (outcome.Length == 0)
        {
            _passed++;
            _output.Write("PASS ").Write(name).EndLine();
            return;
        }
        bool skipped = outcome[0] == '-';
        _failed += skipped ? 0u : 1u;
        _output.Write(skipped ? "SKIP " : "FAIL ").Write(name).Write(": ").Write(skipped ? outcome.Substring(1) : outcome).EndLine();
    }

    private static string Expect(IoStatus status, IoStatus wanted) => status == wanted ? "" : DiskCommands.NameOf(status);

    private static string HeapIsZeroed()
    {
        byte[] bytes = new byte[10000];
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != 0)
            {
                return "a new array was not zero";
            }
            bytes[i] = 0xA5;
        }
        return new byte[1].Length == 1 ? "" : "an array has the wrong length";
    }

    private static string TypeChecks()
    {
        object text = "text";
        object number = 42;
        object array = new string[1];
        bool right = text is string && number is int and 42 && array is string[] && text is not int[] && array is object[] && number is not uint;
        return right ? "" : "a type check gave the wrong answer";
    }

    private static string Strings()
    {
        bool right = 255.ToString("x4") == "00ff" && ulong.MaxValue.ToString() == "18446744073709551615" && (-5).ToString() == "-5" &&
            "a,b,c".Split(',').Length == 3 && "  x ".Trim() == "x" && ulong.TryParse("18446744073709551615", out ulong most) &&
            most == ulong.MaxValue && !ulong.TryParse("18446744073709551616", out _) && !uint.TryParse("-1", out _);
        return right ? "" : "a string operation gave the wrong answer";
    }

    private static string HashVector()
    {
        Sha256 hash = new();
        hash.Add("abc"u8);
        byte[] result = new byte[32];
        hash.Finish(result);
        return result[0] == 0xBA && result[1] == 0x78 && result[2] == 0x16 && result[31] == 0xAD ? "" : "the hash of abc is wrong";
    }

    private async ValueTask<string> TimerAsync()
    {
        ulong before = _system.Loop.Clock.Now;
        await _system.Loop.After(5_000_000);
        return _system.Loop.Clock.Now - before >= 5_000_000 ? "" : "the timer came early";
    }

    private async ValueTask<string> InterruptsAsync(BlockDevice disk, DmaBuffer memory)
    {
        VirtioBlk? virtio = disk as VirtioBlk;
        if (virtio is null || virtio.Virtio.InterruptKind == InterruptKind.None)
        {
            return "-the disk has no interrupts";
        }
        // Another device's interrupt may wake the loop just before this one's comes. The driver then finds the read ended and says that it needs
        // no interrupt for it; one read alone shows nothing.
        ulong before = virtio.Interrupts;
        for (int i = 0; i < InterruptReads && virtio.Interrupts == before; i++)
        {
            IoStatus status = await disk.ReadAsync(0, memory.Slice(0, disk.BlockSize));
            if (status != IoStatus.Ok)
            {
                return DiskCommands.NameOf(status);
            }
            await _system.Loop.After(InterruptPause);
        }
        return virtio.Interrupts > before ? "" : "reads end without an interrupt";
    }

    private static async ValueTask<string> OutOfRangeAsync(BlockDevice disk, DmaBuffer memory)
    {
        IoStatus behind = await disk.ReadAsync(disk.SectorCount, memory.Slice(0, disk.BlockSize));
        IoStatus across = await disk.ReadAsync(disk.SectorCount - disk.BlockSize / BlockDevice.SectorSize, memory.Slice(0, 2 * disk.BlockSize));
        IoStatus wrapped = await disk.ReadAsync(ulong.MaxValue - disk.BlockSize / BlockDevice.SectorSize + 1, memory.Slice(0, disk.BlockSize));
        bool refused = behind == IoStatus.OutOfRange && across == IoStatus.OutOfRange && wrapped == IoStatus.OutOfRange;
        return refused ? "" : "a read beyond the end was not refused";
    }

    private static async ValueTask<string> ScatterAsync(BlockDevice disk, DmaBuffer memory)
    {
        uint block = disk.BlockSize;
        if (block > ScratchLength / 8)
        {
            return "-the blocks of the disk are too large";
        }
        DmaBuffer whole = memory.Slice(0, 7 * block);
        DmaBuffer[] pieces =
        [
            memory.Slice(2 * ScratchLength, block),
            memory.Slice(ScratchLength, 4 * block),
            memory.Slice(2 * ScratchLength + 2 * block, 2 * block),
        ];
        IoStatus first = await disk.ReadAsync(0, whole);
        IoStatus second = await disk.ReadAsync(0, pieces);
        if (first != IoStatus.Ok || second != IoStatus.Ok)
        {
            return "a read failed";
        }
        bool same = Same(whole.Slice(0, block), pieces[0]) && Same(whole.Slice(block, 4 * block), pieces[1]) && Same(whole.Slice(5 * block, 2 * block), pieces[2]);
        return same ? "" : "pieces and whole differ";
    }

    private static async ValueTask<string> ManyAsync(BlockDevice disk, DmaBuffer memory)
    {
        // More requests than the queue holds: the rest waits inside the driver.
        AsyncBlockRequest[] requests = new AsyncBlockRequest[300];
        uint blocks = ScratchLength / disk.BlockSize;
        for (uint i = 0; i < requests.Length; i++)
        {
            uint offset = i % blocks * disk.BlockSize;
            requests[i] = disk.ReadAsync(offset / BlockDevice.SectorSize, memory.Slice(offset, disk.BlockSize));
        }
        for (int i = 0; i < requests.Length; i++)
        {
            if (await requests[i] != IoStatus.Ok)
            {
                return "one of many reads failed";
            }
        }
        DmaBuffer whole = memory.Slice(ScratchLength, ScratchLength);
        IoStatus status = await disk.ReadAsync(0, whole);
        return status == IoStatus.Ok && Same(memory.Slice(0, ScratchLength), whole) ? "" : "many reads and one differ";
    }

    private static async ValueTask<string> NoAllocationAsync(BlockDevice disk, DmaBuffer memory)
    {
        DmaBuffer block = memory.Slice(0, disk.BlockSize);
        await disk.ReadAsync(0, block);
        ulong before = RuntimeHeap.BytesAllocated;
        for (int i = 0; i < SteadyReads; i++)
        {
            await disk.ReadAsync(0, block);
        }
        return RuntimeHeap.BytesAllocated == before ? "" : "reading allocates memory";
    }

    private static async ValueTask<string> IdAsync(BlockDevice disk, DmaBuffer memory)
    {
        IoStatus status = await disk.GetIdAsync(memory.Slice(0, 20));
        return status == IoStatus.Unsupported ? "-the device has no identification" : Expect(status, IoStatus.Ok);
    }

    private static async ValueTask<string> RefusedAsync(BlockDevice disk, DmaBuffer memory) =>
        await disk.WriteAsync(0, memory.Slice(0, disk.BlockSize)) == IoStatus.ReadOnly ? "" : "a read-only disk took a write";

    private static async ValueTask<string> WriteCompareAsync(BlockDevice disk, DmaBuffer memory)
    {
        ulong sector = disk.SectorCount - ScratchSectors;
        DmaBuffer saved = memory.Slice(0, ScratchLength);
        DmaBuffer written = memory.Slice(ScratchLength, ScratchLength);
        DmaBuffer read = memory.Slice(2 * ScratchLength, ScratchLength);
        if (await disk.ReadAsync(sector, saved) != IoStatus.Ok)
        {
            return "the old content can't be read";
        }
        Fill(written);
        IoStatus wrote = await disk.WriteAsync(sector, written);
        IoStatus again = await disk.ReadAsync(sector, read);
        IoStatus restored = await disk.WriteAsync(sector, saved);
        return wrote != IoStatus.Ok || again != IoStatus.Ok ? "a write or read failed"
            : restored != IoStatus.Ok ? "the old content could not be put back"
            : Same(written, read) ? "" : "what was read is not what was written";
    }

    private async ValueTask<string> ConsoleAsync(ConsolePort port)
    {
        uint taken = port.Write("selftest\r\n"u8);
        for (int i = 0; i < 1000 && port.HasUnsent && !port.IsFailed; i++)
        {
            await _system.Loop.After(1_000_000);
        }
        return taken == 10 && !port.HasUnsent && !port.IsFailed ? "" : "the console did not take the bytes";
    }

    private static void Fill(in DmaBuffer buffer)
    {
        uint x = 0x12345678;
        Span<byte> bytes = buffer.Span;
        for (int i = 0; i < bytes.Length; i++)
        {
            x = x * 1664525 + 1013904223;
            bytes[i] = (byte)(x >> 24);
        }
    }

    private static bool Same(in DmaBuffer a, in DmaBuffer b) => a.Span.SequenceEqual(b.Span);
}
