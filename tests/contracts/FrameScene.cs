// A queue whose buffers are in frames or not, with a plain model of what has to come out of it.
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Contracts;

/// <summary>Adds, kicks, uses and takes at random, and compares each answer and each byte.</summary>
internal sealed class FrameScene : IDisposable
{
    private readonly QueueRun _run;
    private readonly QueueFeatures _features;
    private readonly bool _keeps;
    private readonly Random _random;
    private readonly Buffer[] _buffers;
    private readonly Queue<Buffer> _told = [];
    private readonly Queue<Buffer> _added = [];
    private readonly List<(Buffer Buffer, FakeChain Chain)> _held = [];
    private readonly Queue<(Buffer Buffer, uint Claim)> _used = [];

    // What the device waits for, and what was added: in descriptors where the format counts these, in buffers otherwise (2.7.10, 2.8.10).
    private int _position;
    private int _toldPosition;
    private int _wanted;
    private int _rings;
    private ulong _clamped;

    public FrameScene(VirtqueueBackend backend, QueueFeatures features, bool shares, int seed)
    {
        _run = new QueueRun(backend);
        _features = features;
        _keeps = !shares && !features.HasFlag(QueueFeatures.InOrder);
        _random = new Random(seed);
        _buffers = [.. Enumerable.Range(0, Queue.Size).Select(token => new Buffer(_run, (ushort)token))];
        foreach (Buffer buffer in _buffers)
        {
            Queue.SetFrame(buffer.Token, buffer.First, buffer.Last);
        }
        BeginWaiting();
    }

    private Virtqueue Queue => _run.Queue;

    private bool IsPacked => _features.HasFlag(QueueFeatures.Packed);

    private int InFlight => _added.Count + _told.Count + _held.Count + _used.Count;

    private int FreeDescriptors => Queue.Size - _buffers.Sum(buffer => buffer.Descriptors);

    /// <summary>Either side does something.</summary>
    public void Step()
    {
        switch (_random.Next(6))
        {
            case 0 or 1:
                for (int i = _random.Next(1, 5); i > 0; i--)
                {
                    Add();
                }
                break;
            case 2:
                Kick();
                break;
            case 3:
                DeviceWorks();
                break;
            default:
                Take(_random.Next(1, 6));
                break;
        }
        Assert.False(Queue.IsBroken, Queue.BrokenReason);
        Assert.Equal((InFlight, FreeDescriptors), (Queue.InFlight, Queue.FreeDescriptors));
        Assert.Equal((_added.Count != 0, _clamped), (Queue.HasNew, Queue.ClampedLengths));
    }

    /// <summary>Everything comes back.</summary>
    public void Finish()
    {
        while (InFlight != 0)
        {
            Kick();
            DeviceWorks();
            Take(100);
        }
        Assert.Equal(Queue.Size, Queue.FreeDescriptors);
        Assert.False(Queue.TryTakeUsed(out _, out _));
    }

    /// <summary>The device is reset, by its driver or since it broke the ring; all that was in flight is handed out.</summary>
    public void Restart(bool broken)
    {
        if (broken)
        {
            Take(100);
            _run.Backend.DeviceUsesNonsense();
            Assert.True(Queue.TakeUsed().IsNone && Queue.IsBroken);
        }
        List<ushort> detached = _run.Backend.Restart();
        Assert.Equal(
            _buffers.Where(buffer => buffer.Descriptors != 0).Select(buffer => buffer.Token), detached.Order());
        foreach (Buffer buffer in _buffers)
        {
            buffer.Descriptors = 0;
        }
        _added.Clear();
        _told.Clear();
        _held.Clear();
        _used.Clear();
        BeginWaiting();
    }

    /// <inheritdoc/>
    public void Dispose() => _run.Dispose();

    private void BeginWaiting()
    {
        _position = 0;
        _toldPosition = 0;
        _wanted = 0;
        _rings = _run.Backend.Notifications;
        Assert.Empty(_run.Backend.DeviceTakes());
    }

    private void Add()
    {
        Buffer[] idle = [.. _buffers.Where(buffer => buffer.Descriptors == 0)];
        if (idle.Length == 0)
        {
            return;
        }
        // Some tokens are used more often than others, as a driver does.
        Buffer buffer = idle[_random.Next(_random.Next(idle.Length) + 1)];
        int before = Queue.FreeDescriptors;
        bool added = buffer.Add(Queue, _random);
        int needed = _features.HasFlag(QueueFeatures.Indirect) ? 1 : buffer.Pieces;
        Assert.True(added == before >= needed, $"{buffer.Pieces} pieces with {before} descriptors free: {added}");
        if (!added)
        {
            return;
        }
        buffer.Descriptors = before - Queue.FreeDescriptors;
        Assert.True(
            buffer.Descriptors == buffer.Pieces || (buffer.Descriptors == 1 && needed == 1), $"{buffer.Pieces} pieces took {buffer.Descriptors} descriptors");
        _position += IsPacked ? buffer.Descriptors : 1;
        _added.Enqueue(buffer);
    }

    private void Kick()
    {
        Queue.Kick();
        bool wanted = !_features.HasFlag(QueueFeatures.EventIndex) || (_toldPosition <= _wanted && _wanted < _position);
        _rings += wanted && _position != _toldPosition ? 1 : 0;
        Assert.Equal(_rings, _run.Backend.Notifications);
        _toldPosition = _position;
        while (_added.TryDequeue(out Buffer? buffer))
        {
            _told.Enqueue(buffer);
        }
    }

