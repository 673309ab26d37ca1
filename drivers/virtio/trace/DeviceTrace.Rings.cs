// The trace of one device: what passes through its rings (virtio 2.7, 2.8), and its interrupts (2.3, 2.7.7, 4.1.4.5).
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Virtio.Trace;

public sealed unsafe partial class DeviceTrace
{
    private const int NotedInterrupts = 64;
    private const uint NothingRead = uint.MaxValue;

    private readonly ushort[] _notedVectors = new ushort[NotedInterrupts];
    private readonly uint[] _notedStatus = new uint[NotedInterrupts];
    private TracedQueue?[] _queues = new TracedQueue?[4];
    private uint[] _chains = new uint[4];
    private volatile bool _inInterrupt;
    private volatile uint _noted;
    private uint _said;
    private uint _interruptStatus;

    /// <summary>The queue that the driver enabled; null for one that is not followed.</summary>
    internal TracedQueue? QueueAt(int index) => index < _queues.Length ? _queues[index] : null;

    /// <summary>In interrupt context: the driver is called. Nothing is written down before the driver comes by outside of it.</summary>
    internal void EnterInterrupt()
    {
        _interruptStatus = NothingRead;
        _inInterrupt = true;
    }

    /// <summary>In interrupt context: the driver was called; <paramref name="isMine"/>: its device had asked for it.</summary>
    internal void LeaveInterrupt(ushort vector, bool isMine)
    {
        _inInterrupt = false;
        if (isMine)
        {
            uint at = _noted;
            _notedVectors[at % NotedInterrupts] = vector;
            _notedStatus[at % NotedInterrupts] = _interruptStatus;
            _noted = at + 1;
        }
    }

    private void NoteInterruptRead(uint value) => _interruptStatus = _interruptStatus == NothingRead ? value : _interruptStatus;

    /// <summary>
    /// The driver comes by: interrupts first, then what both sides wrote into the rings. <paramref name="told"/> is the queue that the device
    /// is being told about: its wish was read before, and where it is not told the buffers came before what it wishes now.
    /// </summary>
    private void Touch(int told, bool isAdding = false)
    {
        SayInterrupts();
        for (int i = 0; i < _queues.Length; i++)
        {
            if (_queues[i] is TracedQueue queue)
            {
                if (i == told)
                {
                    SayWant(queue);
                }
                while (queue.TryFindAvailable())
                {
                    SayAvailable(queue);
                }
                SayWish(queue);
                if (!isAdding)
                {
                    SayWrong(queue); // what is being added looks as if a device had used what was never there
                }
                SayWant(queue);
            }
        }
    }

    private void SayInterrupts()
    {
        uint noted = _noted;
        if (noted - _said > NotedInterrupts)
        {
            Begin("lost ").Add(noted - _said - NotedInterrupts).Add(" interrupts");
            End();
            _said = noted - NotedInterrupts;
        }
        while (_said != noted)
        {
            uint status = _notedStatus[_said % NotedInterrupts];
            Begin("irq ").Add(_notedVectors[_said++ % NotedInterrupts]);
            if (status == NothingRead)
            {
                Note("2.3, 4.1.5.3");
            }
            else
            {
                _text.Add(" isr ").Hex(status);
                Note("4.1.4.5, 4.2.3.4").Add((status & 1) != 0 ? " used buffers" : "").Add((status & 2) != 0 ? " configuration change" : "");
            }
            End();
        }
    }

