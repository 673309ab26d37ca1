// The primitive types. Their operators are the compiler's; what has a body of its own is in files of their names.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace System;

public struct Void { }

public readonly struct Boolean : IEquatable<bool>
{
    private readonly bool _value;
    public override string ToString() => _value ? "True" : "False";
    public bool Equals(bool other) => _value == other;
    public override bool Equals(object? obj) => obj is bool other && _value == other;
    public override int GetHashCode() => _value ? 1 : 0;
}

public readonly partial struct SByte : IEquatable<sbyte>, IComparable<sbyte>
{
    public const sbyte MaxValue = 127;
    public const sbyte MinValue = -128;
    private readonly sbyte _value;
    public int CompareTo(sbyte other) => _value - other;
    public bool Equals(sbyte other) => _value == other;
    public override bool Equals(object? obj) => obj is sbyte other && _value == other;
    public override int GetHashCode() => _value;
    public override string ToString() => Number.FormatSigned(_value);
}

public readonly partial struct Byte : IEquatable<byte>, IComparable<byte>
{
    public const byte MaxValue = 255;
    public const byte MinValue = 0;
    private readonly byte _value;
    public int CompareTo(byte other) => _value - other;
    public bool Equals(byte other) => _value == other;
    public override bool Equals(object? obj) => obj is byte other && _value == other;
    public override int GetHashCode() => _value;
    public override string ToString() => Number.FormatUnsigned(_value);
    public string ToString(string? format) => Number.FormatUnsigned(_value, format);
    public static bool TryParse(string? text, out byte result) => Number.TryParse(text, MaxValue, out result);
}

public readonly partial struct Int16 : IEquatable<short>, IComparable<short>
{
    public const short MaxValue = 32767;
    public const short MinValue = -32768;
    private readonly short _value;
    public int CompareTo(short other) => _value - other;
    public bool Equals(short other) => _value == other;
    public override bool Equals(object? obj) => obj is short other && _value == other;
    public override int GetHashCode() => _value;
    public override string ToString() => Number.FormatSigned(_value);
}

public readonly partial struct UInt16 : IEquatable<ushort>, IComparable<ushort>
{
    public const ushort MaxValue = 65535;
    public const ushort MinValue = 0;
    private readonly ushort _value;
    public int CompareTo(ushort other) => _value - other;
    public bool Equals(ushort other) => _value == other;
    public override bool Equals(object? obj) => obj is ushort other && _value == other;
    public override int GetHashCode() => _value;
    public override string ToString() => Number.FormatUnsigned(_value);
    public string ToString(string? format) => Number.FormatUnsigned(_value, format);
    public static bool TryParse(string? text, out ushort result) => Number.TryParse(text, MaxValue, out result);
}

public readonly partial struct Int32 : IEquatable<int>, IComparable<int>
{
    public const int MaxValue = 0x7FFFFFFF;
    public const int MinValue = -0x7FFFFFFF - 1;
    private readonly int _value;
    public int CompareTo(int other) => _value < other ? -1 : _value > other ? 1 : 0;
    public bool Equals(int other) => _value == other;
    public override bool Equals(object? obj) => obj is int other && _value == other;
    public override int GetHashCode() => _value;
    public override string ToString() => Number.FormatSigned(_value);
    public string ToString(string? format) => Number.FormatSigned(_value, format, 8);
    public static bool TryParse(string? text, out int result) => Number.TryParseSigned(text, out result);
}

public readonly partial struct UInt32 : IEquatable<uint>, IComparable<uint>
{
    public const uint MaxValue = 0xFFFFFFFF;
    public const uint MinValue = 0;
    private readonly uint _value;
    public int CompareTo(uint other) => _value < other ? -1 : _value > other ? 1 : 0;
    public bool Equals(uint other) => _value == other;
    public override bool Equals(object? obj) => obj is uint other && _value == other;
    public override int GetHashCode() => (int)_value;
    public override string ToString() => Number.FormatUnsigned(_value);
    public string ToString(string? format) => Number.FormatUnsigned(_value, format);
    public static bool TryParse(string? text, out uint result) => Number.TryParse(text, MaxValue, out result);
}

