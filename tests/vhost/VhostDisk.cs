// A disk in memory behind a vhost-user socket, which behaves well unless a script says otherwise.
using System.Buffers.Binary;
using VirtioSharp.Kernel.Apps;

namespace VirtioSharp.Tests.Vhost;

/// <summary>
/// What the disk is, and where a script takes hold of it. Everything here runs on the thread of <see cref="VhostBackend"/>, once that was started.
/// </summary>
internal sealed partial class VhostDisk
{
    internal const int SectorCount = 8192;
    internal const int ConfigLength = 60;

    internal const int CapacityField = 0;
    internal const int SizeMaxField = 8;
    internal const int SegMaxField = 12;
    internal const int BlockSizeField = 20;
    internal const int PhysicalExponentField = 24;
    internal const int OptIoSizeField = 28;
    internal const int QueueCountField = 34;
    internal const int MaxDiscardField = 36;
    internal const int MaxDiscardSegmentsField = 40;
    internal const int MaxZeroesField = 48;
    internal const int MaxZeroesSegmentsField = 52;

    internal const ulong SizeMax = 1ul << 1;
    internal const ulong SegMax = 1ul << 2;
    internal const ulong ReadOnly = 1ul << 5;
    internal const ulong BlockSize = 1ul << 6;
    internal const ulong Flush = 1ul << 9;
    internal const ulong Topology = 1ul << 10;
    internal const ulong MultiQueue = 1ul << 12;
    internal const ulong Discard = 1ul << 13;
    internal const ulong WriteZeroes = 1ul << 14;
    internal const ulong Indirect = 1ul << 28;
    internal const ulong EventIndex = 1ul << 29;
    internal const ulong ProtocolFeatures = 1ul << 30; // VHOST_USER_F_PROTOCOL_FEATURES
    internal const ulong Version1 = 1ul << 32;
    internal const ulong RingPacked = 1ul << 34;

    private int _taken;

    /// <summary>Makes a disk whose sectors hold what the kernel's verdict expects.</summary>
    internal VhostDisk()
    {
        Set64(CapacityField, SectorCount);
        Set32(SegMaxField, 30);
        Set32(BlockSizeField, 512);
        Set32(MaxDiscardField, SectorCount);
        Set32(MaxDiscardSegmentsField, 1);
        Set32(MaxZeroesField, SectorCount);
        Set32(MaxZeroesSegmentsField, 1);
        for (int i = 0; i < SectorCount; i++)
        {
            VerdictPattern.Fill(Content.AsSpan(512 * i, 512), (ulong)i, 0);
        }
    }

    /// <summary>What is on it.</summary>
    internal byte[] Content { get; } = new byte[512 * SectorCount];

    /// <summary>struct virtio_blk_config (5.2.4), as far as QEMU 7.2 knows it.</summary>
    internal byte[] Config { get; } = new byte[ConfigLength];

    /// <summary>What it answers when it is asked who it is.</summary>
    internal byte[] Id { get; set; } = "vhost"u8.ToArray();

    /// <summary>What it offers; QEMU takes away what it does not know.</summary>
    internal ulong Features { get; set; } =
        SegMax | BlockSize | Flush | Topology | MultiQueue | Discard | WriteZeroes | Indirect | EventIndex | ProtocolFeatures | Version1 | RingPacked;

    /// <summary>What was agreed on.</summary>
    internal ulong Agreed { get; set; }

    /// <summary>What is added to QEMU's options of the device.</summary>
    internal string Options { get; set; } = "";

    /// <summary>True when writes fail.</summary>
    internal bool IsReadOnly => (Features & ReadOnly) != 0;

    /// <summary>How many flushes were done.</summary>
    internal int Flushes { get; set; }

    /// <summary>How many requests were taken.</summary>
    internal int Taken => _taken;

    /// <summary>The requests that a script keeps.</summary>
    internal List<VhostRequest> Held { get; } = [];

    /// <summary>How often the script did what it is about; a case whose deed was never done shows nothing.</summary>
    internal int Deeds { get; set; }

    /// <summary>True when the script spoils what the device itself will read: it can't blame the driver then.</summary>
    internal bool MisreadsRings { get; set; }

    /// <summary>Sees each request before it is done; true when the script has done with it what is to be done.</summary>
    internal Func<VhostRequest, bool>? OnRequest { get; set; }

    /// <summary>Chooses the status byte; null leaves it unwritten.</summary>
    internal Func<VhostRequest, byte, byte?>? OnStatus { get; set; }

    /// <summary>Chooses id and length of the used entry.</summary>
    internal Func<VhostRequest, uint, (uint Id, uint Length)>? OnUsed { get; set; }

    /// <summary>True when a doorbell that was rung once is not heard.</summary>
    internal Func<VhostQueue, bool>? OnKick { get; set; }

    /// <summary>True when an interrupt that the driver wants gets lost.</summary>
    internal Func<VhostQueue, bool>? OnSignal { get; set; }

    /// <summary>Says what doorbells the device wants, instead of the backend.</summary>
    internal Action<VhostQueue>? OnAsk { get; set; }

    /// <summary>A queue was started; its ring can be used.</summary>
    internal Action<VhostQueue>? OnStart { get; set; }

    /// <summary>A queue is about to be stopped.</summary>
    internal Action<VhostQueue>? OnStop { get; set; }

    /// <summary>The backend, for scripts that take their time or drop the connection; set when it is started.</summary>
    internal VhostBackend Backend { get; set; } = null!;

    /// <summary>Takes a request from a ring and does it, or what the script makes of it.</summary>
    internal void Serve(VhostQueue queue, VhostChain chain)
    {
        VhostRequest request = new(this, queue, chain, ++_taken);
        CheckLimits(request);
        if (OnRequest is null || !OnRequest(request))
        {
            Finish(request);
        }
    }

    /// <summary>Does a request and gives it back; it interrupts if the driver wants it when the queue is looked at next.</summary>
    internal void Finish(VhostRequest request)
    {
        byte status = request.Execute();
        byte? shown = OnStatus is null ? status : OnStatus(request, status);
        if (shown is not null)
        {
            request.WriteStatus(shown.Value);
        }
        (uint id, uint length) = OnUsed is null ? (request.Chain.Id, request.HonestLength) : OnUsed(request, request.HonestLength);
        request.Ring.Push(id, length, request.Chain.Descriptors);
    }

    /// <summary>Writes a field of the configuration.</summary>
    internal void Set64(int field, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Config.AsSpan(field), value);

    /// <summary>Writes a field of the configuration.</summary>
    internal void Set32(int field, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(field), value);

    /// <summary>Writes a field of the configuration.</summary>
    internal void Set16(int field, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Config.AsSpan(field), value);

    /// <summary>No request is larger than what the configuration allows.</summary>
    private void CheckLimits(VhostRequest request)
    {
        int data = request.Chain.Pieces.Count - 2;
        uint most = (Agreed & SegMax) != 0 ? BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(SegMaxField)) : 1;
        uint longest = (Agreed & SizeMax) != 0 ? BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(SizeMaxField)) : uint.MaxValue;
        if (data > most || request.Chain.Pieces.Skip(1).SkipLast(1).Any(piece => piece.Length > longest))
        {
            throw new VhostViolationException($"a request with {data} pieces, which is beyond seg_max or size_max (5.2.6.1)");
        }
    }
}
