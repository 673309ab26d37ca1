// One program for two runtimes: what it prints on .NET and in the kernel has to be the same, line by line.
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace VirtioSharp.Tests.Corelib;

/// <summary>Uses the corelib and prints what comes of it. Only what .NET has as well may appear here.</summary>
public static partial class CorelibChecks
{
    private static Action<string>? s_print;
    private static int s_counter;

    /// <summary>Prints one line for each result.</summary>
    public static void Run(Action<string> print)
    {
        s_print = print;
        s_counter = 0;
        Numbers();
        Parsing();
        Strings();
        Spans();
        Types();
        Generics();
        Delegates();
        Structs();
        Tasks();
        Cancellation();
        SeededRandom();
        Show("end", "of the checks");
    }

    private static void Show(string what, string value) => s_print!(what + " = " + value);

    private static void Show(string what, bool value) => Show(what, value ? "yes" : "no");

    private static void Show(string what, int value) => Show(what, value.ToString());

    private static void Show(string what, ulong value) => Show(what, value.ToString());

    private static void Cancellation()
    {
        CancellationTokenSource source = new();
        CancellationToken token = source.Token;
        Show("token", token.CanBeCanceled && !token.IsCancellationRequested && !CancellationToken.None.CanBeCanceled);
        s_counter = 0;
        CancellationTokenRegistration first = token.Register(AddState, "1");
        CancellationTokenRegistration second = token.Register(AddState, "2");
        CancellationTokenRegistration third = token.Register(AddState, "3");
        Show("unregister", second.Unregister() && !second.Unregister());
        source.Cancel();
        source.Cancel();
        Show("callbacks, the last first", s_counter);
        Show("cancelled", token.IsCancellationRequested && source.IsCancellationRequested);
        token.Register(AddState, "4");
        Show("late callback", s_counter);
        Show("unregister after", first.Unregister() || third.Unregister());
        source.Dispose();
    }

    private static void AddState(object? state) => s_counter = s_counter * 10 + ((string)state!)[0] - '0';

    private static void Numbers()
    {
        Show("int.MinValue", int.MinValue.ToString());
        Show("long.MinValue", long.MinValue.ToString());
        Show("ulong.MaxValue", ulong.MaxValue.ToString());
        Show("255 as x", 255.ToString("x"));
        Show("255 as X8", 255u.ToString("X8"));
        Show("-1 as x", (-1).ToString("x"));
        Show("7 as D3", 7u.ToString("D3"));
        Show("byte as x2", ((byte)0x0A).ToString("x2"));
        Show("compare", 3.CompareTo(5) < 0 && 5.CompareTo(5) == 0);
        Show("BigMul high", Math.BigMul(0xFEDCBA9876543210, 0x123456789ABCDEF0, out ulong low));
        Show("BigMul low", low);
        Show("Log2", BitOperations.Log2(0x8000_0000_0000ul));
        Show("TrailingZeroCount", BitOperations.TrailingZeroCount(0x50u));
        Show("RotateRight", BitOperations.RotateRight(0x80000001u, 1).ToString("x8"));
        Show("IsPow2", BitOperations.IsPow2(64u) && !BitOperations.IsPow2(0u) && !BitOperations.IsPow2(96ul));
        int number = 7;
        Show("division", number / -2);
        Show("remainder", number % -4);
        Show("shift", (-number >> 1).ToString());
        Show("double", (int)(number * 1.5 + 0.25));
    }

    private static void Parsing()
    {
        string[] texts = ["0", " 42 ", "-1", "+7", "18446744073709551615", "18446744073709551616", "4294967296", "", " ", "12a", "0x10"];
        for (int i = 0; i < texts.Length; i++)
        {
            bool big = ulong.TryParse(texts[i], out ulong wide);
            bool small = uint.TryParse(texts[i], out uint narrow);
            bool signed = int.TryParse(texts[i], out int plain);
            string results = (big ? wide.ToString() : "-") + " " + (small ? narrow.ToString() : "-") + " " + (signed ? plain.ToString() : "-");
            Show("parse '" + texts[i] + "'", results);
        }
        Show("byte too large", byte.TryParse("256", out _));
        Show("int too small", int.TryParse("-2147483649", out _));
        Show("int smallest", int.TryParse("-2147483648", out int least) ? least.ToString() : "-");
        Show("null", uint.TryParse((string?)null, out _));
    }

