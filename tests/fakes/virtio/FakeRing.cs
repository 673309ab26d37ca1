// The device's side of a ring, whatever its format: what has to be right in both.
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Fakes.Virtio;

/// <summary>A ring as the device sees it. It touches nothing that was not lent and finds every rule that the driver breaks.</summary>
public abstract class FakeRing(FakeVirtioDevice device, FakeVirtqueue queue)
{
    /// <summary>The number of the queue, for messages.</summary>
    protected int Index => queue.Index;

    /// <summary>The queue with its registers.</summary>
    protected FakeVirtqueue Queue => queue;

    /// <summary>How many descriptors there are.</summary>
    protected int Size => queue.Size;

    /// <summary>The memory.</summary>
    protected FakeDma Dma => device.Machine.FakeDma;

    /// <summary>Where broken rules go.</summary>
    protected ViolationLog Violations => device.Machine.Violations;

    /// <summary>True with EVENT_IDX.</summary>
    protected bool HasEventIndex => device.Has(FakeVirtioDevice.EventIndex);

    /// <summary>True with IN_ORDER.</summary>
    protected bool IsInOrder => device.Has(FakeVirtioDevice.InOrder);

    /// <summary>True when the device changes descriptors itself.</summary>
    protected bool IsTamperingAllowed => device.IsTamperingAllowed;

    /// <summary>How many buffers the device holds.</summary>
    public abstract int Held { get; }

    /// <summary>The buffers that the device holds.</summary>
    public abstract IEnumerable<FakeChain> HeldChains { get; }

    /// <summary>Where the indirect tables of the buffers are that the device holds.</summary>
    public abstract IEnumerable<FakePiece> HeldTables { get; }

    /// <summary>True when there is something to take.</summary>
    public abstract bool HasAvailable { get; }

    /// <summary>Where the driver will put its next buffer, by what is in the ring, as notifications with data say it (virtio 2.9).</summary>
    public abstract ushort Position { get; }

    /// <summary>The queue was enabled: its memory must be right and lent.</summary>
    public abstract void CheckAreas();

    /// <summary>Takes the next buffer; null when there is none.</summary>
    public abstract FakeChain? Take();

    /// <summary>Writes one used entry for buffers that come one after the other; it names the last one, or what a device that lies names.</summary>
    public abstract void Use(IReadOnlyList<FakeChain> batch, uint id, uint length);

    /// <summary>Writes a used entry out of nothing: a device that lies.</summary>
    public abstract void Push(uint id, uint length);

    /// <summary>Wishes to be notified of the buffer that comes after <paramref name="ahead"/> others; without EVENT_IDX of any.</summary>
    public abstract void AskForNotifications(int ahead = 0);

    /// <summary>Wishes no notifications.</summary>
    public abstract void SuppressNotifications();

    /// <summary>True when the driver wants to hear of what was used since the last call.</summary>
    public abstract bool WantsSignal();

    /// <summary>A descriptor of 16 bytes, as far as both formats agree.</summary>
    protected readonly struct Descriptor(ReadOnlySpan<byte> bytes)
    {
        /// <summary>The address.</summary>
        public ulong Address { get; } = BinaryPrimitives.ReadUInt64LittleEndian(bytes);

        /// <summary>The length.</summary>
        public uint Length { get; } = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);

        /// <summary>Split: flags. Packed: id.</summary>
        public ushort Third { get; } = BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]);

        /// <summary>Split: next. Packed: flags.</summary>
        public ushort Fourth { get; } = BinaryPrimitives.ReadUInt16LittleEndian(bytes[14..]);
    }

    /// <summary>Collects the pieces of one buffer, and sees that they are right.</summary>
    protected sealed class Pieces(FakeRing ring)
    {
        private readonly List<FakePiece> _readable = [];
        private readonly List<FakePiece> _writable = [];

        /// <summary>One piece more.</summary>
        public void Add(ulong address, uint length, bool isWritable)
        {
            ring.Violations.Require(length > 0, $"queue {ring.Index}: a descriptor of no bytes");
            ring.Violations.Require(isWritable || _writable.Count == 0, $"queue {ring.Index}: a readable descriptor behind a writable one (2.7.4.2, 2.8.17)");
            ring.Violations.Require(
                _readable.Count + _writable.Count < ring.Size, $"queue {ring.Index}: a chain longer than the queue (2.7.5.3.1, 2.8.17)");
            ring.Violations.Require(
                ring.Dma.IsLent(address, length, isWritable),
                $"queue {ring.Index}: {length} bytes at 0x{address:X} were not lent for {(isWritable ? "writing" : "reading")}");
            (isWritable ? _writable : _readable).Add(new FakePiece(address, length));
        }

        /// <summary>The buffer.</summary>
        public FakeChain ToChain(ushort head) => new(ring.Dma, head, _readable, _writable);
    }

    /// <summary>Reads an indirect table, which must be lent.</summary>
    protected byte[] ReadTable(ulong address, uint length)
    {
        Violations.Require(
            device.Has(FakeVirtioDevice.IndirectDescriptors), $"queue {Index}: INDIRECT was used without being agreed on (2.7.5.3.1, 2.8.19)");
        Violations.Require(length > 0 && length % 16 == 0, $"queue {Index}: an indirect table of {length} bytes (2.7.5.3.1, 2.8.7)");
        Violations.Require(Dma.IsLent(address, length, forWriting: false), $"queue {Index}: an indirect table was not lent for reading");
        byte[] bytes = new byte[length];
        Dma.DeviceRead(address, bytes);
        return bytes;
    }

    /// <summary>Memory that the device holds must be as it was when it was taken.</summary>
    protected void RequireUnchanged(ulong address, byte[] bytes, string what) =>
        Violations.Require(
            IsTamperingAllowed || Dma.Raw(address, bytes.Length).SequenceEqual(bytes),
            $"queue {Index}: {what} was changed while the device held it (2.7.5, 2.8.16)");
}
