// From addresses to names: the table that the build put into the image.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// The kernel's own symbols: a count, then for each the offset of the function from the start of the code and the offset of its name
/// from the start of the table (32 bits each, sorted by function), then the names, each ended by NUL.
/// </summary>
internal static unsafe class SymbolTable
{
    /// <summary>Finds the function that holds <paramref name="address"/>: its name, and how far into it the address is.</summary>
    internal static bool TryFind(ulong address, out byte* name, out ulong offset)
    {
        name = null;
        offset = 0;
        byte* table = Image.SymbolsStart;
        if (Image.SymbolsEnd - table < 4 || address < (ulong)Image.TextStart || address >= (ulong)Image.TextEnd)
        {
            return false;
        }
        uint count = *(uint*)table;
        uint* entries = (uint*)(table + 4);
        uint wanted = (uint)(address - (ulong)Image.TextStart);
        uint low = 0;
        uint high = count;
        while (low < high)
        {
            uint middle = (low + high) / 2;
            if (entries[middle * 2] <= wanted)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        if (low == 0)
        {
            return false;
        }
        name = table + entries[(low - 1) * 2 + 1];
        offset = wanted - entries[(low - 1) * 2];
        return true;
    }
}