    private void BeginQueue(ushort index, in QueueSetup setup)
    {
        bool packed = (_features & VirtioFeature.RingPacked) != 0;
        bool events = (_features & VirtioFeature.EventIndex) != 0;
        bool inOrder = (_features & VirtioFeature.InOrder) != 0;
        uint size = setup.Size;
        Begin("queue ").Add(index).Add(packed ? " packed " : " split ").Add(size).Add(" ");
        AddPlace(_text, setup.Descriptors);
        _text.Add(" ");
        AddPlace(_text, setup.Driver);
        _text.Add(" ");
        AddPlace(_text, setup.Device);
        Note(packed ? "2.8" : "2.7");
        End();
        EndQueue(index);
        bool makesSense = size is > 0 and <= RingVirtqueue.MaxSize && (packed || (size & (size - 1)) == 0);
        byte* descriptors = makesSense ? PointerOf(setup.Descriptors, size * PackedLayout.DescriptorLength) : null;
        byte* driver = makesSense ? PointerOf(setup.Driver, packed ? PackedLayout.EventLength : SplitLayout.AvailableHeader + 2 * size + 2) : null;
        byte* device = makesSense
            ? PointerOf(setup.Device, packed ? PackedLayout.EventLength : SplitLayout.UsedHeader + SplitLayout.UsedElementLength * size + 2)
            : null;
        if (descriptors is null || driver is null || device is null)
        {
            return;
        }
        while (index >= _queues.Length)
        {
            Array.Resize(ref _queues, _queues.Length * 2);
            Array.Resize(ref _chains, _queues.Length);
        }
        _queues[index] = packed
            ? new TracedPackedQueue(this, index, (ushort)size, events, _chains[index], descriptors, driver, device) { IsInOrder = inOrder }
            : new TracedSplitQueue(this, index, (ushort)size, events, _chains[index], descriptors, driver, device) { IsInOrder = inOrder };
    }

    /// <summary>The device has left its bus: nothing that is in the rings was used.</summary>
    internal void OnGone() => EndQueues();

