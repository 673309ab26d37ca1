// A virtqueue of a fake device: its registers, its doorbell and its signals; the ring behind it is in the format agreed on.
namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>
/// A virtqueue as the device sees it (virtio 2.6). It sleeps until it is notified, signals only when the ring asks for it, and
/// reads nothing that was not lent.
/// </summary>
public sealed class FakeVirtqueue(FakeVirtioDevice device, ushort index, ushort maxSize)
{
    private const ushort NoVector = 0xFFFF;

    private readonly Queue<FakeChain> _order = [];
    private readonly List<FakeChain> _batch = [];
    private FakeRing? _ring;
    private uint _batchWritten;
    private bool _notified;
    private bool _asksForNotifications;
    private int _resetReadsLeft;

    /// <summary>The number of the queue.</summary>
    public ushort Index => index;

    /// <summary>The largest size offered.</summary>
    public ushort MaxSize { get; set; } = maxSize;

    /// <summary>The size in use.</summary>
    public ushort Size { get; set; } = maxSize;

    /// <summary>Where the descriptor table or ring is.</summary>
    public ulong DescriptorArea { get; set; }

    /// <summary>Where the driver area is.</summary>
    public ulong DriverArea { get; set; }

    /// <summary>Where the device area is.</summary>
    public ulong DeviceArea { get; set; }

    /// <summary>The vector for used buffers, or 0xFFFF.</summary>
    public ushort Vector { get; set; } = NoVector;

    /// <summary>True between enabling and reset.</summary>
    public bool IsEnabled => _ring is not null;

    /// <summary>True between the beginning of the queue's reset and its end (virtio 2.6.1).</summary>
    public bool IsResetting { get; private set; }

    /// <summary>True when the queue was reset and not enabled again: it may be set up anew while the device is live.</summary>
    public bool WasReset { get; private set; }

    /// <summary>How many looks at queue_reset still show 1; -1: it never ends.</summary>
    public int ResetReads { get; set; }

    /// <summary>What the last notification said with NOTIFICATION_DATA (virtio 2.9); null when it said nothing.</summary>
    public ushort? LastPosition { get; set; }

    /// <summary>The ring of an enabled queue, in whatever format.</summary>
    public FakeRing Ring => _ring ?? throw new InvalidOperationException("the queue is not enabled");

    /// <summary>The ring of an enabled split queue.</summary>
    public FakeSplitRing Split => (FakeSplitRing)Ring;

    /// <summary>The ring of an enabled packed queue.</summary>
    public FakePackedRing Packed => (FakePackedRing)Ring;

    /// <summary>How often the driver rang the doorbell.</summary>
    public int Notifications { get; private set; }

    /// <summary>How often the driver rang although the device had asked it not to.</summary>
    public int UnwantedNotifications { get; private set; }

    /// <summary>True when a doorbell was heard that no turn of work has answered.</summary>
    public bool IsNotified => _notified;

    /// <summary>How often the device signalled used buffers.</summary>
    public int Signals { get; private set; }

    /// <summary>How many used entries the device wrote; a batch is one.</summary>
    public int Entries { get; private set; }

    /// <summary>How many chains the device holds.</summary>
    public int Held => (_ring?.Held ?? 0) - _batch.Count;

    /// <summary>True when the device looks at the ring all the time, and asks not to be notified.</summary>
    public bool IsPolled { get; set; }

    /// <summary>True when the device, with IN_ORDER, completes batches by one used entry each, written when it signals (virtio 2.7.9, 2.8.8).</summary>
    public bool WritesBatches { get; set; }

    /// <summary>A fault: the device completes batches by one entry without IN_ORDER.</summary>
    public bool BatchesAnyway { get; set; }

    /// <summary>A fault: the device never asks for notifications, though it does not look by itself.</summary>
    public bool NeverAsks { get; set; }

    /// <summary>A fault: doorbells that get lost, counted down.</summary>
    public int LoseNotifications { get; set; }

    /// <summary>A fault: signals that get lost, counted down.</summary>
    public int LoseSignals { get; set; }

    /// <summary>A fault: changes what the device says it used (head, length).</summary>
    public Func<uint, uint, (uint Id, uint Length)>? OnUsed { get; set; }

    private bool IsInOrder => BatchesAnyway || device.Has(FakeVirtioDevice.InOrder);

    private FakeDma Memory => device.Machine.FakeDma;

    private ViolationLog Violations => device.Machine.Violations;

    /// <summary>Puts everything back to what it is after a reset.</summary>
    public void Reset()
    {
        Size = MaxSize;
        DescriptorArea = DriverArea = DeviceArea = 0;
        Vector = NoVector;
        _ring = null;
        _order.Clear();
        _batch.Clear();
        _notified = _asksForNotifications = IsResetting = WasReset = false;
    }

    /// <summary>The driver begins the reset of this queue: the device takes nothing more from it, but its memory is not the driver's yet.</summary>
    public void BeginReset()
    {
        Violations.Require(IsEnabled && !IsResetting, $"queue {index} was reset, which is not enabled");
        IsResetting = true;
        _resetReadsLeft = ResetReads;
        device.OnQueueReset(this);
    }

