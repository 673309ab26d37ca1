// async methods: a state machine lives on the stack until its first wait, then in a box from a pool.
using System.Threading.Tasks;

namespace System.Runtime.CompilerServices;

public interface INotifyCompletion
{
    void OnCompleted(Action continuation);
}

public interface ICriticalNotifyCompletion : INotifyCompletion
{
    void UnsafeOnCompleted(Action continuation);
}

public interface IAsyncStateMachine
{
    void MoveNext();
    void SetStateMachine(IAsyncStateMachine stateMachine);
}

/// <summary>The part of a box that its awaiter sees: whether the method is done, its result, and who waits.</summary>
internal abstract class AsyncBox<TResult>
{
    private TResult? _result;
    private Action? _continuation;

    internal bool IsCompleted { get; private set; }

    internal void OnCompleted(Action continuation) => _continuation = continuation;

    internal void SetResult(TResult result)
    {
        _result = result;
        IsCompleted = true;
        Action? continuation = _continuation;
        _continuation = null;
        continuation?.Invoke();
    }

    /// <summary>Takes the result; the box goes back to its pool.</summary>
    internal TResult GetResult()
    {
        if (!IsCompleted)
        {
            Environment.FailFast("the result of an async method was asked for before it was there");
        }
        TResult result = _result!;
        _result = default;
        IsCompleted = false;
        Return();
        return result;
    }

    private protected abstract void Return();
}

/// <summary>A box for one kind of state machine. Boxes that are not in use wait in a list.</summary>
internal sealed class AsyncBox<TStateMachine, TResult> : AsyncBox<TResult> where TStateMachine : IAsyncStateMachine
{
    private static AsyncBox<TStateMachine, TResult>? s_free;

    private AsyncBox<TStateMachine, TResult>? _next;
    internal TStateMachine? StateMachine;
    internal readonly Action MoveNext;

    private AsyncBox() => MoveNext = Run;

    internal static AsyncBox<TStateMachine, TResult> Rent()
    {
        AsyncBox<TStateMachine, TResult>? box = s_free;
        if (box is null)
        {
            return new AsyncBox<TStateMachine, TResult>();
        }
        s_free = box._next;
        return box;
    }

    private void Run() => StateMachine!.MoveNext();

    private protected override void Return()
    {
        StateMachine = default;
        _next = s_free;
        s_free = this;
    }
}

public struct AsyncValueTaskMethodBuilder
{
    private AsyncBox<bool>? _box;

    public static AsyncValueTaskMethodBuilder Create() => default;

    public readonly ValueTask Task => _box is null ? default : new ValueTask(_box);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Start<TStateMachine>(ref TStateMachine stateMachine) where TStateMachine : IAsyncStateMachine => stateMachine.MoveNext();

    public readonly void SetStateMachine(IAsyncStateMachine stateMachine) { }

    public readonly void SetResult() => _box?.SetResult(true);

    public readonly void SetException(Exception exception) => Environment.FailFast(exception.Message);

    public void AwaitOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : INotifyCompletion where TStateMachine : IAsyncStateMachine =>
        awaiter.OnCompleted(AsyncBoxes.Prepare(ref _box, ref stateMachine).MoveNext);

    public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : ICriticalNotifyCompletion where TStateMachine : IAsyncStateMachine =>
        awaiter.UnsafeOnCompleted(AsyncBoxes.Prepare(ref _box, ref stateMachine).MoveNext);
}

public struct AsyncValueTaskMethodBuilder<TResult>
{
    private AsyncBox<TResult>? _box;
    private TResult? _result;

    public static AsyncValueTaskMethodBuilder<TResult> Create() => default;

    public readonly ValueTask<TResult> Task => _box is null ? new ValueTask<TResult>(_result!) : new ValueTask<TResult>(_box);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Start<TStateMachine>(ref TStateMachine stateMachine) where TStateMachine : IAsyncStateMachine => stateMachine.MoveNext();

    public readonly void SetStateMachine(IAsyncStateMachine stateMachine) { }

    public void SetResult(TResult result)
    {
        if (_box is null)
        {
            _result = result;
        }
        else
        {
            _box.SetResult(result);
        }
    }

    public readonly void SetException(Exception exception) => Environment.FailFast(exception.Message);

    public void AwaitOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : INotifyCompletion where TStateMachine : IAsyncStateMachine =>
        awaiter.OnCompleted(AsyncBoxes.Prepare(ref _box, ref stateMachine).MoveNext);

    public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : ICriticalNotifyCompletion where TStateMachine : IAsyncStateMachine =>
        awaiter.UnsafeOnCompleted(AsyncBoxes.Prepare(ref _box, ref stateMachine).MoveNext);
}

internal static class AsyncBoxes
{
    /// <summary>
    /// The box of a state machine that has to wait. The first time the state machine moves into it: the builder, which is a part of the
    /// state machine, must know the box before it is copied.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static AsyncBox<TStateMachine, TResult> Prepare<TStateMachine, TResult>(ref AsyncBox<TResult>? builderBox, ref TStateMachine stateMachine)
        where TStateMachine : IAsyncStateMachine
    {
        if (builderBox is not null)
        {
            return Unsafe.As<AsyncBox<TStateMachine, TResult>>(builderBox);
        }
        AsyncBox<TStateMachine, TResult> box = AsyncBox<TStateMachine, TResult>.Rent();
        builderBox = box;
        box.StateMachine = stateMachine;
        return box;
    }
}

public readonly struct ValueTaskAwaiter : ICriticalNotifyCompletion
{
    private readonly AsyncBox<bool>? _box;

    internal ValueTaskAwaiter(AsyncBox<bool>? box) => _box = box;

    public bool IsCompleted => _box is null || _box.IsCompleted;

    public void GetResult() => _box?.GetResult();

    public void OnCompleted(Action continuation) => _box!.OnCompleted(continuation);

    public void UnsafeOnCompleted(Action continuation) => _box!.OnCompleted(continuation);
}

public readonly struct ValueTaskAwaiter<TResult> : ICriticalNotifyCompletion
{
    private readonly ValueTask<TResult> _task;
    private readonly AsyncBox<TResult>? _box;

    internal ValueTaskAwaiter(in ValueTask<TResult> task, AsyncBox<TResult>? box)
    {
        _task = task;
        _box = box;
    }

    public bool IsCompleted => _box is null || _box.IsCompleted;

    public TResult GetResult() => _task.Result;

    public void OnCompleted(Action continuation) => _box!.OnCompleted(continuation);

    public void UnsafeOnCompleted(Action continuation) => _box!.OnCompleted(continuation);
}
