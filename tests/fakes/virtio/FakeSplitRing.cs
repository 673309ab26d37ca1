// The device's side of a split ring, which checks every rule that the driver has to keep.
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A split virtqueue as the device sees it (virtio 2.7).</summary>
public sealed class FakeSplitRing(FakeVirtioDevice device, FakeVirtqueue queue) : FakeRing(device, queue)
{
    private const ushort DescriptorNext = 1;
    private const ushort DescriptorWrite = 2;
    private const ushort DescriptorIndirect = 4;
    private const ushort NoInterrupt = 1;
    private const ushort NoNotify = 1;

    private readonly Dictionary<ushort, Taken> _taken = [];
    private readonly HashSet<ushort> _owned = [];
    private ushort _lastAvailable;
    private ushort _usedIndex;
    private ushort _signalledUsed;
    private ushort _nextDescriptor;

    /// <inheritdoc/>
    public override int Held => _taken.Count;

    /// <inheritdoc/>
    public override IEnumerable<FakeChain> HeldChains => _taken.Values.Select(taken => taken.Chain);

    /// <inheritdoc/>
    public override IEnumerable<FakePiece> HeldTables =>
        _taken.Values.Where(taken => taken.Table is not null).Select(taken => new FakePiece(taken.TableAddress, (uint)taken.Table!.Length));

    /// <summary>How many buffers were used so far, modulo 65536.</summary>
    public ushort UsedIndex => _usedIndex;

    /// <inheritdoc/>
    public override bool HasAvailable => ReadAvailableIndex() != _lastAvailable;

    /// <inheritdoc/>
    public override ushort Position => Dma.DeviceRead16(Queue.DriverArea + 2);

    private ulong UsedEventAddress => Queue.DriverArea + 4 + 2ul * (uint)Size;

    private ulong AvailableEventAddress => Queue.DeviceArea + 4 + 8ul * (uint)Size;

    /// <inheritdoc/>
    public override void CheckAreas()
    {
        uint size = (uint)Size;
        (ulong descriptors, ulong driver, ulong used) = (Queue.DescriptorArea, Queue.DriverArea, Queue.DeviceArea);
        Violations.Require((size & (size - 1)) == 0, $"queue {Index} was enabled with {size} descriptors, no power of two (2.7)");
        Violations.Require(descriptors % 16 == 0 && descriptors != 0, $"the descriptor table of queue {Index} is not aligned to 16 (2.7)");
        Violations.Require(driver % 2 == 0 && driver != 0, $"the available ring of queue {Index} is not aligned to 2 (2.7)");
        Violations.Require(used % 4 == 0 && used != 0, $"the used ring of queue {Index} is not aligned to 4 (2.7)");
        Violations.Require(Dma.IsLent(descriptors, 16 * size, forWriting: false), $"the descriptor table of queue {Index} was not lent");
        Violations.Require(Dma.IsLent(driver, 6 + 2 * size, forWriting: false), $"the available ring of queue {Index} was not lent");
        Violations.Require(Dma.IsLent(used, 6 + 8 * size, forWriting: true), $"the used ring of queue {Index} was not lent");
        Violations.Require(Dma.Raw(used, 4).IndexOfAnyExcept((byte)0) < 0, $"the used ring of queue {Index} does not begin with zeroes (2.7.10)");
    }

    /// <inheritdoc/>
    public override void AskForNotifications(int ahead = 0)
    {
        if (HasEventIndex)
        {
            WriteAvailableEvent((ushort)(_lastAvailable + ahead));
        }
        else
        {
            WriteUsedFlags(0);
        }
    }

    /// <inheritdoc/>
    public override void SuppressNotifications()
    {
        if (HasEventIndex)
        {
            WriteAvailableEvent((ushort)(_lastAvailable - 1));
        }
        else
        {
            WriteUsedFlags(NoNotify);
        }
    }

