// A packed virtqueue seen from the device's side (virtio 2.8).
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>
/// One ring that both sides write. A device that is faster than the one who follows may have written its used descriptor over an available one
/// before that was seen; what was lent for it says then what it was.
/// </summary>
internal sealed unsafe class TracedPackedQueue : TracedQueue
{
    private const uint Both = PackedLayout.DescriptorState;

    private readonly byte* _ring;
    private readonly byte* _driverEvent;
    private readonly byte* _deviceEvent;
    private uint _next;
    private uint _nextState = PackedLayout.DescriptorAvailable;
    private uint _taken;
    private uint _takenState = Both;
    private uint _put;
    private uint _putState = Both;

    internal TracedPackedQueue(
        DeviceTrace trace, ushort index, ushort size, bool eventIndex, uint firstChain, byte* ring, byte* driverEvent, byte* deviceEvent)
        : base(trace, index, size, eventIndex, firstChain)
    {
        _ring = ring;
        _driverEvent = driverEvent;
        _deviceEvent = deviceEvent;
    }

    internal override string Format => "packed";

    internal override string AvailableClause => "2.8.21";

    internal override string UsedClause => "2.8.22";

    internal override uint Wish => Read32(_driverEvent);

    internal override uint Want => Read32(_deviceEvent);

    internal override bool IsAhead => InFlight != 0 && (FlagsAt(_taken) & Both) == _takenState;

    internal override uint Mark => FlagsAt(_taken);

    internal override bool TryFindAvailable()
    {
        uint state = FlagsAt(_next) & Both;
        Pieces.Clear();
        IsTable = false;
        if (state == _nextState)
        {
            uint id = Walk(out uint count);
            Advance(ref _next, ref _nextState, count);
            Enter(id, count);
            return true;
        }
        // In this round both bits are equal to the wrap counter only when the device has been there already.
        bool overtaken = state == (_nextState == PackedLayout.DescriptorAvailable ? Both : 0) && _trace.TryRebuild(Pieces) && !IsBeingAdded();
        if (overtaken)
        {
            uint id = Read16(_ring + _next * PackedLayout.DescriptorLength + PackedLayout.IdOffset);
            uint count = (uint)Pieces.Count;
            Advance(ref _next, ref _nextState, count);
            Enter(id, count);
        }
        return overtaken;
    }

    internal override bool TryPeekUsed(out uint id, out uint length)
    {
        byte* descriptor = _ring + _taken * PackedLayout.DescriptorLength;
        id = Read16(descriptor + PackedLayout.IdOffset);
        length = Read32(descriptor + 8);
        return IsAhead;
    }

    internal override bool IsUsedWrong()
    {
        uint state = FlagsAt(_taken) & Both;
        if ((InFlight == 0 && state != _takenState) || state == (_takenState ^ PackedLayout.DescriptorUsed))
        {
            return false;
        }
        return state != _takenState || !TryGetChain(Read16(_ring + _taken * PackedLayout.DescriptorLength + PackedLayout.IdOffset), out _);
    }

    internal override void StepTaken(uint id)
    {
        Advance(ref _taken, ref _takenState, DescriptorsOf(id));
        Leave(id);
    }

    internal override void PutUsed(uint id, uint length)
    {
        Put(id, length, _putState);
        Advance(ref _put, ref _putState, DescriptorsOf(id));
    }

    internal override void PutWrong(uint mark, uint id, uint length) => Put(id, length, mark);

    internal override void PutWant(uint want) => *(uint*)_deviceEvent = want;

    internal override uint WantThat(bool told) => (told ? PackedLayout.EventEnable : PackedLayout.EventDisable) << PackedLayout.EventModeShift;

    internal override bool WillBeTold(uint buffers, uint descriptors)
    {
        uint want = Want;
        uint mode = want >> PackedLayout.EventModeShift & PackedLayout.EventModeMask;
        if (mode != PackedLayout.EventDescriptor || !UsesEvents)
        {
            return mode != PackedLayout.EventDisable;
        }
        uint after = _next + descriptors;
        uint wrap = (_nextState & PackedLayout.DescriptorAvailable) != 0 ? PackedLayout.EventWrap : 0;
        wrap ^= after >= Size ? PackedLayout.EventWrap : 0;
        after -= after >= Size ? Size : 0u;
        int behind = (int)after - 1 - (int)(want & PackedLayout.EventOffset) + (((want ^ wrap) & PackedLayout.EventWrap) != 0 ? Size : 0);
        return (uint)behind < Math.Min(descriptors, Size);
    }

    /// <summary>
    /// While it is being added, a buffer's first descriptor has no flags, which in every other round is what a device writes that used it; but
    /// its length is that of the piece, or of a table, and not what a device wrote.
    /// </summary>
    private bool IsBeingAdded()
    {
        byte* descriptor = _ring + _next * PackedLayout.DescriptorLength;
        uint length = Read32(descriptor + 8);
        bool isPiece = Read64(descriptor) == Pieces[0].Address;
        return FlagsAt(_next) == 0 && (isPiece ? length == Pieces[0].Length : length % PackedLayout.DescriptorLength == 0);
    }

    private uint FlagsAt(uint at) => Read16(_ring + at * PackedLayout.DescriptorLength + PackedLayout.FlagsOffset);

    private void Put(uint id, uint length, uint flags)
    {
        byte* descriptor = _ring + _put * PackedLayout.DescriptorLength;
        *(uint*)(descriptor + 8) = length;
        *(ushort*)(descriptor + PackedLayout.IdOffset) = (ushort)id;
        *(ushort*)(descriptor + PackedLayout.FlagsOffset) = (ushort)flags;
    }

    private uint Walk(out uint count)
    {
        count = 0;
        uint id;
        uint flags;
        do
        {
            byte* descriptor = _ring + (_next + count) % Size * PackedLayout.DescriptorLength;
            count++;
            ulong address = Read64(descriptor);
            uint length = Read32(descriptor + 8);
            id = Read16(descriptor + PackedLayout.IdOffset);
            flags = Read16(descriptor + PackedLayout.FlagsOffset);
            IsTable |= (flags & PackedLayout.DescriptorIndirect) != 0;
            byte* table = (flags & PackedLayout.DescriptorIndirect) != 0 ? _trace.PointerOf(address, length) : null;
            for (uint i = 0; table is not null && i < length / PackedLayout.DescriptorLength; i++)
            {
                byte* entry = table + i * PackedLayout.DescriptorLength;
                Pieces.Add(
                    Read64(entry), Read32(entry + 8), (Read16(entry + PackedLayout.FlagsOffset) & PackedLayout.DescriptorWrite) != 0);
            }
            if ((flags & PackedLayout.DescriptorIndirect) == 0)
            {
                Pieces.Add(address, length, (flags & PackedLayout.DescriptorWrite) != 0);
            }
        }
        while ((flags & PackedLayout.DescriptorNext) != 0 && count < Size);
        return id;
    }

    private void Advance(ref uint at, ref uint state, uint count)
    {
        at += count;
        if (at >= Size)
        {
            at -= Size;
            state ^= Both;
        }
    }
}
