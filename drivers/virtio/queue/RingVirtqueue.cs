// What the virtqueue formats have in common: buffers in flight, the notes of them, breaking, ending (virtio 2.6).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Drivers.Virtio.Queue;

/// <summary>
/// The half of a virtqueue that no device ever sees. A buffer in flight has a slot for each of its descriptors, linked; the first names it
/// to the device: as index of its descriptor (split), as buffer id (packed).
/// </summary>
public abstract unsafe partial class RingVirtqueue : Virtqueue
{
    /// <summary>The most descriptors that a virtqueue may have, in either format (virtio 2.7, 2.8).</summary>
    public const ushort MaxSize = 32768;

    private protected readonly VirtioTransport _transport;
    private protected readonly DmaSpace _dma;
    private protected readonly DmaBuffer _memory;
    private protected readonly ushort _index;
    private protected readonly ushort _size;
    private protected readonly bool _eventIndex;
    private protected readonly bool _inOrder;
    private protected readonly bool _sharing;
    private readonly bool _notificationData;

    private protected int _free;

    // How many buffers were added, taken and detached: they count on, and are compared by their differences.
    private protected uint _added;
    private protected uint _told;
    private protected uint _taken;

    // Split: how many the device is known to have used. Packed: always as many as were taken.
    private protected uint _seen;
    private protected uint _detached;
    private protected ushort _firstFree;
    private protected bool _broken;
    private protected ulong _clamped;
    private string _brokenReason = "";
    private bool _interruptNoted;
    private ulong _notifications;
    private ulong _interrupts;
    private int _detachAt;

