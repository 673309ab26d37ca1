// Calling off what goes on: a source that is told once, tokens that show it, callbacks that hear of it. One thread.
namespace System.Threading;

/// <summary>Shows whether an operation was called off.</summary>
public readonly struct CancellationToken
{
    private readonly CancellationTokenSource? _source;

    internal CancellationToken(CancellationTokenSource source) => _source = source;

    public static CancellationToken None => default;

    public bool CanBeCanceled => _source is not null;

    public bool IsCancellationRequested => _source is not null && _source.IsCancellationRequested;

    /// <summary>Calls back when cancellation is asked for; at once when it was already.</summary>
    public CancellationTokenRegistration Register(Action<object?> callback, object? state)
    {
        if (_source is null)
        {
            return default;
        }
        if (_source.IsCancellationRequested)
        {
            callback(state);
            return default;
        }
        return _source.Add(callback, state);
    }
}

/// <summary>A callback that can be taken back.</summary>
public readonly struct CancellationTokenRegistration : IDisposable
{
    private readonly CancellationTokenSource? _source;
    private readonly int _slot;
    private readonly ulong _number;

    internal CancellationTokenRegistration(CancellationTokenSource source, int slot, ulong number)
    {
        _source = source;
        _slot = slot;
        _number = number;
    }

    /// <summary>The callback is not called any more; false when it was, or was taken back before.</summary>
    public bool Unregister() => _source is not null && _source.Remove(_slot, _number);

    public void Dispose() => Unregister();
}

/// <summary>Calls operations off. Callbacks run in <see cref="Cancel"/>, the one registered last first.</summary>
public sealed class CancellationTokenSource : IDisposable
{
    private Registration[] _registrations = new Registration[4];
    private int _count;
    private ulong _numbers;

    private struct Registration
    {
        internal Action<object?>? Callback;
        internal object? State;
        internal ulong Number;
    }

    public CancellationToken Token => new(this);

    public bool IsCancellationRequested { get; private set; }

    public void Cancel()
    {
        if (IsCancellationRequested)
        {
            return;
        }
        IsCancellationRequested = true;
        while (_count > 0)
        {
            Registration last = _registrations[--_count];
            _registrations[_count] = default;
            last.Callback?.Invoke(last.State);
        }
    }

    public void Dispose()
    {
    }

    internal CancellationTokenRegistration Add(Action<object?> callback, object? state)
    {
        if (_count == _registrations.Length)
        {
            Array.Resize(ref _registrations, _count * 2);
        }
        ref Registration registration = ref _registrations[_count];
        registration.Callback = callback;
        registration.State = state;
        registration.Number = ++_numbers;
        return new CancellationTokenRegistration(this, _count++, _numbers);
    }

    internal bool Remove(int slot, ulong number)
    {
        // Slots in front may have been taken out since: numbers only grow, so it can only have moved to the front.
        for (int i = Math.Min(slot, _count - 1); i >= 0 && _registrations[i].Number >= number; i--)
        {
            if (_registrations[i].Number == number)
            {
                for (int j = i + 1; j < _count; j++)
                {
                    _registrations[j - 1] = _registrations[j];
                }
                _registrations[--_count] = default;
                return true;
            }
        }
        return false;
    }
}