    private void DeviceWorks()
    {
        Kick(); // a device may look before, which is not the business of this scene
        foreach (FakeChain chain in _run.Backend.DeviceTakes())
        {
            Buffer buffer = _told.Dequeue();
            buffer.Check(chain);
            _held.Add((buffer, chain));
        }
        Assert.Empty(_told);
        int ahead = _random.Next(Queue.Size);
        _run.Backend.DeviceAwaits(ahead);
        _wanted = _position + ahead;
        for (int i = _random.Next(_held.Count + 1); i > 0; i--)
        {
            int at = _features.HasFlag(QueueFeatures.InOrder) ? 0 : _random.Next(_held.Count);
            (Buffer buffer, FakeChain chain) = _held[at];
            _held.RemoveAt(at);
            uint claim = _random.Next(4) switch
            {
                0 => (uint)_random.Next((int)chain.WritableLength + 1),
                1 => chain.WritableLength + (uint)_random.Next(3),
                _ => chain.WritableLength,
            };
            buffer.Fill(chain, _random);
            _run.Backend.DeviceUses(chain, claim);
            _used.Enqueue((buffer, claim));
        }
    }

    private void Take(int most)
    {
        bool fast = _random.Next(3) != 0;
        for (int i = 0; i < most; i++)
        {
            uint full = 0;
            bool took = fast && Queue.TryTakeFull(out full);
            if (fast && !took)
            {
                Assert.True(!IsPacked || !IsFullOne(), "a packed ring needs no look before a buffer that is full is taken the fast way");
                bool more = Queue.LookForUsed();
                Assert.Equal(more, Queue.MayHaveMore);
                Assert.True(IsPacked ? more : more == (_used.Count != 0), $"{_used.Count} were used, and a look says {more}");
                took = Queue.TryTakeFull(out full);
                Assert.True(took || !IsFullOne(), "a buffer in a frame, used in full, is not taken the fast way");
            }
            if (took)
            {
                Assert.True(IsFullOne(), $"token {full} is said to be that of a buffer that is full");
                Assert.Equal(full, (uint)End(_used.Dequeue()));
                continue;
            }
            bool any = Queue.TryTakeUsed(out ushort token, out uint written);
            Assert.Equal(_used.Count != 0, any);
            if (!any)
            {
                Assert.Equal((0, 0u, IsPacked), (token, written, Queue.MayHaveMore));
                return;
            }
            (Buffer buffer, uint claim) = _used.Dequeue();
            Assert.Equal((buffer.Token, Math.Min(claim, buffer.Writable)), (token, written));
            _clamped += claim > buffer.Writable ? 1u : 0u;
            End((buffer, claim));
        }
    }

    /// <summary>True when what comes next has to be found by the fast way: where frames stay.</summary>
    private bool IsFullOne() =>
        _keeps && _used.TryPeek(out (Buffer Buffer, uint Claim) next) && next.Buffer.IsFramed
            && next.Claim == next.Buffer.Writable;

    private static int End((Buffer Buffer, uint Claim) used)
    {
        used.Buffer.CheckContent();
        used.Buffer.Descriptors = 0;
        return used.Buffer.Token;
    }

    /// <summary>All that one token names: a frame, and pieces of other buffers.</summary>
    private sealed class Buffer
    {
        private readonly DmaBuffer[] _pieces;
        private DmaBuffer[] _readable = [];
        private DmaBuffer[] _writable = [];
        private byte[] _content = [];
        private byte[] _answer = [];

        public Buffer(QueueRun run, ushort token)
        {
            Token = token;
            First = run.Allocate(new byte[9 + token % 5]);
            Last = run.Allocate(new byte[1 + token % 3]);
            _pieces = [.. Enumerable.Range(0, 4).Select(_ => run.Allocate(new byte[48]))];
        }

        public ushort Token { get; }

        public DmaBuffer First { get; }

        public DmaBuffer Last { get; }

        /// <summary>How many descriptors it takes; 0 while it is not in flight.</summary>
        public int Descriptors { get; set; }

        public bool IsFramed { get; private set; }

        public int Pieces => _readable.Length + _writable.Length;

        public uint Writable => (uint)_writable.Sum(piece => piece.Length);

        public bool Add(Virtqueue queue, Random random)
        {
            IsFramed = random.Next(3) != 0;
            DmaBuffer payload = _pieces[0].Slice(0, (uint)random.Next(1, 49));
            bool isWritable = random.Next(2) == 0;
            if (IsFramed)
            {
                _readable = isWritable ? [First] : [First, payload];
                _writable = isWritable ? [payload, Last] : [Last];
            }
            else
            {
                int count = random.Next(1, Math.Min(4, (int)queue.Size) + 1);
                int readable = random.Next(count + 1);
                DmaBuffer[] pieces = [.. _pieces[..count].Select(piece => piece.Slice((uint)random.Next(8), (uint)random.Next(1, 41)))];
                (_readable, _writable) = (pieces[..readable], pieces[readable..]);
            }
            foreach (DmaBuffer piece in _readable)
            {
                random.NextBytes(piece.Span);
            }
            _content = [.. _readable.SelectMany(piece => piece.Span.ToArray())];
            return IsFramed ? queue.TryAddFramed(Token, payload, isWritable) : queue.TryAdd(_readable, _writable, Token);
        }

        public void Check(FakeChain chain)
        {
            Assert.Equal(_readable.Select(piece => piece.Length), chain.Readable.Select(piece => piece.Length));
            Assert.Equal(_writable.Select(piece => piece.Length), chain.Writable.Select(piece => piece.Length));
            Assert.Equal(_content, chain.Read());
        }

        public void Fill(FakeChain chain, Random random)
        {
            _answer = new byte[chain.WritableLength];
            random.NextBytes(_answer);
            chain.Write(0, _answer);
        }

        public void CheckContent() => Assert.Equal(_answer, _writable.SelectMany(piece => piece.Span.ToArray()));
    }
}
