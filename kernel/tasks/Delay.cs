// Waiting for time to pass.
using System.Runtime.CompilerServices;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>A moment to await, once; made by <see cref="RunLoop.After"/>, to which it goes back.</summary>
public sealed class Delay
{
    private readonly RunLoop _loop;
    private Action? _continuation;
    private bool _ended;

    internal Delay(RunLoop loop) => _loop = loop;

    internal ulong Deadline { get; private set; }

    internal Delay? Next { get; set; }

    internal void Begin(ulong deadline)
    {
        Deadline = deadline;
        _ended = false;
        _continuation = null;
    }

    internal void End()
    {
        _ended = true;
        _continuation?.Invoke();
    }

    /// <summary>For <c>await</c>.</summary>
    public Awaiter GetAwaiter() => new(this);

    /// <summary>For <c>await</c>.</summary>
    public readonly struct Awaiter : ICriticalNotifyCompletion
    {
        private readonly Delay _delay;

        internal Awaiter(Delay delay) => _delay = delay;

        /// <summary>True when the moment has come.</summary>
        public bool IsCompleted => _delay._ended;

        /// <summary>Gives the delay back to its loop.</summary>
        public void GetResult() => _delay._loop.Return(_delay);

        /// <inheritdoc/>
        public void OnCompleted(Action continuation) => _delay._continuation = continuation;

        /// <inheritdoc/>
        public void UnsafeOnCompleted(Action continuation) => _delay._continuation = continuation;
    }
}
