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
    private Cancellation? _cancellation;
    private bool _isSpecial;

    /// <summary>How a request can be called off; apart, since few need it and all are touched.</summary>
    private sealed class Cancellation
    {
        internal BlockDevice? Disk;
        internal CancellationTokenRegistration Registration;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
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
        // Nobody waits yet: the result stays until somebody does.
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static AsyncBlockRequest Rent()
    {
        AsyncBlockRequest? request = s_free;
        if (request is null)
        {
            return new AsyncBlockRequest();
        }
        Reference.Copy(ref s_free, ref request._next);
        return request;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Return()
    {
        Reference.Copy(ref _next, ref s_free);
        Reference.Set(ref s_free, this);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Submit(BlockDevice disk)
    {
        IoStatus status = disk.Submit(this);
        if (status != IoStatus.Ok)
        {
            NoteRefusal(status);
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
            NoteRefusal(IoStatus.Cancelled);
            return;
        }
        Submit(disk);
        if (Status == IoStatus.InFlight)
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IoStatus Take()
    {
        IoStatus result = Status;
        if (_isSpecial)
        {
            EndSpecial();
        }
        Return();
        return result;
    }

    /// <summary>For <c>await</c>.</summary>
    public readonly struct Awaiter : ICriticalNotifyCompletion
    {
        private readonly Reference.Handle<AsyncBlockRequest> _request;

        internal Awaiter(AsyncBlockRequest request) => _request = new Reference.Handle<AsyncBlockRequest>(request);

        /// <summary>True when the request has ended.</summary>
        public bool IsCompleted => _request.Target.Status != IoStatus.InFlight;

        /// <summary>How it ended; the request goes back to the pool.</summary>
        public IoStatus GetResult() => _request.Target.Take();

        /// <inheritdoc/>
        public void OnCompleted(Action continuation) => Reference.Set(ref _request.Target.Continuation, continuation);

        /// <inheritdoc/>
        public void UnsafeOnCompleted(Action continuation) => Reference.Set(ref _request.Target.Continuation, continuation);
    }
}
