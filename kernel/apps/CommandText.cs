// What commands do with text: words as bytes, hashes as text.
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Pieces that several commands share.</summary>
internal static class CommandText
{
    /// <summary>The words from <paramref name="from"/> on with blanks between them, one byte a character, and <paramref name="end"/> behind.</summary>
    internal static byte[] BytesOf(string[] words, int from, string end = "")
    {
        int length = end.Length + Math.Max(0, words.Length - from - 1);
        for (int i = from; i < words.Length; i++)
        {
            length += words[i].Length;
        }
        byte[] bytes = new byte[length];
        int at = 0;
        for (int i = from; i < words.Length; i++)
        {
            at = Put(words[i], bytes, at);
            at = i + 1 < words.Length ? Put(" ", bytes, at) : at;
        }
        Put(end, bytes, at);
        return bytes;
    }

    /// <summary>Writes a hash as hexadecimal digits.</summary>
    internal static Terminal WriteHash(this Terminal output, Sha256 hash)
    {
        byte[] result = new byte[32];
        hash.Finish(result);
        for (int i = 0; i < result.Length; i++)
        {
            output.WriteHex(result[i], 2);
        }
        return output;
    }

    private static int Put(string text, byte[] bytes, int at)
    {
        for (int i = 0; i < text.Length; i++)
        {
            bytes[at++] = (byte)text[i];
        }
        return at;
    }
}
