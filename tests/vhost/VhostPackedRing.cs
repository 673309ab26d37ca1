// The device's side of a packed ring that a running kernel shares (virtio 2.8).
using System.Threading;

namespace VirtioSharp.Tests.Vhost;

/// <summary>One ring of descriptors, and two structures that say who wants to hear of what.</summary>
internal sealed unsafe class VhostPackedRing : VhostRing
{
    internal const ushort Available = 0x80;
    internal const ushort Used = 0x8000;
    internal const ushort EventEnable = 0;
    internal const ushort EventDisable = 1;
    internal const ushort EventDescriptor = 2;

    private readonly byte* _descriptors;
    private readonly byte* _driverEvent;
    private readonly byte* _deviceEvent;
    private Place _next;
    private Place _used;
    private int _unsignalled;

    internal VhostPackedRing(VhostMemory memory, int size, bool hasEventIndex, ulong descriptors, ulong driverEvent, ulong deviceEvent, uint start)
        : base(memory, size, hasEventIndex)
    {
        DescriptorArea = descriptors;
        _descriptors = memory.At(descriptors, 16ul * (uint)size, "the descriptor ring");
        _driverEvent = memory.At(driverEvent, 4, "the driver's events");
        _deviceEvent = memory.At(deviceEvent, 4, "the device's events");
        // Offset and wrap counter of what comes next, of available buffers in the low half, of used ones in the high half.
        _next = Place.Of((ushort)start);
        _used = Place.Of((ushort)(start >> 16));
    }

    /// <summary>A place in the ring: an offset, and the wrap counter in the round it belongs to (2.8.1).</summary>
    private readonly record struct Place(int Offset, bool Wrap)
    {
        internal ushort Word => (ushort)(Offset | (Wrap ? 0x8000 : 0));

        internal static Place Of(ushort word) => new(word & 0x7FFF, (word & 0x8000) != 0);

        internal Place Plus(int count, int size) => Offset + count < size ? new Place(Offset + count, Wrap) : new Place(Offset + count - size, !Wrap);
    }

    /// <summary>Where the descriptor ring is.</summary>
    internal ulong DescriptorArea { get; }

    /// <summary>Where the next used descriptor goes.</summary>
    internal int UsedOffset => _used.Offset;

    /// <summary>The flags of a used descriptor in this round.</summary>
    internal ushort UsedFlags => _used.Wrap ? (ushort)(Available | Used) : (ushort)0;

    /// <inheritdoc/>
    internal override uint Base => (uint)(_next.Word | _used.Word << 16);

    /// <inheritdoc/>
    internal override bool HasAvailable
    {
        get
        {
            // Acquire: what is in the descriptor was written before its flags.
            ushort flags = Volatile.Read(ref *(ushort*)(_descriptors + 16 * _next.Offset + 14));
            return (flags & Available) != 0 == _next.Wrap && (flags & Used) != 0 != _next.Wrap;
        }
    }

    /// <inheritdoc/>
    internal override VhostChain? Take()
    {
        if (!HasAvailable)
        {
            return null;
        }
        List<VhostPiece> pieces = [];
        List<ushort> members = [];
        VhostPiece table = default;
        ushort id;
        while (true)
        {
            Require(members.Count < Size, "a buffer has more descriptors than the ring");
            RawDescriptor descriptor = RawDescriptor.Read(_descriptors + 16 * _next.Offset);
            members.Add((ushort)_next.Offset);
            _next = _next.Plus(1, Size);
            id = descriptor.Third;
            VhostPiece piece = new(descriptor.Address, descriptor.Length, (descriptor.Fourth & DescriptorWrite) != 0);
            if ((descriptor.Fourth & DescriptorIndirect) != 0)
            {
                table = piece;
                ReadTable(piece, isLinked: false, pieces);
                break;
            }
            pieces.Add(piece);
            if ((descriptor.Fourth & DescriptorNext) == 0)
            {
                break;
            }
        }
        return new VhostChain(id, pieces, members.Count, members, table);
    }

    /// <inheritdoc/>
    internal override void Push(uint id, uint length, int descriptors = 1)
    {
        WriteUsed(_used.Offset, id, length, UsedFlags);
        SkipUsed(descriptors);
    }

    /// <summary>Goes on without having used anything.</summary>
    internal void SkipUsed(int descriptors)
    {
        _used = _used.Plus(descriptors, Size);
        _unsignalled += descriptors;
    }

    /// <summary>Writes a used descriptor: its flags last (2.8.6).</summary>
    internal void WriteUsed(int offset, uint id, uint length, ushort flags)
    {
        WriteIdAndLength(offset, id, length);
        WriteFlags(offset, flags);
    }

    /// <summary>Writes id and length of a descriptor, and nothing else.</summary>
    internal void WriteIdAndLength(int offset, uint id, uint length)
    {
        byte* descriptor = _descriptors + 16 * (offset % Size);
        Volatile.Write(ref *(uint*)(descriptor + 8), length);
        Volatile.Write(ref *(ushort*)(descriptor + 12), (ushort)id);
    }

    /// <summary>Writes the flags of a descriptor, and nothing else.</summary>
    internal void WriteFlags(int offset, ushort flags) => Volatile.Write(ref *(ushort*)(_descriptors + 16 * (offset % Size) + 14), flags);

    /// <summary>Writes what the device wants to hear of: an offset with a wrap bit, and a mode.</summary>
    internal void WriteEvent(ushort offset, ushort mode) => Volatile.Write(ref *(uint*)_deviceEvent, (uint)(offset | mode << 16));

    /// <inheritdoc/>
    internal override void AskForNotifications()
    {
        if (HasEventIndex)
        {
            WriteEvent(_next.Word, EventDescriptor);
        }
        else
        {
            WriteEvent(0, EventEnable);
        }
    }

    /// <inheritdoc/>
    internal override void SuppressNotifications() => WriteEvent(0, EventDisable);

    /// <inheritdoc/>
    internal override bool WantsSignal()
    {
        int count = _unsignalled;
        _unsignalled = 0;
        // Pairs with the driver's fence between its wish and its last look.
        Interlocked.MemoryBarrier();
        uint wish = Volatile.Read(ref *(uint*)_driverEvent);
        uint mode = wish >> 16 & 3;
        if (count == 0 || mode == EventDisable)
        {
            return false;
        }
        if (mode != EventDescriptor || !HasEventIndex)
        {
            return true;
        }
        // Was the descriptor that the driver waits for among the last ones?
        int behind = _used.Offset - 1 - (int)(wish & 0x7FFF);
        if ((wish & 0x8000) != 0 != _used.Wrap)
        {
            behind += Size;
        }
        return (uint)behind < (uint)count;
    }
}
