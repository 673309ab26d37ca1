// What the virtqueue formats have in common: buffers of which only the payload changes, and what is around it is written once (virtio 2.7.5, 2.8.6).
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Queue;

public abstract unsafe partial class RingVirtqueue
{
    private protected const int FramePieces = 3;

    private readonly DmaBuffer[] _single = new DmaBuffer[1];
    private readonly DmaBuffer[] _pair = new DmaBuffer[2];
    private BufferFrame[] _frames = [];
    private BufferFrame* _firstFrame; // the array stays where it is
    private int _kept;

    // How many buffers had come back when nothing was left to be taken from frames: before another one does there is no use in looking again.
    private uint _reclaimFailedAt = uint.MaxValue;

    /// <inheritdoc/>
    public override void SetFrame(ushort token, in DmaBuffer first, in DmaBuffer last)
    {
        Contract.Require(token < _size && first.Length != 0 && last.Length != 0, "a frame of a token that the queue does not have, or an empty one");
        if (_frames.Length == 0)
        {
            _frames = GC.AllocateArray<BufferFrame>(_size, pinned: true);
            _firstFrame = (BufferFrame*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_frames));
        }
        ref BufferFrame frame = ref _frames[token];
        Contract.Require(frame.State == FrameState.Nothing, "a frame was changed that is in use");
        frame.First = first;
        frame.Last = last;
    }

    /// <inheritdoc/>
    public override bool TryAddFramed(ushort token, in DmaBuffer payload, bool isWritable)
    {
        Contract.Require(token < _frames.Length && _frames[token].First.Length != 0, "a framed buffer whose frame was not set");
        ref BufferFrame frame = ref _frames[token];
        if (_sharing || _inOrder)
        {
            return TryAddPieces(token, payload, isWritable);
        }
        if (!frame.IsKept && (_broken || !TryKeep(token)))
        {
            return false;
        }
        AddKept(ref frame, payload, isWritable ? uint.MaxValue : 0);
        return true;
    }

    /// <summary>The frame of a token that has one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ref BufferFrame FrameAt(uint token) => ref _firstFrame[token];

    /// <summary>Memory that is lent for each use has another address each time, and with IN_ORDER descriptors go round: nothing is kept.</summary>
    private bool TryAddPieces(ushort token, in DmaBuffer payload, bool isWritable)
    {
        ref BufferFrame frame = ref _frames[token];
        _pair[isWritable ? 0 : 1] = payload;
        _pair[isWritable ? 1 : 0] = isWritable ? frame.Last : frame.First;
        _single[0] = isWritable ? frame.First : frame.Last;
        return isWritable ? TryAdd(_single, _pair, token) : TryAdd(_pair, _single, token);
    }

    /// <summary>Writes what stays of a frame into its descriptors or its table.</summary>
    private protected abstract void WriteFrame(ref BufferFrame frame);

    /// <summary>Writes the entries of First and Last into the frame's table; the answer is where the payload's goes.</summary>
    private protected RingDescriptor* WriteFrameTable(in BufferFrame frame, uint writeFlag, uint nextFlag)
    {
        RingDescriptor* payload = PayloadInTable(frame.Head);
        Fill(payload - 1, frame.First, nextFlag == 0 ? 0 : nextFlag | 1u << 16);
        Fill(payload + 1, frame.Last, writeFlag);
        return payload;
    }

    /// <summary>The entry of the payload in the table of a slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected RingDescriptor* PayloadInTable(ushort number) => (RingDescriptor*)(_tables.Pointer + number * TableLength) + 1;

    /// <summary>Where the device finds the table of a slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected ulong TableAddress(ushort number) => _tables.DeviceAddress + number * TableLength;

    /// <summary>The slot behind another one of the same buffer.</summary>
    private protected ushort NextSlot(ushort number) => _slots[number].Next;

    private bool TryKeep(ushort token)
    {
        FrameState state = UsesTable(FramePieces) ? FrameState.Table : FrameState.Chain;
        int descriptors = state == FrameState.Table ? 1 : FramePieces;
        if (descriptors > _free && !TryReclaim(descriptors))
        {
            return false;
        }
        ref BufferFrame frame = ref _frames[token];
        ushort last = _firstFree;
        for (int i = 1; i < descriptors; i++)
        {
            last = _slots[last].Next;
        }
        ref Slot slot = ref _slots[_firstFree];
        slot.Last = last;
        slot.Token = token;
        slot.Descriptors = (ushort)descriptors;
        slot.IsKept = true;
        frame.State = state;
        frame.Head = _firstFree;
        frame.Expected = &_firstSlot[_firstFree].Expected;
        _firstFree = _slots[last].Next;
        _free -= descriptors;
        _kept++;
        WriteFrame(ref frame);
        return true;
    }

    /// <summary>Takes descriptors back from frames that are not in use, until <paramref name="count"/> are free; false when there are not so many.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private protected bool TryReclaim(int count)
    {
        if (_kept == 0 || (_taken == _reclaimFailedAt && InFlight != 0))
        {
            return false;
        }
        // The highest tokens first: they are those that are seldom used.
        for (int token = _frames.Length - 1; token >= 0 && _free < count; token--)
        {
            ref BufferFrame frame = ref _frames[token];
            if (frame.State == FrameState.Nothing || _slots[frame.Head].IsInFlight)
            {
                continue;
            }
            ref Slot slot = ref _slots[frame.Head];
            slot.IsKept = false;
            _slots[slot.Last].Next = _firstFree;
            _firstFree = frame.Head;
            _free += slot.Descriptors;
            _kept--;
            frame.State = FrameState.Nothing;
            frame.Payload = null;
        }
        _reclaimFailedAt = _free >= count ? uint.MaxValue : _taken;
        return _free >= count;
    }

    private int CountIdleDescriptors()
    {
        int sum = 0;
        for (int token = 0; token < _frames.Length; token++)
        {
            ref BufferFrame frame = ref _frames[token];
            sum += frame.State == FrameState.Nothing || _slots[frame.Head].IsInFlight ? 0 : _slots[frame.Head].Descriptors;
        }
        return sum;
    }

    /// <summary>No frame keeps anything: the next buffer in one goes the long way, which looks whether the queue broke.</summary>
    private void ForgetFrames()
    {
        for (int token = 0; token < _frames.Length; token++)
        {
            _frames[token].State = FrameState.Nothing;
            _frames[token].Payload = null;
        }
    }
}
