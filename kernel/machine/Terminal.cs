// Text out: strings and numbers to a stream of bytes, without allocating.
using System.Threading.Tasks;

namespace VirtioSharp.Kernel.Machine;

/// <summary>Writes text somewhere. Strings are ASCII; anything else is shown as '?', so that nothing can steer a terminal.</summary>
public abstract class Terminal
{
    /// <summary>Writes one byte as it is.</summary>
    public abstract void WriteByte(byte value);

    /// <summary>
    /// Waits until what was written is on its way. Whoever writes more than a few lines awaits it now and then: a terminal holds 64 KiB.
    /// </summary>
    public virtual ValueTask FlushAsync() => default;

    /// <summary>Writes a text.</summary>
    public Terminal Write(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c == '\n')
            {
                WriteByte((byte)'\r');
            }
            WriteByte(c < 0x7F && (c >= 0x20 || c == '\n' || c == '\r' || c == '\b' || c == '\t' || c == 0x1B) ? (byte)c : (byte)'?');
        }
        return this;
    }

    /// <summary>Writes a text and pads it with spaces to <paramref name="width"/>.</summary>
    public Terminal WritePadded(string text, int width)
    {
        Write(text);
        for (int i = text.Length; i < width; i++)
        {
            WriteByte((byte)' ');
        }
        return this;
    }

    /// <summary>Writes bytes of unknown origin: printable ASCII as it is, anything else as '.'.</summary>
    public Terminal WriteUntrusted(ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            WriteByte(bytes[i] >= 0x20 && bytes[i] < 0x7F ? bytes[i] : (byte)'.');
        }
        return this;
    }

    /// <summary>Writes a number, decimal.</summary>
    public Terminal Write(ulong value)
    {
        Span<byte> digits = stackalloc byte[20];
        int count = 0;
        do
        {
            digits[count++] = (byte)('0' + value % 10);
            value /= 10;
        }
        while (value != 0);
        while (count > 0)
        {
            WriteByte(digits[--count]);
        }
        return this;
    }

    /// <summary>Writes a number in hexadecimal with at least <paramref name="digits"/> digits.</summary>
    public Terminal WriteHex(ulong value, int digits = 1)
    {
        for (int shift = 60; shift >= 0; shift -= 4)
        {
            if (shift < digits * 4 || value >> shift != 0)
            {
                uint digit = (uint)(value >> shift) & 15;
                WriteByte((byte)(digit < 10 ? '0' + digit : 'a' + digit - 10));
            }
        }
        return this;
    }

    /// <summary>Ends a line.</summary>
    public Terminal EndLine() => Write("\n");
}
