// What somebody must have asked of a source of random bytes.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Traces;

/// <summary>Each buffer is a request of its length.</summary>
internal sealed class EntropyPlayer : Player
{
    private readonly EntropySource _source;

    internal EntropyPlayer(Replay replay, EntropySource source)
        : base(replay) => _source = source;

    /// <inheritdoc/>
    internal override Device Device => _source;

    /// <inheritdoc/>
    internal override bool TryStep(TraceEvent next)
    {
        bool any = false;
        foreach (TraceEvent line in next.Words[0] == "avail" ? TakeAvailable().Take(1) : [])
        {
            any = true;
            int length = (int)TracedPiece.Of(line)[0].Length;
            Request request = new();
            request.Prepare(new byte[length], 0, length);
            if (_source.Submit(request) != IoStatus.Ok)
            {
                throw new ReplayMismatchException(line, "the driver refused the request");
            }
        }
        return any;
    }

    private sealed class Request : EntropyRequest
    {
        protected override void OnCompleted()
        {
        }
    }
}
