// The device's side of a packed ring, which checks every rule that the driver has to keep.
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A packed virtqueue as the device sees it (virtio 2.8).</summary>
public sealed class FakePackedRing(FakeVirtioDevice device, FakeVirtqueue queue) : FakeRing(device, queue)
{
    private const ushort DescriptorNext = 1;
    private const ushort DescriptorWrite = 2;
    private const ushort DescriptorIndirect = 4;
    private const ushort DescriptorAvailable = 0x80;
    private const ushort DescriptorUsed = 0x8000;
    private const ushort EventEnable = 0;
    private const ushort EventDisable = 1;
    private const ushort EventDescriptor = 2;

    private readonly Dictionary<ushort, Taken> _taken = [];
    private readonly byte[]?[] _owned = new byte[queue.Size][];
    private readonly byte[] _deviceEvent = new byte[4];
    private Place _next = new(0, true);
    private Place _used = new(0, true);
    private int _unsignalled;

    /// <summary>False for a device that writes a length without the WRITE flag, as QEMU does.</summary>
    public bool SetsWriteFlag { get; set; } = true;

    /// <inheritdoc/>
    public override int Held => _taken.Count;

    /// <inheritdoc/>
    public override IEnumerable<FakeChain> HeldChains => _taken.Values.Select(taken => taken.Chain);

    /// <inheritdoc/>
    public override IEnumerable<FakePiece> HeldTables =>
        _taken.Values.Where(taken => taken.Table is not null).Select(taken => new FakePiece(taken.TableAddress, (uint)taken.Table!.Length));

    /// <summary>Where the next used descriptor goes.</summary>
    public ushort UsedOffset => _used.Offset;

    /// <inheritdoc/>
    public override bool HasAvailable
    {
        get
        {
            CheckEvents();
            return IsAvailable(_next);
        }
    }

    /// <inheritdoc/>
    public override ushort Position
    {
        get
        {
            Place at = _next;
            for (int i = _owned.Count(bytes => bytes is not null); i < Size && IsAvailable(at); i++)
            {
                at = at.Plus(1, Size);
            }
            return at.Word;
        }
    }

    /// <inheritdoc/>
    public override void CheckAreas()
    {
        uint length = 16u * (uint)Size;
        (ulong descriptors, ulong driver, ulong used) = (Queue.DescriptorArea, Queue.DriverArea, Queue.DeviceArea);
        Violations.Require(Size <= 32768, $"queue {Index} was enabled with {Size} descriptors (2.8)");
        Violations.Require(descriptors % 16 == 0 && descriptors != 0, $"the descriptor ring of queue {Index} is not aligned to 16 (2.8.11)");
        Violations.Require(driver % 4 == 0 && driver != 0, $"the driver event suppression of queue {Index} is not aligned to 4 (2.8.11)");
        Violations.Require(used % 4 == 0 && used != 0, $"the device event suppression of queue {Index} is not aligned to 4 (2.8.11)");
        Violations.Require(Dma.IsLent(descriptors, length, forWriting: false), $"the descriptor ring of queue {Index} was not lent for reading");
        Violations.Require(Dma.IsLent(descriptors, length, forWriting: true), $"the descriptor ring of queue {Index} was not lent for writing");
        Violations.Require(Dma.IsLent(driver, 4, forWriting: false), $"the driver event suppression of queue {Index} was not lent");
        Violations.Require(Dma.IsLent(used, 4, forWriting: true), $"the device event suppression of queue {Index} was not lent");
        bool isZero = Dma.Raw(descriptors, (int)length).IndexOfAnyExcept((byte)0) < 0 && Dma.Raw(used, 4).IndexOfAnyExcept((byte)0) < 0;
        Violations.Require(isZero, $"the descriptor ring of queue {Index} or what the device writes does not begin with zeroes (2.8.13)");
    }

