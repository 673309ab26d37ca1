// The trace of one device: memory by names, and what is lent to the device at the moment.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

public sealed unsafe partial class DeviceTrace
{
    private const uint MostShown = 64;
    private const int NotAvailableYet = -1;
    private const int Forgotten = -2;

    private Allocation[] _allocations = new Allocation[16];
    private int _allocationCount;
    private uint _nextName;
    private Lent[] _lent = new Lent[64];
    private int _lentCount;

    private struct Allocation
    {
        internal ulong Address;
        internal uint Length;
        internal byte* Pointer;
        internal uint Name;
    }

    /// <summary>A piece that the device has: of which buffer, once that was made available.</summary>
    private struct Lent
    {
        internal ulong Address;
        internal uint Length;
        internal byte* Pointer;
        internal bool IsWritable;
        internal bool IsBack;
        internal int Queue;
        internal uint Chain;
    }

    /// <summary>Memory was asked for.</summary>
    internal void OnAllocated(uint length, in DmaBuffer buffer, bool worked)
    {
        Touch(-1);
        if (!worked)
        {
            Begin("alloc none ").Add(length);
            End();
            return;
        }
        Enter(buffer);
        Begin("alloc m").Add(_nextName - 1).Add(" ").Add(length);
        End();
    }

    /// <summary>Memory is given back.</summary>
    internal void OnFreed(in DmaBuffer buffer)
    {
        Touch(-1);
        int at = FindAllocation(buffer.DeviceAddress);
        if (at >= 0)
        {
            Begin("free m").Add(_allocations[at].Name);
            End();
            _allocations[at] = _allocations[--_allocationCount];
        }
    }

    /// <summary>The device has a piece from here on.</summary>
    internal void OnShared(in DmaBuffer buffer, DmaDirection direction)
    {
        if (direction == DmaDirection.Both)
        {
            return; // a ring, which both sides have all the time
        }
        Touch(-1, isAdding: true);
        if (FindAllocation(buffer.DeviceAddress) < 0)
        {
            Enter(buffer); // memory of another device, or of none
        }
        if (_lentCount == _lent.Length)
        {
            Array.Resize(ref _lent, _lentCount * 2);
        }
        _lent[_lentCount++] = new Lent
        {
            Address = buffer.DeviceAddress,
            Length = buffer.Length,
            Pointer = buffer.Pointer,
            IsWritable = direction == DmaDirection.FromDevice,
            Queue = NotAvailableYet,
        };
    }

    /// <summary>The driver took a piece back: with the last one of a buffer it has taken the buffer.</summary>
    internal void OnUnshared(in DmaBuffer buffer, DmaDirection direction)
    {
        if (direction == DmaDirection.Both)
        {
            return;
        }
        Touch(-1);
        int at = FindTaken(buffer, direction == DmaDirection.FromDevice);
        if (at < 0)
        {
            return;
        }
        if (_lent[at].Queue < 0)
        {
            Forget(at);
            return;
        }
        _lent[at].IsBack = true;
        TakeIfWhole(_lent[at].Queue, _lent[at].Chain);
    }

    /// <summary>Where the driver sees memory of the device; null for memory that nobody knows.</summary>
    internal byte* PointerOf(ulong address, uint length)
    {
        int at = FindAllocation(address);
        return at >= 0 && length <= _allocations[at].Length - (address - _allocations[at].Address)
            ? _allocations[at].Pointer + (address - _allocations[at].Address)
            : null;
    }

    /// <summary>The <paramref name="number"/>-th piece that the device may write of a buffer that it has, for those who play a device.</summary>
    internal bool TryGetWritable(int queue, uint chain, int number, out DmaBuffer piece)
    {
        for (int i = 0; i < _lentCount; i++)
        {
            ref Lent lent = ref _lent[i];
            if (lent.Queue == queue && lent.Chain == chain && lent.IsWritable && number-- == 0)
            {
                piece = new DmaBuffer(lent.Pointer, lent.Address, lent.Length);
                return true;
            }
        }
        piece = default;
        return false;
    }

    /// <summary>Makes a buffer of all the pieces that were lent and not seen in a ring yet; false when there are none.</summary>
    internal bool TryRebuild(TracedPieces pieces)
    {
        for (int i = 0; i < _lentCount; i++)
        {
            if (_lent[i].Queue == NotAvailableYet)
            {
                pieces.Add(_lent[i].Address, _lent[i].Length, _lent[i].IsWritable);
            }
        }
        return pieces.Count != 0;
    }

    /// <summary>An address by the name of its memory.</summary>
    private void AddPlace(TraceText text, ulong address)
    {
        int at = FindAllocation(address);
        if (at < 0)
        {
            text.Add("unknown");
            return;
        }
        text.Add("m").Add(_allocations[at].Name).Add("+").Hex(address - _allocations[at].Address);
    }

    /// <summary>What is in memory: all of it where it is short, else a hash (FNV-1a).</summary>
    private static void AddContent(TraceText text, byte* pointer, uint length)
    {
        if (length <= MostShown)
        {
            text.Add(" =").Dump(new ReadOnlySpan<byte>(pointer, (int)length));
            return;
        }
        uint hash = 2166136261;
        for (uint i = 0; i < length; i++)
        {
            hash = (hash ^ pointer[i]) * 16777619;
        }
        text.Add(" #").Digits(hash, 8);
    }

    private void Enter(in DmaBuffer buffer)
    {
        // What was there before and not given back to this device is not there any more.
        for (int i = _allocationCount - 1; i >= 0; i--)
        {
            Allocation old = _allocations[i];
            if (buffer.DeviceAddress < old.Address + old.Length && old.Address < buffer.DeviceAddress + buffer.Length)
            {
                _allocations[i] = _allocations[--_allocationCount];
            }
        }
        if (_allocationCount == _allocations.Length)
        {
            Array.Resize(ref _allocations, _allocationCount * 2);
        }
        _allocations[_allocationCount++] = new Allocation
        {
            Address = buffer.DeviceAddress,
            Length = buffer.Length,
            Pointer = buffer.Pointer,
            Name = _nextName++,
        };
    }

    private int FindAllocation(ulong address)
    {
        int at = _allocationCount - 1;
        while (at >= 0 && (address < _allocations[at].Address || address - _allocations[at].Address >= _allocations[at].Length))
        {
            at--;
        }
        return at;
    }

    /// <summary>The piece that comes back: of the buffer that is being taken, of the one that its ring names, or of any.</summary>
    private int FindTaken(in DmaBuffer buffer, bool isWritable)
    {
        int found = -1;
        for (int i = 0; i < _lentCount; i++)
        {
            ref Lent lent = ref _lent[i];
            if (lent.Address != buffer.DeviceAddress || lent.Length != buffer.Length || lent.IsWritable != isWritable || lent.IsBack)
            {
                continue;
            }
            if (lent.Queue < 0)
            {
                found = found < 0 ? i : found;
            }
            else if (IsNextTaken(lent.Queue, lent.Chain))
            {
                return i;
            }
            else
            {
                found = i;
            }
        }
        return found;
    }

    private void Forget(int at)
    {
        // In order: what is not in a ring yet is put together in the order in which it was lent.
        _lentCount--;
        for (int i = at; i < _lentCount; i++)
        {
            _lent[i] = _lent[i + 1];
        }
    }
}