    /// <inheritdoc/>
    public override FakeChain? Take()
    {
        if (!HasAvailable)
        {
            return null;
        }
        ushort head = Dma.DeviceRead16(Queue.DriverArea + 4 + 2ul * (uint)(_lastAvailable & (Size - 1)));
        Violations.Require(head < Size, $"queue {Index}: the available ring names descriptor {head} of {Size}");
        Violations.Require(!_taken.ContainsKey(head), $"queue {Index}: descriptor {head} was made available while the device holds it");
        Violations.Require(!IsInOrder || head == _nextDescriptor, $"queue {Index}: descriptor {head} after {_nextDescriptor - 1} with IN_ORDER (2.7.5)");
        Taken taken = Walk(head);
        _taken.Add(head, taken);
        _lastAvailable++;
        return taken.Chain;
    }

    /// <inheritdoc/>
    public override void Use(IReadOnlyList<FakeChain> batch, uint id, uint length)
    {
        foreach (FakeChain chain in batch)
        {
            if (!_taken.Remove(chain.Head, out Taken? taken))
            {
                throw new InvalidOperationException("the fake device used a chain that it does not hold");
            }
            CheckUnchanged(taken);
            _owned.ExceptWith(taken.Descriptors.Keys);
        }
        // The entry of a batch stands where that of its first buffer would (2.7.9).
        WriteUsedElement(_usedIndex, id, length);
        WriteUsedIndex((ushort)(_usedIndex + batch.Count));
    }

    /// <inheritdoc/>
    public override void Push(uint id, uint length)
    {
        WriteUsedElement(_usedIndex, id, length);
        WriteUsedIndex((ushort)(_usedIndex + 1));
    }

    /// <summary>Writes an entry of the used ring, and nothing else.</summary>
    public void WriteUsedElement(ushort position, uint id, uint length)
    {
        Span<byte> element = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(element, id);
        BinaryPrimitives.WriteUInt32LittleEndian(element[4..], length);
        Dma.DeviceWrite(Queue.DeviceArea + 4 + 8ul * (uint)(position & (Size - 1)), element);
    }

    /// <summary>Writes the index of the used ring, and nothing else.</summary>
    public void WriteUsedIndex(ushort value)
    {
        _usedIndex = value;
        Dma.DeviceWrite16(Queue.DeviceArea + 2, value);
    }

    /// <summary>Goes on as if <paramref name="index"/> buffers had been used already, modulo 65536; the driver has to be told the same.</summary>
    public void StartAt(ushort index)
    {
        _lastAvailable = _signalledUsed = index;
        WriteUsedIndex(index);
        AskForNotifications();
    }

    /// <summary>Writes the flags of the used ring.</summary>
    public void WriteUsedFlags(ushort value) => Dma.DeviceWrite16(Queue.DeviceArea, value);

    /// <summary>Writes the available event.</summary>
    public void WriteAvailableEvent(ushort value) => Dma.DeviceWrite16(AvailableEventAddress, value);

    /// <inheritdoc/>
    public override bool WantsSignal()
    {
        ushort old = _signalledUsed;
        _signalledUsed = _usedIndex;
        ushort flags = Dma.DeviceRead16(Queue.DriverArea);
        if (!HasEventIndex)
        {
            Violations.Require(flags <= NoInterrupt, $"queue {Index}: available flags are 0x{flags:X} (2.7.6)");
            return old != _usedIndex && (flags & NoInterrupt) == 0;
        }
        Violations.Require(flags == 0, $"queue {Index}: available flags are 0x{flags:X} with EVENT_IDX (2.7.7)");
        ushort wanted = Dma.DeviceRead16(UsedEventAddress);
        return (ushort)(_usedIndex - wanted - 1) < (ushort)(_usedIndex - old);
    }

