// A trace replayed against the driver: the device's part is played as it was recorded, the driver's part is compared.
using System.Text;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Backends;
using VirtioSharp.Tests.Fakes;

namespace VirtioSharp.Tests.Traces;

/// <summary>
/// The driver that runs is traced as the recorded one was, and each line that it causes has to be the next one of the trace. What the
/// device did in between is done where it stands. Memory is compared by what belongs together, not by address.
/// </summary>
internal sealed partial class Replay : IDisposable
{
    private readonly TraceEvent[] _events;
    private readonly Dictionary<string, string> _answers = [];
    private readonly ReplayPlaces _places = new();
    private readonly DeviceTrace _trace;
    private readonly int _maxRecoveries;
    private int _at;
    private int _given;
    private int _repeated;
    private int _allocations;
    private bool _broke;
    private bool _isPolling;

    private Replay(TraceEvent[] events, int maxRecoveries)
    {
        _events = events;
        _maxRecoveries = maxRecoveries;
        TestContract.Use();
        string[] first = events.Length == 0 ? [] : events[0].Words;
        if (first.Length < 5 || first[0] != "trace" || first[1] != DeviceTrace.Version.ToString())
        {
            throw new ReplayMismatchException(events.FirstOrDefault(), "a trace of version " + DeviceTrace.Version + " begins with `trace`");
        }
        ushort type = (ushort)TraceEvent.Number(first[4]);
        Memory = new ReplayDma(this);
        IsMmio = first[2] == "mmio";
        _trace = new DeviceTrace(new Listener(this), Clock, "here", first[2], type, TestDrivers.All().Find(type));
        Run();
    }

    /// <summary>How many questions of the recorded driver this one did not ask.</summary>
    internal int LeftOut { get; private set; }

    /// <summary>How many questions this driver asked that the recorded one had not; answered as the last time.</summary>
    internal int Added { get; private set; }

    /// <summary>How often the recorded device must have wished something else than was seen: it is faster than who writes it down.</summary>
    internal int Raced { get; private set; }

    /// <summary>How many lines were compared.</summary>
    internal int Compared { get; private set; }

    internal ReplayDma Memory { get; }

    internal ReplayClock Clock { get; } = new();

    internal Dictionary<ushort, InterruptHandler> Handlers { get; } = [];

    /// <summary>True while a handler runs.</summary>
    internal bool IsInterrupting { get; private set; }

    /// <summary>What a handler finds when it asks why.</summary>
    internal uint InterruptStatus { get; private set; }

    private bool IsMmio { get; }

    /// <summary>
    /// Replays a trace to its end; throws where the driver parts from it. <paramref name="maxRecoveries"/>: how often the driver may begin
    /// anew with a device that broke, which is not in a trace.
    /// </summary>
    internal static Replay Of(TraceEvent[] events, int maxRecoveries = 3)
    {
        using Replay replay = new(events, maxRecoveries);
        return replay;
    }

    /// <inheritdoc/>
    public void Dispose() => Memory.Dispose();

    internal string NameOf(int bar, ulong offset)
    {
        TraceText text = new();
        _trace.Name(text, bar, offset);
        return Encoding.ASCII.GetString(text.Bytes);
    }

    /// <summary>Answers a question of the driver from the trace.</summary>
    internal string Ask(string key, bool mayBeLeftOut)
    {
        int passed = 0;
        for (int i = _at; i < _events.Length; i++)
        {
            TraceEvent next = _events[i];
            if (next.Key == key && next.Kind is TraceKind.Question or TraceKind.Request && next.Key == key)
            {
                LeftOut += passed;
                _answers[key] = next.Value;
                _repeated = 0;
                MoveTo(i + 1);
                Progress();
                return next.Value;
            }
            if (next.Words[0] == "same" && i > 0 && _events[i - 1].Key == key && _repeated < (int)TraceEvent.Number(next.Words[1]))
            {
                _repeated++;
                return _answers[key];
            }
            if (next.Kind is not (TraceKind.Question or TraceKind.Selector or TraceKind.Information))
            {
                break;
            }
            passed += next.Kind == TraceKind.Question ? 1 : 0;
        }
        if (mayBeLeftOut && _answers.TryGetValue(key, out string? last))
        {
            Added++;
            return last;
        }
        throw new ReplayMismatchException(NextOfDriver(), $"the driver asks `{key}`");
    }

    /// <summary>False when the allocation of this number failed.</summary>
    internal bool MayAllocate()
    {
        int number = _allocations++;
        TraceEvent? line = _events.Where(line => line.Words[0] == "alloc").Skip(number).FirstOrDefault();
        return line is null || line.Words[1] != "none";
    }

    internal bool TryAttach(ushort vector, InterruptHandler handler)
    {
        bool attached = Ask($"attach {vector}", mayBeLeftOut: false) == "yes";
        if (attached)
        {
            Handlers[vector] = handler;
        }
        return attached;
    }

    /// <summary>The lines from the next one on.</summary>
    internal ReadOnlySpan<TraceEvent> Rest => _events.AsSpan(_at);

