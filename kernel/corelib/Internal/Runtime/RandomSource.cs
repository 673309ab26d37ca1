// Where random bytes come from: the kernel sets the one it has, before anybody asks.
using System;

namespace Internal.Runtime;

/// <summary>What is behind <see cref="Random"/> without a seed and <see cref="System.Security.Cryptography.RandomNumberGenerator"/>.</summary>
public abstract class RandomSource
{
    private static RandomSource? s_current;

    /// <summary>The source in use.</summary>
    public static RandomSource Current
    {
        get
        {
            if (s_current is null)
            {
                FatalError.Stop("random numbers were asked for before there was a source of them");
            }
            return s_current;
        }
        set => s_current = value;
    }

    /// <summary>True when nobody can predict what <see cref="Fill"/> gives.</summary>
    public abstract bool IsSeeded { get; }

    /// <summary>Fills a span with random bytes, as good as there are.</summary>
    public abstract void Fill(Span<byte> bytes);
}
