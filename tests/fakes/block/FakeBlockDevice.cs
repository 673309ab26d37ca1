// A disk in memory behind virtio-blk (virtio 5.2), which takes no request that breaks a rule.
using System.Buffers.Binary;
using VirtioSharp.Tests.Fakes.Virtio;

namespace VirtioSharp.Tests.Fakes.Block;

/// <summary>
/// A strict virtio-blk device. What was written becomes durable with a flush only, as in a disk with a cache. Requests are done in the
/// order in which they come, or held back until the test lets them go in an order of its own.
/// </summary>
public sealed partial class FakeBlockDevice : FakeVirtioDevice
{
    /// <summary>VIRTIO_BLK_F_SIZE_MAX.</summary>
    public const ulong SizeMax = 1ul << 1;

    /// <summary>VIRTIO_BLK_F_SEG_MAX.</summary>
    public const ulong SegMax = 1ul << 2;

    /// <summary>VIRTIO_BLK_F_RO.</summary>
    public const ulong ReadOnly = 1ul << 5;

    /// <summary>VIRTIO_BLK_F_BLK_SIZE.</summary>
    public const ulong BlkSize = 1ul << 6;

    /// <summary>VIRTIO_BLK_F_FLUSH.</summary>
    public const ulong Flush = 1ul << 9;

    /// <summary>VIRTIO_BLK_F_GEOMETRY.</summary>
    public const ulong Geometry = 1ul << 4;

    /// <summary>VIRTIO_BLK_F_TOPOLOGY.</summary>
    public const ulong Topology = 1ul << 10;

    /// <summary>VIRTIO_BLK_F_CONFIG_WCE.</summary>
    public const ulong ConfigWriteCache = 1ul << 11;

    /// <summary>VIRTIO_BLK_F_MQ.</summary>
    public const ulong MultiQueue = 1ul << 12;

    /// <summary>VIRTIO_BLK_F_DISCARD.</summary>
    public const ulong Discard = 1ul << 13;

    /// <summary>VIRTIO_BLK_F_WRITE_ZEROES.</summary>
    public const ulong WriteZeroes = 1ul << 14;

    /// <summary>VIRTIO_BLK_F_LIFETIME.</summary>
    public const ulong Lifetime = 1ul << 15;

    /// <summary>VIRTIO_BLK_F_SECURE_ERASE.</summary>
    public const ulong SecureErase = 1ul << 16;

    /// <summary>VIRTIO_BLK_F_ZONED.</summary>
    public const ulong Zoned = 1ul << 17;

    /// <summary>VIRTIO_F_ANY_LAYOUT, of the legacy interface.</summary>
    public const ulong AnyLayout = 1ul << 27;

    /// <summary>VIRTIO_BLK_S_OK.</summary>
    public const byte StatusOk = 0;

    /// <summary>VIRTIO_BLK_S_IOERR.</summary>
    public const byte StatusError = 1;

    /// <summary>VIRTIO_BLK_S_UNSUPP.</summary>
    public const byte StatusUnsupported = 2;

    private const int SectorSize = 512;
    private const int HeaderLength = 16;
    private const int IdLength = 20;

    private static readonly FakeConfigField[] Fields =
    [
        new(0, 4), new(4, 4), new(8, 4, SizeMax), new(12, 4, SegMax), new(16, 2, Geometry), new(18, 1, Geometry), new(19, 1, Geometry),
        new(20, 4, BlkSize), new(24, 1, Topology), new(25, 1, Topology), new(26, 2, Topology), new(28, 4, Topology),
        new(WriteBackOffset, 1, ConfigWriteCache, IsWritable: true), new(34, 2, MultiQueue),
        new(DiscardOffset, 4, Discard), new(40, 4, Discard), new(44, 4, Discard),
        new(WriteZeroesOffset, 4, WriteZeroes), new(52, 4, WriteZeroes), new(56, 1, WriteZeroes),
        new(SecureEraseOffset, 4, SecureErase), new(64, 4, SecureErase), new(68, 4, SecureErase),
        new(72, 4, Zoned), new(76, 4, Zoned), new(80, 4, Zoned), new(84, 4, Zoned), new(88, 4, Zoned), new(92, 1, Zoned),
    ];

