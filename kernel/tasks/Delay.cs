// Waiting for time to pass.
using System.Runtime.CompilerServices;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>A moment to await; made by <see cref="RunLoop.After"/>.</summary>
public sealed class Delay
{
    private Action? _continuation;
    private bool _ended;

    internal Delay(ulong deadline) => Deadline = deadline;

    internal ulong Deadline { get; }

    internal Delay? Next { get; set; }

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

        /// <summary>Nothing to give.</summary>
        public void GetResult()
        {
        }

        /// <inheritdoc/>
        public void OnCompleted(Action continuation) => _delay._continuation = continuation;

        /// <inheritdoc/>
        public void UnsafeOnCompleted(Action continuation) => _delay._continuation = continuation;
    }
}