    /// <summary>The device was reset: what is in the rings is of no account any more.</summary>
    private void EndQueues()
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            EndQueue((ushort)i);
        }
    }

    private void EndQueue(ushort index)
    {
        if (index >= _queues.Length || _queues[index] is not TracedQueue queue)
        {
            return;
        }
        if (!queue.IsBroken && queue.IsAhead && queue.TryPeekUsed(out uint id, out uint length) && queue.TryGetChain(id, out uint chain))
        {
            Begin("left ").Add(index).Add(" c").Add(chain).Add(" len ").Add(length);
            Note(queue.UsedClause).Add(" used, never taken");
            End();
        }
        _chains[index] = queue.NextChain;
        _queues[index] = null;
        for (int i = 0; i < _lentCount; i++)
        {
            if (_lent[i].Queue == index || _lent[i].Queue == NotAvailableYet)
            {
                _lent[i].Queue = Forgotten;
            }
        }
    }

    private void SayAvailable(TracedQueue queue)
    {
        uint chain = queue.LastChain;
        TracedPieces pieces = queue.Pieces;
        Begin("avail ").Add(queue.Index).Add(" c").Add(chain).Add(queue.IsTable ? " table" : "");
        byte* first = null;
        for (int i = 0; i < pieces.Count; i++)
        {
            ref TracedPieces.Piece piece = ref pieces[i];
            _text.Add(piece.IsWritable ? " w " : " r ");
            AddPlace(_text, piece.Address);
            _text.Add(":").Add(piece.Length);
            byte* pointer = Assign(piece, queue.Index, chain);
            if (!piece.IsWritable && pointer is not null)
            {
                AddContent(_text, pointer, piece.Length);
            }
            first = i == 0 ? pointer : first;
        }
        Note(queue.AvailableClause);
        if (_driver is not null && first is not null && !pieces[0].IsWritable)
        {
            ReadOnlySpan<byte> bytes = new(first, (int)Math.Min(pieces[0].Length, MostShown));
            string request = _driver.NameOfRequest(queue.Index, bytes, out ulong about);
            if (request.Length != 0)
            {
                _text.Add(", ").Add(_driver.Clause).Add(" ").Add(request).Add(" ").Add(about);
            }
        }
        End();
    }

    /// <summary>Says of a piece that was lent which buffer it belongs to; answers with where the driver sees it.</summary>
    private byte* Assign(in TracedPieces.Piece piece, ushort queue, uint chain)
    {
        for (int i = 0; i < _lentCount; i++)
        {
            ref Lent lent = ref _lent[i];
            if (lent.Queue == NotAvailableYet && lent.Address == piece.Address && lent.Length == piece.Length && lent.IsWritable == piece.IsWritable)
            {
                lent.Queue = queue;
                lent.Chain = chain;
                return lent.Pointer;
            }
        }
        return null;
    }

    private void SayWish(TracedQueue queue)
    {
        uint wish = queue.Wish;
        if (wish != queue.SaidWish)
        {
            queue.SaidWish = wish;
            Begin("wish ").Add(queue.Index).Add(" ").Hex(wish);
            Note(queue.UsesEvents ? "2.7.7, 2.8.10 interrupt when this is used" : "2.7.7, 2.8.10 interrupts");
            End();
        }
    }

    private void SayWant(TracedQueue queue)
    {
        uint want = queue.Want;
        if (want != queue.SaidWant)
        {
            queue.SaidWant = want;
            Begin("want ").Add(queue.Index).Add(" ").Hex(want);
            Note(queue.UsesEvents ? "2.7.10, 2.8.10 notification when this is available" : "2.7.10, 2.8.10 notifications");
            End();
        }
    }

    private void SayWrong(TracedQueue queue)
    {
        if (!queue.IsBroken && queue.IsUsedWrong())
        {
            queue.IsBroken = true;
            queue.TryPeekUsed(out uint id, out uint length);
            Begin("bad ").Add(queue.Index).Add(" mark ").Hex(queue.Mark).Add(" id ").Add(id).Add(" len ").Add(length);
            Note(queue.UsedClause).Add(" the device breaks the ring");
            End();
        }
    }

    /// <summary>True when a buffer is the one that its ring says was used next.</summary>
    private bool IsNextTaken(int index, uint chain) =>
        _queues[index] is TracedQueue queue && queue.TryPeekUsed(out uint id, out _) && queue.TryGetChain(id, out uint next) && next == chain;

    /// <summary>Once the driver has all pieces of a buffer back it has taken the buffer.</summary>
    private void TakeIfWhole(int index, uint chain)
    {
        for (int i = 0; i < _lentCount; i++)
        {
            if (_lent[i].Queue == index && _lent[i].Chain == chain && !_lent[i].IsBack)
            {
                return;
            }
        }
        TracedQueue queue = _queues[index]!;
        bool isNamed = queue.TryPeekUsed(out uint id, out uint length) && queue.TryGetChain(id, out uint next) && next == chain;
        if (!isNamed)
        {
            queue.TryGetId(chain, out id);
            length = uint.MaxValue;
        }
        bool isUsed = isNamed || queue.IsInOrder;
        Begin(isUsed ? "used " : "back ").Add((ulong)index).Add(" c").Add(chain).Add(" len ");
        if (isNamed)
        {
            _text.Add(length);
        }
        else
        {
            _text.Add("none"); // IN_ORDER: a later entry stands for it (2.7.9, 2.8.8)
        }
        byte* last = null;
        uint lastLength = 0;
        int at = 0;
        while (at < _lentCount)
        {
            Lent lent = _lent[at];
            if (lent.Queue != index || lent.Chain != chain)
            {
                at++;
                continue;
            }
            if (lent.IsWritable)
            {
                // Short pieces as they are, of long ones what the device says that it wrote.
                uint written = Math.Min(lent.Length, length);
                length -= written;
                last = lent.Pointer;
                lastLength = lent.Length <= MostShown ? lent.Length : written;
                AddContent(_text, last, lastLength);
            }
            Forget(at);
        }
        Note(queue.UsedClause);
        if (_driver is not null && last is not null)
        {
            ReadOnlySpan<byte> bytes = new(last, (int)Math.Min(lastLength, MostShown));
            string answer = _driver.NameOfAnswer((ushort)index, bytes, out ulong about);
            if (answer.Length != 0)
            {
                _text.Add(", ").Add(_driver.Clause).Add(" ").Add(answer);
                _text.Add(about == 0 ? "" : " ").Add(about == 0 ? "" : about.ToString());
            }
        }
        End();
        if (isUsed)
        {
            queue.StepTaken(id);
        }
        else
        {
            queue.Drop(id);
        }
    }
}