    private protected RingVirtqueue(VirtioTransport transport, ushort index, ushort size, ulong features, in DmaBuffer memory, in DmaBuffer tables)
    {
        _transport = transport;
        _dma = transport.Dma;
        _memory = memory;
        _index = index;
        _size = size;
        _eventIndex = (features & VirtioFeature.EventIndex) != 0;
        _inOrder = (features & VirtioFeature.InOrder) != 0;
        IsPacked = this is PackedVirtqueue;
        _notificationData = (features & VirtioFeature.NotificationData) != 0;
        _sharing = _dma.NeedsSharing;
        _tables = tables;
        _indirect = tables.Length != 0;
        _slots = GC.AllocateArray<Slot>(size, pinned: true);
        _firstSlot = (Slot*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_slots));
        _pieces = new DmaBuffer[_sharing ? size : 0];
        _tablePieces = new DmaBuffer[_sharing && _indirect ? size * TablePieces : 0];
        LinkSlots();
    }

    /// <inheritdoc/>
    public override ushort Index => _index;

    /// <inheritdoc/>
    public override ushort Size => _size;

    /// <inheritdoc/>
    public override int FreeDescriptors => _free + CountIdleDescriptors();

    /// <inheritdoc/>
    public override int InFlight => (int)(_added - _taken - _detached);

    /// <inheritdoc/>
    public override int MaxPieces => _size;

    /// <inheritdoc/>
    public override string BrokenReason => _brokenReason;

    /// <inheritdoc/>
    public override ulong Notifications => _notifications;

    /// <inheritdoc/>
    public override ulong Interrupts => _interrupts;

    /// <inheritdoc/>
    public override ulong ClampedLengths => _clamped;

    /// <summary>See <see cref="Virtqueue.IsBroken"/>.</summary>
    internal bool HasBroken => _broken;

    /// <summary>True when something was added that <see cref="Virtqueue.Kick"/> did not see.</summary>
    internal bool HasUntold => _added != _told;

    /// <summary>True when the device is known to have used more than was taken; never with a packed ring.</summary>
    internal bool IsMoreSeen => _taken != _seen;

    /// <summary>The same; always true with a packed ring.</summary>
    internal bool MayHaveUsed => _taken != _seen || IsPacked;

    /// <summary>True for a packed ring.</summary>
    internal readonly bool IsPacked;

    /// <summary>Where the next buffer will be put, as notifications with data say it (virtio 2.9).</summary>
    private protected abstract ushort Position { get; }

    /// <inheritdoc/>
    public override void KickAgain()
    {
        if (!_broken)
        {
            Kick();
            Tell(Position);
        }
    }

    /// <inheritdoc/>
    public override bool TryDetach(out ushort token)
    {
        token = 0;
        for (int looked = 0; InFlight != 0 && looked < _size; looked++)
        {
            int at = _detachAt;
            if (_slots[at].IsInFlight)
            {
                token = _slots[at].Token;
                Release((ushort)at, ref _slots[at]);
                _detached++;
                return true;
            }
            _detachAt = at + 1 == _size ? 0 : at + 1;
        }
        return false;
    }

    /// <inheritdoc/>
    public override bool OnInterrupt()
    {
        _interrupts++;
        _interruptNoted = true;
        return true;
    }

    /// <inheritdoc/>
    public override bool TakeInterrupt()
    {
        if (!_interruptNoted)
        {
            return false; // not cleared: an interrupt that comes now is not forgotten
        }
        _interruptNoted = false;
        return true;
    }

    /// <inheritdoc/>
    public override void Restart()
    {
        Contract.Require(InFlight == 0, "a queue was restarted while buffers were in flight");
        _memory.Span.Clear();
        _broken = false;
        _brokenReason = "";
        _interruptNoted = false;
        ForgetFrames();
        LinkSlots();
        _added = 0;
        _told = 0;
        _taken = 0;
        _seen = 0;
        _detached = 0;
        BeginRing();
    }

    /// <inheritdoc/>
    public override void Abandon()
    {
        _broken = true;
        StopTaking();
    }

    /// <inheritdoc/>
    public override void Free()
    {
        Contract.Require(InFlight == 0, "a queue was freed while buffers were in flight");
        Abandon();
        FreeMemory(_dma, _memory, _tables);
    }

    /// <summary>Allocates and lends the ring and, with indirect descriptors, the tables; false when there is no memory.</summary>
    private protected static bool TryAllocate(
        DmaSpace dma, uint length, uint alignment, ushort size, ulong features, out DmaBuffer memory, out DmaBuffer tables)
    {
        tables = default;
        if (!dma.TryAllocate(length, alignment, out memory))
        {
            return false;
        }
        bool indirect = (features & VirtioFeature.IndirectDescriptors) != 0;
        if (indirect && !dma.TryAllocate(size * TableLength, TableAlignment, out tables))
        {
            dma.Free(memory);
            return false;
        }
        dma.Share(memory, DmaDirection.Both);
        if (indirect)
        {
            dma.Share(tables, DmaDirection.Both); // the driver fills tables while the device reads others: shared as a ring is
        }
        return true;
    }

    private static void FreeMemory(DmaSpace dma, in DmaBuffer memory, in DmaBuffer tables)
    {
        dma.Unshare(memory, DmaDirection.Both);
        dma.Free(memory);
        if (tables.Length != 0)
        {
            dma.Unshare(tables, DmaDirection.Both);
            dma.Free(tables);
        }
    }

    /// <summary>Sets what the format knows of its ring to the beginning; the ring is zeroed.</summary>
    private protected virtual void BeginRing()
    {
    }

    /// <summary>Nothing that the device writes is looked at from here on.</summary>
    private protected abstract void EndRing();

    private void StopTaking()
    {
        ForgetFrames();
        EndBatch();
        EndRing();
    }

    /// <summary>Rings the doorbell.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void Tell(ushort position)
    {
        _notifications++;
        if (_notificationData)
        {
            _transport.NotifyWithPosition(_index, position);
        }
        else
        {
            _transport.Notify(_index);
        }
    }

    /// <summary>The device broke the rules; answers that there is nothing to take.</summary>
    private protected UsedBuffer Break(string reason, uint value)
    {
        _broken = true;
        _brokenReason = reason;
        StopTaking();
        Log.Write(LogLevel.Error, "virtqueue", reason, value);
        return UsedBuffer.None;
    }
}