    private readonly List<(FakeVirtqueue Queue, FakeChain Chain)> _held = [];

    /// <summary>Makes a disk of zeroes.</summary>
    public FakeBlockDevice(ulong sectors, ushort queueSize = 64, int queues = 1)
        : base(2, ConfigLength, queues, queueSize)
    {
        if (queues > 1)
        {
            OfferedFeatures |= MultiQueue;
            BinaryPrimitives.WriteUInt16LittleEndian(Config.AsSpan(34), (ushort)queues);
        }
        Disk = new byte[sectors * SectorSize];
        Durable = new byte[sectors * SectorSize];
        SetCapacity(sectors);
        OfferedFeatures |= Flush;
    }

    /// <summary>What is on the disk.</summary>
    public byte[] Disk { get; private set; }

    /// <summary>What would be on the disk after a power cut.</summary>
    public byte[] Durable { get; private set; }

    /// <summary>The identification, at most 20 bytes.</summary>
    public byte[] Id { get; set; } = "FAKE-DISK"u8.ToArray();

    /// <summary>Sectors that can be neither read nor written.</summary>
    public HashSet<ulong> BadSectors { get; } = [];

    /// <summary>How many flushes were done.</summary>
    public int Flushes { get; private set; }

    /// <summary>How many requests were done, whatever came of them.</summary>
    public int Requests { get; private set; }

    /// <summary>The most requests that were there at the same time.</summary>
    public int MostHeld { get; private set; }

    /// <summary>True when requests are kept until <see cref="Complete(int)"/> or <see cref="CompleteAll"/>.</summary>
    public bool HoldsBack { get; set; }

    /// <summary>
    /// For tests of this device: a request that drivers must not send is answered as devices have to answer it, and does not fail the test.
    /// </summary>
    public bool IsLenient { get; set; }

    /// <summary>A fault: answers another status than the right one; null leaves the poison.</summary>
    public Func<byte, byte?>? OnStatus { get; set; }

    /// <summary>A fault: writes other data than the right ones for a read, or less.</summary>
    public Func<byte[], byte[]>? OnData { get; set; }

    /// <summary>A fault: requests of these types fail, with nothing done.</summary>
    public Func<uint, bool>? Fails { get; set; }

    /// <summary>A fault: the device knows only these request types.</summary>
    public Func<uint, bool>? Knows { get; set; }

    /// <summary>A fault: a request for this sector makes the device break its ring.</summary>
    public ulong? BreaksAtSector { get; set; }

    /// <summary>True while the disk ends before where a request that is right for the driver would end.</summary>
    public bool HasShrunk { get; set; }

    /// <summary>The requests that are kept back.</summary>
    public IReadOnlyList<FakeChain> HeldBack => [.. _held.Select(each => each.Chain)];

    /// <summary>How many requests each queue brought.</summary>
    public int[] RequestsOfQueue { get; } = new int[64];

    /// <inheritdoc/>
    public override IReadOnlyList<FakeConfigField> ConfigFields => Fields;

    private ulong Sectors => (ulong)Disk.Length / SectorSize;

