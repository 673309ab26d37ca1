// What every block device promises, whatever is behind it.
using System.Text;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using Xunit;
using Xunit.Abstractions;

namespace VirtioSharp.Tests.Contracts;

/// <summary>The contract of <see cref="BlockDevice"/>. One subclass for each backend.</summary>
public abstract partial class BlockDeviceContract(ITestOutputHelper output)
{
    /// <summary>Makes a machine with such a disk, and its driver in service.</summary>
    protected abstract BlockBackend Open(BlockSetup setup);

    [Fact]
    public void What_was_written_is_read_back_and_is_on_the_medium()
    {
        using BlockBackend backend = Open(new());
        byte[] pattern = Pattern(seed: 1, 8 * 512);
        Write(backend, 100, pattern);
        Assert.Equal(pattern, Read(backend, 100, pattern.Length));
        Flush(backend);
        Assert.Equal(pattern, backend.ReadMedium(100, 8));
        Assert.Equal(new byte[512], backend.ReadMedium(99, 1));
        Assert.Equal(new byte[512], backend.ReadMedium(108, 1));
        backend.Disk.Remove();
    }

    [Fact]
    public void What_is_on_the_medium_is_read()
    {
        using BlockBackend backend = Open(new());
        byte[] pattern = Pattern(seed: 2, 512);
        backend.WriteMedium(7, pattern);
        Assert.Equal(pattern, Read(backend, 7, 512));
        backend.Disk.Remove();
    }

    [Fact]
    public void The_first_and_the_last_sector_can_be_written_and_read()
    {
        using BlockBackend backend = Open(new());
        ulong last = backend.Disk.SectorCount - 1;
        Write(backend, 0, Pattern(3, 512));
        Write(backend, last, Pattern(4, 512));
        Assert.Equal(Pattern(3, 512), Read(backend, 0, 512));
        Assert.Equal(Pattern(4, 512), Read(backend, last, 512));
        backend.Disk.Remove();
    }

    [Fact]
    public void The_capacity_is_that_of_the_medium()
    {
        using BlockBackend backend = Open(new(Sectors: 4096));
        Assert.Equal(4096ul, backend.Disk.SectorCount);
        Assert.True(backend.Disk.BlockSize >= 512 && (backend.Disk.BlockSize & (backend.Disk.BlockSize - 1)) == 0);
        backend.Disk.Remove();
    }

    [Fact]
    public void Several_buffers_are_filled_and_written_in_their_order()
    {
        using BlockBackend backend = Open(new());
        byte[] pattern = Pattern(seed: 5, 7 * 512);
        uint[] lengths = [1 * 512, 3 * 512, 2 * 512, 1 * 512];
        DmaBuffer[] buffers = [.. lengths.Select(backend.Allocate)];
        int offset = 0;
        foreach (DmaBuffer buffer in buffers)
        {
            pattern.AsSpan(offset, (int)buffer.Length).CopyTo(buffer.Span);
            offset += (int)buffer.Length;
        }
        TestRequest request = new();
        request.Prepare(BlockOperation.Write, 50, buffers);
        Assert.Equal(IoStatus.Ok, Finish(backend, request));
        Assert.Equal(pattern, Read(backend, 50, pattern.Length));

        Array.Reverse(buffers);
        request.Prepare(BlockOperation.Read, 50, buffers);
        Assert.Equal(IoStatus.Ok, Finish(backend, request));
        byte[] got = [.. buffers.SelectMany(buffer => buffer.Span.ToArray())];
        Assert.Equal(pattern, got);
        Free(backend, buffers);
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(128, 0)]
    [InlineData(3, 0)]
    [InlineData(2, 4096)]
    [InlineData(5, 1536)]
    public void A_request_larger_than_the_device_takes_is_cut_and_put_together_again(uint segMax, uint sizeMax)
    {
        using BlockBackend backend = Open(new(SegMax: segMax, SizeMax: sizeMax));
        if (IsSkipped(backend))
        {
            return;
        }
        byte[] pattern = Pattern(seed: 8, 512 * 1024);
        Write(backend, 16, pattern);
        Assert.Equal(pattern, Read(backend, 16, pattern.Length));

        // And in many small pieces, read back in one.
        DmaBuffer[] buffers = [.. Enumerable.Range(0, 200).Select(_ => backend.Allocate(512))];
        for (int i = 0; i < buffers.Length; i++)
        {
            pattern.AsSpan(i * 512, 512).CopyTo(buffers[i].Span);
        }
        TestRequest request = new();
        request.Prepare(BlockOperation.Write, 2000, buffers);
        Assert.Equal(IoStatus.Ok, Finish(backend, request));
        Assert.Equal(1, request.Completions);
        Assert.Equal(pattern[..(200 * 512)], Read(backend, 2000, 200 * 512));
        Free(backend, buffers);
        backend.Disk.Remove();
    }

