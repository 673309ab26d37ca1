// A virtqueue as simple as it can be said: lists, and counters that never wrap.
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>
/// Does each step on a real queue with a fake device at its other side, and compares everything that can be seen with what the model says:
/// tokens, lengths, bytes, room, doorbells, interrupts.
/// </summary>
internal sealed partial class QueueModel : IDisposable
{
    private const uint AreaLength = 1024;
    private const uint PieceLength = 16;
    private const int Tokens = 32;
    private const long Never = -1;
    private const long Always = -2;

    private readonly FakeVirtqueueBackend _backend;
    private readonly QueueFeatures _features;
    private readonly int _size;
    private readonly DmaBuffer _memory;

    // What is in flight, what the device holds, and what it has used, in order.
    private readonly Dictionary<ushort, Buffer> _inFlight = [];
    private readonly List<(FakeChain Chain, Buffer Buffer)> _held = [];
    private readonly Queue<Buffer> _added = [];
    private readonly Queue<(Buffer Buffer, uint Written)> _used = [];

    // Positions since the beginning: buffers with a split ring, descriptors with a packed one.
    private long _addedAt;
    private long _toldAt;
    private long _deviceAt;
    private long _usedAt;
    private long _signalledAt;
    private long _takenAt;

    // Who wants to hear of what: a position, Never, or Always.
    private long _deviceWish;
    private long _driverWish;

    private int _notifications;
    private int _signals;
    private ulong _clamped;
    private byte _stamp;
    private bool _lied;

    /// <summary>Opens the queue that a number names.</summary>
    public QueueModel(int setup)
    {
        (_features, _size, ushort start) = Decode(setup);
        _backend = new FakeVirtqueueBackend((ushort)_size, _features.Bits());
        Assert.True(_backend.Dma.TryAllocate(Tokens * AreaLength, 64, out _memory));
        if (start != 0)
        {
            RingStart.At(_backend, start);
        }
        Begin();
    }

    private bool IsPacked => _features.HasFlag(QueueFeatures.Packed);

    private bool HasEventIndex => _features.HasFlag(QueueFeatures.EventIndex);

    private bool IsInOrder => _features.HasFlag(QueueFeatures.InOrder);

    private int Free => _size - _inFlight.Values.Sum(buffer => buffer.Descriptors);

    /// <summary>Runs a sequence to its end, and then everything in flight.</summary>
    public static void Run(Sequence sequence)
    {
        using QueueModel model = new(sequence.Setup);
        foreach (int step in sequence.Steps)
        {
            model.Do(step & 15, step >> 4 & 0xFF, step >> 12);
        }
        model.Finish();
    }

    /// <summary>For people: the first line of a sequence, and one for each step.</summary>
    public static string Describe(int setup, int step)
    {
        (QueueFeatures features, int size, ushort start) = Decode(setup);
        return $"{features}, size {size}, start {start}: {Names[step & 15]} {step >> 4 & 0xFF} {step >> 12}";
    }

    /// <summary>Looks for broken rules, and ends the fake machine.</summary>
    public void Dispose() => _backend.End();

    private static readonly string[] Names =
    [
        "add", "add", "add", "kick", "device takes all", "device takes one", "device uses", "device uses a batch", "signal", "take", "take",
        "enable interrupts", "disable interrupts", "device wish", "restart", "lie",
    ];

    private static (QueueFeatures Features, int Size, ushort Start) Decode(int setup)
    {
        QueueFeatures features = (QueueFeatures)(setup & 31);
        int[] sizes = features.HasFlag(QueueFeatures.Packed) ? [4, 1, 2, 3, 5, 8, 17, 32] : [4, 1, 2, 8, 16, 32, 2, 4];
        bool wraps = !features.HasFlag(QueueFeatures.Packed) && (setup >> 8 & 1) != 0;
        return (features, sizes[setup >> 5 & 7], wraps ? (ushort)(65536 - (setup >> 9 & 15)) : (ushort)0);
    }

    private void Begin()
    {
        _addedAt = _toldAt = _deviceAt = _usedAt = _signalledAt = _takenAt = 0;
        _deviceWish = HasEventIndex && !IsPacked ? 0 : Always;
        _driverWish = HasEventIndex && !IsPacked ? 0 : Always;
        _lied = false;
    }

    private void Do(int kind, int a, int b)
    {
        switch (kind)
        {
            case 0 or 1 or 2:
                Add((ushort)(a % Tokens), b);
                break;
            case 3:
                Kick(again: a % 8 == 7);
                break;
            case 4:
                DeviceTakes();
                break;
            case 5:
                DeviceTakesOne();
                break;
            case 6 when _held.Count > 0:
                Use(IsInOrder ? 0 : a % _held.Count, b);
                break;
            case 7 when _held.Count > 0 && IsInOrder:
                UseBatch(1 + a % _held.Count, b);
                break;
            case 8:
                Signal();
                break;
            case 9 or 10:
                Take();
                break;
            case 11:
                Enable();
                break;
            case 12:
                Disable();
                break;
            case 13:
                Wish(a);
                break;
            case 14 when a % 8 == 0 || _lied:
                Restart();
                break;
            case 15 when a % 8 == 0 && _held.Count > 0 && !_lied: // elsewhere the driver would overwrite it before it looks
                _backend.DeviceUsesNonsense();
                _lied = true;
                break;
        }
        Compare();
    }

