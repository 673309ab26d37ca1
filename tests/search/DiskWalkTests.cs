// Random walks of a disk whose device breaks, is late, holds back and resizes, with callers who submit and call off from where requests end.
using System.Reflection;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Block;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>
/// After each step: whoever waits, waits for something, and somebody looks at the clock; a suspect is alone with the device (decision 18), and the
/// short way is open exactly when it may be. A break ends one request with an error at most, and each request ends once.
/// </summary>
public sealed class DiskWalkTests
{
    private const int Walks = 300;

    [Theory]
    [InlineData(64, 1, true)]
    [InlineData(8, 1, false)]
    [InlineData(8, 3, true)]
    [InlineData(8, 3, false)]
    public void Whatever_breaks_nobody_waits_for_nothing_and_suspects_are_alone(int size, int queues, bool hasTables)
    {
        for (int seed = 0; seed < Math.Max(10, Walks * Sequences.Scale); seed++)
        {
            using Walk walk = new(size, queues, hasTables, seed);
            try
            {
                walk.Go();
            }
            catch (Exception exception)
            {
                string story = string.Join('\n', walk.Story.TakeLast(25));
                throw new InvalidOperationException($"seed {seed}: {exception.Message}\n{story}", exception);
            }
        }
    }

    /// <summary>One walk.</summary>
    private sealed class Walk : DiskScene
    {
        private const int Steps = 150;
        private const int MostRequests = 24;
        private const ulong Millisecond = 1_000_000;

        private readonly Random _random;
        private readonly int _queues;
        private readonly List<TestRequest> _live = [];
        private int _errors;
        private bool _isClosing;

        public Walk(int size, int queues, bool hasTables, int seed)
            : base(new FakeBlockDevice(256, queueSize: (ushort)size, queues: (ushort)queues))
        {
            _random = new Random(seed);
            _queues = queues;
            Device.OfferedFeatures &= hasTables ? ulong.MaxValue : ~FakeVirtioDevice.IndirectDescriptors;
            Device.OfferedFeatures |= _random.Next(3) == 0 ? FakeVirtioDevice.RingPacked : 0;
            Device.Limit(segMax: 2, sizeMax: 1024);
            Device.HoldsBack = true;
            Disk.MaxRecoveries = int.MaxValue;
            Disk.RequestTimeout = 300 * Millisecond;
            Disk.Listener = new Listener(this);
        }

        public List<string> Story { get; } = [];

        private bool IsAlone => Field<bool>("_oneByOne");

        private bool Waits => Field<BlockRequest?>("_firstWaiting") is not null;

        public void Go()
        {
            for (int i = 0; i < Steps; i++)
            {
                Step();
                Look();
                Check();
            }
            if (_random.Next(3) == 0)
            {
                _isClosing = true;
                Disk.Remove();
                Assert.Empty(_live);
                return;
            }
            _isClosing = true;
            Device.HoldsBack = false;
            Device.CompleteAll();
            for (int i = 0; i < 400 && _live.Count > 0; i++)
            {
                Disk.Poll();
                Machine.FakeClock.Advance(5 * Millisecond);
                Look();
            }
            Assert.Empty(_live);
            Assert.Equal((0, false), (Disk.PartsInFlight, IsAlone));
            Check();
        }

        private void Step()
        {
            switch (_random.Next(14))
            {
                case < 4:
                    SubmitSome(_random.Next(1, 3));
                    Disk.Kick();
                    break;
                case < 8:
                    for (int count = _random.Next(1, 4); count > 0 && Device.HeldBack.Count > 0; count--)
                    {
                        Device.Complete(_random.Next(Device.HeldBack.Count));
                    }
                    Disk.Poll();
                    break;
                case 8:
                    Break("the device asks for a reset", Device.AskForReset);
                    break;
                case 9:
                    if (Device.HeldBack.Count > 0 && _random.Next(2) == 0)
                    {
                        Device.Complete(0);
                    }
                    Break("the device breaks a ring", () => Device.Queues[_random.Next(_queues)].PushUsed(0xFFFF, 0));
                    break;
                case 10:
                    CallOffOne();
                    Disk.Kick();
                    break;
                case 11:
                    Machine.FakeClock.Advance((ulong)_random.Next(1, 120) * Millisecond);
                    break;
                case 12:
                    Device.CompleteAll(_random.Next(2) == 0);
                    Disk.Poll();
                    break;
                default:
                    Device.SetCapacity((ulong)_random.Next(240, 257));
                    break;
            }
        }