    /// <summary>Sets the capacity in the configuration, without telling anybody.</summary>
    public FakeBlockDevice SetCapacity(ulong sectors)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(Config, sectors);
        return this;
    }

    /// <summary>Makes the disk larger, and tells the driver.</summary>
    public void Grow(ulong sectors)
    {
        Disk = [.. Disk, .. new byte[sectors * SectorSize - (ulong)Disk.Length]];
        Durable = [.. Durable, .. new byte[sectors * SectorSize - (ulong)Durable.Length]];
        ChangeConfig(config => BinaryPrimitives.WriteUInt64LittleEndian(config, sectors));
    }

    /// <summary>Limits the length of a piece and their number; 0 for no limit.</summary>
    public FakeBlockDevice Limit(uint segMax, uint sizeMax)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(8), sizeMax);
        BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(12), segMax);
        OfferedFeatures = OfferedFeatures & ~(SegMax | SizeMax) | (segMax > 0 ? SegMax : 0) | (sizeMax > 0 ? SizeMax : 0);
        return this;
    }

    /// <summary>Makes the disk read-only.</summary>
    public FakeBlockDevice MakeReadOnly()
    {
        OfferedFeatures |= ReadOnly;
        return this;
    }

    /// <summary>Sets the block size.</summary>
    public FakeBlockDevice SetBlockSize(uint bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(20), bytes);
        OfferedFeatures |= BlkSize;
        return this;
    }

    /// <summary>Does the request at <paramref name="position"/> of <see cref="HeldBack"/>, and signals.</summary>
    public void Complete(int position)
    {
        (FakeVirtqueue queue, FakeChain chain) = _held[position];
        _held.RemoveAt(position);
        Execute(queue, chain);
        queue.Signal();
    }

    /// <summary>Forgets what was held back, as a device does whose program died.</summary>
    public void Forget() => _held.Clear();

    /// <summary>Does all requests that were held back, the last one first when <paramref name="backwards"/>.</summary>
    public void CompleteAll(bool backwards = false)
    {
        while (_held.Count > 0)
        {
            Complete(backwards ? _held.Count - 1 : 0);
        }
    }

    /// <inheritdoc/>
    protected override void Process(FakeVirtqueue queue)
    {
        while (queue.Take() is FakeChain chain)
        {
            _held.Add((queue, chain));
            RequestsOfQueue[queue.Index]++;
            MostHeld = Math.Max(MostHeld, _held.Count);
        }
        while (!HoldsBack && _held.FindIndex(each => each.Queue == queue) is int at and >= 0)
        {
            FakeChain chain = _held[at].Chain;
            _held.RemoveAt(at);
            Execute(queue, chain);
        }
    }

    /// <inheritdoc/>
    protected override void OnReset()
    {
        _held.Clear();
        Config[WriteBackOffset] = WriteBackAfterReset;
    }

    /// <inheritdoc/>
    protected internal override void OnQueueReset(FakeVirtqueue queue) => _held.RemoveAll(each => each.Queue == queue);

    private void Execute(FakeVirtqueue queue, FakeChain chain)
    {
        ViolationLog violations = Machine.Violations;
        violations.Require(chain.ReadableLength >= HeaderLength, $"a block request of {chain.ReadableLength} readable bytes (5.2.6)");
        violations.Require(chain.WritableLength >= 1, "a block request without room for a status (5.2.6)");
        bool isFree = !Bus.IsLegacy || Has(AnyLayout);
        violations.Require(
            isFree || (chain.Readable[0].Length == HeaderLength && chain.Writable[^1].Length == 1),
            "without ANY_LAYOUT a legacy disk wants header and status in descriptors of their own (5.2.7)");
        byte[] header = chain.Read(0, HeaderLength);
        uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(8));
        violations.Require(BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)) == 0, "a block request whose reserved field is not 0 (5.2.6)");
        CheckLimits(chain);
        if (BreaksAtSector == sector && type <= 1)
        {
            queue.PushUsed(0xFFFF, 0);
            return;
        }
        uint written = 0;
        byte status = Knows?.Invoke(type) ?? true ? Do(type, sector, chain, ref written) : StatusUnsupported;
        byte? answer = OnStatus is null ? status : OnStatus(status);
        uint statusOffset = chain.WritableLength - 1;
        if (answer is byte value)
        {
            chain.Write(statusOffset, [value]);
        }
        Requests++;
        // used.len counts from the first writable byte on without a gap: up to the status when everything before it was written (2.7.8.2).
        queue.Use(chain, written == statusOffset ? written + 1 : written);
    }

    private byte Do(uint type, ulong sector, FakeChain chain, ref uint written)
    {
        uint toRead = chain.WritableLength - 1;
        uint toWrite = chain.ReadableLength - HeaderLength;
        ViolationLog violations = Machine.Violations;
        if (Fails?.Invoke(type) ?? false)
        {
            return StatusError;
        }
        switch (type)
        {
            case 0:
                violations.Require(toWrite == 0 && toRead > 0 && toRead % SectorSize == 0, $"a read of {toRead} bytes, with {toWrite} to write (5.2.6)");
                if (!IsInRange(sector, toRead) || HasBadSector(sector, toRead))
                {
                    return StatusError;
                }
                byte[] data = Disk.AsSpan((int)sector * SectorSize, (int)toRead).ToArray();
                data = OnData?.Invoke(data) ?? data;
                chain.Write(0, data);
                written = (uint)data.Length;
                return StatusOk;
            case 1:
                violations.Require(toRead == 0 && toWrite > 0 && toWrite % SectorSize == 0, $"a write of {toWrite} bytes, with {toRead} to read (5.2.6)");
                Judge((OfferedFeatures & ReadOnly) == 0, "a write to a read-only disk (5.2.6.1)");
                if ((OfferedFeatures & ReadOnly) != 0 || !IsInRange(sector, toWrite) || HasBadSector(sector, toWrite))
                {
                    return StatusError;
                }
                if (Zones?.Write(sector, toWrite / SectorSize) is byte refused and not StatusOk)
                {
                    return refused;
                }
                Store(sector, chain.Read(HeaderLength));
                return StatusOk;
            case 4:
                violations.Require(Has(Flush), "a flush that was not agreed on (5.2.6.1)");
                violations.Require(sector == 0 && toRead == 0 && toWrite == 0, "a flush with a sector or with data (5.2.6.1)");
                Disk.CopyTo(Durable.AsSpan());
                Flushes++;
                return StatusOk;
            case 8:
                violations.Require(toRead == IdLength && toWrite == 0 && sector == 0, $"a request for the id with {toRead} bytes of room (5.2.6)");
                byte[] id = new byte[IdLength];
                Id.CopyTo(id.AsSpan());
                chain.Write(0, id);
                written = IdLength;
                return StatusOk;
            default:
                return DoMore(type, sector, chain, ref written);
        }
    }

    /// <summary>What a driver must not ask for fails the test, unless the test is about the answer.</summary>
    private void Judge(bool isRight, string what) => Machine.Violations.Require(isRight || IsLenient, what);

    private bool IsInRange(ulong sector, ulong length)
    {
        bool inside = sector <= Sectors && length / SectorSize <= Sectors - sector;
        Machine.Violations.Require(inside || HasShrunk || IsLenient, $"a request for {length} bytes at sector {sector} of {Sectors} (5.2.6.1)");
        return inside;
    }

    private bool HasBadSector(ulong sector, ulong length) => BadSectors.Any(bad => bad >= sector && bad < sector + length / SectorSize);

    private void CheckLimits(FakeChain chain)
    {
        uint sizeMax = BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(8));
        uint segMax = BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(12));
        // Header and status are no segments, as long as they lie in pieces of their own (5.2.4).
        int segments = chain.Readable.Count + chain.Writable.Count;
        segments -= chain.Readable[0].Length == HeaderLength ? 1 : 0;
        segments -= chain.Writable[^1].Length is 1 or 9 ? 1 : 0; // 9: with the sector of an append, which belongs to the status
        Machine.Violations.Require(
            (OfferedFeatures & SegMax) == 0 || segMax == 0 || segments <= segMax, $"a request of {segments} segments, but seg_max is {segMax} (5.2.4)");
        foreach (FakePiece piece in chain.Readable.Concat(chain.Writable))
        {
            Machine.Violations.Require(
                (OfferedFeatures & SizeMax) == 0 || sizeMax < SectorSize || piece.Length <= sizeMax,
                $"a segment of {piece.Length} bytes, but size_max is {sizeMax} (5.2.4)");
        }
    }
}