    /// <inheritdoc/>
    public override FakeChain? Take()
    {
        if (!HasAvailable)
        {
            return null;
        }
        Pieces pieces = new(this);
        Taken taken = new();
        while (true)
        {
            Violations.Require(
                _owned[_next.Offset] is null, $"queue {Index}: descriptor {_next.Offset} was made available while the device holds it (2.8.16)");
            byte[] bytes = new byte[16];
            Dma.DeviceRead(AddressOf(_next), bytes);
            Descriptor descriptor = new(bytes);
            (ushort id, ushort flags) = (descriptor.Third, descriptor.Fourth);
            Violations.Require(IsAvailable(_next), $"queue {Index}: descriptor {_next.Offset} of a list is not marked as available (2.8.6)");
            CheckFlags(flags);
            _owned[_next.Offset] = bytes;
            taken.Descriptors++;
            _next = _next.Plus(1, Size);
            if ((flags & DescriptorIndirect) != 0)
            {
                WalkTable(descriptor, pieces, taken);
            }
            else
            {
                pieces.Add(descriptor.Address, descriptor.Length, (flags & DescriptorWrite) != 0);
            }
            if ((flags & DescriptorNext) == 0)
            {
                Violations.Require(id < Size, $"queue {Index}: the buffer id {id} in a queue of {Size}");
                Violations.Require(_taken.TryAdd(id, taken), $"queue {Index}: the buffer id {id} was used again while the device holds its buffer");
                return taken.Chain = pieces.ToChain(id);
            }
        }
    }

    /// <inheritdoc/>
    public override void Use(IReadOnlyList<FakeChain> batch, uint id, uint length)
    {
        int descriptors = 0;
        foreach (FakeChain chain in batch)
        {
            if (!_taken.Remove(chain.Head, out Taken? taken))
            {
                throw new InvalidOperationException("the fake device used a buffer that it does not hold");
            }
            if (taken.Table is not null)
            {
                RequireUnchanged(taken.TableAddress, taken.Table, "an indirect table");
            }
            descriptors += taken.Descriptors;
        }
        Place place = _used;
        Pass(descriptors);
        WriteUsed(place, id, length);
    }

    /// <inheritdoc/>
    public override void Push(uint id, uint length)
    {
        Place place = _used;
        Pass(_taken.Remove((ushort)id, out Taken? taken) ? taken.Descriptors : 1);
        WriteUsed(place, id, length);
    }

    /// <summary>Writes the id and the length of the next used descriptor, and not its flags: a device that lies.</summary>
    public void WriteUsedElement(ushort id, uint length) => WriteElement(_used, id, length);

    /// <summary>Writes the id and the length of any descriptor, and not its flags: a device that lies.</summary>
    public void WriteElement(int offset, ushort id, uint length) => WriteElement(new Place((ushort)offset, true), id, length);

    /// <summary>Writes a whole used descriptor anywhere, as of this round: a device that lies.</summary>
    public void WriteUsedDescriptor(int offset, ushort id, uint length) => WriteUsed(new Place((ushort)offset, _used.Wrap), id, length);

    /// <summary>Writes the flags of a descriptor, and nothing else: a device that lies.</summary>
    public void WriteFlags(int offset, ushort flags) => Dma.DeviceWrite16(AddressOf(new Place((ushort)offset, true)) + 14, flags);

