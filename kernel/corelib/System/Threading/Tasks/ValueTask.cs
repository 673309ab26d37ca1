// What an async method returns: a result, or a box that will have one. Awaited once.
using System.Runtime.CompilerServices;

namespace System.Threading.Tasks;

[AsyncMethodBuilder(typeof(AsyncValueTaskMethodBuilder))]
public readonly struct ValueTask
{
    internal readonly AsyncBox<bool>? Box;

    internal ValueTask(AsyncBox<bool> box) => Box = box;

    public bool IsCompleted => Box is null || Box.IsCompleted;

    public static ValueTask CompletedTask => default;

    public ValueTaskAwaiter GetAwaiter() => new(Box);
}

[AsyncMethodBuilder(typeof(AsyncValueTaskMethodBuilder<>))]
public readonly struct ValueTask<TResult>
{
    internal readonly AsyncBox<TResult>? Box;
    private readonly TResult? _result;

    internal ValueTask(AsyncBox<TResult> box) => Box = box;

    public ValueTask(TResult result) => _result = result;

    public bool IsCompleted => Box is null || Box.IsCompleted;

    public TResult Result => Box is null ? _result! : Box.GetResult();

    public ValueTaskAwaiter<TResult> GetAwaiter() => new(this);
}
