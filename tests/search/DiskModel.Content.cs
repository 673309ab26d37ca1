// The content side of the model of a disk: what each sector may hold, and what a request that ended well has to show.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using Xunit;

namespace VirtioSharp.Tests.Search;

internal sealed partial class DiskModel
{
    // The values that each sector may have at this moment, and every request that is in flight.
    private readonly HashSet<ulong>[] _possible = [.. Enumerable.Range(0, Sectors).Select(_ => new HashSet<ulong> { 0 })];
    private readonly Request?[] _inFlight = new Request?[Slots];

    /// <summary>The sectors that a request touches; a flush all of them.</summary>
    private static IEnumerable<int> Range(Request request) =>
        request.Operation == BlockOperation.Flush ? Enumerable.Range(0, Sectors) : Enumerable.Range((int)request.Sector, request.Count);

    /// <summary>The values that writes in flight write to a sector.</summary>
    private HashSet<ulong> RivalsAt(int at) =>
        [.. _inFlight.Where(other => other is { Changes: true, Seen: not null } && other.Touches(at, out _)).Select(other => other!.Value)];

    /// <summary>From now on the sectors of a write may hold its value, also for those who look at the same time.</summary>
    private void Spread(Request write)
    {
        foreach (int at in Range(write))
        {
            _possible[at].Add(write.Value);
            foreach (Request? other in _inFlight)
            {
                if (other?.Seen is not null && other.Touches(at, out int index))
                {
                    other.Seen[index].Add(write.Value);
                }
            }
        }
    }

    private void Ended(Request request)
    {
        Assert.Same(request, _inFlight[request.Slot]);
        _inFlight[request.Slot] = null;
        _completions++;
        bool isCancelled = request.IsCancelled && request.Status == IoStatus.Cancelled;
        Assert.True(request.Status == IoStatus.Ok || isCancelled || _hadTrouble, $"a request for sector {request.Sector} ended with {request.Status}");
        Assert.False(request.IsCancelled && request.Status == IoStatus.Ok, "a request that was called off ended well");
        if (request.Status != IoStatus.Ok)
        {
            return;
        }
        switch (request.Operation)
        {
            case BlockOperation.Read:
                CheckContent(request, request.Buffers);
                break;
            case BlockOperation.Write or BlockOperation.Discard or BlockOperation.WriteZeroes:
                Settle(request);
                break;
            case BlockOperation.Flush:
                for (int at = 0; at < Sectors; at++)
                {
                    CheckSector(request, at, _device.Durable.AsSpan(at * SectorSize, SectorSize), "after a flush");
                }
                break;
            case BlockOperation.GetId:
                Assert.True(request.Buffers[0].Span.StartsWith("FAKE-DISK"u8), "another id");
                break;
        }
    }

    /// <summary>A write ended well: the sectors hold its value, or that of another one that was in flight at the same time.</summary>
    private void Settle(Request write)
    {
        foreach (int at in Range(write))
        {
            write.Touches(at, out int index);
            _possible[at].Clear();
            _possible[at].UnionWith(write.Seen![index]);
        }
    }

    private static void CheckContent(Request request, ReadOnlySpan<DmaBuffer> buffers)
    {
        int at = (int)request.Sector;
        foreach (DmaBuffer buffer in buffers)
        {
            for (int offset = 0; offset < buffer.Length; offset += SectorSize)
            {
                CheckSector(request, at++, buffer.Span.Slice(offset, SectorSize), "read");
            }
        }
    }

    private static void CheckSector(Request request, int sector, ReadOnlySpan<byte> bytes, string what)
    {
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        request.Touches(sector, out int index);
        Assert.True(request.Seen![index].Contains(value), $"sector {sector} holds 0x{value:X} {what}, which it can't");
        for (int i = 8; i < bytes.Length; i += 8)
        {
            Assert.Equal(value, BinaryPrimitives.ReadUInt64LittleEndian(bytes[i..]));
        }
    }

    private sealed class Request(DiskModel model, int slot) : BlockRequest
    {
        public int Slot => slot;

        public int Count { get; set; }

        /// <summary>What it leaves in its sectors, when it changes them.</summary>
        public ulong Value { get; set; }

        public bool Changes => Operation is BlockOperation.Write or BlockOperation.Discard or BlockOperation.WriteZeroes;

        public bool IsCancelled { get; set; }

        public HashSet<ulong>[]? Seen { get; set; }

        public bool Touches(int at, out int index)
        {
            index = Operation == BlockOperation.Flush ? at : at - (int)Sector;
            return index >= 0 && index < Seen!.Length;
        }

        protected override void OnCompleted() => model.Ended(this);
    }
}
