// The device's side of a split virtqueue, which checks every rule that the driver has to keep.
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>
/// A split virtqueue as the device sees it (virtio 2.7). It sleeps until it is notified, signals only when the ring asks for it, and
/// reads nothing that was not lent.
/// </summary>
public sealed class FakeVirtqueue(FakeVirtioDevice device, ushort index, ushort maxSize)
{
    private const ushort DescriptorNext = 1;
    private const ushort DescriptorWrite = 2;
    private const ushort DescriptorIndirect = 4;
    private const ushort NoInterrupt = 1;
    private const ushort NoNotify = 1;
    private const ushort NoVector = 0xFFFF;

    private readonly Dictionary<ushort, Taken> _taken = [];
    private ushort _lastAvailable;
    private ushort _usedIndex;
    private ushort _signalledUsed;
    private bool _notified;
    private bool _asksForNotifications;
    private int _resetReadsLeft;

    /// <summary>The number of the queue.</summary>
    public ushort Index => index;

    /// <summary>The largest size offered.</summary>
    public ushort MaxSize { get; set; } = maxSize;

    /// <summary>The size in use.</summary>
    public ushort Size { get; set; } = maxSize;

    /// <summary>Where the descriptor table is.</summary>
    public ulong DescriptorArea { get; set; }

    /// <summary>Where the available ring is.</summary>
    public ulong DriverArea { get; set; }

    /// <summary>Where the used ring is.</summary>
    public ulong DeviceArea { get; set; }

    /// <summary>The vector for used buffers, or 0xFFFF.</summary>
    public ushort Vector { get; set; } = NoVector;

    /// <summary>True between enabling and reset.</summary>
    public bool IsEnabled { get; private set; }

    /// <summary>True between the beginning of the queue's reset and its end (virtio 2.6.1).</summary>
    public bool IsResetting { get; private set; }

    /// <summary>True when the queue was reset and not enabled again: it may be set up anew while the device is live.</summary>
    public bool WasReset { get; private set; }

    /// <summary>How many looks at queue_reset still show 1; -1: it never ends.</summary>
    public int ResetReads { get; set; }

    /// <summary>What the last notification said with NOTIFICATION_DATA (virtio 2.9); null when it said nothing.</summary>
    public ushort? LastPosition { get; set; }

    /// <summary>How often the driver rang the doorbell.</summary>
    public int Notifications { get; private set; }

    /// <summary>How often the driver rang although the device had asked it not to.</summary>
    public int UnwantedNotifications { get; private set; }

    /// <summary>True when a doorbell was heard that no turn of work has answered.</summary>
    public bool IsNotified => _notified;

    /// <summary>How often the device signalled used buffers.</summary>
    public int Signals { get; private set; }

    /// <summary>How many chains the device holds.</summary>
    public int Held => _taken.Count;

    /// <summary>How many buffers were used so far, modulo 65536.</summary>
    public ushort UsedIndex => _usedIndex;

    /// <summary>True when the device looks at the ring all the time, and asks not to be notified.</summary>
    public bool IsPolled { get; set; }

    /// <summary>A fault: doorbells that get lost, counted down.</summary>
    public int LoseNotifications { get; set; }

    /// <summary>A fault: signals that get lost, counted down.</summary>
    public int LoseSignals { get; set; }

    /// <summary>A fault: changes what the device says it used (head, length).</summary>
    public Func<uint, uint, (uint Id, uint Length)>? OnUsed { get; set; }

    private FakeDma Dma => device.Machine.FakeDma;

    private ViolationLog Violations => device.Machine.Violations;

    private bool HasEventIndex => device.Has(FakeVirtioDevice.EventIndex);

    private ulong UsedEventAddress => DriverArea + 4 + 2ul * Size;

    private ulong AvailableEventAddress => DeviceArea + 4 + 8ul * Size;

    /// <summary>Puts everything back to what it is after a reset.</summary>
    public void Reset()
    {
        Size = MaxSize;
        DescriptorArea = DriverArea = DeviceArea = 0;
        Vector = NoVector;
        IsEnabled = false;
        _taken.Clear();
        _lastAvailable = _usedIndex = _signalledUsed = 0;
        _notified = _asksForNotifications = IsResetting = WasReset = false;
    }

