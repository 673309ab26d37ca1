// The shell's commands for disks.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary><c>disk [n] info|read|write|flush|id|sha256|parts</c>, and those of <see cref="DiskMaintenance"/>.</summary>
internal sealed class DiskCommands
{
    private const uint ChunkLength = 65536;
    private const int Chunks = 8;
    private const ulong MaxShown = 64;

    private readonly SystemInformation _system;

    internal DiskCommands(SystemInformation system) => _system = system;

    internal async ValueTask<bool> RunAsync(string[] words, Terminal output)
    {
        int next = 1;
        ulong number = 0;
        ulong part = 0;
        if (words.Length > 1 && TryName(words[1], out number, out part))
        {
            next = 2;
        }
        BlockDevice? disk = _system.FindDisk(number);
        if (disk is null)
        {
            output.Write("no disk ").Write(number).Write("; devices lists what is there (qemu: -drive if=none,... -device virtio-blk-pci,...)\n");
            return false;
        }
        if (part != 0)
        {
            disk = await PartitionListing.FindAsync(disk, part, output);
            if (disk is null)
            {
                return false;
            }
        }
        return await RunAsync(disk, words, next, output);
    }

    private static ValueTask<bool> RunAsync(BlockDevice disk, string[] words, int next, Terminal output)
    {
        string verb = words.Length > next ? words[next] : "info";
        int arguments = next + 1;
        switch (verb)
        {
            case "info":
                DiskMaintenance.Info(disk, output);
                return new(true);
            case "read":
                return ReadAsync(disk, words, arguments, output);
            case "write":
                return WriteAsync(disk, words, arguments, output);
            case "flush":
                return FlushAsync(disk, output);
            case "id":
                return IdAsync(disk, output);
            case "sha256":
                return HashAsync(disk, output);
            case "parts":
                return PartitionListing.RunAsync(disk, output);
            case "bytes":
                return ByteCommands.ShowAsync(disk, words, arguments, output);
            case "poke":
                return ByteCommands.PokeAsync(disk, words, arguments, output);
            case "stress":
                return StressAsync(disk, words, arguments, output);
            case "journal":
                return JournalAsync(disk, words, arguments, output);
            case "discard":
                return DiskMaintenance.RangeAsync(disk, BlockOperation.Discard, words, arguments, output);
            case "zero":
                return DiskMaintenance.RangeAsync(disk, BlockOperation.WriteZeroes, words, arguments, output);
            case "erase":
                return DiskMaintenance.RangeAsync(disk, BlockOperation.SecureErase, words, arguments, output);
            case "cache":
                return new(DiskMaintenance.Cache(disk, words, arguments, output));
            case "lifetime":
                return DiskMaintenance.LifetimeAsync(disk, output);
            case "zones":
                return DiskMaintenance.ZonesAsync(disk, output);
            case "zone":
                return DiskMaintenance.ZoneAsync(disk, words, arguments, output);
            default:
                output.Write("disk does not know ").Write(verb).Write("; help lists what it does\n");
                return new(false);
        }
    }

    internal static string NameOf(IoStatus status) => status switch
    {
        IoStatus.Ok => "ok",
        IoStatus.OutOfRange => "the range lies beyond the end of the disk; disk info shows its size",
        IoStatus.ReadOnly => "the disk is read-only",
        IoStatus.Unsupported => "the device does not support it",
        IoStatus.Misaligned => "not a whole number of blocks; disk info shows the block size",
        IoStatus.TimedOut => "no answer from the device in time",
        IoStatus.Removed => "the device was removed",
        IoStatus.Busy => "the device is busy; try again",
        IoStatus.Cancelled => "called off",
        IoStatus.ZoneInvalid => "the zone does not take this in its state; disk zones shows it",
        IoStatus.ZoneUnaligned => "not at the write pointer of its zone; disk zones shows it",
        IoStatus.ZoneOpenLimit => "too many zones are open; close one",
        IoStatus.ZoneActiveLimit => "too many zones are open or closed; finish or reset one",
        _ => "the device reported an error",
    };

