// The label of a FAT file system.
namespace VirtioSharp.Kernel.Apps;

/// <summary>Reads labels without trusting them.</summary>
public static class FatLabel
{
    /// <summary>The label in the first block of a FAT file system; empty when it is none, or has none.</summary>
    public static string Of(ReadOnlySpan<byte> block)
    {
        if (block.Length < 512 || block[510] != 0x55 || block[511] != 0xAA)
        {
            return "";
        }
        // FAT12 and FAT16 keep label and type at 43, FAT32 at 71, each announced by the signature 0x29.
        int at = IsFat(block.Slice(38)) ? 43 : IsFat(block.Slice(66)) ? 71 : 0;
        if (at == 0)
        {
            return "";
        }
        char[] label = new char[11];
        int length = 0;
        for (int i = 0; i < label.Length; i++)
        {
            byte c = block[at + i];
            label[i] = c is >= 0x20 and < 0x7F ? (char)c : '?';
            length = c == 0x20 ? length : i + 1;
        }
        string text = new(label, 0, length);
        return text == "NO NAME" ? "" : text;
    }

    private static bool IsFat(ReadOnlySpan<byte> signature) =>
        signature[0] == 0x29 && signature[16] == (byte)'F' && signature[17] == (byte)'A' && signature[18] == (byte)'T';
}
