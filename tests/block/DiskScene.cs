// A disk on a fake machine with its driver: what tests of the disk driver start from.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>
/// The device can be changed until <see cref="Disk"/> is used for the first time. At the end the disk is removed, no rule may have been
/// broken, and nothing may be left over.
/// </summary>
public abstract class DiskScene : MachineScene
{
    private readonly List<DmaBuffer> _buffers = [];
    private VirtioBlk? _disk;

    /// <summary>Makes a machine for a device.</summary>
    protected DiskScene(FakeBlockDevice device) => Device = device;

    /// <summary>The device.</summary>
    protected FakeBlockDevice Device { get; }

    /// <summary>The driver in service.</summary>
    protected VirtioBlk Disk
    {
        get
        {
            if (_disk is null)
            {
                Machine.Plug(Device);
                _disk = FakeBinding.AttachOne<VirtioBlk>(Machine);
            }
            return _disk;
        }
    }

    /// <inheritdoc/>
    protected override void End()
    {
        Disk.Remove();
        foreach (DmaBuffer buffer in _buffers)
        {
            Machine.Dma.Free(buffer);
        }
    }

    /// <summary>Allocates a buffer, which is freed at the end.</summary>
    protected DmaBuffer Allocate(uint length)
    {
        Assert.True(Machine.Dma.TryAllocate(length, 512, out DmaBuffer buffer));
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Submits a request with a buffer of its own, which has to be taken.</summary>
    protected TestRequest Submit(BlockOperation operation, ulong sector, uint sectors)
    {
        TestRequest request = TestRequest.For(operation, sector, sectors == 0 ? default : Allocate(sectors * 512));
        Assert.Equal(IoStatus.Ok, Disk.Submit(request));
        return request;
    }

    /// <summary>Submits a request that the device keeps.</summary>
    protected TestRequest Hold(BlockOperation operation, ulong sector, uint sectors)
    {
        Device.HoldsBack = true;
        TestRequest request = Submit(operation, sector, sectors);
        Disk.Kick();
        Machine.Run();
        return request;
    }

    /// <summary>The device does what it kept, and keeps nothing more.</summary>
    protected void LetGo()
    {
        Device.HoldsBack = false;
        Device.CompleteAll();
    }

    /// <summary>The device asks for a reset, and the driver looks.</summary>
    protected void Reset()
    {
        _ = Disk;
        Machine.Run();
        Device.AskForReset();
        Disk.Poll();
        Machine.Run();
    }

    /// <summary>A request for a range without a buffer.</summary>
    protected static TestRequest Range(BlockOperation operation, ulong sector, ulong sectors, bool mayUnmap = false)
    {
        TestRequest request = new();
        request.PrepareRange(operation, sector, sectors, mayUnmap);
        return request;
    }

    /// <summary>Kicks, and runs until all have ended.</summary>
    protected void Finish(params TestRequest[] requests)
    {
        Disk.Kick();
        Waiting.Until(Disk, Machine.Clock, () => requests.All(request => request.Completions > 0), "requests");
    }

    /// <summary>Does a request to its end, and says how it ended or why it was not taken.</summary>
    protected IoStatus Do(TestRequest request)
    {
        IoStatus status = Disk.Submit(request);
        if (status != IoStatus.Ok)
        {
            Assert.Equal(0, request.Completions);
            return status;
        }
        int before = request.Completions;
        Disk.Kick();
        Waiting.Until(Disk, Machine.Clock, () => request.Completions > before, "a request");
        Assert.Equal(before + 1, request.Completions);
        return request.Status;
    }

    /// <summary>Writes sectors that all hold one byte, and says how it ended.</summary>
    protected IoStatus Write(ulong sector, uint sectors, byte value)
    {
        DmaBuffer buffer = Allocate(sectors * 512);
        buffer.Span.Fill(value);
        return Do(TestRequest.For(BlockOperation.Write, sector, buffer));
    }

    /// <summary>The first byte of a sector on the device's medium.</summary>
    protected byte OnMedium(ulong sector) => Device.Disk[sector * 512];
}
