// The shell's commands for single bytes of a disk.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary><c>disk [n] bytes|poke</c>.</summary>
internal static class ByteCommands
{
    private const int CacheLines = 8;
    private const ulong MaxShown = 4096;

    /// <summary>Shows bytes.</summary>
    internal static async ValueTask<bool> ShowAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        if (!DiskCommands.TryNumber(words, at, "the offset", output, out ulong position) ||
            !DiskCommands.TryNumber(words, at + 1, "the count", output, out ulong count))
        {
            return false;
        }
        if (count > MaxShown)
        {
            output.Write("bytes shows up to 4096 bytes\n");
            return false;
        }
        if (!TryOpen(disk, output, out DiskStream? stream))
        {
            return false;
        }
        byte[] bytes = new byte[(int)count];
        IoStatus status = await stream!.ReadAsync(position, bytes, 0, bytes.Length);
        stream.Free();
        for (int line = 0; line < bytes.Length && status == IoStatus.Ok; line += 16)
        {
            ReadOnlySpan<byte> part = new(bytes, line, Math.Min(16, bytes.Length - line));
            output.WriteHex(position + (uint)line, 8).Write(" ");
            for (int i = 0; i < part.Length; i++)
            {
                output.Write(" ").WriteHex(part[i], 2);
            }
            output.Write("  ").WriteUntrusted(part).EndLine();
            await output.FlushAsync();
        }
        return status == IoStatus.Ok || DiskCommands.Report(status, "bytes", output);
    }

    /// <summary>Writes a text over what is at a position, and nothing else.</summary>
    internal static async ValueTask<bool> PokeAsync(BlockDevice disk, string[] words, int at, Terminal output)
    {
        if (!DiskCommands.TryNumber(words, at, "the offset", output, out ulong position))
        {
            return false;
        }
        if (words.Length == at + 1)
        {
            output.Write("the text to write is missing: disk poke OFFSET TEXT\n");
            return false;
        }
        if (!TryOpen(disk, output, out DiskStream? stream))
        {
            return false;
        }
        byte[] bytes = CommandText.BytesOf(words, at + 1);
        IoStatus status = await stream!.WriteAsync(position, bytes, 0, bytes.Length);
        IoStatus flushed = await stream.FlushAsync();
        stream.Free();
        return DiskCommands.Report(status == IoStatus.Ok ? flushed : status, "poke", output);
    }

    private static bool TryOpen(BlockDevice disk, Terminal output, out DiskStream? stream)
    {
        if (DiskStream.TryCreate(disk, CacheLines, out stream))
        {
            return true;
        }
        output.Write("there is not enough memory for the transfer; give the machine more (-m)\n");
        return false;
    }
}
