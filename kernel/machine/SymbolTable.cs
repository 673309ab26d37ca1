// From addresses to names: the table that the build put into the image.
namespace VirtioSharp.Kernel.Machine;

/// <summary>The kernel's own symbols.</summary>
internal static unsafe class SymbolTable
{
    /// <summary>The most bytes of a name.</summary>
    internal const int MaxNameLength = SymbolNames.MaxLength;

    /// <summary>Finds the function that holds <paramref name="address"/>: its name, and how far into it the address is.</summary>
    internal static bool TryFind(ulong address, Span<byte> name, out int length, out ulong offset)
    {
        length = 0;
        offset = 0;
        if (address < (ulong)Image.TextStart || address >= (ulong)Image.TextEnd)
        {
            return false;
        }
        ReadOnlySpan<byte> table = new(Image.SymbolsStart, (int)(Image.SymbolsEnd - Image.SymbolsStart));
        uint wanted = (uint)(address - (ulong)Image.TextStart);
        if (!SymbolNames.TryFind(table, wanted, name, out length, out uint start))
        {
            return false;
        }
        offset = wanted - start;
        return true;
    }

    /// <summary>How far into its function an address is; false for one outside of the code.</summary>
    internal static bool TryFind(ulong address, out ulong offset)
    {
        Span<byte> name = stackalloc byte[MaxNameLength];
        return TryFind(address, name, out _, out offset);
    }
}