    /// <summary>The number of the next line among those of the device.</summary>
    internal int At => _at;

    /// <summary>The name of what was allocated last, here.</summary>
    internal string LastMemory { get; private set; } = "";

    /// <summary>Says that memory of the application has one name there and another here.</summary>
    internal void NameMemory(string there, string here) => _places.Name(there, here);

    /// <summary>All lines.</summary>
    internal IReadOnlyList<TraceEvent> Events => _events;

    /// <summary>Lets what the driver did to memory be compared now.</summary>
    internal void Look() => _trace.Look();

    /// <summary>The driver did something, and here is its line.</summary>
    private void OnSaid(string line)
    {
        // The mark, the number and the time come first.
        TraceEvent said = new(line.Split(" ; ", 2)[0].Split(' ', 4)[3]);
        if (said.Words[0] == "alloc")
        {
            LastMemory = said.Words[1];
        }
        if (said.Kind is not (TraceKind.Driver or TraceKind.Used))
        {
            return;
        }
        while (_at < _events.Length && _events[_at].Kind is TraceKind.Question or TraceKind.Selector or TraceKind.Information)
        {
            LeftOut += _events[_at].Kind == TraceKind.Question ? 1 : 0;
            MoveTo(_at + 1);
            Progress();
        }
        if (_at == _events.Length)
        {
            return; // recording ended in the middle of something
        }
        TraceEvent expected = _events[_at];
        if (!_places.IsSame(expected, said))
        {
            throw new ReplayMismatchException(expected, $"the driver did `{said.Text}`");
        }
        Compared++;
        MoveTo(_at + 1);
        _player?.OnCompared(expected);
        Progress();
    }

    private void MoveTo(int at)
    {
        _at = at;
        _given = Math.Max(_given, at);
        Clock.Reach(_events[at - 1].Time);
    }

    /// <summary>Does what the device did next, until it is the driver's turn.</summary>
    private void Progress()
    {
        while (_at < _events.Length)
        {
            TraceEvent next = _events[_at];
            switch (next.Kind)
            {
                case TraceKind.Information when next.Words[0] != "same":
                case TraceKind.Selector:
                    MoveTo(_at + 1);
                    continue;
                case TraceKind.Want:
                    MoveTo(_at + 1);
                    _trace.QueueAt((int)TraceEvent.Number(next.Words[1]))?.PutWant((uint)TraceEvent.Number(next.Words[2]));
                    continue;
                case TraceKind.Interrupt:
                    MoveTo(_at + 1);
                    Interrupt(next);
                    continue;
                case TraceKind.Wrong:
                    _broke = true;
                    if (_at >= _given)
                    {
                        GiveWrong(next);
                    }
                    MoveTo(_at + 1);
                    continue;
                case TraceKind.Used:
                    Give(_at);
                    break;
                case TraceKind.Driver when _isPolling && next.Words[0] == "avail":
                    GiveBehind();
                    break;
            }
            break;
        }
        SetWants();
    }

    /// <summary>
    /// Puts all buffers into a ring that were used in a row: a driver takes as many as there are. An entry behind them that breaks the ring was
    /// there as well, unless the driver wished something in between.
    /// </summary>
    private void Give(int from)
    {
        for (int i = from; i < _events.Length; i++)
        {
            TraceEvent next = _events[i];
            bool isUsedHere = next.Kind == TraceKind.Used && next.Words[1] == _events[from].Words[1];
            bool isWrongEntry = next.Kind == TraceKind.Wrong && next.Words[1] == _events[from].Words[1] && next.Words[3] == "0x1";
            if (isUsedHere && i >= _given)
            {
                Give(next);
            }
            else if (isWrongEntry && _trace.QueueAt((int)TraceEvent.Number(next.Words[1])) is TracedSplitQueue)
            {
                GiveWrong(next);
                _given = i + 1;
                break;
            }
            else if (!isUsedHere && next.Kind is not (TraceKind.Interrupt or TraceKind.Want or TraceKind.Information))
            {
                break;
            }
            _given = Math.Max(_given, i + 1);
        }
    }

    /// <summary>
    /// A packed ring has buffers as soon as they are added, but they are seen only when the driver comes by again, and before that it may look
    /// at another queue.
    /// </summary>
    private void GiveBehind()
    {
        int at = _at;
        while (at < _events.Length && (_events[at].Words[0] == "avail" || _events[at].Kind == TraceKind.Information))
        {
            at++;
        }
        if (at == _events.Length || _events[at].Kind != TraceKind.Used)
        {
            return;
        }
        bool isElsewhere = _events.Skip(_at).Take(at - _at).All(line => line.Words[1] != _events[at].Words[1]);
        if ((isElsewhere || _player!.LendsAtOnce(_events[at].Words[1])) && _trace.QueueAt((int)TraceEvent.Number(_events[at].Words[1])) is TracedPackedQueue)
        {
            Give(at);
        }
    }

