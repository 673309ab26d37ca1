// Awaiting bytes.
using System.Runtime.CompilerServices;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>Makes sources of bytes awaitable.</summary>
public static class AsyncByteSource
{
    /// <summary>Waits until there is a byte and takes it; -1 when nothing more will come.</summary>
    public static ByteAwaiter ReadByteAsync(this ByteSource source) => new(source);
}

/// <summary>A byte to await.</summary>
public readonly struct ByteAwaiter : ICriticalNotifyCompletion
{
    private readonly ByteSource _source;

    internal ByteAwaiter(ByteSource source) => _source = source;

    /// <summary>For <c>await</c>.</summary>
    public ByteAwaiter GetAwaiter() => this;

    /// <summary>True when there is a byte, or never will be.</summary>
    public bool IsCompleted => _source.IsReadable || _source.IsEnded;

    /// <summary>The byte, or -1.</summary>
    public int GetResult() => _source.TryRead(out byte value) ? value : -1;

    /// <inheritdoc/>
    public void OnCompleted(Action continuation) => _source.Waiting = continuation;

    /// <inheritdoc/>
    public void UnsafeOnCompleted(Action continuation) => _source.Waiting = continuation;
}
