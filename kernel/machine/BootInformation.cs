// What the boot protocol handed over: memory map, command line, where ACPI begins.
namespace VirtioSharp.Kernel.Machine;

/// <summary>A range of usable memory, in bytes; the end is exclusive.</summary>
internal readonly struct MemoryRange
{
    internal MemoryRange(ulong start, ulong end)
    {
        Start = start;
        End = end;
    }

    internal ulong Start { get; }

    internal ulong End { get; }
}

/// <summary>Reads multiboot 1 and PVH information; both are little structures in the first 4 GiB.</summary>
internal sealed unsafe class BootInformation
{
    private const uint MultibootMagic = 0x2BADB002;
    private const uint PvhMagic = 0x336EC578;
    private const int MaxRanges = 32;
    private const int MaxCommandLine = 2048;
    private const uint MaxMapLength = 65536;
    private const ulong MappedEnd = 0x40000000;

    private readonly MemoryRange[] _ranges = new MemoryRange[MaxRanges];
    private int _rangeCount;

    /// <summary>The name of the protocol, for people.</summary>
    internal string Protocol { get; private set; } = "";

    /// <summary>The command line; empty when there is none.</summary>
    internal string CommandLine { get; private set; } = "";

    /// <summary>Where the root of the ACPI tables is; 0 when the protocol does not say.</summary>
    internal ulong AcpiRoot { get; private set; }

    /// <summary>The usable memory, in the order of the map.</summary>
    internal ReadOnlySpan<MemoryRange> Usable => new(_ranges, 0, _rangeCount);

    /// <summary>Reads what <paramref name="info"/> points to; false for an unknown protocol or a map without memory.</summary>
    internal static bool TryRead(uint magic, byte* info, out BootInformation information)
    {
        information = new BootInformation();
        if (!IsReadable((ulong)info, 4096))
        {
            return false;
        }
        bool known = magic == MultibootMagic ? information.ReadMultiboot(info) : magic == PvhMagic && information.ReadPvh(info);
        return known && information._rangeCount > 0;
    }

    private bool ReadMultiboot(byte* info)
    {
        Protocol = "multiboot";
        uint flags = *(uint*)info;
        if ((flags & 4) != 0)
        {
            CommandLine = SkipProgramName(ReadText(*(uint*)(info + 16)));
        }
        if ((flags & 64) == 0)
        {
            return false;
        }
        uint length = *(uint*)(info + 44);
        byte* map = (byte*)*(uint*)(info + 48);
        if (length > MaxMapLength || !IsReadable((ulong)map, length))
        {
            return false;
        }
        for (uint offset = 0; offset + 24 <= length && *(uint*)(map + offset) <= MaxMapLength;)
        {
            byte* entry = map + offset;
            AddRange(*(ulong*)(entry + 4), *(ulong*)(entry + 12), *(uint*)(entry + 20));
            offset += *(uint*)entry + 4;
        }
        return true;
    }

    private bool ReadPvh(byte* info)
    {
        Protocol = "PVH";
        if (*(uint*)info != PvhMagic)
        {
            return false;
        }
        CommandLine = ReadText(*(ulong*)(info + 24));
        AcpiRoot = *(ulong*)(info + 32);
        if (*(uint*)(info + 4) < 1)
        {
            return false;
        }
        byte* map = (byte*)*(ulong*)(info + 40);
        uint entries = Math.Min(*(uint*)(info + 48), MaxMapLength / 24);
        if (!IsReadable((ulong)map, entries * 24))
        {
            return false;
        }
        for (uint i = 0; i < entries; i++)
        {
            byte* entry = map + i * 24;
            AddRange(*(ulong*)entry, *(ulong*)(entry + 8), *(uint*)(entry + 16));
        }
        return true;
    }

    private void AddRange(ulong start, ulong length, uint type)
    {
        ulong end = start + length;
        if (type != 1 || length == 0 || end < start || _rangeCount == MaxRanges)
        {
            return;
        }
        _ranges[_rangeCount++] = new MemoryRange(start, end);
    }

    /// <summary>True when there is something and boot.S mapped it. The null page is not taken away yet: some loaders use it.</summary>
    private static bool IsReadable(ulong start, ulong length) => start != 0 && start <= MappedEnd - length;

    private static string ReadText(ulong address)
    {
        if (!IsReadable(address, MaxCommandLine))
        {
            return "";
        }
        byte* text = (byte*)address;
        int length = 0;
        while (length < MaxCommandLine && text[length] != 0)
        {
            length++;
        }
        char[] copy = new char[length];
        for (int i = 0; i < length; i++)
        {
            copy[i] = (char)text[i];
        }
        return new string(copy);
    }

    /// <summary>QEMU puts the path of the kernel in front of a multiboot command line.</summary>
    private static string SkipProgramName(string line)
    {
        int space = line.IndexOf(' ');
        return space < 0 ? "" : line.Substring(space + 1);
    }
}
