// Faults in what a disk says of itself: features that do not fit their fields, fields that make no sense, and that change.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;
using static VirtioSharp.Tests.Hostile.BlockFaults;
using static VirtioSharp.Tests.Hostile.DiskWork;

namespace VirtioSharp.Tests.Hostile;

/// <summary>F: features of a disk. G: its configuration.</summary>
public static class DiskConfigFaults
{
    private const int BlockSizeOffset = 20;
    private const int TopologyOffset = 24;
    private const int WriteBackOffset = 32;
    private const int NumQueuesOffset = 34;

    /// <summary>The cases.</summary>
    public static IEnumerable<HostileCase> All =>
    [
        new("F06", "several queues are offered, and there are none", Outcome.Works, scene => SaySeveralQueues(scene, 0))
        { Then = scene => Assert.Equal(1, scene.BlockDriver.QueueCount) },
        new("F08", "a disk is read-only, and offers whatever changes it", Outcome.Works, scene => scene.Disk.MakeReadOnly()
            .Allow(FakeBlockDevice.Discard, 64).Allow(FakeBlockDevice.WriteZeroes, 64).Allow(FakeBlockDevice.SecureErase, 64))
        {
            Then = scene =>
            {
                Assert.True(scene.BlockDriver.IsReadOnly);
                Ends(scene, IoStatus.ReadOnly, New(scene, BlockOperation.Write, 0, 512));
                Ends(scene, IoStatus.ReadOnly, Range(BlockOperation.Discard, 0, 8));
                Ends(scene, IoStatus.ReadOnly, Range(BlockOperation.WriteZeroes, 0, 8));
                Ends(scene, IoStatus.ReadOnly, Range(BlockOperation.SecureErase, 0, 8));
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Read, 0, 512));
            },
        },
        new("F12", "discard is offered for no sectors", Outcome.Works, scene => scene.Disk.Allow(FakeBlockDevice.Discard, 0))
        { Then = scene => IsUnsupported(scene, BlockOperation.Discard) },
        new("F12b", "discard is offered for no segments", Outcome.Works, scene => scene.Disk.Allow(FakeBlockDevice.Discard, 64, maxSegments: 0))
        { Then = scene => IsUnsupported(scene, BlockOperation.Discard) },
        new("F12c", "write zeroes is offered for no sectors", Outcome.Works, scene => scene.Disk.Allow(FakeBlockDevice.WriteZeroes, 0))
        { Then = scene => IsUnsupported(scene, BlockOperation.WriteZeroes) },
        new("F12d", "secure erase is offered for no sectors", Outcome.Works, scene => scene.Disk.Allow(FakeBlockDevice.SecureErase, 0))
        { Then = scene => IsUnsupported(scene, BlockOperation.SecureErase) },
        new("F12e", "discard has an alignment that nothing can have", Outcome.Works, scene =>
            scene.Disk.Allow(FakeBlockDevice.Discard, 8, alignment: uint.MaxValue))
        { Then = scene => Ends(scene, IoStatus.Ok, Range(BlockOperation.Discard, 1, 20)) },
        new("F14", "a physical block is 2 to the power of 32 blocks", Outcome.Works, scene => SayTopology(scene, 32))
        { Then = scene => Assert.Equal(512ul, scene.BlockDriver.Topology.PhysicalBlockSize) },
        new("F14b", "a physical block is 2 to the power of 255 blocks", Outcome.Works, scene => SayTopology(scene, 255))
        { Then = scene => Assert.Equal(512ul, scene.BlockDriver.Topology.PhysicalBlockSize) },
        new("F14c", "a physical block is 2 to the power of 31 blocks", Outcome.Works, scene => SayTopology(scene, 31))
        { Then = scene => Assert.Equal(512ul << 31, scene.BlockDriver.Topology.PhysicalBlockSize) },
        new("G07", "the disk shrinks with requests in flight, and does them all", Outcome.Works, scene => scene.WhileHeld(() => Shrink(scene)))
        { Then = HasShrunk },
        new("G07b", "the disk shrinks with requests in flight, and those behind its end fail", Outcome.Fails, scene => scene.WhileHeld(() =>
        {
            Shrink(scene);
            scene.Disk.BadSectors.UnionWith([8, 12, 16, 20]);
        })) { Then = HasShrunk },
        new("G07c", "the disk shrinks to nothing with requests in flight", Outcome.Works, scene => scene.WhileHeld(() => Shrink(scene, 0)))
        { Then = scene => Until(scene, () => scene.BlockDriver.SectorCount == 0) },
        new("G07d", "the disk grows beyond 64 bits with requests in flight", Outcome.Works, scene => scene.WhileHeld(() => Shrink(scene, ulong.MaxValue)))
        { Then = scene => Assert.Equal(256ul, scene.BlockDriver.SectorCount) },
        new("G09a", "the block size is 256", Outcome.Works, scene => scene.Disk.SetBlockSize(256)) { Then = HasBlocksOf512 },
        new("G09b", "the block size is 511", Outcome.Works, scene => scene.Disk.SetBlockSize(511)) { Then = HasBlocksOf512 },
        new("G09c", "the block size is 520", Outcome.Works, scene => scene.Disk.SetBlockSize(520)) { Then = HasBlocksOf512 },
        new("G09d", "the block size is 1", Outcome.Works, scene => scene.Disk.SetBlockSize(1)) { Then = HasBlocksOf512 },
        new("G09e", "the block size is all ones", Outcome.Works, scene => scene.Disk.SetBlockSize(uint.MaxValue)) { Then = HasBlocksOf512 },
        new("G09f", "the block size is another one with every look", Outcome.Works, scene =>
        {
            uint size = 256;
            scene.Disk.SetBlockSize(512).OnReadConfig = (offset, _, value) => offset == BlockSizeOffset ? size *= 2 : value;
        }) { Then = HasBlocksOf512 },
        new("G12", "several queues are offered, 65535 of them, and there is one", Outcome.Refused, scene => SaySeveralQueues(scene, 0xFFFF)),
        new("G12b", "several queues are offered, and there is one", Outcome.Works, scene => SaySeveralQueues(scene, 1))
        { Then = scene => Assert.Equal(1, scene.BlockDriver.QueueCount) },
        new("G13", "the switch of the write cache is another way with every look", Outcome.Works, scene =>
        {
            uint looks = 0;
            scene.Disk.AllowSwitch().OnReadConfig = (offset, _, value) => offset == WriteBackOffset ? ++looks & 1 : value;
        }) { Then = SwitchesTheCache },
        new("G13b", "the switch of the write cache has a value that it can't have", Outcome.Works, scene =>
            scene.Disk.AllowSwitch().OnReadConfig = (offset, _, value) => offset == WriteBackOffset ? 0xFF : value)
        { Then = SwitchesTheCache },
        new("G13c", "the switch of the write cache does not move", Outcome.Works, scene => scene.Disk.AllowSwitch().IsWriteBackStuck = true)
        {
            Then = scene =>
            {
                Assert.False(scene.BlockDriver.TrySetWriteCache(false));
                Assert.True(scene.BlockDriver.HasWriteCache);
                Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Flush));
            },
        },
    ];

    private static void SaySeveralQueues(HostileScene scene, ushort queues)
    {
        scene.Disk.OfferedFeatures |= FakeBlockDevice.MultiQueue;
        BitConverter.TryWriteBytes(scene.Disk.Config.AsSpan(NumQueuesOffset), queues);
    }

    private static void SayTopology(HostileScene scene, byte exponent)
    {
        scene.Disk.OfferedFeatures |= FakeBlockDevice.Topology;
        scene.Disk.Config[TopologyOffset] = exponent;
    }

    private static void IsUnsupported(HostileScene scene, BlockOperation operation)
    {
        Assert.False(scene.BlockDriver.Supports(operation));
        Ends(scene, IoStatus.Unsupported, Range(operation, 0, 8));
        Assert.Empty(scene.Disk.RangeCommands);
    }

    private static void Shrink(HostileScene scene, ulong sectors = 8)
    {
        scene.Disk.HasShrunk = true;
        scene.Disk.ChangeConfig(config => BitConverter.TryWriteBytes(config, sectors));
    }

    private static void HasShrunk(HostileScene scene)
    {
        Until(scene, () => scene.BlockDriver.SectorCount == 8);
        Ends(scene, IoStatus.OutOfRange, New(scene, BlockOperation.Read, 8, 512));
        Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Read, 7, 512));
    }

    private static void HasBlocksOf512(HostileScene scene)
    {
        Assert.Equal(512u, scene.BlockDriver.BlockSize);
        Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Read, 1, 512));
    }

    /// <summary>Whatever the device says of its cache, a flush is there and reaches it.</summary>
    private static void SwitchesTheCache(HostileScene scene)
    {
        int flushes = scene.Disk.Flushes;
        scene.BlockDriver.TrySetWriteCache(false);
        scene.BlockDriver.TrySetWriteCache(true);
        Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Write, 5, 512));
        Ends(scene, IoStatus.Ok, New(scene, BlockOperation.Flush));
        Assert.Equal(flushes + 1, scene.Disk.Flushes);
    }

    /// <summary>A device without interrupts is looked at while something is in flight: reads that take long make it so.</summary>
    private static void Until(HostileScene scene, Func<bool> done)
    {
        for (int i = 0; i < 10 && !done(); i++)
        {
            scene.Disk.HoldsBack = true;
            TestRequest request = New(scene, BlockOperation.Read, 0, 512);
            Assert.Equal(IoStatus.Ok, scene.BlockDriver.Submit(request));
            scene.BlockDriver.Kick();
            scene.Machine.Run();
            scene.Machine.FakeClock.Advance(20_000_000);
            scene.BlockDriver.OnDeadline(scene.Machine.Clock.Now);
            scene.Disk.HoldsBack = false;
            scene.Disk.CompleteAll();
            Wait(scene, request);
            scene.Machine.Dma.Free(request.Buffers[0]);
        }
        Assert.True(done());
    }
}
