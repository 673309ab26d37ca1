// The device's side of a split ring that a running kernel shares (virtio 2.7).
using System.Threading;

namespace VirtioSharp.Tests.Vhost;

/// <summary>Descriptor table, available ring, used ring.</summary>
internal sealed unsafe class VhostSplitRing : VhostRing
{
    private const ushort NoNotify = 1;
    private const ushort NoInterrupt = 1;

    private readonly byte* _descriptors;
    private readonly byte* _available;
    private readonly byte* _used;
    private ushort _lastAvailable;
    private ushort _usedIndex;
    private ushort _signalled;

    internal VhostSplitRing(VhostMemory memory, int size, bool hasEventIndex, ulong descriptors, ulong available, ulong used, uint start)
        : base(memory, size, hasEventIndex)
    {
        (DescriptorArea, AvailableArea, UsedArea) = (descriptors, available, used);
        _descriptors = memory.At(descriptors, 16ul * (uint)size, "the descriptor table");
        _available = memory.At(available, 6 + 2ul * (uint)size, "the available ring");
        _used = memory.At(used, 6 + 8ul * (uint)size, "the used ring");
        _lastAvailable = (ushort)start;
        _usedIndex = _signalled = Volatile.Read(ref *(ushort*)(_used + 2));
    }

    /// <summary>Where the descriptor table is.</summary>
    internal ulong DescriptorArea { get; }

    /// <summary>Where the available ring is.</summary>
    internal ulong AvailableArea { get; }

    /// <summary>Where the used ring is.</summary>
    internal ulong UsedArea { get; }

    /// <summary>How many buffers were used, modulo 65536.</summary>
    internal ushort UsedIndex => _usedIndex;

    /// <inheritdoc/>
    internal override uint Base => _lastAvailable;

    /// <inheritdoc/>
    internal override bool HasAvailable => Volatile.Read(ref *(ushort*)(_available + 2)) != _lastAvailable;

    /// <inheritdoc/>
    internal override VhostChain? Take()
    {
        // Acquire: the entry and its descriptors were written before the index.
        ushort index = Volatile.Read(ref *(ushort*)(_available + 2));
        int waiting = (ushort)(index - _lastAvailable);
        if (waiting == 0)
        {
            return null;
        }
        Require(waiting <= Size, $"the available index is {waiting} ahead, but there are {Size} descriptors");
        ushort head = *(ushort*)(_available + 4 + 2 * (_lastAvailable % Size));
        _lastAvailable++;
        List<VhostPiece> pieces = [];
        List<ushort> members = [];
        VhostPiece table = default;
        for (ushort at = head; ;)
        {
            Require(at < Size, $"the ring names descriptor {at} of {Size}");
            Require(members.Count < Size, "a chain loops");
            members.Add(at);
            RawDescriptor descriptor = RawDescriptor.Read(_descriptors + 16 * at);
            VhostPiece piece = new(descriptor.Address, descriptor.Length, (descriptor.Third & DescriptorWrite) != 0);
            if ((descriptor.Third & DescriptorIndirect) != 0)
            {
                table = piece;
                ReadTable(piece, isLinked: true, pieces);
                break;
            }
            pieces.Add(piece);
            if ((descriptor.Third & DescriptorNext) == 0)
            {
                break;
            }
            at = descriptor.Fourth;
        }
        return new VhostChain(head, pieces, members.Count, members, table);
    }

    /// <inheritdoc/>
    internal override void Push(uint id, uint length, int descriptors = 1)
    {
        WriteElement(_usedIndex, id, length);
        WriteIndex((ushort)(_usedIndex + 1));
    }

    /// <summary>Writes an entry of the used ring, and nothing else.</summary>
    internal void WriteElement(ushort position, uint id, uint length)
    {
        byte* element = _used + 4 + 8 * (position % Size);
        Volatile.Write(ref *(uint*)element, id);
        Volatile.Write(ref *(uint*)(element + 4), length);
    }

    /// <summary>Writes the used index after everything before (2.7.8).</summary>
    internal void WriteIndex(ushort value)
    {
        _usedIndex = value;
        Volatile.Write(ref *(ushort*)(_used + 2), value);
    }

    /// <summary>Writes the flags of the used ring.</summary>
    internal void WriteFlags(ushort value) => Volatile.Write(ref *(ushort*)_used, value);

    /// <summary>Writes the available event.</summary>
    internal void WriteAvailableEvent(ushort value) => Volatile.Write(ref *(ushort*)(_used + 4 + 8 * Size), value);

    /// <inheritdoc/>
    internal override void AskForNotifications()
    {
        if (HasEventIndex)
        {
            WriteAvailableEvent(_lastAvailable);
        }
        else
        {
            WriteFlags(0);
        }
    }

    /// <inheritdoc/>
    internal override void SuppressNotifications()
    {
        if (HasEventIndex)
        {
            WriteAvailableEvent((ushort)(_lastAvailable - 1));
        }
        else
        {
            WriteFlags(NoNotify);
        }
    }

    /// <inheritdoc/>
    internal override bool WantsSignal()
    {
        ushort old = _signalled;
        _signalled = _usedIndex;
        // Pairs with the driver's fence between its wish and its last look.
        Interlocked.MemoryBarrier();
        if (!HasEventIndex)
        {
            return old != _usedIndex && (Volatile.Read(ref *(ushort*)_available) & NoInterrupt) == 0;
        }
        ushort wanted = Volatile.Read(ref *(ushort*)(_available + 4 + 2 * Size));
        return (ushort)(_usedIndex - wanted - 1) < (ushort)(_usedIndex - old);
    }
}
