// The ways in which a kernel can go wrong, on request: each has to end in a panic that says what happened.
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using VirtioSharp.Kernel.Machine;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Goes wrong in a chosen way.</summary>
internal static unsafe class PanicCommand
{
    internal static bool Run(string way, Terminal output)
    {
        switch (way)
        {
            case "":
                Environment.FailFast("asked for by the command panic");
                return false;
            case "null":
                return ReadNull(null!) != 0;
            case "stack":
                return Recurse(0) != 0;
            case "index":
                return Index(new byte[4], 4) != 0;
            case "cast":
                return Cast(output) is not null;
            case "divide":
                return Divide(1, 0) != 0;
            case "random":
                return RandomNumberGenerator.GetBytes(1).Length != 1; // a panic only as long as nothing has seeded it
            case "code":
                *Image.TextStart = 0;
                return false;
            case "execute":
                byte* data = stackalloc byte[16];
                data[0] = 0xC3;
                ((delegate*<void>)data)();
                return false;
            default:
                output.Write("panic does not know ").Write(way).Write("; help lists the ways\n");
                return false;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int ReadNull(string text) => text.Length;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Recurse(int depth)
    {
        Span<byte> frame = stackalloc byte[256];
        frame[depth & 255] = 1;
        return Recurse(depth + 1) + frame[0];
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Index(byte[] bytes, int index) => bytes[index];

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Cast(object value) => (string)value;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Divide(int dividend, int divisor) => dividend / divisor;
}