    private static void Strings()
    {
        string text = "Virtio";
        Show("concat", text + "Sharp" + "-" + text + "!" + 5);
        Show("substring", text.Substring(2) + "," + text.Substring(1, 3) + "," + text.Substring(6));
        Show("index", text.IndexOf('t') + text.IndexOf('z'));
        Show("equality", text == "Virt" + new string(['i', 'o']) && text != "virtio");
        Show("hash", text.GetHashCode() == ("Virt" + new string(['i', 'o'])).GetHashCode());
        string[] parts = ",a,,b c,".Split(',');
        for (int i = 0; i < parts.Length; i++)
        {
            Show("part", "[" + parts[i] + "]");
        }
        Show("trim", "[" + " \t x y \n".Trim() + "]");
        Show("pad", "[" + "ab".PadLeft(4) + "ab".PadRight(3) + "abc".PadLeft(2) + "]");
        Show("starts", text.StartsWith('V') && text.EndsWith('o'));
        Show("starts with a text", text.StartsWith("Vir", StringComparison.Ordinal) && !text.StartsWith("vir", StringComparison.Ordinal));
        Show("repeat", new string('x', 3));
        Show("compare", string.CompareOrdinal("a", "b") < 0 && string.CompareOrdinal("b", "a") > 0 && string.CompareOrdinal("ab", "a") > 0);
        Show("empty", string.IsNullOrEmpty("") && string.IsNullOrEmpty(null) && !string.IsNullOrEmpty(" "));
        Show("blank", char.IsWhiteSpace('\t') && !char.IsWhiteSpace('a'));
        Show("digit", char.IsAsciiDigit('7') && char.IsAsciiHexDigit('F') && !char.IsAsciiLetter('['));
        int length = 0;
        for (int i = 0; i < text.Length; i++)
        {
            length += text[i];
        }
        Show("characters", length);
    }

    private static void Spans()
    {
        byte[] bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        Span<byte> span = bytes;
        span.Slice(0, 6).CopyTo(span.Slice(2));
        Show("overlap up", Join(bytes));
        span.Slice(2, 6).CopyTo(span);
        Show("overlap down", Join(bytes));
        span.Slice(1, 2).Fill(9);
        span.Slice(5).Clear();
        Show("fill and clear", Join(bytes));
        Show("equal", span.Slice(0, 2).SequenceEqual(new byte[] { 1, 9 }) && !span.SequenceEqual(new byte[] { 1 }));
        Show("little", BinaryPrimitives.ReadUInt32LittleEndian("abcd"u8).ToString("x8"));
        Show("big", BinaryPrimitives.ReadUInt32BigEndian("abcd"u8).ToString("x8"));
        BinaryPrimitives.WriteUInt64LittleEndian(span, 0x0102030405060708);
        Show("written", Join(bytes));
        Span<int> stack = stackalloc int[4];
        stack.Clear(); // the kernel is compiled without clearing what is on the stack
        stack[3] = 5;
        Show("stack", stack[0] + stack[3]);
        ReadOnlySpan<uint> constants = [10, 20, 30];
        uint sum = 0;
        foreach (uint value in constants)
        {
            sum += value;
        }
        Show("constants", sum);
        Show("moves", Moves());
        Array.Resize(ref bytes, 3);
        Show("resize", Join(bytes));
        Show("array copy", Join(((ReadOnlySpan<byte>)bytes).ToArray()));
    }

