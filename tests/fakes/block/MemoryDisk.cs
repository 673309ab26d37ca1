// A block device without any bus: an array of bytes.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Fakes.Block;

/// <summary>Does requests in <see cref="Poll"/>, and remembers requests that no caller may make.</summary>
public sealed class MemoryDisk(ulong sectors, uint blockSize = 512) : BlockDevice, IDisposable
{
    private readonly FakeMachine _machine = new();
    private readonly List<BlockRequest> _waiting = [];

    /// <summary>What is on the disk.</summary>
    public byte[] Bytes { get; } = new byte[sectors * SectorSize];

    /// <summary>How many of its sectors the disk says that it has.</summary>
    public ulong Visible { get; set; } = sectors;

    /// <summary>Says how a request ends; null for well.</summary>
    public Func<BlockRequest, IoStatus?>? Fails { get; set; }

    /// <summary>How many requests were done.</summary>
    public int Requests { get; private set; }

    /// <summary>How many flushes were done.</summary>
    public int Flushes { get; private set; }

    /// <summary>Requests for what is not on the disk, or not whole blocks.</summary>
    public int Breaches { get; private set; }

    /// <summary>True when the disk can't be written.</summary>
    public bool RefusesWrites { get; set; }

    /// <summary>How many bytes of memory are allocated.</summary>
    public ulong MemoryInUse => _machine.FakeDma.AllocatedBytes;

    /// <summary>The next allocation fails.</summary>
    public void FailNextAllocation() => _machine.FakeDma.FailAllocation(1);

    /// <summary>Gives the memory back that was allocated: for those who make many disks.</summary>
    public void Dispose() => _machine.Dispose();

    /// <inheritdoc/>
    public override DmaSpace Dma => _machine.Dma;

    /// <inheritdoc/>
    public override ulong SectorCount => Visible;

    /// <inheritdoc/>
    public override uint BlockSize => blockSize;

    /// <inheritdoc/>
    public override bool IsReadOnly => RefusesWrites;

    /// <inheritdoc/>
    public override bool CanFlush => true;

    /// <inheritdoc/>
    public override int MaxInFlight => 16;

    /// <inheritdoc/>
    public override IoStatus Submit(BlockRequest request)
    {
        if (Refuses is IoStatus refusal)
        {
            return refusal;
        }
        ulong length = (ulong)request.Buffers.ToArray().Sum(buffer => buffer.Length);
        ulong sector = request.DeviceSector;
        uint blockSectors = blockSize / SectorSize;
        bool isTransfer = request.Operation is BlockOperation.Read or BlockOperation.Write;
        if (isTransfer && (sector % blockSectors != 0 || length % blockSize != 0 || length / SectorSize > Visible || sector > Visible - length / SectorSize))
        {
            Breaches++;
            return IoStatus.OutOfRange;
        }
        request.Begin();
        _waiting.Add(request);
        return IoStatus.Ok;
    }

    /// <summary>How often the disk was told of new requests, though it looks anyway.</summary>
    public int Kicks { get; private set; }

    /// <summary>What the disk says to every request, which it does not take then; null when it takes them.</summary>
    public IoStatus? Refuses { get; set; }

    /// <inheritdoc/>
    public override void Kick() => Kicks++;

    /// <inheritdoc/>
    public override bool TryCancel(BlockRequest request)
    {
        if (!_waiting.Remove(request))
        {
            return false;
        }
        request.Complete(IoStatus.Cancelled);
        return true;
    }

    /// <inheritdoc/>
    public override void Poll()
    {
        while (_waiting.Count > 0)
        {
            BlockRequest request = _waiting[0];
            _waiting.RemoveAt(0);
            Requests++;
            IoStatus status = Fails?.Invoke(request) ?? IoStatus.Ok;
            if (status == IoStatus.Ok)
            {
                Do(request);
            }
            request.Complete(status);
        }
    }

    /// <inheritdoc/>
    public override void Remove()
    {
    }

    private void Do(BlockRequest request)
    {
        Flushes += request.Operation == BlockOperation.Flush ? 1 : 0;
        int at = (int)(request.DeviceSector * SectorSize);
        foreach (DmaBuffer buffer in request.Buffers)
        {
            Span<byte> here = Bytes.AsSpan(at, (int)buffer.Length);
            if (request.Operation == BlockOperation.Read)
            {
                here.CopyTo(buffer.Span);
            }
            else
            {
                buffer.Span.CopyTo(here);
            }
            at += (int)buffer.Length;
        }
    }
}
