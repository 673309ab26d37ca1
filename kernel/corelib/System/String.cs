// Text: UTF-16, immutable, laid out as the compiler emits literals.
using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System;

public sealed unsafe class String : IEquatable<string>, IComparable<string>
{
    public const string Empty = "";

    private readonly int _stringLength;
    private char _firstChar;

    public int Length => _stringLength;

    [System.Runtime.CompilerServices.IndexerName("Chars")]
    public char this[int index]
    {
        get
        {
            if ((uint)index >= (uint)_stringLength)
            {
                Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowIndexOutOfRangeException();
            }
            return Unsafe.Add(ref _firstChar, index);
        }
    }

    internal ref char First => ref _firstChar;

    // The compiler turns `new string(...)` into a call of the Ctor method with the same parameters.
    [MethodImpl(MethodImplOptions.InternalCall)]
    public extern String(char[] value);
    [MethodImpl(MethodImplOptions.InternalCall)]
    public extern String(ReadOnlySpan<char> value);
    [MethodImpl(MethodImplOptions.InternalCall)]
    public extern String(char c, int count);
    [MethodImpl(MethodImplOptions.InternalCall)]
    public extern String(char[] value, int startIndex, int length);

    private static string Ctor(char[] value) => Ctor(new ReadOnlySpan<char>(value));

    private static string Ctor(char[] value, int startIndex, int length) => Ctor(new ReadOnlySpan<char>(value, startIndex, length));

    private static string Ctor(ReadOnlySpan<char> value)
    {
        if (value.Length == 0)
        {
            return Empty;
        }
        string result = Allocate(value.Length);
        value.CopyTo(new Span<char>(ref result._firstChar, value.Length));
        return result;
    }

    private static string Ctor(char c, int count)
    {
        string result = Allocate(count);
        new Span<char>(ref result._firstChar, count).Fill(c);
        return result;
    }

    internal static string Create(char c)
    {
        string result = Allocate(1);
        result._firstChar = c;
        return result;
    }

    private static string Allocate(int length) =>
        length == 0 ? Empty : Unsafe.As<string>(RuntimeImports.NewString(Empty.m_pEEType, length));

    public static implicit operator ReadOnlySpan<char>(string? value) =>
        value is null ? default : new ReadOnlySpan<char>(ref value._firstChar, value._stringLength);

    public static bool operator ==(string? a, string? b) => Equals(a, b);

    public static bool operator !=(string? a, string? b) => !Equals(a, b);

    public static bool Equals(string? a, string? b) =>
        ReferenceEquals(a, b) || (a is not null && b is not null && a.AsSpan().SequenceEqual(b.AsSpan()));

    public bool Equals(string? other) => Equals(this, other);

    public override bool Equals(object? obj) => obj is string other && Equals(this, other);

    public override int GetHashCode()
    {
        uint hash = 2166136261;
        for (int i = 0; i < _stringLength; i++)
        {
            hash = (hash ^ this[i]) * 16777619;
        }
        return (int)hash;
    }

    public override string ToString() => this;

    public int CompareTo(string? other) => CompareOrdinal(this, other);

    public static int CompareOrdinal(string? a, string? b)
    {
        ReadOnlySpan<char> x = a, y = b;
        int common = Math.Min(x.Length, y.Length);
        for (int i = 0; i < common; i++)
        {
            if (x[i] != y[i])
            {
                return x[i] - y[i];
            }
        }
        return x.Length - y.Length;
    }

    public static bool IsNullOrEmpty([System.Diagnostics.CodeAnalysis.NotNullWhen(false)] string? value) => value is null || value.Length == 0;

    public static string Concat(string? a, string? b) => Concat(a, b, null, null);

    public static string Concat(string? a, string? b, string? c) => Concat(a, b, c, null);

    public static string Concat(string? a, string? b, string? c, string? d)
    {
        ReadOnlySpan<char> p = a, q = b, r = c, s = d;
        int length = p.Length + q.Length + r.Length + s.Length;
        string result = Allocate(length);
        Span<char> rest = new(ref result._firstChar, length);
        p.CopyTo(rest);
        q.CopyTo(rest.Slice(p.Length));
        r.CopyTo(rest.Slice(p.Length + q.Length));
        s.CopyTo(rest.Slice(p.Length + q.Length + r.Length));
        return result;
    }

    public static string Concat(params string?[] values)
    {
        string result = "";
        for (int i = 0; i < values.Length; i++)
        {
            result = Concat(result, values[i]);
        }
        return result;
    }

    public static string Concat(params ReadOnlySpan<string?> values)
    {
        string result = "";
        for (int i = 0; i < values.Length; i++)
        {
            result = Concat(result, values[i]);
        }
        return result;
    }

    public string Substring(int startIndex) => new(this.AsSpan().Slice(startIndex));

    public string Substring(int startIndex, int length) => new(this.AsSpan().Slice(startIndex, length));

    public bool StartsWith(char value) => _stringLength > 0 && _firstChar == value;

    public bool EndsWith(char value) => _stringLength > 0 && this[_stringLength - 1] == value;

    public bool StartsWith(string value, StringComparison comparison) => this.AsSpan().StartsWith(value.AsSpan());

    public int IndexOf(char value) => this.AsSpan().IndexOf(value);

    public bool Contains(char value) => IndexOf(value) >= 0;

    public string Trim() => new(this.AsSpan().Trim());

    public string PadLeft(int totalWidth) => totalWidth <= _stringLength ? this : Concat(new string(' ', totalWidth - _stringLength), this);

    public string PadRight(int totalWidth) => totalWidth <= _stringLength ? this : Concat(this, new string(' ', totalWidth - _stringLength));

    public string[] Split(char separator)
    {
        int count = 1;
        for (int i = 0; i < _stringLength; i++)
        {
            count += this[i] == separator ? 1 : 0;
        }
        string[] parts = new string[count];
        int start = 0;
        int part = 0;
        for (int i = 0; i <= _stringLength; i++)
        {
            if (i == _stringLength || this[i] == separator)
            {
                parts[part++] = Substring(start, i - start);
                start = i + 1;
            }
        }
        return parts;
    }

    public ref readonly char GetPinnableReference() => ref _firstChar;
}

public enum StringComparison
{
    CurrentCulture,
    CurrentCultureIgnoreCase,
    InvariantCulture,
    InvariantCultureIgnoreCase,
    Ordinal,
    OrdinalIgnoreCase,
}
