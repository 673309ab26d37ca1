// A line of a trace while it is written: ASCII of bounded length, nothing allocated.
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>
/// Text of at most 4096 bytes; what does not fit is cut off, and the text ends with dots then. Nothing is inlined: traces are to be small, not fast.
/// </summary>
public sealed class TraceText
{
    private const int Most = 4096;
    private const string Ellipsis = " ...";

    private readonly byte[] _bytes = new byte[Most];
    private int _length;

    /// <summary>The text so far.</summary>
    public ReadOnlySpan<byte> Bytes => new(_bytes, 0, _length);

    /// <summary>Begins anew.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public TraceText Clear()
    {
        _length = 0;
        return this;
    }

    /// <summary>Adds ASCII.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public TraceText Add(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            Put((byte)text[i]);
        }
        return this;
    }

    /// <summary>Adds a number, decimal.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public TraceText Add(ulong value)
    {
        ulong unit = 1;
        while (value / unit >= 10)
        {
            unit *= 10;
        }
        for (; unit != 0; unit /= 10)
        {
            Put((byte)('0' + value / unit % 10));
        }
        return this;
    }

    /// <summary>Adds a number in hexadecimal, with <c>0x</c>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public TraceText Hex(ulong value) => Add("0x").Digits(value, 1);

    /// <summary>Adds a number in hexadecimal, as <paramref name="least"/> digits or more.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public TraceText Digits(ulong value, int least)
    {
        for (int shift = 60; shift >= 0; shift -= 4)
        {
            if (shift < least * 4 || value >> shift != 0)
            {
                uint digit = (uint)(value >> shift) & 15;
                Put((byte)(digit < 10 ? '0' + digit : 'a' + digit - 10));
            }
        }
        return this;
    }

    /// <summary>Adds bytes, two hexadecimal digits each.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public TraceText Dump(ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            Digits(bytes[i], 2);
        }
        return this;
    }

    /// <summary>Adds another text.</summary>
    public TraceText Add(TraceText other)
    {
        for (int i = 0; i < other._length; i++)
        {
            Put(other._bytes[i]);
        }
        return this;
    }

    /// <summary>True when both say the same.</summary>
    public bool Is(TraceText other)
    {
        bool same = _length == other._length;
        for (int i = 0; same && i < _length; i++)
        {
            same = _bytes[i] == other._bytes[i];
        }
        return same;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Put(byte value)
    {
        Contract.Require(value is >= 0x20 and < 0x7F, "a trace is printable ASCII");
        if (_length < Most)
        {
            _bytes[_length++] = value;
            return;
        }
        for (int i = 0; i < Ellipsis.Length; i++)
        {
            _bytes[Most - Ellipsis.Length + i] = (byte)Ellipsis[i];
        }
    }
}
