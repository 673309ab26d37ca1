// Awaiting a block device.
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>Makes block devices awaitable. Requests come from a pool: none is allocated once enough exist.</summary>
public static class AsyncDisk
{
    /// <summary>Reads whole sectors into <paramref name="buffer"/>.</summary>
    public static AsyncBlockRequest ReadAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Read, sector, buffer);

    /// <summary>Writes whole sectors from <paramref name="buffer"/>.</summary>
    public static AsyncBlockRequest WriteAsync(this BlockDevice disk, ulong sector, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.Write, sector, buffer);

    /// <summary>Makes everything written before durable.</summary>
    public static AsyncBlockRequest FlushAsync(this BlockDevice disk) => AsyncBlockRequest.Submit(disk, BlockOperation.Flush, 0, default);

    /// <summary>Reads the device's identification, 20 bytes.</summary>
    public static AsyncBlockRequest GetIdAsync(this BlockDevice disk, in DmaBuffer buffer) =>
        AsyncBlockRequest.Submit(disk, BlockOperation.GetId, 0, buffer);

    /// <summary>Reads sectors into several buffers, or writes from them.</summary>
    public static AsyncBlockRequest SubmitAsync(this BlockDevice disk, BlockOperation operation, ulong sector, ReadOnlySpan<DmaBuffer> buffers) =>
        AsyncBlockRequest.Submit(disk, operation, sector, buffers);
}

/// <summary>A request to await, once; its result is how it ended.</summary>
public sealed class AsyncBlockRequest : BlockRequest
{
    private static AsyncBlockRequest? s_free;

    private AsyncBlockRequest? _next;
    private Action? _continuation;
    private IoStatus _result;

    internal static AsyncBlockRequest Submit(BlockDevice disk, BlockOperation operation, ulong sector, in DmaBuffer buffer)
    {
        AsyncBlockRequest request = Rent();
        request.Prepare(operation, sector, buffer);
        return request.Submit(disk);
    }

    internal static AsyncBlockRequest Submit(BlockDevice disk, BlockOperation operation, ulong sector, ReadOnlySpan<DmaBuffer> buffers)
    {
        AsyncBlockRequest request = Rent();
        request.Prepare(operation, sector, buffers);
        return request.Submit(disk);
    }

    /// <summary>For <c>await</c>.</summary>
    public Awaiter GetAwaiter() => new(this);

    /// <inheritdoc/>
    protected override void OnCompleted()
    {
        _result = Status;
        Action? continuation = _continuation;
        _continuation = null;
        continuation?.Invoke();
    }

    private static AsyncBlockRequest Rent()
    {
        AsyncBlockRequest? request = s_free;
        if (request is null)
        {
            return new AsyncBlockRequest();
        }
        s_free = request._next;
        return request;
    }

    private AsyncBlockRequest Submit(BlockDevice disk)
    {
        _result = IoStatus.InFlight;
        IoStatus status = disk.Submit(this);
        if (status != IoStatus.Ok)
        {
            _result = status;
        }
        return this;
    }

    private IoStatus Take()
    {
        IoStatus result = _result;
        _next = s_free;
        s_free = this;
        return result;
    }

    /// <summary>For <c>await</c>.</summary>
    public readonly struct Awaiter : ICriticalNotifyCompletion
    {
        private readonly AsyncBlockRequest _request;

        internal Awaiter(AsyncBlockRequest request) => _request = request;

        /// <summary>True when the request has ended.</summary>
        public bool IsCompleted => _request._result != IoStatus.InFlight;

        /// <summary>How it ended; the request goes back to the pool.</summary>
        public IoStatus GetResult() => _request.Take();

        /// <inheritdoc/>
        public void OnCompleted(Action continuation) => _request._continuation = continuation;

        /// <inheritdoc/>
        public void UnsafeOnCompleted(Action continuation) => _request._continuation = continuation;
    }
}
