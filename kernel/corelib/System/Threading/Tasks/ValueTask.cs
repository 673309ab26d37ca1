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
    private readonly AsyncBox<TResult>? _box;
    private readonly TResult? _result;

    internal ValueTask(AsyncBox<TResult> box) => _box = box;

    public ValueTask(TResult result) => _result = result;

    public bool IsCompleted => _box is null || _box.IsCompleted;

    public TResult Result => _box is null ? _result! : _box.GetResult();

    public ValueTaskAwaiter<TResult> GetAwaiter() => new(this, _box);
}