    /// <summary>The number of a disk, and that of a partition of it: <c>0</c>, <c>disk0</c>, <c>0p1</c>, <c>disk0p1</c>.</summary>
    private static bool TryName(string word, out ulong disk, out ulong part)
    {
        string name = word.Length > 4 && word.Substring(0, 4) == "disk" ? word.Substring(4) : word;
        string[] numbers = name.Split('p');
        part = 0;
        return ulong.TryParse(numbers[0], out disk) && (numbers.Length == 1 || (numbers.Length == 2 && ulong.TryParse(numbers[1], out part) && part != 0));
    }

    internal static bool Report(IoStatus status, string what, Terminal output)
    {
        output.Write(what).Write(": ").Write(NameOf(status)).EndLine();
        return status == IoStatus.Ok;
    }

    internal static bool TryNumber(string[] words, int index, string what, Terminal output, out ulong value)
    {
        value = 0;
        if (words.Length > index && ulong.TryParse(words[index], out value))
        {
            return true;
        }
        output.Write(words.Length > index ? "not a number: " : "a number is missing: ").Write(words.Length > index ? words[index] : what).EndLine();
        return false;
    }

    internal static bool TryBuffer(BlockDevice disk, uint length, Terminal output, out DmaBuffer buffer)
    {
        if (disk.Dma.TryAllocate(length, 512, out buffer))
        {
            return true;
        }
        output.Write("there is not enough memory for the transfer; give the machine more (-m)\n");
        return false;
    }