    private void Add(ushort token, int shape)
    {
        if (_inFlight.ContainsKey(token))
        {
            return;
        }
        int many = (shape & 0x30) == 0x30 ? 6 : 1;
        int readable = Math.Min((shape & 3) * many, _size);
        int writable = Math.Min((shape >> 2 & 3) * many, _size - readable);
        if (readable + writable == 0)
        {
            readable = 1;
        }
        DmaBuffer area = _memory.Slice(token * AreaLength, AreaLength);
        area.Span.Fill(++_stamp);
        DmaBuffer[] read = [.. Enumerable.Range(0, readable).Select(i => area.Slice((uint)i * PieceLength, PieceLength))];
        DmaBuffer[] write = [.. Enumerable.Range(readable, writable).Select(i => area.Slice((uint)i * PieceLength, PieceLength))];
        int pieces = readable + writable;
        int free = Free;
        bool fits = pieces <= free || (_features.HasFlag(QueueFeatures.Indirect) && pieces <= 16 && free > 0);
        bool refuses = _backend.Queue.IsBroken;
        Assert.Equal(fits && !refuses, _backend.Queue.TryAdd(read, write, token));
        if (!fits || refuses)
        {
            return;
        }
        int descriptors = free - _backend.Queue.FreeDescriptors;
        bool isTable = _features.HasFlag(QueueFeatures.Indirect) && pieces > 1 && descriptors == 1;
        Assert.True(isTable || descriptors == pieces, $"{pieces} pieces took {descriptors} descriptors");
        Buffer buffer = new(token, descriptors, (uint)readable * PieceLength, (uint)writable * PieceLength, _stamp, area);
        _inFlight.Add(token, buffer);
        _added.Enqueue(buffer);
        _addedAt += IsPacked ? descriptors : 1;
    }

    private void Kick(bool again)
    {
        int before = _notifications;
        if (!_backend.Queue.IsBroken)
        {
            bool wanted = _deviceWish == Always || (_deviceWish >= _toldAt && _deviceWish < _addedAt);
            _notifications += wanted && _addedAt > _toldAt ? 1 : 0;
            _notifications += again ? 1 : 0;
        }
        bool isVague = IsVague(_deviceWish, _toldAt, _addedAt);
        if (!_backend.Queue.IsBroken)
        {
            _toldAt = _addedAt;
        }
        if (again)
        {
            _backend.Queue.KickAgain();
        }
        else
        {
            _backend.Queue.Kick();
        }
        if (isVague)
        {
            Assert.InRange(_backend.Notifications, before, before + 2);
            _notifications = _backend.Notifications;
        }
    }

    private void Take()
    {
        bool taken = _backend.Queue.TryTakeUsed(out ushort token, out uint written);
        if (!taken && (_lied || _backend.Queue.IsBroken))
        {
            Assert.True(_backend.Queue.IsBroken, "a lie was read and not noticed");
            return;
        }
        Assert.Equal(_used.Count > 0, taken);
        if (!taken)
        {
            return;
        }
        (Buffer buffer, uint claimed) = _used.Dequeue();
        uint right = Math.Min(claimed, buffer.Writable);
        _clamped += claimed > buffer.Writable ? 1ul : 0;
        Assert.Equal((buffer.Token, right), (token, written));
        ReadOnlySpan<byte> area = buffer.Area.Span.Slice((int)buffer.Readable, (int)buffer.Writable);
        Assert.True(!area[..(int)right].ContainsAnyExcept((byte)~buffer.Stamp), "other bytes than the device wrote");
        Assert.True(!area[(int)right..].ContainsAnyExcept(buffer.Stamp), "bytes changed that the device did not write");
        _inFlight.Remove(token);
        _takenAt += IsPacked ? buffer.Descriptors : 1;
    }

    private void Enable()
    {
        bool enabled = _backend.Queue.TryEnableInterrupts();
        if (_lied)
        {
            return;
        }
        Assert.Equal(_used.Count == 0, enabled);
        _driverWish = HasEventIndex ? _takenAt : Always;
    }

    private void Disable()
    {
        _backend.Queue.DisableInterrupts();
        _driverWish = HasEventIndex && !IsPacked ? _takenAt - 1 : Never;
    }

    private void Restart()
    {
        List<ushort> tokens = _backend.Restart();
        Assert.Equal(_inFlight.Keys.Order(), tokens.Order());
        _inFlight.Clear();
        _held.Clear();
        _added.Clear();
        _used.Clear();
        Begin();
        _backend.Queue.TakeInterrupt();
        Assert.False(_backend.Queue.IsBroken);
    }

    private void Compare()
    {
        Assert.Equal((_inFlight.Count, Free), (_backend.Queue.InFlight, _backend.Queue.FreeDescriptors));
        Assert.Equal((_notifications, _signals, _clamped), (_backend.Notifications, _backend.Signals, _backend.Queue.ClampedLengths));
        Assert.Equal((ulong)_notifications, _backend.Queue.Notifications);
        Assert.True(_lied || !_backend.Queue.IsBroken, $"broken without a lie: {_backend.Queue.BrokenReason}");
    }

    /// <summary>Whatever happened before: everything in flight comes back, and none is forgotten.</summary>
    private void Finish()
    {
        if (_lied)
        {
            Restart();
        }
        Kick(again: false);
        DeviceTakes();
        while (_held.Count > 0)
        {
            Use(0, 0);
        }
        while (_used.Count > 0)
        {
            Take();
        }
        Take();
        Compare();
        Assert.Equal((0, _size), (_backend.Queue.InFlight, _backend.Queue.FreeDescriptors));
        _backend.Reset();
        _backend.Dma.Free(_memory);
        _backend.CheckLeftOver();
    }

    private sealed record Buffer(ushort Token, int Descriptors, uint Readable, uint Writable, byte Stamp, DmaBuffer Area);
}
