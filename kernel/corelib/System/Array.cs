// Arrays: the layout the compiler assumes, and the few helpers that are used.
using System.Runtime.CompilerServices;

namespace System;

public abstract class Array
{
    internal uint _numComponents;

    public int Length => (int)_numComponents;

    public static T[] Empty<T>() => new T[0];

    public static void Copy<T>(T[] source, T[] destination, int length) =>
        new ReadOnlySpan<T>(source, 0, length).CopyTo(new Span<T>(destination));

    public static void Clear<T>(T[] array) => new Span<T>(array).Clear();

    public static void Resize<T>(ref T[] array, int newSize)
    {
        T[] larger = new T[newSize];
        for (int i = 0; i < Math.Min(array.Length, newSize); i++)
        {
            larger[i] = array[i];
        }
        array = larger;
    }
}

internal class RawArrayData
{
    public uint Length;
    public uint Padding;
    public byte Data;
}

public class Array<T> : Array
{
}
