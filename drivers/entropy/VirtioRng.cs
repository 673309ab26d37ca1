// A virtio entropy device in service (virtio 5.4.6).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Entropy;

/// <summary>
/// The device fills slots, memory of the driver's own; what it filled is copied out once and the slot is poisoned again, so that nothing of it
/// stays where a device can see it. A request that wants more than a slot holds, or got less than it asked for, goes on at the end of the line.
/// </summary>
public sealed partial class VirtioRng : EntropySource
{
    /// <summary>The most slots that are with the device at the same time.</summary>
    internal const ushort MaxSlots = 8;

    private const uint SlotLength = 512;
    private const ulong Poison = 0xB5D0_17C4_9A6E_23F8; // eight bytes in a row that no one will draw
    private const int PoisonLength = sizeof(ulong);
    private const int MaxEmptyAnswers = 8;
    private const ulong LookAgainInterval = 10_000_000;
    private const ulong DefaultTimeout = 30_000_000_000;

    private readonly VirtioDevice _virtio;
    private readonly Virtqueue _queue;
    private readonly DmaBuffer _memory;
    private readonly EntropyRequest?[] _slots;
    private readonly ushort[] _freeSlots;
    private readonly DmaBuffer[] _one = new DmaBuffer[1];
    private int _freeCount;
    private EntropyRequest? _firstWaiting;
    private EntropyRequest? _lastWaiting;
    private ulong _answers;
    private ulong _answersAtLook;
    private bool _toldSinceLook;
    private IoStatus _failure;

    private VirtioRng(VirtioDevice virtio, Virtqueue queue, in DmaBuffer memory)
    {
        _virtio = virtio;
        _queue = queue;
        _memory = memory;
        _slots = new EntropyRequest?[Math.Min(queue.Size, MaxSlots)];
        _freeSlots = new ushort[_slots.Length];
        for (int i = _slots.Length - 1; i >= 0; i--)
        {
            _freeSlots[_freeCount++] = (ushort)i;
        }
    }

    /// <summary>The virtio device under it, for those who list what was agreed on.</summary>
    public VirtioDevice Virtio => _virtio;

    /// <inheritdoc/>
    public override object? Hardware => _virtio;

    /// <summary>After how many nanoseconds since its submit a request ends as timed out; when the device holds it, the device is reset.</summary>
    public ulong RequestTimeout { get; set; } = DefaultTimeout;

    /// <summary>How many random bytes the device gave.</summary>
    public ulong BytesReceived { get; private set; }

    /// <summary>How often the device gave a buffer back with no random byte in it, which it must not (5.4.6.2).</summary>
    public ulong EmptyAnswers { get; private set; }

    /// <summary>How often the device claimed bytes that it never wrote.</summary>
    public ulong UnwrittenAnswers { get; private set; }

    /// <summary>How often a doorbell or an interrupt had to be made good for.</summary>
    public ulong LostDoorbells { get; private set; }

    /// <summary>How many slots are with the device.</summary>
    public int SlotsInFlight => _slots.Length - _freeCount;

    /// <inheritdoc/>
    public override bool IsPolled => _virtio.IsPolled;

    /// <inheritdoc/>
    public override bool WantsPolling => _virtio.IsPolled && SlotsInFlight != 0 && _failure == IoStatus.Ok;

    internal static bool TryCreate(VirtioDevice virtio, Virtqueue queue, out VirtioRng? source)
    {
        source = null;
        if (!virtio.Transport.Dma.TryAllocate(MaxSlots * SlotLength, SlotLength, out DmaBuffer memory))
        {
            return false;
        }
        source = new VirtioRng(virtio, queue, memory);
        return true;
    }

    /// <inheritdoc/>
    public override IoStatus Submit(EntropyRequest request)
    {
        if (_failure != IoStatus.Ok)
        {
            return _failure;
        }
        if (request.Length == 0)
        {
            return IoStatus.Misaligned;
        }
        ulong now = _virtio.Transport.Clock.Now;
        request.Begin(now);
        if (NextDeadline == ulong.MaxValue)
        {
            NextDeadline = now + LookAgainInterval;
        }
        AddWaiting(request);
        IssueWaiting();
        _queue.Kick();
        return IoStatus.Ok;
    }

    /// <inheritdoc/>
    public override void Poll()
    {
        if (_failure != IoStatus.Ok)
        {
            return;
        }
        bool any = false;
        do
        {
            // A completion may remove the device; the queue is gone then.
            while (_failure == IoStatus.Ok && _queue.TryTakeUsed(out ushort slot, out uint written))
            {
                any = true;
                Take(slot, written);
            }
            if (_failure != IoStatus.Ok)
            {
                return;
            }
            if (_queue.IsBroken)
            {
                Recover(IoStatus.DeviceError, now: 0);
                return;
            }
            if (!any)
            {
                break;
            }
            IssueWaiting();
            _queue.Kick();
        }
        while (!_queue.TryEnableInterrupts());
        if (_virtio.TakeConfigChange() && _virtio.NeedsReset())
        {
            Recover(IoStatus.DeviceError, now: 0);
        }
    }