    /// <summary>The driver begins the reset of this queue: the device takes nothing more from it, but its memory is not the driver's yet.</summary>
    public void BeginReset()
    {
        Violations.Require(IsEnabled && !IsResetting, $"queue {index} was reset, which is not enabled");
        IsResetting = true;
        _resetReadsLeft = ResetReads;
        device.OnQueueReset(this);
    }

    /// <summary>The driver looks whether the reset goes on. When it has ended, all is as at first; nothing may have been taken back before.</summary>
    public bool ReadReset()
    {
        if (!IsResetting)
        {
            return false;
        }
        foreach (FakePiece piece in _taken.Values.SelectMany(taken => taken.Chain.Readable.Concat(taken.Chain.Writable)))
        {
            Violations.Require(
                Dma.IsLent(piece.Address, piece.Length, forWriting: false) || Dma.IsLent(piece.Address, piece.Length, forWriting: true),
                $"queue {index}: a buffer was taken back before the end of the reset was seen (2.6.1)");
        }
        if (_resetReadsLeft != 0)
        {
            _resetReadsLeft -= _resetReadsLeft > 0 ? 1 : 0;
            return true;
        }
        Reset();
        WasReset = true;
        return false;
    }

    /// <summary>The driver enables the queue: its memory must be right and lent.</summary>
    public void Enable()
    {
        Violations.Require(!IsEnabled, $"queue {index} was enabled twice");
        Violations.Require(Size > 0 && Size <= MaxSize && (Size & (Size - 1)) == 0, $"queue {index} was enabled with {Size} descriptors");
        Violations.Require(DescriptorArea % 16 == 0 && DescriptorArea != 0, $"the descriptor table of queue {index} is not aligned to 16 (2.7)");
        Violations.Require(DriverArea % 2 == 0 && DriverArea != 0, $"the available ring of queue {index} is not aligned to 2 (2.7)");
        Violations.Require(DeviceArea % 4 == 0 && DeviceArea != 0, $"the used ring of queue {index} is not aligned to 4 (2.7)");
        Violations.Require(Dma.IsLent(DescriptorArea, 16u * Size, forWriting: false), $"the descriptor table of queue {index} was not lent");
        Violations.Require(Dma.IsLent(DriverArea, 6 + 2u * Size, forWriting: false), $"the available ring of queue {index} was not lent");
        Violations.Require(Dma.IsLent(DeviceArea, 6 + 8u * Size, forWriting: true), $"the used ring of queue {index} was not lent");
        Violations.Require(
            Dma.Raw(DeviceArea, 4).IndexOfAnyExcept((byte)0) < 0,
            $"the used ring of queue {index} does not begin with zeroes (2.7.10)");
        IsEnabled = true;
        WasReset = false;
        _asksForNotifications = true;
    }

    /// <summary>The driver rings the doorbell.</summary>
    public void Notify()
    {
        Notifications++;
        if (LoseNotifications > 0)
        {
            LoseNotifications--;
            return;
        }
        if (!_asksForNotifications)
        {
            UnwantedNotifications++;
        }
        _notified = true;
    }

    /// <summary>True when the queue is enabled and one of its areas lies in a range of memory.</summary>
    public bool UsesMemory(ulong address, uint length) =>
        IsEnabled && new[] { DescriptorArea, DriverArea, DeviceArea }.Any(area => area >= address && area - address < length);

    /// <summary>Begins a turn of work: true when there was a doorbell, or the device looks by itself.</summary>
    public bool BeginWork()
    {
        if (!IsEnabled || IsResetting || !(_notified || (IsPolled && ReadAvailableIndex() != _lastAvailable)))
        {
            return false;
        }
        _notified = false;
        return true;
    }

    /// <summary>Ends a turn of work: asks to be notified of more, and looks once more; true when there is more already.</summary>
    public bool EndWork()
    {
        _asksForNotifications = !IsPolled;
        if (!HasEventIndex)
        {
            Dma.DeviceWrite16(DeviceArea, IsPolled ? NoNotify : (ushort)0);
        }
        else
        {
            Dma.DeviceWrite16(AvailableEventAddress, IsPolled ? (ushort)(_lastAvailable - 1) : _lastAvailable);
        }
        return ReadAvailableIndex() != _lastAvailable;
    }

    /// <summary>Asks not to be notified for a while.</summary>
    public void SuppressNotifications()
    {
        _asksForNotifications = false;
        if (!HasEventIndex)
        {
            Dma.DeviceWrite16(DeviceArea, NoNotify);
        }
    }

