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

/// <summary>
/// What all boxes have; the rest the compiler makes anew for each state machine. Boxes that are not in use wait in a list, at the first of their kind.
/// </summary>
internal abstract class AsyncBox
{
    private readonly AsyncBox _first;
    private AsyncBox? _free;
    private AsyncBox? _next;
    internal readonly Action MoveNext;

    private protected AsyncBox(ref AsyncBox? first)
    {
        first ??= this;
        _first = first;
        MoveNext = Run;
    }

    private protected abstract void Run();

    /// <summary>A box that is not in use, or null.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private protected static AsyncBox? Take(AsyncBox? first)
    {
        AsyncBox? box = first?._free;
        if (box is not null)
        {
            first!._free = box._next;
        }
        return box;
    }

    /// <summary>The state machine stays in the box until the next one comes: nothing collects what it refers to.</summary>
    private protected void Return()
    {
        _next = _first._free;
        _first._free = this;
    }
}

/// <summary>The part of a box that its awaiter sees: whether the method is done, its result, and who waits.</summary>
internal abstract class AsyncBox<TResult> : AsyncBox
{
    private TResult? _result;
    private Action? _continuation;

    private protected AsyncBox(ref AsyncBox? first) : base(ref first)
    {
    }

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
    [MethodImpl(MethodImplOptions.NoInlining)]
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
}

/// <summary>A box for one kind of state machine.</summary>
internal sealed class AsyncBox<TStateMachine, TResult> : AsyncBox<TResult> where TStateMachine : IAsyncStateMachine
{
    private static AsyncBox? s_first;

    private TStateMachine? _stateMachine;

    private AsyncBox() : base(ref s_first)
    {
    }

    /// <summary>
    /// The first time that a state machine waits it moves into a box. The builder, which is a part of it, must know the box before it is copied.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static Action Begin(ref AsyncBox<TResult>? builderBox, ref TStateMachine stateMachine)
    {
        AsyncBox<TStateMachine, TResult> box = Unsafe.As<AsyncBox<TStateMachine, TResult>>(Take(s_first)) ?? new AsyncBox<TStateMachine, TResult>();
        builderBox = box;
        box._stateMachine = stateMachine;
        return box.MoveNext;
    }

    private protected override void Run() => _stateMachine!.MoveNext();
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
        awaiter.OnCompleted(_box is null ? AsyncBox<TStateMachine, bool>.Begin(ref _box, ref stateMachine) : _box.MoveNext);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : ICriticalNotifyCompletion where TStateMachine : IAsyncStateMachine =>
        awaiter.UnsafeOnCompleted(_box is null ? AsyncBox<TStateMachine, bool>.Begin(ref _box, ref stateMachine) : _box.MoveNext);
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
        awaiter.OnCompleted(_box is null ? AsyncBox<TStateMachine, TResult>.Begin(ref _box, ref stateMachine) : _box.MoveNext);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : ICriticalNotifyCompletion where TStateMachine : IAsyncStateMachine =>
        awaiter.UnsafeOnCompleted(_box is null ? AsyncBox<TStateMachine, TResult>.Begin(ref _box, ref stateMachine) : _box.MoveNext);
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

    internal ValueTaskAwaiter(in ValueTask<TResult> task) => _task = task;

    public bool IsCompleted => _task.IsCompleted;

    public TResult GetResult() => _task.Result;

    public void OnCompleted(Action continuation) => _task.Box!.OnCompleted(continuation);

    public void UnsafeOnCompleted(Action continuation) => _task.Box!.OnCompleted(continuation);
}
