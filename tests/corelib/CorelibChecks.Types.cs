// Classes, values, generics, delegates: the checks of what the compiler asks a corelib for.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace VirtioSharp.Tests.Corelib;

public static partial class CorelibChecks
{
    private static void Casts()
    {
        byte[] bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        Span<ushort> words = MemoryMarshal.Cast<byte, ushort>(new Span<byte>(bytes));
        ReadOnlySpan<ulong> longs = MemoryMarshal.Cast<byte, ulong>(new ReadOnlySpan<byte>(bytes, 1, 9));
        words[1] = 0xAABB;
        Show("cast", words.Length * 100 + longs.Length);
        Show("cast words", words[4].ToString("x") + " " + longs[0].ToString("x"));
        Show("cast of nothing", MemoryMarshal.Cast<byte, ulong>(new Span<byte>(bytes, 0, 7)).Length);
        Show("cast down", MemoryMarshal.Cast<ushort, byte>(words).Length);
    }

    private abstract class Shape : IDisposable
    {
        public abstract int Area { get; }

        public virtual string Name => "shape";

        public void Dispose() => s_counter++;
    }

    private class Box(int side) : Shape
    {
        public override int Area => side * side;
    }

    private sealed class NamedBox(int side) : Box(side)
    {
        public override string Name => "named " + base.Name;
    }

    private enum Colour : byte
    {
        Red = 1,
        Green = 2,
    }

    private static void Types()
    {
        object[] things =
        [
            new Box(2), new NamedBox(3), "text", 42, 42u, 'c', true, new int[1], new string[1], new Box[1], new NamedBox[1], Colour.Green,
            new Pair(1, 2),
        ];
        for (int i = 0; i < things.Length; i++)
        {
            object thing = things[i];
            Show("is a class", Mark(thing is Shape) + Mark(thing is Box) + Mark(thing is NamedBox) + Mark(thing is IDisposable) + Mark(thing is string));
            Show("is a value", Mark(thing is int) + Mark(thing is uint) + Mark(thing is char) + Mark(thing is bool) + Mark(thing is Colour) + Mark(thing is Pair));
            Show("is an array", Mark(thing is int[]) + Mark(thing is object[]) + Mark(thing is Shape[]) + Mark(thing is Array) + Mark(thing is ValueType));
        }
        Shape shape = (Shape)things[1];
        NamedBox named = (NamedBox)shape;
        Show("virtual", shape.Name + " " + shape.Area.ToString());
        using (named)
        {
            Show("inside using", s_counter);
        }
        Show("after using", s_counter);
        Show("unboxed", (int)things[3] + (int)(uint)things[4]);
        Show("boxed equality", things[3].Equals(42) && !things[3].Equals(42u) && !things[3].Equals(43));
        Shape[] shapes = new NamedBox[1];
        shapes[0] = new NamedBox(4);
        Show("covariant array", shapes[0].Area);
        Show("enum", (int)Colour.Green + (int)(Colour)1);
        Show("same type", things[0].GetType() == typeof(Box) && things[1].GetType() != typeof(Box));
    }

    private static string Mark(bool value) => value ? "x" : ".";

    private readonly struct Pair(int first, int second) : IEquatable<Pair>
    {
        public int First { get; } = first;

        public int Second { get; } = second;

        public bool Equals(Pair other) => First == other.First && Second == other.Second;

        public override bool Equals(object? obj) => obj is Pair other && Equals(other);

        public override int GetHashCode() => First ^ Second;
    }

    private static T Larger<T>(T a, T b)
        where T : IComparable<T> => a.CompareTo(b) > 0 ? a : b;

    private sealed class Holder<T>
    {
        private static int s_made;

        public Holder(T value)
        {
            Value = value;
            s_made++;
        }

        public T Value { get; }

        public static int Made => s_made;
    }

    private static void Generics()
    {
        Show("larger int", Larger(3, 4));
        Show("larger string", Larger("b", "a"));
        Show("holder", new Holder<int>(5).Value.ToString() + new Holder<string>("s").Value + new Holder<string>("t").Value);
        Show("statics", Holder<int>.Made.ToString() + Holder<string>.Made.ToString() + Holder<Pair>.Made.ToString());
        int? none = null;
        int? some = 3;
        Show("nullable", (none ?? 7) + some.Value + (none.HasValue ? 100 : 0) + some.GetValueOrDefault());
        Show("nullable arithmetic", (some + none) is null && (some + 1) == 4);
    }

    private static int Twice(int value) => value * 2;

    private static void Delegates()
    {
        int captured = 10;
        Func<int, int> closure = value => value + captured++;
        Func<int, int> plain = Twice;
        Action count = () => s_counter += 5;
        count();
        Show("delegates", closure(1) + closure(1) + plain(4) + captured);
        Show("action", s_counter);
        Func<string> method = new Box(1).ToString!;
        Show("method", method is not null);
    }

    [InlineArray(4)]
    private struct Four
    {
        private int _first;
    }

    private static void Structs()
    {
        Pair pair = new(1, 2);
        Pair copy = pair;
        Show("struct equality", pair.Equals(copy) && !pair.Equals(new Pair(2, 1)) && pair.GetHashCode() == copy.GetHashCode());
        Four four = default;
        for (int i = 0; i < 4; i++)
        {
            four[i] = i * i;
        }
        Show("inline array", four[1] + four[2] + four[3]);
        int left = 7;
        string right = "local";
        Show("locals", right + left.ToString());
        int shared = 1;
        Volatile.Write(ref shared, 5);
        Interlocked.MemoryBarrier();
        Show("volatile", Volatile.Read(ref shared));
        Show("switch", Kind("beta") + Kind("eta") + Kind("other"));
        int thrice = 0;
        try
        {
            thrice++;
        }
        finally
        {
            thrice += 2;
        }
        Show("finally", thrice);
    }
}