    private ushort ReadAvailableIndex()
    {
        ushort available = Dma.DeviceRead16(Queue.DriverArea + 2);
        int waiting = (ushort)(available - _lastAvailable);
        Violations.Require(
            waiting + _taken.Count <= Size,
            $"queue {Index}: {waiting} more buffers are available while the device holds {_taken.Count}, but there are {Size} descriptors");
        return available;
    }

    private Taken Walk(ushort head)
    {
        Pieces pieces = new(this);
        Taken taken = new();
        ushort at = head;
        while (true)
        {
            Violations.Require(at < Size, $"queue {Index}: a descriptor points to {at} of {Size}");
            Violations.Require(_owned.Add(at), $"queue {Index}: descriptor {at} belongs to two chains, or a chain loops");
            byte[] bytes = new byte[16];
            Dma.DeviceRead(Queue.DescriptorArea + 16ul * at, bytes);
            taken.Descriptors.Add(at, bytes);
            Descriptor descriptor = new(bytes);
            (ushort flags, ushort next) = (descriptor.Third, descriptor.Fourth);
            CheckFlags(flags);
            _nextDescriptor = (ushort)((at + 1) % Size);
            if ((flags & DescriptorIndirect) != 0)
            {
                WalkTable(descriptor, pieces, taken);
                break;
            }
            pieces.Add(descriptor.Address, descriptor.Length, (flags & DescriptorWrite) != 0);
            if ((flags & DescriptorNext) == 0)
            {
                break;
            }
            Violations.Require(!IsInOrder || next == _nextDescriptor, $"queue {Index}: descriptor {at} is followed by {next} with IN_ORDER (2.7.5.2)");
            at = next;
        }
        taken.Chain = pieces.ToChain(head);
        return taken;
    }

    private void WalkTable(in Descriptor table, Pieces pieces, Taken taken)
    {
        Violations.Require((table.Third & DescriptorNext) == 0, $"queue {Index}: INDIRECT together with NEXT (2.7.5.3.1)");
        byte[] bytes = ReadTable(table.Address, table.Length);
        taken.TableAddress = table.Address;
        taken.Table = bytes;
        uint count = table.Length / 16;
        HashSet<uint> seen = [];
        uint at = 0;
        while (true)
        {
            Violations.Require(at < count, $"queue {Index}: an indirect descriptor points to {at} of {count}");
            Violations.Require(seen.Add(at), $"queue {Index}: an indirect table loops");
            Descriptor descriptor = new(bytes.AsSpan((int)at * 16, 16));
            (ushort flags, ushort next) = (descriptor.Third, descriptor.Fourth);
            CheckFlags(flags);
            Violations.Require((flags & DescriptorIndirect) == 0, $"queue {Index}: INDIRECT inside an indirect table (2.7.5.3.1)");
            pieces.Add(descriptor.Address, descriptor.Length, (flags & DescriptorWrite) != 0);
            if ((flags & DescriptorNext) == 0)
            {
                return;
            }
            Violations.Require(!IsInOrder || next == at + 1, $"queue {Index}: entry {at} of a table is followed by {next} with IN_ORDER (2.7.5.3.1)");
            at = next;
        }
    }

    private void CheckFlags(ushort flags) =>
        Violations.Require(
            (flags & ~(DescriptorNext | DescriptorWrite | DescriptorIndirect)) == 0, $"queue {Index}: a descriptor has the flags 0x{flags:X}");

    private void CheckUnchanged(Taken taken)
    {
        foreach ((ushort at, byte[] bytes) in taken.Descriptors)
        {
            RequireUnchanged(Queue.DescriptorArea + 16ul * at, bytes, $"descriptor {at}");
        }
        if (taken.Table is not null)
        {
            RequireUnchanged(taken.TableAddress, taken.Table, "an indirect table");
        }
    }

    private sealed class Taken
    {
        public FakeChain Chain = null!;
        public Dictionary<ushort, byte[]> Descriptors = [];
        public ulong TableAddress;
        public byte[]? Table;
    }
}