    private void Give(TraceEvent used)
    {
        int index = (int)TraceEvent.Number(used.Words[1]);
        uint chain = TraceEvent.Chain(used.Words[2]);
        TracedQueue? queue = _trace.QueueAt(index);
        if (queue is null || !queue.TryGetId(chain, out uint id))
        {
            throw new ReplayMismatchException(used, "the device never had this buffer");
        }
        uint total = 0;
        for (int i = 0; _trace.TryGetWritable(index, chain, i, out DmaBuffer piece); i++)
        {
            total += piece.Length;
            string content = used.Words.Length > 5 + i ? used.Words[5 + i] : "";
            if (content.StartsWith('='))
            {
                byte[] bytes = Convert.FromHexString(content.AsSpan(1));
                bytes.AsSpan(0, Math.Min(bytes.Length, (int)piece.Length)).CopyTo(piece.Span);
            }
        }
        queue.PutUsed(id, used.Words[4] == "none" ? total : (uint)TraceEvent.Number(used.Words[4]));
    }

    private void GiveWrong(TraceEvent wrong) => _trace.QueueAt((int)TraceEvent.Number(wrong.Words[1]))?.PutWrong(
        (uint)TraceEvent.Number(wrong.Words[3]), (uint)TraceEvent.Number(wrong.Words[5]), (uint)TraceEvent.Number(wrong.Words[7]));

    private void Interrupt(TraceEvent irq)
    {
        if (!Handlers.TryGetValue((ushort)TraceEvent.Number(irq.Words[1]), out InterruptHandler? handler))
        {
            throw new ReplayMismatchException(irq, "the driver has nobody for this interrupt");
        }
        InterruptStatus = irq.Words.Length > 3 ? (uint)TraceEvent.Number(irq.Words[3]) : 0;
        IsInterrupting = true;
        handler.OnInterrupt();
        IsInterrupting = false;
    }

    /// <summary>
    /// A real device may have wished something else when the driver looked than when it was written down: whether it was told in the
    /// end is what counts.
    /// </summary>
    private void SetWants()
    {
        for (ushort index = 0; index < MaxQueues; index++)
        {
            TracedQueue? queue = _trace.QueueAt(index);
            bool isPacked = queue is TracedPackedQueue;
            if (queue is null || IsWithinKick(index, isPacked) ||
                !TryFindNextKick(index, isPacked, out uint buffers, out uint descriptors, out bool told))
            {
                continue;
            }
            if (queue.WillBeTold(buffers, descriptors) != told)
            {
                Raced++;
                queue.PutWant(queue.WantThat(told));
            }
        }
    }

    /// <summary>True when some of the buffers were compared that the device is told of together.</summary>
    private bool IsWithinKick(ushort index, bool isPacked)
    {
        string queue = index.ToString();
        for (int i = _at - 1; i >= 0; i--)
        {
            TraceEvent last = _events[i];
            if (last.Words[0] == "avail" && last.Words[1] == queue)
            {
                return true;
            }
            bool mayFollow = last.Kind is TraceKind.Information or TraceKind.Want || last.Words[0] == "wish";
            bool ends = isPacked
                ? IsNotify(last) && (TraceEvent.Number(last.Value) & ushort.MaxValue) == index
                : !mayFollow;
            if (ends)
            {
                return false;
            }
        }
        return false;
    }

    /// <summary>Finds the next buffers that a queue gets, and whether the device is told of them; false when its wish is yet to come.</summary>
    private bool TryFindNextKick(ushort index, bool isPacked, out uint buffers, out uint descriptors, out bool told)
    {
        buffers = descriptors = 0;
        told = false;
        string queue = index.ToString();
        for (int i = _at; i < _events.Length; i++)
        {
            TraceEvent next = _events[i];
            bool here = next.Words.Length > 1 && next.Words[1] == queue;
            if (next.Words[0] == "avail" && here)
            {
                buffers++;
                descriptors += next.Words[3] == "table" ? 1 : (uint)next.Words.Count(word => word is "r" or "w");
            }
            else if (IsNotify(next))
            {
                if ((TraceEvent.Number(next.Value) & ushort.MaxValue) == index)
                {
                    told = buffers != 0;
                    return buffers != 0;
                }
            }
            else if (next.Kind == TraceKind.Want && here)
            {
                return buffers != 0;
            }
            else if (buffers != 0 && !isPacked && next.Words[0] is not ("avail" or "alloc" or "free" or "wish"))
            {
                return true; // a packed ring has buffers before the device is told, a split one has them just then
            }
        }
        return buffers != 0;
    }

    private static bool IsNotify(TraceEvent line) => line.Words[0][0] == 'w' && line.Words.Length > 1 &&
        (line.Words[1].StartsWith("notify+", StringComparison.Ordinal) || line.Words[1] is "queue_notify" or "QueueNotify");

    /// <summary>The next thing that the driver does, for messages.</summary>
    private TraceEvent? NextOfDriver() =>
        _events.Skip(_at).FirstOrDefault(next => next.Kind is not (TraceKind.Information or TraceKind.Selector or TraceKind.Question));

    private sealed class Listener(Replay replay) : TraceSink
    {
        public override void Write(ReadOnlySpan<byte> line) => replay.OnSaid(Encoding.ASCII.GetString(line));
    }
}
