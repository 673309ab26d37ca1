// A virtqueue seen from the device's side: which buffers are there, which were used, what each side wishes to hear (virtio 2.7, 2.8).
using System.Threading;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>
/// Follows a ring in memory as a device would, without being one. Nothing found there is trusted: walks are bounded, and memory that
/// nobody knows is not looked at.
/// </summary>
internal abstract unsafe class TracedQueue
{
    private protected readonly DeviceTrace _trace;
    private readonly uint[] _chains;
    private readonly ushort[] _descriptors;
    private uint _nextChain;

    private protected TracedQueue(DeviceTrace trace, ushort index, ushort size, bool eventIndex, uint firstChain)
    {
        _trace = trace;
        Index = index;
        Size = size;
        UsesEvents = eventIndex;
        _nextChain = firstChain;
        _chains = new uint[size];
        _descriptors = new ushort[size];
    }

    /// <summary>The index of the queue in its device.</summary>
    internal ushort Index { get; }

    /// <summary>How many descriptors there are.</summary>
    internal ushort Size { get; }

    /// <summary>The name of the format, for people and for those who replay.</summary>
    internal abstract string Format { get; }

    /// <summary>The clause about buffers that are made available, and that about buffers that were used.</summary>
    internal abstract string AvailableClause { get; }

    /// <summary>See <see cref="AvailableClause"/>.</summary>
    internal abstract string UsedClause { get; }

    /// <summary>True with EVENT_IDX.</summary>
    internal bool UsesEvents { get; }

    /// <summary>True with IN_ORDER: one used entry may stand for several buffers.</summary>
    internal bool IsInOrder { get; init; }

    /// <summary>The pieces of the buffer that was found last.</summary>
    internal TracedPieces Pieces { get; } = new();

    /// <summary>True when the buffer that was found last is in an indirect table.</summary>
    internal bool IsTable { get; private protected set; }

    /// <summary>The number of the buffer that was found last; buffers are numbered in the order in which they were made available.</summary>
    internal uint LastChain => _nextChain - 1;

    /// <summary>The number that the next buffer gets.</summary>
    internal uint NextChain => _nextChain;

    /// <summary>What the driver and the device were said to wish for last.</summary>
    internal ulong SaidWish { get; set; }

    /// <summary>See <see cref="SaidWish"/>.</summary>
    internal ulong SaidWant { get; set; }

    /// <summary>True once the device was seen to break the ring.</summary>
    internal bool IsBroken { get; set; }

    /// <summary>What the driver wishes to hear, as it stands in memory.</summary>
    internal abstract uint Wish { get; }

    /// <summary>What the device wishes to hear, as it stands in memory.</summary>
    internal abstract uint Want { get; }

    /// <summary>Finds the next buffer that was made available, and numbers it.</summary>
    internal abstract bool TryFindAvailable();

    /// <summary>The next buffer that the device says was used and that was not taken yet; only what it says, nothing is checked.</summary>
    internal abstract bool TryPeekUsed(out uint id, out uint length);

    /// <summary>True when the device says that it used a buffer that was not taken.</summary>
    internal abstract bool IsAhead { get; }

    /// <summary>
    /// What the device says besides an id and a length: split: how many buffers it used that were not taken; packed: the flags.
    /// </summary>
    internal abstract uint Mark { get; }

    /// <summary>True when what the device says of the next used buffer can't be.</summary>
    internal abstract bool IsUsedWrong();

    /// <summary>The driver took the next used buffer, which was <paramref name="id"/>.</summary>
    internal abstract void StepTaken(uint id);

    /// <summary>The driver took a buffer back that was not used.</summary>
    internal void Drop(uint id) => Leave(id);

    /// <summary>As the device: uses a buffer.</summary>
    internal abstract void PutUsed(uint id, uint length);

    /// <summary>As a device that breaks the ring: says what it should not; <paramref name="mark"/> as in <see cref="Mark"/>.</summary>
    internal abstract void PutWrong(uint mark, uint id, uint length);

    /// <summary>As the device: says what it wishes to hear.</summary>
    internal abstract void PutWant(uint want);

    /// <summary>What the device has to wish for to be told, or not, of the next buffers.</summary>
    internal abstract uint WantThat(bool told);

    /// <summary>True when with what the device wishes now it is told of the next <paramref name="buffers"/>, of <paramref name="descriptors"/> in all.</summary>
    internal abstract bool WillBeTold(uint buffers, uint descriptors);

    /// <summary>The number of the buffer that the device knows as <paramref name="id"/>; false when none is in flight.</summary>
    internal bool TryGetChain(uint id, out uint chain)
    {
        chain = id < Size ? _chains[id] - 1 : uint.MaxValue;
        return chain != uint.MaxValue;
    }

    /// <summary>The id that a buffer in flight has for the device; false when it is not in flight.</summary>
    internal bool TryGetId(uint chain, out uint id)
    {
        for (id = 0; id < Size; id++)
        {
            if (_chains[id] == chain + 1)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>How many buffers are in flight.</summary>
    internal int InFlight { get; private set; }

    private protected ushort DescriptorsOf(uint id) => id < Size ? _descriptors[id] : (ushort)0;

    private protected void Enter(uint id, uint descriptors)
    {
        if (id < Size)
        {
            InFlight += _chains[id] == 0 ? 1 : 0;
            _chains[id] = _nextChain + 1;
            _descriptors[id] = (ushort)descriptors;
        }
        _nextChain++;
    }

    private protected void Leave(uint id)
    {
        if (id < Size && _chains[id] != 0)
        {
            _chains[id] = 0;
            InFlight--;
        }
    }

    private protected static ushort Read16(byte* place) => Volatile.Read(ref *(ushort*)place);

    private protected static uint Read32(byte* place) => Volatile.Read(ref *(uint*)place);

    private protected static ulong Read64(byte* place) => Volatile.Read(ref *(ulong*)place);
}

/// <summary>The pieces of one buffer, in their order.</summary>
internal sealed class TracedPieces
{
    private Piece[] _pieces = new Piece[16];

    internal int Count { get; private set; }

    internal ref Piece this[int index] => ref _pieces[index];

    internal void Clear() => Count = 0;

    internal void Add(ulong address, uint length, bool isWritable)
    {
        if (Count == _pieces.Length)
        {
            Array.Resize(ref _pieces, Count * 2);
        }
        _pieces[Count].Address = address;
        _pieces[Count].Length = length;
        _pieces[Count++].IsWritable = isWritable;
    }

    internal struct Piece
    {
        internal ulong Address;
        internal uint Length;
        internal bool IsWritable;
    }
}
