// What is searched, compared and cut in spans.
namespace System;

public static class MemoryExtensions
{
    // The compiler calls this for the conversion of a string to a span: it can't be written with that conversion.
    public static ReadOnlySpan<char> AsSpan(this string? text) =>
        text is null ? default : new ReadOnlySpan<char>(ref text.First, text.Length);

    public static ReadOnlySpan<char> AsSpan(this string? text, int start) => text.AsSpan().Slice(start);

    public static ReadOnlySpan<char> AsSpan(this string? text, int start, int length) => text.AsSpan().Slice(start, length);

    public static Span<T> AsSpan<T>(this T[]? array) => new(array);

    public static Span<T> AsSpan<T>(this T[]? array, int start, int length) => new(array, start, length);

    public static bool SequenceEqual<T>(this ReadOnlySpan<T> span, ReadOnlySpan<T> other) where T : IEquatable<T>
    {
        if (span.Length != other.Length)
        {
            return false;
        }
        for (int i = 0; i < span.Length; i++)
        {
            if (!span[i].Equals(other[i]))
            {
                return false;
            }
        }
        return true;
    }

    public static bool SequenceEqual<T>(this Span<T> span, ReadOnlySpan<T> other) where T : IEquatable<T> =>
        ((ReadOnlySpan<T>)span).SequenceEqual(other);

    public static bool StartsWith<T>(this ReadOnlySpan<T> span, ReadOnlySpan<T> value) where T : IEquatable<T> =>
        value.Length <= span.Length && span.Slice(0, value.Length).SequenceEqual(value);

    public static int IndexOf<T>(this ReadOnlySpan<T> span, T value) where T : IEquatable<T>
    {
        for (int i = 0; i < span.Length; i++)
        {
            if (span[i].Equals(value))
            {
                return i;
            }
        }
        return -1;
    }

    public static ReadOnlySpan<char> Trim(this ReadOnlySpan<char> span)
    {
        int start = 0;
        int end = span.Length;
        while (start < end && char.IsWhiteSpace(span[start]))
        {
            start++;
        }
        while (end > start && char.IsWhiteSpace(span[end - 1]))
        {
            end--;
        }
        return span.Slice(start, end - start);
    }
}
