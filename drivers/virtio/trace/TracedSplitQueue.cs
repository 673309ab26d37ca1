// A split virtqueue seen from the device's side (virtio 2.7).
using VirtioSharp.Drivers.Virtio.Queue;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>Descriptor table, available ring, used ring.</summary>
internal sealed unsafe class TracedSplitQueue : TracedQueue
{
    private readonly byte* _table;
    private readonly byte* _available;
    private readonly byte* _used;
    private readonly int _mask;
    private ushort _found;
    private ushort _taken;
    private ushort _put;

    internal TracedSplitQueue(
        DeviceTrace trace, ushort index, ushort size, bool eventIndex, uint firstChain, byte* table, byte* available, byte* used)
        : base(trace, index, size, eventIndex, firstChain)
    {
        _table = table;
        _available = available;
        _used = used;
        _mask = size - 1;
    }

    internal override string Format => "split";

    internal override string AvailableClause => "2.7.13";

    internal override string UsedClause => "2.7.14";

    internal override uint Wish => UsesEvents ? Read16(_available + SplitLayout.AvailableHeader + 2 * Size) : Read16(_available);

    internal override uint Want => Read16(WantPlace);

    internal override bool IsAhead => Mark != 0;

    internal override uint Mark => (ushort)(Read16(_used + 2) - _taken);

    private byte* WantPlace => UsesEvents ? _used + SplitLayout.UsedHeader + SplitLayout.UsedElementLength * Size : _used;

    internal override bool TryFindAvailable()
    {
        if (Read16(_available + 2) == _found)
        {
            return false;
        }
        ushort head = Read16(_available + SplitLayout.AvailableHeader + 2 * (_found++ & _mask));
        Pieces.Clear();
        IsTable = false;
        Enter(head, Walk(_table, Size, head));
        return true;
    }

    internal override bool TryPeekUsed(out uint id, out uint length)
    {
        byte* element = Element(_taken);
        id = Read32(element);
        length = Read32(element + 4);
        return Mark != 0;
    }

    internal override bool IsUsedWrong() =>
        Mark != 0 && (Mark > (ushort)(_found - _taken) || !TryGetChain(Read32(Element(_taken)), out _));

    internal override void StepTaken(uint id)
    {
        _taken++;
        Leave(id);
    }

    internal override void PutUsed(uint id, uint length) => Put(1, id, length);

    internal override void PutWrong(uint mark, uint id, uint length) => Put(mark, id, length);

    internal override void PutWant(uint want) => *(ushort*)WantPlace = (ushort)want;

    internal override uint WantThat(bool told)
    {
        if (!UsesEvents)
        {
            return told ? 0u : SplitLayout.NoNotify;
        }
        return told ? _found : (ushort)(_found - 1);
    }

    internal override bool WillBeTold(uint buffers, uint descriptors) => UsesEvents
        ? (ushort)(_found + buffers - Want - 1) < (ushort)buffers
        : (Want & SplitLayout.NoNotify) == 0;

    private void Put(uint ahead, uint id, uint length)
    {
        byte* element = Element(_put);
        *(uint*)element = id;
        *(uint*)(element + 4) = length;
        _put += (ushort)ahead;
        *(ushort*)(_used + 2) = _put;
    }

    private byte* Element(ushort number) => _used + SplitLayout.UsedHeader + (number & _mask) * SplitLayout.UsedElementLength;

    /// <summary>Walks a chain in the table or in an indirect one; answers with how many descriptors of the table it has.</summary>
    private uint Walk(byte* table, uint count, uint at)
    {
        uint steps = 0;
        while (at < count && steps < count)
        {
            steps++;
            byte* descriptor = table + at * SplitLayout.DescriptorLength;
            ulong address = Read64(descriptor);
            uint length = Read32(descriptor + 8);
            uint flags = Read16(descriptor + 12);
            if ((flags & SplitLayout.DescriptorIndirect) != 0)
            {
                IsTable = true;
                byte* inner = table == _table ? _trace.PointerOf(address, length) : null;
                if (inner is not null)
                {
                    Walk(inner, length / SplitLayout.DescriptorLength, 0);
                }
            }
            else
            {
                Pieces.Add(address, length, (flags & SplitLayout.DescriptorWrite) != 0);
            }
            if ((flags & SplitLayout.DescriptorNext) == 0)
            {
                break;
            }
            at = Read16(descriptor + 14);
        }
        return steps;
    }
}
