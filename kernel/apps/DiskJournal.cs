// Numbered records on a disk: what was acknowledged has to be there after a power cut.
using System.Buffers.Binary;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary><c>disk [n] journal write|careless|check</c>.</summary>
internal static class DiskJournal
{
    // Far apart, so that each record needs space of its own in an image that grows.
    private const uint Distance = 65536;
    private const ulong Magic = 0x4C414E52554F4A56; // "VJOURNAL"

    /// <summary>
    /// Writes record after record until the disk is full; each is acknowledged by a line when it was flushed, or with <paramref name="careless"/>
    /// when it was only written.
    /// </summary>
    internal static async ValueTask<bool> WriteAsync(BlockDevice disk, bool careless, Terminal output)
    {
        if (!DiskCommands.TryBuffer(disk, disk.BlockSize, output, out DmaBuffer buffer))
        {
            return false;
        }
        ulong count = CountOf(disk);
        IoStatus status = IoStatus.Ok;
        for (ulong record = 1; record <= count && status == IoStatus.Ok; record++)
        {
            Fill(buffer.Span, record);
            status = await disk.WriteAsync(SectorOf(record), buffer);
            if (status == IoStatus.Ok && !careless)
            {
                status = await disk.FlushAsync();
            }
            if (status == IoStatus.Ok)
            {
                output.Write("record ").Write(record).EndLine();
                await output.FlushAsync();
            }
        }
        disk.Dma.Free(buffer);
        return DiskCommands.Report(status, "journal", output);
    }

    /// <summary>Says up to which record everything is there, and how many there are behind a missing one.</summary>
    internal static async ValueTask<bool> CheckAsync(BlockDevice disk, Terminal output)
    {
        if (!DiskCommands.TryBuffer(disk, disk.BlockSize, output, out DmaBuffer buffer))
        {
            return false;
        }
        ulong whole = 0;
        ulong behind = 0;
        IoStatus status = IoStatus.Ok;
        for (ulong record = 1; record <= CountOf(disk) && status == IoStatus.Ok; record++)
        {
            status = await disk.ReadAsync(SectorOf(record), buffer);
            bool isThere = status == IoStatus.Ok && IsRecord(buffer.Span, record);
            whole += isThere && whole + 1 == record ? 1u : 0;
            behind += isThere && whole != record ? 1u : 0;
        }
        disk.Dma.Free(buffer);
        if (status == IoStatus.Ok)
        {
            output.Write("journal: whole up to record ").Write(whole).Write(", ").Write(behind).Write(" behind a missing one\n");
        }
        return status == IoStatus.Ok || DiskCommands.Report(status, "journal", output);
    }

    private static ulong CountOf(BlockDevice disk) => disk.SectorCount / (Distance / BlockDevice.SectorSize);

    private static ulong SectorOf(ulong record) => (record - 1) * (Distance / BlockDevice.SectorSize);

    private static void Fill(Span<byte> bytes, ulong record)
    {
        for (int i = 0; i < bytes.Length; i += 16)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.Slice(i), Magic);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.Slice(i + 8), record * 0x9E3779B97F4A7C15 + (uint)i);
        }
    }

    private static bool IsRecord(ReadOnlySpan<byte> bytes, ulong record)
    {
        for (int i = 0; i < bytes.Length; i += 16)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(i)) != Magic ||
                BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(i + 8)) != record * 0x9E3779B97F4A7C15 + (uint)i)
            {
                return false;
            }
        }
        return true;
    }
}
