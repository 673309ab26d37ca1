// Something that one piece of code waits for and another one brings about.
using System.Runtime.CompilerServices;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>Awaited by one at a time; resumed by <see cref="Set"/>. What was set while nobody waited is not kept: look before waiting.</summary>
public sealed class Signal
{
    private Action? _waiting;

    /// <summary>Resumes the one who waits.</summary>
    public void Set()
    {
        Action? waiting = _waiting;
        _waiting = null;
        waiting?.Invoke();
    }

    /// <summary>For <c>await</c>.</summary>
    public Awaiter GetAwaiter() => new(this);

    /// <summary>For <c>await</c>.</summary>
    public readonly struct Awaiter : ICriticalNotifyCompletion
    {
        private readonly Signal _signal;

        internal Awaiter(Signal signal) => _signal = signal;

        /// <summary>Never: there is always a wait.</summary>
        public bool IsCompleted => false;

        /// <summary>Nothing.</summary>
        public void GetResult()
        {
        }

        /// <inheritdoc/>
        public void OnCompleted(Action continuation) => _signal._waiting = continuation;

        /// <inheritdoc/>
        public void UnsafeOnCompleted(Action continuation) => _signal._waiting = continuation;
    }
}