        private void Break(string how, Action breaks)
        {
            bool isAlone = IsAlone;
            Story.Add($"{how}, one by one: {isAlone}");
            _errors = 0;
            breaks();
            Disk.Poll();
            Assert.True(_errors <= (isAlone ? 1 : 0), $"{_errors} requests ended with an error");
        }

        private void Look()
        {
            if (Machine.Clock.Now >= Disk.NextDeadline)
            {
                Story.Add("a look at the clock");
                Disk.OnDeadline(Machine.Clock.Now);
            }
            Machine.Run();
        }

        private void Check()
        {
            Assert.True(!Waits || Disk.PartsInFlight > 0, "somebody waits for nothing");
            Assert.True(!IsAlone || Disk.PartsInFlight > 0, "one by one with nothing in flight");
            Assert.True((!Waits && Disk.PartsInFlight == 0) || Disk.NextDeadline != ulong.MaxValue, "nobody looks at the clock");
            bool isOpen = (int)Field<BlockOperation>("_lastPlain") >= 0;
            Assert.True(isOpen == (!Waits && !IsAlone && Disk.NextDeadline != ulong.MaxValue), $"the short way is open: {isOpen}");
            if (IsAlone)
            {
                Assert.True(Assert.Single(InFlight()).IsSuspect, "who is alone with the device is no suspect");
            }
        }

        private HashSet<BlockRequest> InFlight()
        {
            HashSet<BlockRequest> requests = [];
            foreach (VirtioBlkQueue queue in Field<VirtioBlkQueue[]>("_queues"))
            {
                for (int i = 0; queue.TryLook(i, out BlockRequest? request, out _); i++)
                {
                    if (request is not null)
                    {
                        requests.Add(request);
                    }
                }
            }
            return requests;
        }

        private void SubmitSome(int count)
        {
            for (; count > 0 && _live.Count <= MostRequests; count--)
            {
                TestRequest request = new() { Then = OnEnd, Timeout = _random.Next(6) == 0 ? (ulong)_random.Next(1, 200) * Millisecond : 0 };
                int what = _random.Next(10);
                uint sectors = what < 5 ? 1u : (uint)_random.Next(1, 24);
                if (what == 9)
                {
                    request.Prepare(BlockOperation.Flush, 0, default(DmaBuffer));
                }
                else
                {
                    BlockOperation operation = what % 2 == 0 ? BlockOperation.Read : BlockOperation.Write;
                    request.Prepare(operation, (ulong)_random.Next(200), Allocate(sectors * 512));
                }
                Submit(request);
            }
        }

        private void Submit(TestRequest request)
        {
            _live.Add(request);
            IoStatus status = Disk.Submit(request);
            Story.Add($"{request.Operation} {request.Sector} is submitted: {status}");
            if (status != IoStatus.Ok)
            {
                // A flush that can promise nothing after a reset is refused, once.
                Assert.Equal(BlockOperation.Flush, request.Operation);
                _live.Remove(request);
            }
        }

        private void OnEnd(TestRequest request)
        {
            Story.Add($"{request.Operation} {request.Sector} ends: {request.Status}");
            Assert.True(_live.Remove(request), "a request ended twice");
            _errors += request.Status == IoStatus.DeviceError && request.Operation != BlockOperation.Flush ? 1 : 0;
            if (_isClosing)
            {
                return;
            }
            switch (_random.Next(6))
            {
                case < 2:
                    Submit(request);
                    break;
                case 2:
                    SubmitSome(2);
                    break;
                case 3:
                    CallOffOne();
                    break;
            }
        }

        private void CallOffOne()
        {
            if (_live.Count > 0)
            {
                TestRequest request = _live[_random.Next(_live.Count)];
                Story.Add($"{request.Operation} {request.Sector} is called off");
                Story.Add($"which is answered: {Disk.TryCancel(request)}");
            }
        }

        private T Field<T>(string name) => (T)typeof(VirtioBlk).GetField(name, BindingFlags.NonPublic | BindingFlags.Instance)!.GetValue(Disk)!;

        private sealed class Listener(Walk walk) : BlockListener
        {
            public override void OnResized(BlockDevice disk)
            {
                if (!walk._isClosing)
                {
                    walk.SubmitSome(2);
                }
            }
        }
    }
}