    /// <summary>The driver looks whether the reset goes on. When it has ended, all is as at first; nothing may have been taken back before.</summary>
    public bool ReadReset()
    {
        if (!IsResetting)
        {
            return false;
        }
        foreach (FakePiece piece in Ring.HeldChains.SelectMany(chain => chain.Readable.Concat(chain.Writable)))
        {
            Violations.Require(
                Memory.IsLent(piece.Address, piece.Length, forWriting: false) || Memory.IsLent(piece.Address, piece.Length, forWriting: true),
                $"queue {index}: a buffer was taken back before the end of the reset was seen (2.6.1)");
        }
        if (_resetReadsLeft != 0)
        {
            _resetReadsLeft -= _resetReadsLeft > 0 ? 1 : 0;
            return true;
        }
        Reset();
        WasReset = true;
        return false;
    }

    /// <summary>The driver enables the queue: its memory must be right and lent.</summary>
    public void Enable()
    {
        Violations.Require(!IsEnabled, $"queue {index} was enabled twice");
        Violations.Require(Size > 0 && Size <= MaxSize, $"queue {index} was enabled with {Size} descriptors");
        FakeRing ring = device.Has(FakeVirtioDevice.RingPacked) ? new FakePackedRing(device, this) : new FakeSplitRing(device, this);
        ring.CheckAreas();
        _ring = ring;
        WasReset = false;
        _asksForNotifications = true;
        if (NeverAsks)
        {
            SuppressNotifications();
        }
    }

    /// <summary>The driver rings the doorbell.</summary>
    public void Notify()
    {
        Notifications++;
        bool saysPosition = device.Has(FakeVirtioDevice.NotificationData);
        Violations.Require(saysPosition == LastPosition.HasValue, $"queue {index} was notified {(saysPosition ? "without" : "with")} a position (2.9)");
        Violations.Require(
            LastPosition is null || LastPosition == Ring.Position,
            $"queue {index} was notified with the position 0x{LastPosition.GetValueOrDefault():X4} instead of 0x{Ring.Position:X4} (2.9, 2.8.16)");
        if (LoseNotifications > 0)
        {
            LoseNotifications--;
            return;
        }
        if (!_asksForNotifications)
        {
            UnwantedNotifications++;
        }
        _notified = true;
    }

    /// <summary>True when the queue is enabled and one of its areas lies in a range of memory.</summary>
    public bool UsesMemory(ulong address, uint length) =>
        IsEnabled && new[] { DescriptorArea, DriverArea, DeviceArea }.Any(area => area >= address && area - address < length);

    /// <summary>Begins a turn of work: true when there was a doorbell, or the device looks by itself.</summary>
    public bool BeginWork()
    {
        if (_ring is null || IsResetting || !(_notified || (IsPolled && _ring.HasAvailable)))
        {
            return false;
        }
        _notified = false;
        return true;
    }

    /// <summary>Ends a turn of work: asks to be notified of more, and looks once more; true when there is more already.</summary>
    public bool EndWork()
    {
        if (IsPolled || NeverAsks)
        {
            SuppressNotifications();
        }
        else
        {
            _asksForNotifications = true;
            Ring.AskForNotifications();
        }
        return Ring.HasAvailable;
    }

    /// <summary>Asks not to be notified for a while.</summary>
    public void SuppressNotifications()
    {
        _asksForNotifications = false;
        Ring.SuppressNotifications();
    }

    /// <summary>Takes the next chain; null when there is none.</summary>
    public FakeChain? Take()
    {
        FakeChain? chain = Ring.Take();
        Violations.Require(
            chain is null || chain.Readable.Concat(chain.Writable).Sum(piece => (long)piece.Length) <= 1L << 32,
            $"queue {index}: a buffer of more than 4 GiB (2.7.5.2)");
        if (chain is not null && IsInOrder)
        {
            _order.Enqueue(chain);
        }
        return chain;
    }

    /// <summary>Gives a chain back: <paramref name="written"/> bytes were written from its first writable byte on.</summary>
    public void Use(FakeChain chain, uint written)
    {
        if (IsInOrder)
        {
            if (_order.Dequeue() != chain)
            {
                throw new InvalidOperationException("the fake device agreed on IN_ORDER and used a chain out of order");
            }
            _batch.Add(chain);
            _batchWritten = written;
            // All but the last buffer of a batch have to be used completely.
            if (!WritesBatches || written != chain.WritableLength)
            {
                EndBatch();
            }
            return;
        }
        WriteEntry([chain], written);
    }

    /// <summary>Writes the used entry of the batch that was collected.</summary>
    public void EndBatch()
    {
        if (_batch.Count > 0)
        {
            FakeChain[] batch = [.. _batch];
            _batch.Clear();
            WriteEntry(batch, _batchWritten);
        }
    }

    /// <summary>Puts any used entry into the ring: what a device that lies does as well.</summary>
    public void PushUsed(uint id, uint length) => Ring.Push(id, length);

    /// <summary>Signals what was used since the last signal, if the driver wants to hear (virtio 2.7.7.2, 2.8.10).</summary>
    public void Signal()
    {
        EndBatch();
        if (!Ring.WantsSignal())
        {
            return;
        }
        Signals++;
        if (LoseSignals > 0)
        {
            LoseSignals--;
            return;
        }
        device.RaiseQueue(this);
    }

    private void WriteEntry(IReadOnlyList<FakeChain> batch, uint written)
    {
        Entries++;
        (uint id, uint length) = OnUsed?.Invoke(batch[^1].Head, written) ?? (batch[^1].Head, written);
        Ring.Use(batch, id, length);
    }
}
