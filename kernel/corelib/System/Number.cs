// Numbers to text and back: invariant, decimal and hexadecimal.
namespace System;

internal static class Number
{
    internal static string FormatUnsigned(ulong value, string? format = null)
    {
        Span<char> buffer = stackalloc char[32];
        TryFormatUnsigned(value, format, buffer, out int written);
        return new string(buffer.Slice(0, written));
    }

    internal static string FormatSigned(long value, string? format = null, int hexDigits = 16)
    {
        Span<char> buffer = stackalloc char[32];
        TryFormatSigned(value, format, hexDigits, buffer, out int written);
        return new string(buffer.Slice(0, written));
    }

    internal static bool TryFormatSigned(long value, ReadOnlySpan<char> format, int hexDigits, Span<char> into, out int written)
    {
        if (value >= 0)
        {
            return TryFormatUnsigned((ulong)value, format, into, out written);
        }
        if (format.Length > 0 && (format[0] | 0x20) == 'x')
        {
            ulong bits = hexDigits == 8 ? (uint)value : (ulong)value;
            return TryFormatUnsigned(bits, format, into, out written);
        }
        written = 0;
        if (into.Length == 0)
        {
            return false;
        }
        into[0] = '-';
        bool fits = TryFormatUnsigned((ulong)-value, format, into.Slice(1), out int digits);
        written = fits ? digits + 1 : 0;
        return fits;
    }

    /// <summary>Formats with G, D, X or x and an optional number of digits, up to 24.</summary>
    internal static bool TryFormatUnsigned(ulong value, ReadOnlySpan<char> format, Span<char> into, out int written)
    {
        int minimum = 1;
        bool hexadecimal = false;
        int letter = 'a' - 10;
        if (format.Length > 0)
        {
            hexadecimal = (format[0] | 0x20) == 'x';
            letter = format[0] == 'X' ? 'A' - 10 : 'a' - 10;
            int digits = 0;
            for (int i = 1; i < format.Length; i++)
            {
                digits = digits * 10 + (format[i] - '0');
            }
            minimum = digits > 24 ? 24 : digits == 0 ? 1 : digits;
        }
        Span<char> reversed = stackalloc char[24];
        int count = 0;
        while (value != 0 || count < minimum)
        {
            ulong digit = hexadecimal ? value & 15 : value % 10;
            value = hexadecimal ? value >> 4 : value / 10;
            reversed[count++] = (char)(digit < 10 ? '0' + (int)digit : letter + (int)digit);
        }
        written = 0;
        if (count > into.Length)
        {
            return false;
        }
        for (int i = 0; i < count; i++)
        {
            into[i] = reversed[count - 1 - i];
        }
        written = count;
        return true;
    }

    internal static bool TryParse(ReadOnlySpan<char> text, out ulong result)
    {
        result = 0;
        text = text.Trim();
        if (text.Length > 0 && text[0] == '+')
        {
            text = text.Slice(1);
        }
        if (text.Length == 0)
        {
            return false;
        }
        ulong value = 0;
        for (int i = 0; i < text.Length; i++)
        {
            uint digit = (uint)(text[i] - '0');
            if (digit > 9 || value > (ulong.MaxValue - digit) / 10)
            {
                return false;
            }
            value = value * 10 + digit;
        }
        result = value;
        return true;
    }

    internal static bool TryParseHexadecimal(ReadOnlySpan<char> text, out ulong result)
    {
        result = 0;
        if (text.Length == 0)
        {
            return false;
        }
        ulong value = 0;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (!char.IsAsciiHexDigit(c) || value >> 60 != 0)
            {
                return false;
            }
            value = value << 4 | (uint)(char.IsAsciiDigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
        }
        result = value;
        return true;
    }

    internal static bool TryParseSigned(string? text, out int result)
    {
        result = 0;
        ReadOnlySpan<char> rest = text.AsSpan().Trim();
        bool negative = rest.Length > 1 && rest[0] == '-';
        if (!TryParse(negative ? rest.Slice(1) : rest, out ulong value) || value > (negative ? 0x80000000ul : 0x7FFFFFFFul))
        {
            return false;
        }
        result = negative ? (int)-(long)value : (int)value;
        return true;
    }

    internal static bool TryParse(string? text, uint maximum, out uint result)
    {
        bool parsed = TryParse(text.AsSpan(), out ulong value) && value <= maximum;
        result = parsed ? (uint)value : 0;
        return parsed;
    }

    internal static bool TryParse(string? text, uint maximum, out ushort result)
    {
        bool parsed = TryParse(text, maximum, out uint value);
        result = (ushort)value;
        return parsed;
    }

    internal static bool TryParse(string? text, uint maximum, out byte result)
    {
        bool parsed = TryParse(text, maximum, out uint value);
        result = (byte)value;
        return parsed;
    }

    internal static bool TryParse(string? text, out ulong result) => TryParse(text.AsSpan(), out result);
}
