// A request to a block device that is awaited.
using System.Runtime.CompilerServices;
using System.Threading;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>A request to await, once; its result is how it ended.</summary>
public sealed class AsyncBlockRequest : BlockRequest
{
    private static AsyncBlockRequest? s_free;
    private static Action<object?>? s_cancel;

    private AsyncBlockRequest? _next;
    private Action? _continuation;
    private Cancellation? _cancellation;
    private IoStatus _result;
    private bool _isSpecial;

    /// <summary>How a request can be called off; apart, since few need it and all are touched.</summary>
    private sealed class Cancellation
    {
        internal BlockDevice? Disk;
        internal CancellationTokenRegistration Registration;
    }

    internal static AsyncBlockRequest Submit(BlockDevice disk, BlockOperation operation, ulong sector, in DmaBuffer buffer)
    {
        AsyncBlockRequest request = Rent();
        request.Prepare(operation, sector, buffer);
        request.Submit(disk);
        return request;
    }

    internal static AsyncBlockRequest Submit(
        BlockDevice disk, BlockOperation operation, ulong sector, ReadOnlySpan<DmaBuffer> buffers, CancellationToken cancellation, ulong timeout)
    {
        AsyncBlockRequest request = Rent();
        request.Prepare(operation, sector, buffers);
        request.Timeout = timeout;
        request.Submit(disk, cancellation);
        return request;
    }

    internal static AsyncBlockRequest SubmitRange(
        BlockDevice disk, BlockOperation operation, ulong sector, ulong sectors, bool mayUnmap, CancellationToken cancellation)
    {
        AsyncBlockRequest request = Rent();
        request.PrepareRange(operation, sector, sectors, mayUnmap);
        request.Submit(disk, cancellation);
        return request;
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

    private void Submit(BlockDevice disk)
    {
        _result = IoStatus.InFlight;
        IoStatus status = disk.Submit(this);
        if (status != IoStatus.Ok)
        {
            _result = status;
        }
    }

    private void Submit(BlockDevice disk, CancellationToken cancellation)
    {
        _isSpecial = true;
        if (!cancellation.CanBeCanceled)
        {
            Submit(disk);
            return;
        }
        if (cancellation.IsCancellationRequested)
        {
            _result = IoStatus.Cancelled;
            return;
        }
        Submit(disk);
        if (_result == IoStatus.InFlight)
        {
            s_cancel ??= Cancel;
            _cancellation ??= new Cancellation();
            _cancellation.Disk = disk;
            _cancellation.Registration = cancellation.Register(s_cancel, this);
        }
    }

    private static void Cancel(object? state)
    {
        AsyncBlockRequest request = (AsyncBlockRequest)state!;
        request._cancellation!.Disk?.TryCancel(request);
    }

    /// <summary>What only this use of the request had goes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EndSpecial()
    {
        _isSpecial = false;
        Timeout = 0;
        if (_cancellation is not null)
        {
            _cancellation.Disk = null;
            _cancellation.Registration.Dispose();
        }
    }

    private IoStatus Take()
    {
        IoStatus result = _result;
        if (_isSpecial)
        {
            EndSpecial();
        }
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
