// A disk byte by byte, compared with an array.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Tasks;
using VirtioSharp.Tests.Fakes.Block;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Tasks;

[Collection("kernel-tasks")] // the pool of requests is one for a kernel, which has one thread
public sealed class DiskStreamTests
{
    [Theory]
    [InlineData(64, 512u, 1)]
    [InlineData(64, 512u, 3)]
    [InlineData(67, 512u, 4)]
    [InlineData(64, 4096u, 2)]
    [InlineData(64, 8192u, 3)]
    [InlineData(3, 512u, 2)]
    public void Random_reads_and_writes_are_those_of_an_array(int sectors, uint blockSize, int lines)
    {
        MemoryDisk disk = new((ulong)sectors, blockSize);
        Random random = new(sectors + lines);
        random.NextBytes(disk.Bytes);
        byte[] model = [.. disk.Bytes];
        Assert.True(DiskStream.TryCreate(disk, lines, out DiskStream? stream));
        byte[] buffer = new byte[20_000];
        for (int round = 0; round < 3000; round++)
        {
            int at = random.Next(model.Length);
            int count = Math.Min(random.Next(random.Next(4) == 0 ? 20_000 : 100), model.Length - at);
            switch (random.Next(5))
            {
                case 0 or 1:
                    Assert.Equal(IoStatus.Ok, Run(disk, stream!.ReadAsync((ulong)at, buffer, 5, Math.Min(count, buffer.Length - 5))));
                    Assert.True(buffer.AsSpan(5, Math.Min(count, buffer.Length - 5)).SequenceEqual(model.AsSpan(at, Math.Min(count, buffer.Length - 5))));
                    break;
                case 2 or 3:
                    random.NextBytes(buffer);
                    Assert.Equal(IoStatus.Ok, Run(disk, stream!.WriteAsync((ulong)at, buffer, 0, count)));
                    buffer.AsSpan(0, count).CopyTo(model.AsSpan(at));
                    break;
                default:
                    Assert.Equal(IoStatus.Ok, Run(disk, stream!.FlushAsync()));
                    Assert.Equal(model, disk.Bytes);
                    break;
            }
        }
        Assert.Equal(IoStatus.Ok, Run(disk, stream!.FlushAsync()));
        Assert.Equal(model, disk.Bytes);
        stream!.Free();
        Assert.Equal((0ul, 0), (disk.MemoryInUse, disk.Breaches));
    }

    [Fact]
    public void With_errors_now_and_then_nothing_is_lost_that_was_not_told()
    {
        MemoryDisk disk = new(64);
        Random random = new(3);
        byte[] model = new byte[disk.Bytes.Length];
        disk.Fails = _ => random.Next(6) == 0 ? IoStatus.DeviceError : null;
        Assert.True(DiskStream.TryCreate(disk, 3, out DiskStream? stream));
        byte[] buffer = new byte[5000];
        int errors = 0;
        for (int round = 0; round < 3000; round++)
        {
            int at = random.Next(model.Length - 5000);
            int count = random.Next(1, 4000) % (4096 - at % 4096) + 1; // within one piece: all of it is written, or nothing
            count = Math.Min(count, 4096 - at % 4096);
            random.NextBytes(buffer);
            if (Run(disk, stream!.WriteAsync((ulong)at, buffer, 0, count)) == IoStatus.Ok)
            {
                buffer.AsSpan(0, count).CopyTo(model.AsSpan(at));
            }
            else
            {
                errors++;
            }
            if (round % 50 == 0)
            {
                errors += Run(disk, stream!.FlushAsync()) == IoStatus.Ok ? 0 : 1;
            }
        }
        Assert.True(errors > 100);
        disk.Fails = null;
        Assert.Equal(IoStatus.Ok, Run(disk, stream!.FlushAsync()));
        Assert.Equal(model, disk.Bytes);
    }