    /// <summary>Takes the next chain; null when there is none.</summary>
    public FakeChain? Take()
    {
        ushort available = ReadAvailableIndex();
        if (available == _lastAvailable)
        {
            return null;
        }
        ushort head = Dma.DeviceRead16(DriverArea + 4 + 2ul * (uint)(_lastAvailable & (Size - 1)));
        Violations.Require(head < Size, $"queue {index}: the available ring names descriptor {head} of {Size}");
        Violations.Require(!_taken.ContainsKey(head), $"queue {index}: descriptor {head} was made available while the device holds it");
        Taken taken = Walk(head);
        _taken.Add(head, taken);
        _lastAvailable++;
        return taken.Chain;
    }

    /// <summary>Gives a chain back: <paramref name="written"/> bytes were written from its first writable byte on.</summary>
    public void Use(FakeChain chain, uint written)
    {
        if (!_taken.Remove(chain.Head, out Taken? taken))
        {
            throw new InvalidOperationException("the fake device used a chain that it does not hold");
        }
        CheckUnchanged(taken);
        (uint id, uint length) = OnUsed?.Invoke(chain.Head, written) ?? (chain.Head, written);
        PushUsed(id, length);
    }

    /// <summary>Puts any entry into the used ring and advances its index: what a device that lies does as well.</summary>
    public void PushUsed(uint id, uint length)
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
        Dma.DeviceWrite(DeviceArea + 4 + 8ul * (uint)(position & (Size - 1)), element);
    }

    /// <summary>Writes the index of the used ring, and nothing else.</summary>
    public void WriteUsedIndex(ushort value)
    {
        _usedIndex = value;
        Dma.DeviceWrite16(DeviceArea + 2, value);
    }

    /// <summary>A device that lies writes the flags of the used ring.</summary>
    public void WriteUsedFlags(ushort value) => Dma.DeviceWrite16(DeviceArea, value);

    /// <summary>A device that lies writes the available event.</summary>
    public void WriteAvailableEvent(ushort value) => Dma.DeviceWrite16(AvailableEventAddress, value);

    /// <summary>Signals what was used since the last signal, if the driver wants to hear (virtio 2.7.7.2).</summary>
    public void Signal()
    {
        ushort old = _signalledUsed;
        _signalledUsed = _usedIndex;
        if (old == _usedIndex || !WantsSignal(old))
        {
            return;
        }
        Signals++;
        if (LoseSignals > 0)
        {
            LoseSignals--;
            return;
        }
        device.RaiseQueue(this);
    }

    private bool WantsSignal(ushort old)
    {
        ushort flags = Dma.DeviceRead16(DriverArea);
        if (!HasEventIndex)
        {
            Violations.Require(flags <= NoInterrupt, $"queue {index}: available flags are 0x{flags:X} (2.7.6)");
            return (flags & NoInterrupt) == 0;
        }
        Violations.Require(flags == 0, $"queue {index}: available flags are 0x{flags:X} with EVENT_IDX (2.7.7)");
        ushort wanted = Dma.DeviceRead16(UsedEventAddress);
        return (ushort)(_usedIndex - wanted - 1) < (ushort)(_usedIndex - old);
    }

    private ushort ReadAvailableIndex()
    {
        ushort available = Dma.DeviceRead16(DriverArea + 2);
        int waiting = (ushort)(available - _lastAvailable);
        Violations.Require(
            waiting + _taken.Count <= Size,
            $"queue {index}: {waiting} more buffers are available while the device holds {_taken.Count}, but there are {Size} descriptors");
        return available;
    }

    private Taken Walk(ushort head)
    {
        List<FakePiece> readable = [];
        List<FakePiece> writable = [];
        Taken taken = new();
        ushort at = head;
        while (true)
        {
            Violations.Require(at < Size, $"queue {index}: a descriptor points to {at} of {Size}");
            Violations.Require(
                !taken.Descriptors.ContainsKey(at) && !_taken.Values.Any(other => other.Descriptors.ContainsKey(at)),
                $"queue {index}: descriptor {at} belongs to two chains, or a chain loops");
            byte[] bytes = new byte[16];
            Dma.DeviceRead(DescriptorArea + 16ul * at, bytes);
            taken.Descriptors.Add(at, bytes);
            Descriptor descriptor = new(bytes);
            CheckFlags(descriptor);
            if ((descriptor.Flags & DescriptorIndirect) != 0)
            {
                WalkTable(descriptor, readable, writable, taken);
                break;
            }
            AddPiece(descriptor, readable, writable);
            if ((descriptor.Flags & DescriptorNext) == 0)
            {
                break;
            }
            at = descriptor.Next;
        }
        taken.Chain = new FakeChain(Dma, head, readable, writable);
        return taken;
    }

    private void WalkTable(in Descriptor table, List<FakePiece> readable, List<FakePiece> writable, Taken taken)
    {
        Violations.Require(device.Has(FakeVirtioDevice.IndirectDescriptors), $"queue {index}: INDIRECT was used without being agreed on (2.7.5.3.1)");
        Violations.Require((table.Flags & DescriptorNext) == 0, $"queue {index}: INDIRECT together with NEXT (2.7.5.3.1)");
        Violations.Require(table.Length > 0 && table.Length % 16 == 0, $"queue {index}: an indirect table of {table.Length} bytes (2.7.5.3.1)");
        Violations.Require(Dma.IsLent(table.Address, table.Length, forWriting: false), $"queue {index}: an indirect table was not lent for reading");
        byte[] bytes = new byte[table.Length];
        Dma.DeviceRead(table.Address, bytes);
        taken.TableAddress = table.Address;
        taken.Table = bytes;
        uint count = table.Length / 16;
        HashSet<uint> seen = [];
        uint at = 0;
        while (true)
        {
            Violations.Require(at < count, $"queue {index}: an indirect descriptor points to {at} of {count}");
            Violations.Require(seen.Add(at), $"queue {index}: an indirect table loops");
            Descriptor descriptor = new(bytes.AsSpan((int)at * 16, 16));
            CheckFlags(descriptor);
            Violations.Require((descriptor.Flags & DescriptorIndirect) == 0, $"queue {index}: INDIRECT inside an indirect table (2.7.5.3.1)");
            AddPiece(descriptor, readable, writable);
            if ((descriptor.Flags & DescriptorNext) == 0)
            {
                return;
            }
            at = descriptor.Next;
        }
    }

    private void CheckFlags(in Descriptor descriptor) =>
        Violations.Require(
            (descriptor.Flags & ~(DescriptorNext | DescriptorWrite | DescriptorIndirect)) == 0,
            $"queue {index}: a descriptor has the flags 0x{descriptor.Flags:X}");

    private void AddPiece(in Descriptor descriptor, List<FakePiece> readable, List<FakePiece> writable)
    {
        bool isWritable = (descriptor.Flags & DescriptorWrite) != 0;
        Violations.Require(descriptor.Length > 0, $"queue {index}: a descriptor of no bytes");
        Violations.Require(isWritable || writable.Count == 0, $"queue {index}: a readable descriptor behind a writable one (2.7.4.2)");
        Violations.Require(readable.Count + writable.Count < Size, $"queue {index}: a chain longer than the queue (2.7.5.3.1)");
        Violations.Require(
            Dma.IsLent(descriptor.Address, descriptor.Length, isWritable),
            $"queue {index}: {descriptor.Length} bytes at 0x{descriptor.Address:X} were not lent for {(isWritable ? "writing" : "reading")}");
        (isWritable ? writable : readable).Add(new FakePiece(descriptor.Address, descriptor.Length));
    }

    private void CheckUnchanged(Taken taken)
    {
        if (device.IsTamperingAllowed)
        {
            return;
        }
        foreach ((ushort at, byte[] bytes) in taken.Descriptors)
        {
            Violations.Require(
                Dma.Raw(DescriptorArea + 16ul * at, 16).SequenceEqual(bytes),
                $"queue {index}: descriptor {at} was changed while the device held it (2.7.5)");
        }
        Violations.Require(
            taken.Table is null || Dma.Raw(taken.TableAddress, taken.Table.Length).SequenceEqual(taken.Table),
            $"queue {index}: an indirect table was changed while the device held it");
    }

    private readonly struct Descriptor
    {
        public Descriptor(ReadOnlySpan<byte> bytes)
        {
            Address = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            Length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
            Flags = BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]);
            Next = BinaryPrimitives.ReadUInt16LittleEndian(bytes[14..]);
        }

        public ulong Address { get; }

        public uint Length { get; }

        public ushort Flags { get; }

        public ushort Next { get; }
    }

    private sealed class Taken
    {
        public FakeChain Chain = null!;
        public Dictionary<ushort, byte[]> Descriptors = [];
        public ulong TableAddress;
        public byte[]? Table;
    }
}
