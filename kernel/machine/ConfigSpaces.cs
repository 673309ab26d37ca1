// Where the memory-mapped config space of each segment is (PCI firmware specification 4.1.2).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Kernel.Machine;

/// <summary>One range of buses of a segment. <see cref="Base"/> is where bus 0 is, or would be.</summary>
internal readonly struct ConfigSpace
{
    internal ConfigSpace(ulong address, ushort segment, byte firstBus, byte lastBus)
    {
        Base = address;
        Segment = segment;
        FirstBus = firstBus;
        LastBus = lastBus;
    }

    internal ulong Base { get; }

    internal ushort Segment { get; }

    internal byte FirstBus { get; }

    internal byte LastBus { get; }

    internal ulong Start => Base + ((ulong)FirstBus << 20);

    internal ulong Length => (ulong)(LastBus - FirstBus + 1) << 20;
}

/// <summary>The config spaces of all segments; what makes no sense or contradicts an earlier entry is left out.</summary>
internal sealed class ConfigSpaces
{
    private const int MaxCount = 16;
    private const int MaxSegment = 255;
    private const int EntryLength = 16;
    private const ulong Limit = 1ul << 52;

    private readonly ConfigSpace[] _spaces = new ConfigSpace[MaxCount];

    /// <summary>How many there are.</summary>
    internal int Count { get; private set; }

    /// <summary>The number of the highest segment and one more; 0 when there is none.</summary>
    internal int SegmentCount { get; private set; }

    internal ConfigSpace this[int index] => _spaces[index];

    /// <summary>Reads the entries of an MCFG: address, segment, first and last bus.</summary>
    internal void Read(ReadOnlySpan<byte> entries)
    {
        for (; entries.Length >= EntryLength; entries = entries.Slice(EntryLength))
        {
            ushort segment = BinaryPrimitives.ReadUInt16LittleEndian(entries.Slice(8));
            TryAdd(new ConfigSpace(BinaryPrimitives.ReadUInt64LittleEndian(entries), segment, entries[10], entries[11]));
        }
    }

    /// <summary>Adds one; false when it makes no sense, or when a bus of it is there already.</summary>
    internal bool TryAdd(ConfigSpace space)
    {
        bool makesSense = space.Base is not 0 and < Limit && (space.Base & 0xFFFFF) == 0 && space.FirstBus <= space.LastBus && space.Segment <= MaxSegment;
        if (!makesSense || Count == MaxCount)
        {
            return false;
        }
        for (int i = 0; i < Count; i++)
        {
            if (_spaces[i].Segment == space.Segment && _spaces[i].FirstBus <= space.LastBus && space.FirstBus <= _spaces[i].LastBus)
            {
                return false;
            }
        }
        _spaces[Count++] = space;
        SegmentCount = Math.Max(SegmentCount, space.Segment + 1);
        return true;
    }

    /// <summary>The address of a register; false when no entry covers the bus. <paramref name="offset"/> is below 4096.</summary>
    internal bool TryFind(PciAddress function, ushort offset, out ulong address)
    {
        for (int i = 0; i < Count; i++)
        {
            if (_spaces[i].Segment == function.Segment && _spaces[i].FirstBus <= function.Bus && function.Bus <= _spaces[i].LastBus)
            {
                address = _spaces[i].Base + ((ulong)function.BusDeviceFunction << 12 | offset);
                return offset < 4096;
            }
        }
        address = 0;
        return false;
    }

    /// <summary>The first and the last bus of a segment; false when the segment is not there.</summary>
    internal bool TryGetBuses(int segment, out byte first, out byte last)
    {
        bool found = false;
        first = byte.MaxValue;
        last = 0;
        for (int i = 0; i < Count; i++)
        {
            if (_spaces[i].Segment == segment)
            {
                found = true;
                first = _spaces[i].FirstBus < first ? _spaces[i].FirstBus : first;
                last = _spaces[i].LastBus > last ? _spaces[i].LastBus : last;
            }
        }
        return found;
    }

    /// <summary>True when a range of addresses touches one of them.</summary>
    internal bool Overlaps(ulong start, ulong end)
    {
        bool overlaps = false;
        for (int i = 0; i < Count; i++)
        {
            overlaps |= start < _spaces[i].Start + _spaces[i].Length && _spaces[i].Start < end;
        }
        return overlaps;
    }
}
