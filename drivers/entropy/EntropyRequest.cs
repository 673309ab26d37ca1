// One request for random bytes, and what becomes of it.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Entropy;

/// <summary>
/// A request. The one who made it derives, fills it, submits it, and leaves it and its array alone until <see cref="OnCompleted"/>, which
/// comes exactly once for each submit that was answered <see cref="IoStatus.Ok"/>; afterwards it can be used again.
/// </summary>
public abstract class EntropyRequest
{
    private byte[]? _into;
    private int _offset;

    /// <summary>How many bytes are wanted.</summary>
    public int Length { get; private set; }

    /// <summary>How many bytes came; all of them when the request ended well, maybe fewer otherwise. The rest of the array means nothing.</summary>
    public int Received { get; private set; }

    /// <summary>How it ended; <see cref="IoStatus.InFlight"/> before.</summary>
    public IoStatus Status { get; private set; }

    /// <summary>Used by the driver that holds the request: the next one waiting.</summary>
    internal EntropyRequest? Next;

    /// <summary>Used by the driver that holds the request: when it was submitted (<see cref="Clock.Now"/>).</summary>
    internal ulong BegunAt;

    /// <summary>Used by the driver that holds the request: how often in a row the device answered without a byte.</summary>
    internal int EmptyAnswers;

    /// <summary>Used by the driver that holds the request: how it will end.</summary>
    internal IoStatus Outcome;

    /// <summary>Where the bytes that are still missing go.</summary>
    internal Span<byte> Missing => new(_into, _offset + Received, Length - Received);

    /// <summary>Prepares the request: <paramref name="length"/> bytes into an array from <paramref name="offset"/> on.</summary>
    public void Prepare(byte[] into, int offset, int length)
    {
        Contract.Require(offset >= 0 && length >= 0 && length <= into.Length - offset, "random bytes were asked for outside their array");
        Contract.Require(Status != IoStatus.InFlight, "a request for random bytes was prepared while it is in flight");
        _into = into;
        _offset = offset;
        Length = length;
    }

    /// <summary>Called from <see cref="Device.Poll"/> or <see cref="Device.Remove"/>, never from a submit. May submit again.</summary>
    protected abstract void OnCompleted();

    /// <summary>Notes that a driver took the request.</summary>
    internal void Begin(ulong now)
    {
        Contract.Require(Status != IoStatus.InFlight, "a request for random bytes was submitted twice");
        Status = IoStatus.InFlight;
        Received = 0;
        EmptyAnswers = 0;
        BegunAt = now;
        Next = null;
    }

    /// <summary>Notes that the first <paramref name="count"/> of <see cref="Missing"/> are there.</summary>
    internal void Receive(int count) => Received += count;

    /// <summary>Ends the request; the driver calls this exactly once.</summary>
    internal void Complete(IoStatus status)
    {
        Contract.Require(Status == IoStatus.InFlight, "a request for random bytes was completed twice");
        Status = status;
        OnCompleted();
    }
}