    [Fact]
    public void A_range_that_is_not_within_the_disk_is_refused_and_nothing_completes()
    {
        using BlockBackend backend = Open(new(Sectors: 4096));
        DmaBuffer buffer = backend.Allocate(4 * 512);
        foreach (ulong sector in (ulong[])[4096, 4093, 4095, 1ul << 32, ulong.MaxValue, ulong.MaxValue - 3, ulong.MaxValue / 512])
        {
            foreach (BlockOperation operation in (BlockOperation[])[BlockOperation.Read, BlockOperation.Write])
            {
                TestRequest request = TestRequest.For(operation, sector, buffer);
                Assert.Equal(IoStatus.OutOfRange, backend.Disk.Submit(request));
                backend.Disk.Kick();
                backend.Disk.Poll();
                Assert.Equal(0, request.Completions);
            }
        }
        Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.Read, 4092, buffer)));
        backend.Disk.Dma.Free(buffer);
        backend.Disk.Remove();
    }

    [Fact]
    public void A_length_that_is_no_multiple_of_512_or_nothing_is_refused()
    {
        using BlockBackend backend = Open(new());
        DmaBuffer buffer = backend.Allocate(1024);
        foreach (uint length in (uint[])[1, 511, 513, 1023])
        {
            Assert.Equal(IoStatus.Misaligned, backend.Disk.Submit(TestRequest.For(BlockOperation.Read, 0, buffer.Slice(0, length))));
        }
        Assert.Equal(IoStatus.Misaligned, backend.Disk.Submit(TestRequest.For(BlockOperation.Read, 0, default)));
        Assert.Equal(IoStatus.Misaligned, backend.Disk.Submit(TestRequest.For(BlockOperation.Flush, 0, buffer)));
        backend.Disk.Dma.Free(buffer);
        backend.Disk.Remove();
    }

    [Fact]
    public void A_read_only_disk_is_read_and_refuses_to_be_written()
    {
        using BlockBackend backend = Open(new(IsReadOnly: true));
        if (IsSkipped(backend))
        {
            return;
        }
        backend.WriteMedium(3, Pattern(seed: 9, 512));
        Assert.True(backend.Disk.IsReadOnly);
        DmaBuffer buffer = backend.Allocate(512);
        Assert.Equal(IoStatus.ReadOnly, backend.Disk.Submit(TestRequest.For(BlockOperation.Write, 3, buffer)));
        backend.Disk.Dma.Free(buffer);
        Assert.Equal(Pattern(9, 512), Read(backend, 3, 512));
        Assert.Equal(Pattern(9, 512), backend.ReadMedium(3, 1));
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_flush_ends_well_or_is_said_to_be_unsupported(bool hasFlush)
    {
        using BlockBackend backend = Open(new(HasFlush: hasFlush));
        if (IsSkipped(backend))
        {
            return;
        }
        Assert.Equal(hasFlush, backend.Disk.CanFlush);
        TestRequest request = TestRequest.For(BlockOperation.Flush, 0, default);
        if (hasFlush)
        {
            Assert.Equal(IoStatus.Ok, Finish(backend, request));
        }
        else
        {
            Assert.Equal(IoStatus.Unsupported, backend.Disk.Submit(request));
        }
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData("contract-disk")]
    [InlineData("a")]
    [InlineData("exactly-20-characters")]
    public void The_id_is_that_of_the_device_padded_with_NUL(string id)
    {
        id = id.Length > 20 ? id[..20] : id;
        using BlockBackend backend = Open(new(Id: id));
        DmaBuffer buffer = backend.Allocate(512);
        buffer.Span.Fill(0xEE);
        Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.GetId, 0, buffer.Slice(0, 20))));
        Assert.Equal(Encoding.ASCII.GetBytes(id.PadRight(20, '\0')), buffer.Span[..20].ToArray());
        Assert.Equal(0xEE, buffer.Span[20]);
        backend.Disk.Dma.Free(buffer);
        backend.Disk.Remove();
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public void Any_mix_of_requests_leaves_what_a_plain_array_would(int seed)
    {
        using BlockBackend backend = Open(new(Sectors: 4096));
        Random random = new(seed);
        byte[] model = new byte[4096 * 512];
        for (int round = 0; round < 60; round++)
        {
            // Ranges of one round do not overlap: what overlapping requests in flight leave is nobody's promise.
            List<(TestRequest Request, DmaBuffer Buffer)> round1 = [];
            ulong sector = (ulong)random.Next(64);
            while (sector < 3900 && round1.Count < 20)
            {
                uint sectors = (uint)random.Next(1, 64);
                DmaBuffer buffer = backend.Allocate(sectors * 512);
                bool isWrite = random.Next(2) == 0;
                if (isWrite)
                {
                    random.NextBytes(buffer.Span);
                    buffer.Span.CopyTo(model.AsSpan((int)sector * 512));
                }
                TestRequest request = TestRequest.For(isWrite ? BlockOperation.Write : BlockOperation.Read, sector, buffer);
                Assert.Equal(IoStatus.Ok, backend.Disk.Submit(request));
                round1.Add((request, buffer));
                sector += sectors + (ulong)random.Next(200);
            }
            backend.Disk.Kick();
            WaitForAll(backend, [.. round1.Select(entry => entry.Request)]);
            foreach ((TestRequest request, DmaBuffer buffer) in round1)
            {
                Assert.Equal((IoStatus.Ok, 1), (request.Status, request.Completions));
                Assert.True(model.AsSpan((int)request.Sector * 512, (int)buffer.Length).SequenceEqual(buffer.Span), "other data than the model has");
                backend.Disk.Dma.Free(buffer);
            }
        }
        Flush(backend);
        Assert.Equal(model, backend.ReadMedium(0, 4096));
        backend.Disk.Remove();
    }

    /// <summary>Bytes that are the same for the same seed.</summary>
    protected static byte[] Pattern(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Submits a request and waits for its end.</summary>
    protected static IoStatus Finish(BlockBackend backend, TestRequest request)
    {
        int before = request.Completions;
        IoStatus status = backend.Disk.Submit(request);
        Assert.Equal(IoStatus.Ok, status);
        backend.Disk.Kick();
        Waiting.Until(backend.Disk, backend.Clock, () => request.Completions > before, "a request");
        Assert.Equal(before + 1, request.Completions);
        return request.Status;
    }

    private static void Write(BlockBackend backend, ulong sector, byte[] bytes)
    {
        DmaBuffer buffer = backend.Allocate((uint)bytes.Length);
        bytes.CopyTo(buffer.Span);
        Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.Write, sector, buffer)));
        backend.Disk.Dma.Free(buffer);
    }

    private static byte[] Read(BlockBackend backend, ulong sector, int length)
    {
        DmaBuffer buffer = backend.Allocate((uint)length);
        buffer.Span.Fill(0xEE);
        Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.Read, sector, buffer)));
        byte[] bytes = buffer.Span.ToArray();
        backend.Disk.Dma.Free(buffer);
        return bytes;
    }

    private static void Flush(BlockBackend backend)
    {
        if (backend.Disk.CanFlush)
        {
            Assert.Equal(IoStatus.Ok, Finish(backend, TestRequest.For(BlockOperation.Flush, 0, default)));
        }
    }

    private bool IsSkipped(BlockBackend backend)
    {
        if (backend.WhyNot is not string reason)
        {
            return false;
        }
        output.WriteLine("skipped: " + reason);
        backend.Disk.Remove();
        return true;
    }
}
