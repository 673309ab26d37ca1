// Every order in which the steps of a driver and of a device can follow each other, on small rings that are about to wrap.
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>
/// Not random: all of them, up to a number of steps. A step is a whole operation of one side; what may happen within one is what the models
/// of the races (tests/model) and the two threads of tests/virtio/queue are for.
/// </summary>
public sealed class InterleavingTests
{
    // Steps as QueueModel decodes them: the kind, and two arguments.
    private const int AddReadable = 0 | 1 << 12;
    private const int AddBoth = 0 | 5 << 12;
    private const int Kick = 3;
    private const int DeviceTakes = 5;
    private const int DeviceUsesFirst = 6;
    private const int Signal = 8;
    private const int Take = 9;
    private const int Enable = 11;
    private const int Disable = 12;
    private const int DeviceSleeps = 13;
    private const int DeviceAsks = 13 | 1 << 4;

    /// <summary>Both formats with what changes the order of things, and with how many steps in a short and in a long search.</summary>
    public static TheoryData<QueueFeatures, int, int, int> Rings
    {
        get
        {
            TheoryData<QueueFeatures, int, int, int> data = [];
            foreach (QueueFeatures format in new[] { QueueFeatures.Split, QueueFeatures.Packed })
            {
                foreach (QueueFeatures wishes in new[] { QueueFeatures.Split, QueueFeatures.EventIndex })
                {
                    foreach (QueueFeatures order in new[] { QueueFeatures.Split, QueueFeatures.InOrder })
                    {
                        data.Add(format | wishes | order, 2, 7, 8);
                        data.Add(format | wishes | order, 4, 6, 8);
                    }
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Rings))]
    public void In_whatever_order_both_sides_take_their_steps_nothing_is_lost_and_nobody_sleeps_for_ever(
        QueueFeatures features, int size, int steps, int stepsOfSoak)
    {
        int depth = Sequences.Scale > 1 ? stepsOfSoak : steps;
        bool packed = features.HasFlag(QueueFeatures.Packed);
        Walk walk = new(features, size, depth);
        // The next buffer takes the last place before the wrap: of the indices of a split ring, of a packed ring itself.
        int rounds = packed ? size - 1 : 0;
        for (int i = 0; i < rounds; i++)
        {
            walk.Go(AddReadable | 31 << 4, Kick, DeviceTakes, DeviceUsesFirst, Take);
        }
        walk.All();
        Assert.True(walk.Done > 1000, $"only {walk.Done} orders were found");
    }

    /// <summary>
    /// Finds all sequences of steps that do something. It counts for itself what each step leads to; what the queue makes of it is the
    /// business of <see cref="QueueModel"/>, which does each of the sequences from the beginning.
    /// </summary>
    private sealed class Walk(QueueFeatures features, int size, int depth)
    {
        private readonly List<int> _steps = [];
        private State _state = new(size, [], [], [], [], HasUnsignalled: false, DriverWish: 0, DeviceWish: 0);
        private int _prefix;

        public int Done { get; private set; }

        private bool IsPacked => features.HasFlag(QueueFeatures.Packed);

        // QueueModel's number for the scene: features, one of its sizes, and a start at 65535 with a split ring.
        private int Setup => (int)features | (size == 4 ? 0 : 2) << 5 | (IsPacked ? 0 : 1 << 8 | 1 << 9);

        /// <summary>Takes steps before all else that leave the ring empty.</summary>
        public void Go(params int[] steps)
        {
            _steps.AddRange(steps);
            _prefix = _steps.Count;
        }

        public void All()
        {
            if (_steps.Count - _prefix == depth)
            {
                Done++;
                QueueModel.Run(new Sequence(Setup, [.. _steps], QueueModel.Describe));
                return;
            }
            State before = _state;
            foreach ((int step, State after) in Next(before).ToArray())
            {
                _state = after;
                _steps.Add(step);
                All();
                _steps.RemoveAt(_steps.Count - 1);
            }
            _state = before;
        }

        private IEnumerable<(int Step, State After)> Next(State now)
        {
            // Adding: one descriptor, or two. Tokens are never used twice in a sequence that is this short.
            int token = _steps.Count - _prefix << 4;
            for (int count = 1; count <= Math.Min(2, now.Free); count++)
            {
                yield return ((count == 1 ? AddReadable : AddBoth) | token, now with { Free = now.Free - count, Added = [.. now.Added, count] });
            }
            if (now.Added.Length > 0)
            {
                yield return (Kick, now with { Added = [], Published = [.. now.Published, .. now.Added] });
            }
            if (now.Published.Length > 0)
            {
                yield return (DeviceTakes, now with { Published = now.Published[1..], Held = [.. now.Held, now.Published[0]], DeviceWish = 3 });
            }
            else if (IsPacked && now.Added.Length > 0)
            {
                yield return (DeviceTakes, now with { Added = now.Added[1..], Held = [.. now.Held, now.Added[0]], DeviceWish = 3 });
            }
            if (now.Held.Length > 0)
            {
                yield return (DeviceUsesFirst, now with { Held = now.Held[1..], Used = [.. now.Used, now.Held[0]], HasUnsignalled = true });
                if (now.Held.Length > 1 && !features.HasFlag(QueueFeatures.InOrder))
                {
                    int last = now.Held.Length - 1;
                    yield return (DeviceUsesFirst | last << 4, now with { Held = now.Held[..last], Used = [.. now.Used, now.Held[last]], HasUnsignalled = true });
                }
            }
            if (now.HasUnsignalled)
            {
                yield return (Signal, now with { HasUnsignalled = false });
            }
            if (now.Used.Length > 0)
            {
                yield return (Take, now with { Free = now.Free + now.Used[0], Used = now.Used[1..], DriverWish = 3 });
            }
            // Wishes, unless they change nothing: 0 asks, 1 refuses, 3 is what was asked for before something else happened.
            if (now.DeviceWish != 0)
            {
                yield return (DeviceAsks, now with { DeviceWish = 0 });
            }
            if (now.DeviceWish != 1)
            {
                yield return (DeviceSleeps, now with { DeviceWish = 1 });
            }
            if (now.DriverWish != 0)
            {
                yield return (Enable, now with { DriverWish = 0 });
            }
            if (now.DriverWish != 1)
            {
                yield return (Disable, now with { DriverWish = 1 });
            }
        }

        private sealed record State(
            int Free, int[] Added, int[] Published, int[] Held, int[] Used, bool HasUnsignalled, int DriverWish, int DeviceWish);
    }
}