    /// <inheritdoc/>
    public override void OnDeadline(ulong now)
    {
        NextDeadline = ulong.MaxValue;
        // Something may have been used without an interrupt: take it first.
        Poll();
        if (_failure == IoStatus.Ok && HasOverdue(_firstWaiting, now))
        {
            EndOverdueWaiting(now);
        }
        if (_failure != IoStatus.Ok || (SlotsInFlight == 0 && _firstWaiting is null))
        {
            _toldSinceLook = false;
            return;
        }
        NextDeadline = now + LookAgainInterval;
        bool isOverdue = false;
        for (int i = 0; i < _slots.Length; i++)
        {
            isOverdue |= _slots[i] is EntropyRequest request && IsOverdue(request, now);
        }
        if (isOverdue)
        {
            Log.Write(LogLevel.Warning, "virtio-rng", "a request was not done in time; answers that came before", _answers);
            Recover(IoStatus.TimedOut, now);
            return;
        }
        if (_virtio.NeedsReset())
        {
            Recover(IoStatus.DeviceError, now: 0);
            return;
        }
        if (_answers != _answersAtLook)
        {
            _toldSinceLook = false;
        }
        else if (!_toldSinceLook)
        {
            // Nothing moved for a whole interval: a slow source, or a doorbell that was lost. Once is enough until something moves.
            _toldSinceLook = true;
            _queue.KickAgain();
            LostDoorbells++;
        }
        _answersAtLook = _answers;
    }

    /// <inheritdoc/>
    public override void Remove()
    {
        if (_failure == IoStatus.Ok)
        {
            GiveUp(IoStatus.Removed, now: 0);
        }
        _failure = IoStatus.Removed;
    }

    private DmaBuffer SlotBuffer(ushort slot) => _memory.Slice(slot * SlotLength, SlotLength);

    private void AddWaiting(EntropyRequest request)
    {
        if (_lastWaiting is null)
        {
            _firstWaiting = request;
        }
        else
        {
            _lastWaiting.Next = request;
        }
        _lastWaiting = request;
    }

    /// <summary>Gives the device a slot for each request that waits, as long as there are any; nothing in it is readable (5.4.6.1).</summary>
    private void IssueWaiting()
    {
        while (_firstWaiting is EntropyRequest request && _freeCount != 0)
        {
            ushort slot = _freeSlots[_freeCount - 1];
            DmaBuffer buffer = SlotBuffer(slot).Slice(0, Math.Min((uint)request.Missing.Length, SlotLength));
            PoisonSlot(slot);
            _one[0] = buffer;
            if (!_queue.TryAdd(default, _one, slot))
            {
                return;
            }
            _freeCount--;
            _slots[slot] = request;
            _firstWaiting = request.Next;
            request.Next = null;
            if (_firstWaiting is null)
            {
                _lastWaiting = null;
            }
        }
    }

    /// <summary>A slot came back: what is random in it goes to its request, which ends, or waits for more.</summary>
    private void Take(ushort slot, uint written)
    {
        EntropyRequest request = Free(slot);
        _answers++;
        Span<byte> into = request.Missing;
        int claimed = Math.Min((int)Math.Min(written, SlotLength), into.Length);
        // Copied first and looked at afterwards: the device can't change the copy any more.
        SlotBuffer(slot).Span.Slice(0, claimed).CopyTo(into);
        PoisonSlot(slot);
        int real = CountWritten(into.Slice(0, claimed));
        if (real != claimed)
        {
            UnwrittenAnswers++;
            into.Slice(real, claimed - real).Clear();
        }
        request.Receive(real);
        BytesReceived += (uint)real;
        if (real == 0)
        {
            EmptyAnswers++;
            if (++request.EmptyAnswers > MaxEmptyAnswers)
            {
                request.Complete(IoStatus.DeviceError);
                return;
            }
        }
        else
        {
            request.EmptyAnswers = 0;
            _recoveriesInVain = 0;
        }
        if (request.Received == request.Length)
        {
            request.Complete(IoStatus.Ok);
        }
        else
        {
            AddWaiting(request);
        }
    }

    /// <summary>
    /// How many bytes from the front on are not the poison that was there before. The eight before the poison are given up with it, since it may
    /// begin among them; a gap of fewer than eight bytes can't be told from chance.
    /// </summary>
    private static int CountWritten(ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i + PoisonLength <= bytes.Length; i += PoisonLength)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(bytes.Slice(i)) == Poison)
            {
                return Math.Max(i - PoisonLength, 0);
            }
        }
        return bytes.Length;
    }

    private void PoisonSlot(ushort slot)
    {
        Span<byte> bytes = SlotBuffer(slot).Span;
        for (int i = 0; i < bytes.Length; i += PoisonLength)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.Slice(i), Poison);
        }
    }

    private EntropyRequest Free(ushort slot)
    {
        EntropyRequest request = _slots[slot]!;
        _slots[slot] = null;
        _freeSlots[_freeCount++] = slot;
        return request;
    }
}