    [Fact]
    public void What_was_read_is_read_once_and_what_is_overwritten_whole_never()
    {
        MemoryDisk disk = new(64);
        Assert.True(DiskStream.TryCreate(disk, 4, out DiskStream? stream));
        byte[] buffer = new byte[16384];
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(IoStatus.Ok, Run(disk, stream!.ReadAsync((ulong)i * 10, buffer, 0, 10)));
        }
        Assert.Equal(1, disk.Requests);
        Assert.Equal(IoStatus.Ok, Run(disk, stream!.WriteAsync(8192, buffer, 0, 12288)));
        Assert.Equal((1, 1ul), (disk.Requests, stream!.Transfers));
        Assert.Equal(IoStatus.Ok, Run(disk, stream.FlushAsync()));
        Assert.Equal((5, 1), (disk.Requests, disk.Flushes));
    }

    [Fact]
    public void A_disk_that_grows_keeps_what_is_behind_its_old_end()
    {
        MemoryDisk disk = new(16) { Visible = 11 };
        disk.Bytes.AsSpan(11 * 512).Fill(0xAB);
        Assert.True(DiskStream.TryCreate(disk, 2, out DiskStream? stream));
        Assert.Equal(IoStatus.Ok, Run(disk, stream!.WriteAsync(11 * 512 - 1, [0x11], 0, 1)));
        disk.Visible = 16;
        byte[] read = new byte[2];
        Assert.Equal(IoStatus.Ok, Run(disk, stream.ReadAsync(11 * 512 - 1, read, 0, 2)));
        Assert.Equal([0x11, 0xAB], read);
        Assert.Equal(IoStatus.Ok, Run(disk, stream.WriteAsync(11 * 512 + 5, [0x22], 0, 1)));
        Assert.Equal(IoStatus.Ok, Run(disk, stream.FlushAsync()));
        Assert.Equal([0x11, 0xAB, 0x22, 0xAB], [disk.Bytes[11 * 512 - 1], disk.Bytes[11 * 512], disk.Bytes[11 * 512 + 5], disk.Bytes[^1]]);
    }

    [Fact]
    public void A_place_that_can_not_be_written_stands_in_the_way_of_no_other()
    {
        MemoryDisk disk = new(64);
        disk.Fails = request => request.Operation == BlockOperation.Write && request.Sector < 8 ? IoStatus.DeviceError : null;
        Assert.True(DiskStream.TryCreate(disk, 2, out DiskStream? stream));
        Assert.Equal(IoStatus.Ok, Run(disk, stream!.WriteAsync(1, [0x11], 0, 1)));
        for (ulong place = 4096; place < 32768; place += 4096)
        {
            Assert.Equal(IoStatus.Ok, Run(disk, stream.ReadAsync(place, new byte[4], 0, 4)));
        }
        Assert.Equal(IoStatus.DeviceError, Run(disk, stream.FlushAsync()));
        disk.Fails = null;
        Assert.Equal(IoStatus.Ok, Run(disk, stream.FlushAsync()));
        Assert.Equal(0x11, disk.Bytes[1]);
    }

    [Theory]
    [InlineData(32768ul, 1)]
    [InlineData(32767ul, 2)]
    [InlineData(0ul, 32769)]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(0ul, -1)]
    public void What_lies_beyond_the_end_is_refused(ulong position, int count)
    {
        MemoryDisk disk = new(64);
        Assert.True(DiskStream.TryCreate(disk, 4, out DiskStream? stream));
        Assert.Equal(IoStatus.OutOfRange, Run(disk, stream!.ReadAsync(position, new byte[40_000], 0, count)));
        Assert.Equal(IoStatus.OutOfRange, Run(disk, stream!.WriteAsync(position, new byte[40_000], 0, count)));
        Assert.Equal(0, disk.Requests);
    }

    [Fact]
    public void A_read_only_disk_refuses_writes_and_memory_may_lack()
    {
        MemoryDisk disk = new(64) { RefusesWrites = true };
        Assert.True(DiskStream.TryCreate(disk, 4, out DiskStream? stream));
        Assert.Equal(IoStatus.ReadOnly, Run(disk, stream!.WriteAsync(0, new byte[1], 0, 1)));
        disk.FailNextAllocation();
        Assert.False(DiskStream.TryCreate(disk, 4, out _));
    }

    private static IoStatus Run(MemoryDisk disk, ValueTask<IoStatus> task)
    {
        for (int i = 0; i < 100 && !task.IsCompleted; i++)
        {
            disk.Poll();
        }
        Assert.True(task.IsCompleted, "the operation never ends");
        return task.Result;
    }
}
