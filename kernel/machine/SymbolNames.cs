// The packed form of the kernel's symbols, and how a name is found in it.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Symbols sorted by address. Of each: the distance from the one before as an unsigned LEB128, how many bytes of the name are those of the name
/// before, the others, and NUL. Neighbours are mostly methods of one type, so that this takes a third of the plain names.
/// </summary>
internal static class SymbolNames
{
    /// <summary>The most bytes of a name.</summary>
    internal const int MaxLength = 112;

    /// <summary>
    /// Finds the last symbol that is not behind <paramref name="wanted"/>: where it is, and its name, as much as there is room for. False when there
    /// is none. Reads no further than the table goes, whatever is in it.
    /// </summary>
    internal static bool TryFind(ReadOnlySpan<byte> table, uint wanted, Span<byte> name, out int length, out uint start)
    {
        length = 0;
        start = 0;
        bool found = false;
        int next = 0;
        while (next < table.Length && TryReadDistance(table, ref next, out uint distance) && distance <= wanted - start)
        {
            start += distance;
            found = true;
            // The bytes that are shared lie in the name already.
            length = next < table.Length ? Math.Min((int)table[next++], length) : 0;
            while (next < table.Length && table[next] != 0)
            {
                if (length < name.Length)
                {
                    name[length++] = table[next];
                }
                next++;
            }
            next++;
        }
        return found;
    }

    private static bool TryReadDistance(ReadOnlySpan<byte> table, ref int next, out uint value)
    {
        value = 0;
        for (int shift = 0; shift < 32 && next < table.Length; shift += 7)
        {
            byte part = table[next++];
            value |= (uint)(part & 0x7F) << shift;
            if (part < 0x80)
            {
                return true;
            }
        }
        return false;
    }
}
