// Seeds the kernel's generator from the entropy devices there are, at first as soon as one comes, then now and then.
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Entropy;

/// <summary>
/// It sits in the device table to be called by the run loop, and is no device: it has nothing to be removed. In each round every source is
/// asked for one seed, one source after the other.
/// </summary>
internal sealed class EntropyFeeder : Device
{
    private const int SeedLength = 64;
    private const ulong Interval = 300_000_000_000;
    private const ulong RetryInterval = 10_000_000_000;
    private const ulong MaxBytesBetween = 1 << 20;

    private readonly RandomGenerator _generator;
    private readonly DeviceTable _devices;
    private readonly Clock _clock;
    private readonly byte[] _seed = new byte[SeedLength];
    private readonly SeedRequest _request;
    private ulong _changes;
    private ulong _next; // the first round begins with the first look at the clock
    private ulong _roundBegan;
    private int _place;
    private bool _isAsking;

    internal EntropyFeeder(RandomGenerator generator, DeviceTable devices, Clock clock)
    {
        _generator = generator;
        _devices = devices;
        _clock = clock;
        _request = new SeedRequest(this);
        Name = "entropy";
        NextDeadline = _next;
    }

    /// <summary>True when there is a device to ask.</summary>
    internal bool HasSource
    {
        get
        {
            bool has = false;
            for (int i = 0; i < _devices.Count; i++)
            {
                has |= _devices[i] is EntropySource;
            }
            return has;
        }
    }

    /// <summary>How many seeds came from devices.</summary>
    internal ulong SeedsFromDevices { get; private set; }

    /// <summary>Called when a round begins: what the processor has is asked as well.</summary>
    internal Action? OnRound { get; set; }

    /// <inheritdoc/>
    public override void Poll()
    {
        if (_changes != _devices.Changes || _generator.BytesSinceSeed >= MaxBytesBetween)
        {
            Look();
        }
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        if (!_isAsking)
        {
            BeginRound(now);
        }
    }

    /// <inheritdoc/>
    public override void Remove()
    {
        _next = ulong.MaxValue;
        NextDeadline = ulong.MaxValue;
    }

    /// <summary>A device that comes is asked at once as long as none was; much that was given out asks for a new seed.</summary>
    private void Look()
    {
        if (_isAsking)
        {
            return;
        }
        bool isNew = _changes != _devices.Changes && SeedsFromDevices == 0;
        _changes = _devices.Changes;
        if (isNew || _generator.BytesSinceSeed >= MaxBytesBetween && _next != 0 && _clock.Now - _roundBegan >= RetryInterval)
        {
            BeginRound(_clock.Now);
        }
    }

    private void BeginRound(ulong now)
    {
        _roundBegan = now;
        _changes = _devices.Changes;
        _next = now + Interval;
        _place = 0;
        OnRound?.Invoke();
        AskNext();
    }

    /// <summary>Asks the next source that takes a request. The table may have changed since the last one: a source may be asked twice or not.</summary>
    private void AskNext()
    {
        while (_place < _devices.Count)
        {
            if (_devices[_place++] is EntropySource source)
            {
                _isAsking = true;
                _request.Prepare(_seed, 0, SeedLength);
                if (source.Submit(_request) == IoStatus.Ok)
                {
                    NextDeadline = ulong.MaxValue;
                    return;
                }
                _isAsking = false;
            }
        }
        NextDeadline = _next;
    }

    private void OnSeed(IoStatus status)
    {
        _isAsking = false;
        if (status == IoStatus.Ok && _generator.MixSeed(_seed))
        {
            SeedsFromDevices++;
        }
        else if (status != IoStatus.Ok)
        {
            // What came before the failure does no harm either.
            _generator.Mix(new ReadOnlySpan<byte>(_seed, 0, _request.Received));
            _next = Math.Min(_next, _clock.Now + RetryInterval);
        }
        new Span<byte>(_seed).Clear();
        AskNext();
    }

    private sealed class SeedRequest : EntropyRequest
    {
        private readonly EntropyFeeder _feeder;

        internal SeedRequest(EntropyFeeder feeder) => _feeder = feeder;

        protected override void OnCompleted() => _feeder.OnSeed(Status);
    }
}
