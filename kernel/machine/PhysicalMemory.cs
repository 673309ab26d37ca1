// Who gets which memory: the heap, and the pages that devices and page tables use.
using Internal.Runtime;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Divides the memory between 2 MiB and 1 GiB, the part that boot.S maps: an eighth for objects, the rest for DMA and page tables.
/// What lies above 1 GiB is not used.
/// </summary>
internal sealed unsafe class PhysicalMemory
{
    private const ulong First = 0x200000;
    private const ulong Limit = 0x40000000;
    private const ulong MinimumHeap = 1 << 20;
    private const ulong MaximumHeap = 64 << 20;

    private readonly BootInformation _information;
    private ulong _next;
    private readonly ulong _end;

    private PhysicalMemory(BootInformation information, ulong next, ulong end)
    {
        _information = information;
        _next = next;
        _end = end;
    }

    /// <summary>Bytes that the machine has, all ranges together.</summary>
    internal ulong Total
    {
        get
        {
            ulong total = 0;
            foreach (MemoryRange range in _information.Usable)
            {
                total += range.End - range.Start;
            }
            return total;
        }
    }

    /// <summary>Bytes not handed out yet.</summary>
    internal ulong Free => _end - _next;

    /// <summary>Chooses the range that begins at or below 2 MiB and hands the heap its part; false when that is too little.</summary>
    internal static bool TryCreate(BootInformation information, out PhysicalMemory? memory)
    {
        memory = null;
        foreach (MemoryRange range in information.Usable)
        {
            if (range.Start > First || range.End <= First)
            {
                continue;
            }
            ulong end = Math.Min(range.End, Limit) & ~0xFFFul;
            ulong heap = Math.Min(Math.Max((end - First) / 8, MinimumHeap), MaximumHeap) & ~0xFFFul;
            if (end - First < heap * 2)
            {
                return false;
            }
            RuntimeHeap.Initialize((void*)First, heap);
            memory = new PhysicalMemory(information, First + heap, end);
            return true;
        }
        return false;
    }

    /// <summary>Takes <paramref name="length"/> bytes at a multiple of <paramref name="alignment"/>, a power of two, for good.</summary>
    internal bool TryTake(ulong length, ulong alignment, out byte* memory)
    {
        ulong start = _next + alignment - 1 & ~(alignment - 1);
        if (start < _next || start > _end || length > _end - start)
        {
            memory = null;
            return false;
        }
        _next = start + length;
        memory = (byte*)start;
        return true;
    }

    /// <summary>True when the range touches memory that is RAM.</summary>
    internal bool IsRam(ulong start, ulong end)
    {
        foreach (MemoryRange range in _information.Usable)
        {
            if (start < range.End && range.Start < end)
            {
                return true;
            }
        }
        return false;
    }
}