    private static async ValueTask<bool> ReadAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        ulong count = 1;
        if (!TryNumber(words, at, "the sector", output, out ulong sector) || (words.Length > at + 1 && !TryNumber(words, at + 1, "the count", output, out count)))
        {
            return false;
        }
        if (count is 0 or > MaxShown)
        {
            output.Write("read shows 1 to 64 sectors\n");
            return false;
        }
        if (!TryBuffer(disk, (uint)count * BlockDevice.SectorSize, output, out DmaBuffer buffer))
        {
            return false;
        }
        IoStatus status = await disk.ReadAsync(sector, buffer);
        if (status == IoStatus.Ok)
        {
            for (uint shown = 0; shown < buffer.Length; shown += BlockDevice.SectorSize)
            {
                Dump(buffer.Slice(shown, BlockDevice.SectorSize), sector * BlockDevice.SectorSize + shown, output);
                await output.FlushAsync();
            }
        }
        disk.Dma.Free(buffer);
        return status == IoStatus.Ok || Report(status, "read", output);
    }

    private static void Dump(in DmaBuffer buffer, ulong address, Terminal output)
    {
        for (int line = 0; line < buffer.Length; line += 16)
        {
            ReadOnlySpan<byte> bytes = buffer.Span.Slice(line, 16);
            output.WriteHex(address + (uint)line, 8).Write(" ");
            for (int i = 0; i < 16; i++)
            {
                output.Write(" ").WriteHex(bytes[i], 2);
            }
            output.Write("  ").WriteUntrusted(bytes).EndLine();
        }
    }

    private static async ValueTask<bool> WriteAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        if (!TryNumber(words, at, "the sector", output, out ulong sector))
        {
            return false;
        }
        if (words.Length == at + 1)
        {
            output.Write("the text to write is missing: disk write SECTOR TEXT\n");
            return false;
        }
        if (!TryBuffer(disk, disk.BlockSize, output, out DmaBuffer buffer))
        {
            return false;
        }
        ReadOnlySpan<byte> text = CommandText.BytesOf(words, at + 1);
        text.Slice(0, Math.Min(text.Length, (int)buffer.Length)).CopyTo(buffer.Span);
        IoStatus status = await disk.WriteAsync(sector, buffer);
        disk.Dma.Free(buffer);
        return Report(status, "write", output);
    }

    private static async ValueTask<bool> IdAsync(BlockDevice disk, Terminal output)
    {
        if (!TryBuffer(disk, 20, output, out DmaBuffer buffer))
        {
            return false;
        }
        IoStatus status = await disk.GetIdAsync(buffer);
        if (status == IoStatus.Ok)
        {
            int length = 0;
            while (length < 20 && buffer.Span[length] != 0)
            {
                length++;
            }
            output.Write(disk.Name).Write(" id: ").WriteUntrusted(buffer.Span.Slice(0, length)).EndLine();
        }
        disk.Dma.Free(buffer);
        return status == IoStatus.Ok || Report(status, "id", output);
    }

    private static async ValueTask<bool> FlushAsync(BlockDevice disk, Terminal output) => Report(await disk.FlushAsync(), "flush", output);

    /// <summary>Overwrites the disk: it has to be asked for in so many words.</summary>
    private static async ValueTask<bool> StressAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        if (!TryNumber(words, at, "the number of requests", output, out ulong requests) || !TryNumber(words, at + 1, "the depth", output, out ulong depth) ||
            !TryNumber(words, at + 2, "the seed", output, out ulong seed))
        {
            return false;
        }
        if (words.Length != at + 4 || words[at + 3] != "overwrite" || depth is 0 or > 256)
        {
            output.Write("stress overwrites the first 16384 blocks, which have to be zeroes: disk stress REQUESTS DEPTH SEED overwrite\n");
            return false;
        }
        DiskStress stress = new(disk, seed);
        if (!await stress.RunAsync(requests, (int)depth))
        {
            output.Write("stress: ").Write(stress.Error).Write(" at block ").Write(stress.ErrorBlock).Write(" (seed ").Write(seed).Write("): ")
                .Write(NameOf(stress.ErrorStatus)).EndLine();
            return false;
        }
        Sha256 hash = new();
        byte[] block = new byte[(int)disk.BlockSize];
        for (uint i = 0; i < stress.Blocks; i++)
        {
            stress.Expect(i, block);
            hash.Add(block);
        }
        output.Write("stress: ").Write(requests).Write(" requests at depth ").Write(depth).Write(", ").Write(stress.Blocks).Write(" blocks as expected, hash ")
            .WriteHash(hash).EndLine();
        return true;
    }

    private static ValueTask<bool> JournalAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        switch (words.Length > at ? words[at] : "")
        {
            case "write":
                return DiskJournal.WriteAsync(disk, careless: false, output);
            case "careless":
                return DiskJournal.WriteAsync(disk, careless: true, output);
            case "check":
                return DiskJournal.CheckAsync(disk, output);
            default:
                output.Write("journal overwrites the disk with numbered records: disk journal write|careless|check\n");
                return new(false);
        }
    }

    /// <summary>Reads ahead with several requests in flight and hashes in order.</summary>
    private static async ValueTask<bool> HashAsync(BlockDevice disk, Terminal output)
    {
        if (!TryBuffer(disk, ChunkLength * Chunks, output, out DmaBuffer memory))
        {
            return false;
        }
        AsyncBlockRequest[] requests = new AsyncBlockRequest[Chunks];
        Sha256 hash = new();
        ulong asked = 0;
        ulong hashed = 0;
        ulong issued = 0;
        ulong taken = 0;
        IoStatus status = IoStatus.Ok;
        while (hashed < disk.SectorCount || issued != taken)
        {
            while (status == IoStatus.Ok && asked < disk.SectorCount && issued - taken < Chunks)
            {
                uint sectors = (uint)Math.Min(ChunkLength / BlockDevice.SectorSize, disk.SectorCount - asked);
                DmaBuffer chunk = memory.Slice((uint)(issued % Chunks) * ChunkLength, sectors * BlockDevice.SectorSize);
                requests[(int)(issued++ % Chunks)] = disk.ReadAsync(asked, chunk);
                asked += sectors;
            }
            if (issued == taken)
            {
                break;
            }
            IoStatus ended = await requests[(int)(taken % Chunks)];
            status = status == IoStatus.Ok ? ended : status;
            uint length = (uint)Math.Min(ChunkLength / BlockDevice.SectorSize, disk.SectorCount - hashed) * BlockDevice.SectorSize;
            if (status == IoStatus.Ok)
            {
                hash.Add(memory.Slice((uint)(taken % Chunks) * ChunkLength, length).Span);
                hashed += length / BlockDevice.SectorSize;
            }
            taken++;
        }
        disk.Dma.Free(memory);
        if (status != IoStatus.Ok)
        {
            return Report(status, "read", output);
        }
        output.WriteHash(hash).Write("  ").Write(disk.Name).EndLine();
        return true;
    }
}
