// What every block device promises of its commands besides read and write, whatever is behind it.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Contracts;

/// <summary>
/// The contract of the commands that change ranges, and of what is said of the medium. One subclass for each backend; a command that the
/// device does not offer has to be refused.
/// </summary>
public abstract class BlockCommandContract(ITestOutputHelper output)
{
    /// <summary>Makes a machine with such a disk, and its driver in service.</summary>
    protected abstract BlockBackend Open(BlockSetup setup);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_range_that_is_zeroed_reads_as_zeroes_and_its_neighbours_stay(bool mayUnmap)
    {
        using BlockBackend backend = Open(new());
        Fill(backend, 0, 256, 0x77);
        IoStatus status = Do(backend, BlockOperation.WriteZeroes, 64, 100, mayUnmap);
        if (IsRefused(backend, BlockOperation.WriteZeroes, status))
        {
            return;
        }
        Assert.Equal(IoStatus.Ok, Do(backend, BlockOperation.Flush, 0, 0));
        Assert.Equal(new byte[100 * 512], Read(backend, 64, 100));
        Assert.Equal(new byte[100 * 512], backend.ReadMedium(64, 100));
        Assert.All([63ul, 164ul], sector => Assert.All(Read(backend, sector, 1), value => Assert.Equal(0x77, value)));
        backend.Disk.Remove();
    }

    [Fact]
    public void The_whole_disk_can_be_zeroed_by_one_request()
    {
        using BlockBackend backend = Open(new());
        Fill(backend, 0, 8, 0x11);
        Fill(backend, backend.Disk.SectorCount - 8, 8, 0x22);
        IoStatus status = Do(backend, BlockOperation.WriteZeroes, 0, backend.Disk.SectorCount);
        if (IsRefused(backend, BlockOperation.WriteZeroes, status))
        {
            return;
        }
        Assert.Equal(new byte[8 * 512], Read(backend, 0, 8));
        Assert.Equal(new byte[8 * 512], Read(backend, backend.Disk.SectorCount - 8, 8));
        backend.Disk.Remove();
    }

    [Fact]
    public void What_is_written_after_a_discard_is_read_back_and_its_neighbours_stay()
    {
        using BlockBackend backend = Open(new());
        Fill(backend, 0, 256, 0x77);
        IoStatus status = Do(backend, BlockOperation.Discard, 64, 128);
        if (IsRefused(backend, BlockOperation.Discard, status))
        {
            return;
        }
        Fill(backend, 100, 8, 0x33);
        Assert.All(Read(backend, 100, 8), value => Assert.Equal(0x33, value));
        Assert.All(Read(backend, 0, 64).Concat(Read(backend, 192, 64)), value => Assert.Equal(0x77, value));
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(BlockOperation.Discard)]
    [InlineData(BlockOperation.WriteZeroes)]
    [InlineData(BlockOperation.SecureErase)]
    public void A_range_beyond_the_end_is_refused_and_changes_nothing(BlockOperation operation)
    {
        using BlockBackend backend = Open(new());
        ulong count = backend.Disk.SectorCount;
        Fill(backend, count - 8, 8, 0x44);
        IoStatus[] answers = [Do(backend, operation, count - 8, 16), Do(backend, operation, count, 8), Do(backend, operation, ulong.MaxValue - 7, 8)];
        IoStatus expected = backend.Disk.Supports(operation) ? IoStatus.OutOfRange : IoStatus.Unsupported;
        Assert.All(answers, answer => Assert.Equal(expected, answer));
        Assert.All(Read(backend, count - 8, 8), value => Assert.Equal(0x44, value));
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(BlockOperation.Discard)]
    [InlineData(BlockOperation.WriteZeroes)]
    public void A_read_only_disk_refuses_to_change_ranges(BlockOperation operation)
    {
        using BlockBackend backend = Open(new(IsReadOnly: true));
        Assert.Equal((false, IoStatus.ReadOnly), (backend.Disk.Supports(operation), Do(backend, operation, 0, 8)));
        backend.Disk.Remove();
    }