    /// <summary>Writes the whole wish of the device, offset with wrap counter and mode: a device that lies.</summary>
    public void WriteEvent(ushort position, ushort mode)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_deviceEvent, position);
        BinaryPrimitives.WriteUInt16LittleEndian(_deviceEvent.AsSpan(2), mode);
        Dma.DeviceWrite(Queue.DeviceArea, _deviceEvent);
    }

    /// <inheritdoc/>
    public override void AskForNotifications(int ahead = 0)
    {
        if (HasEventIndex)
        {
            WriteEvent(_next.Plus(ahead % (2 * Size), Size).Word, EventDescriptor);
        }
        else
        {
            WriteEvent(0, EventEnable);
        }
    }

    /// <inheritdoc/>
    public override void SuppressNotifications() => WriteEvent(0, EventDisable);

    /// <inheritdoc/>
    public override bool WantsSignal()
    {
        int used = Math.Min(_unsignalled, Size);
        _unsignalled = 0;
        (ushort position, ushort mode) = CheckEvents();
        if (mode != EventDescriptor)
        {
            return mode == EventEnable && used > 0;
        }
        // The place waited for is one of those that were passed: those right behind the next one.
        for (int i = 1; i <= used; i++)
        {
            if (_used.Plus(2 * Size - i, Size).Word == position)
            {
                return true;
            }
        }
        return false;
    }

    private ulong AddressOf(Place place) => Queue.DescriptorArea + 16ul * place.Offset;

    private bool IsAvailable(Place place)
    {
        ushort flags = Dma.DeviceRead16(AddressOf(place) + 14);
        return (flags & DescriptorAvailable) != 0 == place.Wrap && (flags & DescriptorUsed) != 0 != place.Wrap;
    }

    /// <summary>What the driver wishes to hear; and that it wrote only what is its own (2.8.10, 2.8.14).</summary>
    private (ushort Position, ushort Mode) CheckEvents()
    {
        Violations.Require(
            Dma.Raw(Queue.DeviceArea, 4).SequenceEqual(_deviceEvent), $"queue {Index}: the driver wrote the device event suppression structure (2.8.10)");
        ushort position = Dma.DeviceRead16(Queue.DriverArea);
        ushort mode = Dma.DeviceRead16(Queue.DriverArea + 2);
        Violations.Require(mode <= EventDescriptor, $"queue {Index}: the driver event flags are 0x{mode:X} (2.8.14)");
        Violations.Require(mode != EventDescriptor || HasEventIndex, $"queue {Index}: an event for one descriptor without EVENT_IDX (2.8.10)");
        Violations.Require(
            mode != EventDescriptor || (position & 0x7FFF) < Size, $"queue {Index}: an event for descriptor {position & 0x7FFF} of {Size} (2.8.10)");
        return (position, mode);
    }

    private void CheckFlags(ushort flags)
    {
        const int known = DescriptorNext | DescriptorWrite | DescriptorIndirect | DescriptorAvailable | DescriptorUsed;
        Violations.Require((flags & ~known) == 0, $"queue {Index}: a descriptor has the flags 0x{flags:X}");
    }

    private void WalkTable(in Descriptor table, Pieces pieces, Taken taken)
    {
        Violations.Require((table.Fourth & DescriptorNext) == 0 && taken.Descriptors == 1, $"queue {Index}: INDIRECT in a list (2.8.19)");
        Violations.Require((table.Fourth & DescriptorWrite) == 0, $"queue {Index}: WRITE, which is reserved, with INDIRECT (2.8.7)");
        byte[] bytes = ReadTable(table.Address, table.Length);
        taken.TableAddress = table.Address;
        taken.Table = bytes;
        for (int at = 0; at < bytes.Length; at += 16)
        {
            Descriptor entry = new(bytes.AsSpan(at, 16));
            Violations.Require(entry.Third == 0, $"queue {Index}: a buffer id inside an indirect table (2.8.7)");
            Violations.Require((entry.Fourth & ~DescriptorWrite) == 0, $"queue {Index}: flags 0x{entry.Fourth:X} inside an indirect table (2.8.19)");
            pieces.Add(entry.Address, entry.Length, (entry.Fourth & DescriptorWrite) != 0);
        }
    }

    /// <summary>Goes on in the ring: the descriptors that are passed are the driver's again, and must be as they were when they were taken.</summary>
    private void Pass(int descriptors)
    {
        for (int i = 0; i < descriptors; i++)
        {
            if (_owned[_used.Offset] is byte[] bytes)
            {
                RequireUnchanged(AddressOf(_used), bytes, $"descriptor {_used.Offset}");
                _owned[_used.Offset] = null;
            }
            _used = _used.Plus(1, Size);
        }
        _unsignalled += descriptors;
    }

    private void WriteUsed(Place place, uint id, uint length)
    {
        WriteElement(place, (ushort)id, length);
        int state = place.Wrap ? DescriptorAvailable | DescriptorUsed : 0;
        Dma.DeviceWrite16(AddressOf(place) + 14, (ushort)(state | (SetsWriteFlag && length > 0 ? DescriptorWrite : 0)));
    }

    private void WriteElement(Place place, ushort id, uint length)
    {
        Span<byte> element = stackalloc byte[6];
        BinaryPrimitives.WriteUInt32LittleEndian(element, length);
        BinaryPrimitives.WriteUInt16LittleEndian(element[4..], id);
        Dma.DeviceWrite(AddressOf(place) + 8, element);
    }

    /// <summary>A place in the ring with its wrap counter.</summary>
    private readonly record struct Place(ushort Offset, bool Wrap)
    {
        /// <summary>As it stands in event suppression structures and notifications.</summary>
        public ushort Word => (ushort)(Offset | (Wrap ? 0x8000 : 0));

        /// <summary>The place some descriptors further on; after twice the size it is the same again.</summary>
        public Place Plus(int descriptors, int size)
        {
            int rounds = (Offset + descriptors) / size;
            return new Place((ushort)((Offset + descriptors) % size), Wrap ^ (rounds % 2 != 0));
        }
    }

    private sealed class Taken
    {
        public FakeChain Chain = null!;
        public int Descriptors;
        public ulong TableAddress;
        public byte[]? Table;
    }
}
