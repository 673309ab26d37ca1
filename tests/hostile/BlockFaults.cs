// Faults in the answers of a disk, and callers that ask a disk for too much.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;
using static VirtioSharp.Tests.Hostile.DiskWork;

namespace VirtioSharp.Tests.Hostile;

/// <summary>K: virtio-blk.</summary>
public static class BlockFaults
{
    private const uint ReadType = 0;
    private const uint WriteType = 1;
    private const uint FlushType = 4;
    private const ulong Sectors = 256;

    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All => Cases.Select(fault => fault with { IsPlayedBare = true });

    private static IEnumerable<HostileCase> Cases =>
    [
        new("K01", "a request is used, but its status was not written", Outcome.Fails, scene => scene.Disk.OnStatus = _ => null),
        new("K02a", "a status that does not exist: 3", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 3),
        new("K02b", "a status that does not exist: 254", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 254),
        new("K02c", "a status that does not exist: 255", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 255),
        new("K03", "every request fails", Outcome.Fails, scene => scene.Disk.OnStatus = _ => 1),
        new("K04", "no request is known", Outcome.Fails, scene => scene.Disk.Knows = _ => false),
        new("K04b", "reads are not known", Outcome.Fails, scene => scene.Disk.Knows = type => type != ReadType),
        new("K04c", "only reads and writes are known", Outcome.Works, scene =>
            scene.Disk.Allow(FakeBlockDevice.Discard, 64).Knows = type => type is ReadType or WriteType)
        {
            Then = scene =>
            {
                Ends(scene, IoStatus.Unsupported, New(scene, BlockOperation.Flush));
                Ends(scene, IoStatus.Unsupported, New(scene, BlockOperation.GetId, length: 512));
                Ends(scene, IoStatus.Unsupported, Range(BlockOperation.Discard, 0, 8));
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Read, 0, 512));
            },
        },
        new("K05", "every request is well, and nothing was written", Outcome.Fails, scene => scene.Queue.OnUsed = (id, _) => (id, 0))
        {
            OnLegacy = Outcome.Works,
            Then = scene =>
            {
                scene.Queue.OnUsed = (id, _) => (id, 0);
                // A legacy device is not asked how much it wrote. For a write and a flush nothing but the status is.
                Ends(scene, scene.Place.IsLegacy ? IoStatus.Ok : IoStatus.DeviceError, New(scene, BlockOperation.GetId, length: 512));
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Write, 9, 512));
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Flush));
            },
        },
        new("K06", "a read is well, and a part of it was not written", Outcome.Fails, scene =>
            scene.Disk.OnData = data => data[..512]) { OnLegacy = Outcome.Works, MayOmitData = true },
        new("K06b", "a read is well, a part of it was not written, and the length says that all was", Outcome.Works, scene =>
        {
            scene.Disk.OnData = data => data[..100];
            scene.Queue.OnUsed = (id, _) => (id, 1025);
        }) { MayOmitData = true },
        new("K06c", "a read is well, nothing was written, and the length says that all was", Outcome.Works, scene =>
        {
            scene.Disk.OnData = _ => [];
            scene.Queue.OnUsed = (id, _) => (id, 1025);
        }) { MayOmitData = true },
        new("K07", "the status lands after the used entry", Outcome.Fails, scene => scene.Lie(() => WriteLate(scene, chain => chain.Writable[^1], [0]))),
        new("K08", "the data lands, or changes, after the used entry", Outcome.Works, scene =>
            scene.Lie(() => WriteLate(scene, chain => chain.Writable[0], new byte[512])))
        { MayOmitData = true, IsAboutLending = true },
        new("K09", "the identification is 20 bytes of 0xFF", Outcome.Works, scene => scene.Disk.Id = [.. Enumerable.Repeat((byte)0xFF, 20)])
        { Then = IdIsWhatItIs },
        new("K09b", "the identification is 20 letters, without a NUL", Outcome.Works, scene => scene.Disk.Id = "ABCDEFGHIJKLMNOPQRST"u8.ToArray())
        { Then = IdIsWhatItIs },
        new("K09c", "the identification would clear a screen", Outcome.Works, scene => scene.Disk.Id = "\x1B[2J\x1B]0;x\a\0\r\n"u8.ToArray())
        { Then = IdIsWhatItIs },
        new("K10", "a caller asks for what is behind the end of the disk", Outcome.Works, _ => { })
        {
            Then = scene =>
            {
                int before = scene.Disk.Requests;
                Ends(scene, IoStatus.OutOfRange, New(scene, BlockOperation.Read, Sectors - 1, 1024));
                Ends(scene, IoStatus.OutOfRange, New(scene, BlockOperation.Write, Sectors, 512));
                Ends(scene, IoStatus.OutOfRange, New(scene, BlockOperation.Read, 0, ((uint)Sectors + 1) * 512));
                Assert.Equal(before, scene.Disk.Requests);
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Read, Sectors - 1, 512));
            },
        },
        new("K11", "a caller asks for a sector whose end, or whose place in bytes, does not fit 64 bits", Outcome.Works, _ => { })
        {
            Then = scene =>
            {
                int before = scene.Disk.Requests;
                foreach (ulong sector in new[] { ulong.MaxValue, ulong.MaxValue - 1, ulong.MaxValue / 512, ulong.MaxValue / 512 + 1, 1ul << 63, 1ul << 55 })
                {
                    Ends(scene, IoStatus.OutOfRange, New(scene, BlockOperation.Read, sector, 1024));
                    Ends(scene, IoStatus.OutOfRange, New(scene, BlockOperation.Write, sector, 512));
                }
                Assert.Equal(before, scene.Disk.Requests);
            },
        },
        new("K12", "a caller writes to a disk that is read-only", Outcome.Works, scene => scene.Disk.MakeReadOnly())
        { Then = scene => Ends(scene, IoStatus.ReadOnly, New(scene, BlockOperation.Write, 0, 512)) },
        new("K12b", "writes fail on a disk that did not say that it is read-only", Outcome.Fails, scene => scene.Disk.Fails = type => type == WriteType)
        { Then = scene => Ends(scene, IoStatus.DeviceError, New(scene, BlockOperation.Write, 0, 512)) },
        new("K13", "a flush fails", Outcome.Works, scene => scene.Disk.Fails = type => type == FlushType)
        {
            Then = scene =>
            {
                Ends(scene, IoStatus.DeviceError, New(scene, BlockOperation.Flush));
                Assert.Equal(0, scene.Disk.Flushes);
                scene.Disk.Fails = null;
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Flush));
                Assert.Equal(1, scene.Disk.Flushes);
                Assert.True(scene.Disk.Disk.AsSpan().SequenceEqual(scene.Disk.Durable));
            },
        },
        new("K14", "there is no flush, and a caller asks for one", Outcome.Works, scene => scene.Disk.OfferedFeatures &= ~FakeBlockDevice.Flush)
        {
            Then = scene =>
            {
                Assert.False(scene.BlockDriver.CanFlush);
                Ends(scene, IoStatus.Unsupported, New(scene, BlockOperation.Flush));
            },
        },
        new("K15", "a request has more pieces, and longer ones, than the disk takes", Outcome.Works, scene => scene.Disk.Limit(segMax: 2, sizeMax: 1024))
        { Then = ReadInManyPieces },
        new("K15b", "a request is longer than what the disk takes in one piece, and it takes one", Outcome.Works, scene => scene.Disk.Limit(1, 512))
        { Then = ReadInManyPieces },
        new("K16", "a discard is longer than the disk takes at once", Outcome.Works, scene => scene.Disk.Allow(FakeBlockDevice.Discard, 8))
        {
            Then = scene =>
            {
                Ends(scene, IoStatus.Ok, Range(BlockOperation.Discard, 3, 100));
                Assert.Equal(100, scene.Disk.RangeCommands.Sum(each => each.Ranges.Sum(range => range.Count)));
                Ends(scene, IoStatus.OutOfRange, Range(BlockOperation.Discard, Sectors - 1, 2));
                Ends(scene, IoStatus.OutOfRange, Range(BlockOperation.Discard, 1, ulong.MaxValue));
            },
        },
    ];

    /// <summary>A request has to end in a certain way, or not to be taken.</summary>
    internal static void Ends(HostileScene scene, IoStatus expected, TestRequest request) => Assert.Equal(expected, One(scene, request));

    /// <summary>A request for a range.</summary>
    internal static TestRequest Range(BlockOperation operation, ulong sector, ulong sectors)
    {
        TestRequest request = new();
        request.PrepareRange(operation, sector, sectors);
        return request;
    }

    /// <summary>
    /// All requests are used with the status and all of their data in place, except for a piece that is written only once the driver has the
    /// request back: by then it is not lent any more, and nobody may write there. Without an IOMMU somebody may, and nobody looks there.
    /// </summary>
    private static void WriteLate(HostileScene scene, Func<FakeChain, FakePiece> which, byte[] bytes)
    {
        FakePiece[] late = [.. scene.Disk.HeldBack.Where(chain => chain.Writable.Count > 1).Select(which)];
        scene.Disk.OnStatus = bytes.Length == 1 ? _ => null : null;
        scene.Disk.OnData = bytes.Length == 1 ? null : _ => [];
        scene.Queue.OnUsed = (id, length) => (id, bytes.Length == 1 ? length : 1025);
        scene.Disk.HoldsBack = false;
        scene.Disk.CompleteAll();
        scene.BlockDriver.Poll();
        int blocked = scene.Machine.FakeDma.BlockedAccesses;
        bool isLent = scene.Place.Memory == Memories.Lent;
        Assert.All(late, piece => Assert.Equal(!isLent, scene.Machine.FakeDma.TryDeviceWrite(piece.Address, bytes)));
        Assert.Equal(isLent ? blocked + late.Length : 0, scene.Machine.FakeDma.BlockedAccesses);
        scene.Disk.OnStatus = null;
        scene.Disk.OnData = null;
        scene.Queue.OnUsed = null;
    }

    private static void IdIsWhatItIs(HostileScene scene)
    {
        VirtioBlk disk = scene.BlockDriver;
        Assert.True(disk.Dma.TryAllocate(64, 64, out DmaBuffer buffer));
        buffer.Span.Fill(0x5A);
        TestRequest request = TestRequest.For(BlockOperation.GetId, 0, buffer);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Wait(scene, request);
        Assert.Equal(IoStatus.Ok, request.Status);
        byte[] expected = new byte[20];
        scene.Disk.Id.CopyTo(expected, 0);
        Assert.Equal(expected, buffer.Span[..20].ToArray());
        Assert.False(buffer.Span[20..].ContainsAnyExcept((byte)0x5A), "bytes behind the identification were touched");
        disk.Dma.Free(buffer);
    }

    private static void ReadInManyPieces(HostileScene scene)
    {
        VirtioBlk disk = scene.BlockDriver;
        Assert.True(disk.Dma.TryAllocate(16 * 512, 512, out DmaBuffer buffer));
        TestRequest request = new();
        request.Prepare(BlockOperation.Read, 100, [buffer.Slice(0, 512), buffer.Slice(512, 4 * 512), buffer.Slice(5 * 512, 512), buffer.Slice(6 * 512, 10 * 512)]);
        Assert.Equal(IoStatus.Ok, disk.Submit(request));
        disk.Kick();
        Wait(scene, request);
        Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
        Assert.True(buffer.Span.SequenceEqual(scene.Disk.Disk.AsSpan(100 * 512, 16 * 512)));
        disk.Dma.Free(buffer);
    }
}