    [Fact]
    public void The_write_cache_is_switched_or_says_that_it_is_not()
    {
        using BlockBackend backend = Open(new());
        bool was = backend.Disk.HasWriteCache;
        bool moved = backend.Disk.TrySetWriteCache(!was);
        Assert.Equal(moved ? !was : was, backend.Disk.HasWriteCache);
        Fill(backend, 5, 1, 0x55);
        if (!backend.Disk.HasWriteCache)
        {
            Assert.All(backend.ReadMedium(5, 1), value => Assert.Equal(0x55, value));
        }
        Assert.True(!moved || backend.Disk.TrySetWriteCache(was));
        Assert.Equal(was, backend.Disk.HasWriteCache);
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(BlockOperation.GetLifetime, 6u)]
    [InlineData(BlockOperation.ReportZones, 4096u)]
    public void A_question_that_the_device_does_not_know_is_refused_before_it_sees_it(BlockOperation operation, uint length)
    {
        using BlockBackend backend = Open(new());
        DmaBuffer buffer = backend.Allocate(length);
        IoStatus status = Finish(backend, TestRequest.For(operation, 0, buffer));
        Assert.Equal(backend.Disk.Supports(operation) ? IoStatus.Ok : IoStatus.Unsupported, status);
        backend.Disk.Remove();
        backend.Disk.Dma.Free(buffer);
    }

    [Fact]
    public void A_request_that_was_called_off_before_the_device_had_it_ends_once()
    {
        using BlockBackend backend = Open(new());
        DmaBuffer buffer = backend.Allocate(512);
        TestRequest[] requests = [.. Enumerable.Range(0, backend.Disk.MaxInFlight * 4 + 4).Select(_ => TestRequest.For(BlockOperation.Write, 9, buffer))];
        Assert.All(requests, request => Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request)));
        Assert.True(backend.Disk.TryCancel(requests[^1]));
        Assert.False(backend.Disk.TryCancel(requests[^1]));
        backend.Disk.Kick();
        Waiting.Until(backend.Disk, backend.Clock, () => requests.All(request => request.Completions > 0), "all requests");
        Assert.Equal((IoStatus.Cancelled, 1), (requests[^1].Status, requests[^1].Completions));
        Assert.All(requests.SkipLast(1), request => Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions)));
        backend.Disk.Remove();
        backend.Disk.Dma.Free(buffer);
    }

    private bool IsRefused(BlockBackend backend, BlockOperation operation, IoStatus status)
    {
        if (backend.Disk.Supports(operation))
        {
            Assert.Equal(IoStatus.Ok, status);
            return false;
        }
        Assert.Equal(IoStatus.Unsupported, status);
        output.WriteLine("not done here: the device does not offer it");
        backend.Disk.Remove();
        return true;
    }

    private static IoStatus Do(BlockBackend backend, BlockOperation operation, ulong sector, ulong sectors, bool mayUnmap = false)
    {
        TestRequest request = new();
        request.PrepareRange(operation, sector, sectors, mayUnmap);
        return Finish(backend, request);
    }

    private static IoStatus Finish(BlockBackend backend, TestRequest request)
    {
        IoStatus status = backend.Disk.Submit(request);
        if (status != IoStatus.Ok)
        {
            return status;
        }
        backend.Disk.Kick();
        Waiting.Until(backend.Disk, backend.Clock, () => request.Completions > 0, "a request");
        Assert.Equal(1, request.Completions);
        return request.Status;
    }

    private static void Fill(BlockBackend backend, ulong sector, uint sectors, byte value)
    {
        DmaBuffer buffer = backend.Allocate(sectors * 512);
        buffer.Span.Fill(value);
        Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.Write, sector, buffer)));
        backend.Disk.Dma.Free(buffer);
    }

    private static byte[] Read(BlockBackend backend, ulong sector, uint sectors)
    {
        DmaBuffer buffer = backend.Allocate(sectors * 512);
        Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.Read, sector, buffer)));
        byte[] bytes = buffer.Span.ToArray();
        backend.Disk.Dma.Free(buffer);
        return bytes;
    }
}