    /// <summary>Copies of all sorts of lengths and overlaps, in one number.</summary>
    private static ulong Moves()
    {
        ulong sum = 0;
        for (int length = 0; length <= 100; length += length < 40 ? 1 : 15)
        {
            for (int distance = -40; distance <= 40; distance += distance is < -9 or > 8 ? 10 : 1)
            {
                byte[] memory = new byte[200];
                for (int i = 0; i < memory.Length; i++)
                {
                    memory[i] = (byte)(i * 7 + length);
                }
                memory.AsSpan().Slice(45, length).CopyTo(memory.AsSpan().Slice(45 + distance));
                memory.AsSpan().Slice(160, length % 40).Clear();
                for (int i = 0; i < memory.Length; i++)
                {
                    sum = sum * 31 + memory[i];
                }
            }
        }
        return sum;
    }

    private static string Join(byte[] bytes)
    {
        string text = "";
        for (int i = 0; i < bytes.Length; i++)
        {
            text += bytes[i].ToString("x2");
        }
        return text;
    }

    private static int Kind(string word) => word switch
    {
        "alpha" => 1,
        "beta" => 2,
        "gamma" => 3,
        "delta" => 4,
        "epsilon" => 5,
        "zeta" => 6,
        "eta" => 7,
        "theta" => 8,
        _ => 100,
    };

    private sealed class Gate
    {
        private Action? _waiting;

        public bool IsOpen { get; private set; }

        public void Open()
        {
            IsOpen = true;
            Action? waiting = _waiting;
            _waiting = null;
            waiting?.Invoke();
        }

        public GateAwaiter GetAwaiter() => new(this);

        public readonly struct GateAwaiter(Gate gate) : ICriticalNotifyCompletion
        {
            public bool IsCompleted => gate.IsOpen;

            public int GetResult() => 21;

            public void OnCompleted(Action continuation) => gate._waiting = continuation;

            public void UnsafeOnCompleted(Action continuation) => gate._waiting = continuation;
        }
    }

    private static async ValueTask<int> AddAsync(Gate first, Gate second)
    {
        int sum = await first;
        sum += await second;
        return sum;
    }

    private static async ValueTask StepAsync(Gate first, Gate second)
    {
        s_counter = 100;
        int sum = await AddAsync(first, second);
        s_counter += sum;
        s_counter += await AddAsync(first, second);
    }

    private static void Tasks()
    {
        for (int round = 0; round < 3; round++)
        {
            Gate first = new();
            Gate second = new();
            ValueTask task = StepAsync(first, second);
            Show("not begun", task.IsCompleted);
            first.Open();
            Show("half", task.IsCompleted);
            second.Open();
            Show("done", task.IsCompleted);
            Show("result", s_counter);
        }
        Show("without waiting", new ValueTask<int>(6).Result);
    }

    private static void SeededRandom()
    {
        int[] seeds = [0, 1, -1, 42, 161803398, int.MaxValue, int.MinValue];
        for (int i = 0; i < seeds.Length; i++)
        {
            Random random = new(seeds[i]);
            Show("seed", seeds[i]);
            Show("Next", random.Next());
            Show("Next below", random.Next(1_000_000));
            Show("Next between", random.Next(-10, 10));
            Show("Next far between", random.Next(int.MinValue, int.MaxValue));
            Show("NextInt64", random.NextInt64().ToString());
            Show("NextInt64 below", random.NextInt64(10_000_000_000_000).ToString());
            Show("NextInt64 between", random.NextInt64(-5, 123_456_789_012).ToString());
            Show("NextDouble", (int)(random.NextDouble() * 1_000_000_000));
            byte[] bytes = new byte[5];
            random.NextBytes(bytes);
            Show("NextBytes", bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[4]);
            random.Shuffle(bytes);
            Show("Shuffle", bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[4]);
            int sum = 0;
            for (int j = 0; j < 1000; j++)
            {
                sum += random.Next(1000);
            }
            Show("sum", sum);
        }
        Show("Next(0)", Random.Shared.Next(0));
        Show("Next(5, 5)", Random.Shared.Next(5, 5));
        bool isInside = true;
        for (int i = 0; i < 1000; i++)
        {
            isInside &= Random.Shared.Next(7) is >= 0 and < 7 && Random.Shared.NextInt64(-3, 3) is >= -3 and < 3 && Random.Shared.NextDouble() is >= 0 and < 1;
        }
        Show("inside", isInside);
    }
}