public readonly partial struct Int64 : IEquatable<long>, IComparable<long>
{
    public const long MaxValue = 0x7FFFFFFFFFFFFFFF;
    public const long MinValue = -0x7FFFFFFFFFFFFFFF - 1;
    private readonly long _value;
    public int CompareTo(long other) => _value < other ? -1 : _value > other ? 1 : 0;
    public bool Equals(long other) => _value == other;
    public override bool Equals(object? obj) => obj is long other && _value == other;
    public override int GetHashCode() => (int)_value ^ (int)(_value >> 32);
    public override string ToString() => Number.FormatSigned(_value);
    public string ToString(string? format) => Number.FormatSigned(_value, format, 16);
}

public readonly partial struct UInt64 : IEquatable<ulong>, IComparable<ulong>
{
    public const ulong MaxValue = 0xFFFFFFFFFFFFFFFF;
    public const ulong MinValue = 0;
    private readonly ulong _value;
    public int CompareTo(ulong other) => _value < other ? -1 : _value > other ? 1 : 0;
    public bool Equals(ulong other) => _value == other;
    public override bool Equals(object? obj) => obj is ulong other && _value == other;
    public override int GetHashCode() => (int)_value ^ (int)(_value >> 32);
    public override string ToString() => Number.FormatUnsigned(_value);
    public string ToString(string? format) => Number.FormatUnsigned(_value, format);
    public static bool TryParse(string? text, out ulong result) => Number.TryParse(text, out result);
}

public readonly unsafe struct IntPtr : IEquatable<nint>
{
    private readonly nint _value;
    public static readonly nint Zero;
    public IntPtr(int value) => _value = value;
    public IntPtr(long value) => _value = (nint)value;
    public IntPtr(void* value) => _value = (nint)value;
    public static int Size => 8;
    public void* ToPointer() => (void*)_value;
    public bool Equals(nint other) => _value == other;
    public override bool Equals(object? obj) => obj is nint other && _value == other;
    public override int GetHashCode() => (int)_value ^ (int)((long)_value >> 32);
    public override string ToString() => Number.FormatSigned(_value);
}

public readonly unsafe struct UIntPtr : IEquatable<nuint>
{
    private readonly nuint _value;
    public static readonly nuint Zero;
    public UIntPtr(uint value) => _value = value;
    public UIntPtr(ulong value) => _value = (nuint)value;
    public UIntPtr(void* value) => _value = (nuint)value;
    public static int Size => 8;
    public void* ToPointer() => (void*)_value;
    public bool Equals(nuint other) => _value == other;
    public override bool Equals(object? obj) => obj is nuint other && _value == other;
    public override int GetHashCode() => (int)_value ^ (int)((ulong)_value >> 32);
    public override string ToString() => Number.FormatUnsigned(_value);
}

public readonly struct Single
{
    private readonly float _value;
}

public readonly struct Double
{
    private readonly double _value;
}

public readonly struct Char : IEquatable<char>, IComparable<char>
{
    public const char MaxValue = '\uFFFF';
    public const char MinValue = '\0';
    private readonly char _value;
    public int CompareTo(char other) => _value - other;
    public bool Equals(char other) => _value == other;
    public override bool Equals(object? obj) => obj is char other && _value == other;
    public override int GetHashCode() => _value | _value << 16;
    public override string ToString() => string.Create(_value);
    public static bool IsAsciiDigit(char c) => (uint)(c - '0') <= 9;
    public static bool IsAsciiHexDigit(char c) => IsAsciiDigit(c) || (uint)((c | 0x20) - 'a') <= 5;
    public static bool IsAsciiLetter(char c) => (uint)((c | 0x20) - 'a') <= 25;
    public static bool IsAsciiLetterLower(char c) => (uint)(c - 'a') <= 25;
    public static bool IsAsciiLetterUpper(char c) => (uint)(c - 'A') <= 25;
    public static bool IsAsciiLetterOrDigit(char c) => IsAsciiLetter(c) || IsAsciiDigit(c);
    public static bool IsAscii(char c) => c < 128;
    public static bool IsWhiteSpace(char c) => c == ' ' || (uint)(c - 9) <= 4 || c == 0x85 || c == 0xA0 ||
        c == 0x1680 || (uint)(c - 0x2000) <= 10 || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
