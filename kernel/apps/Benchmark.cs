// Measures a disk through the public API: await, with interrupts.
using System.Threading.Tasks;
using Internal.Runtime;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Runs jobs of a block size, a depth and a direction, and prints a line for each: requests a second, errors, and notifications,
/// interrupts and bytes allocated for each request.
/// </summary>
internal sealed class Benchmark
{
    private const uint CheckEvery = 64;

    private readonly SystemInformation _system;
    private readonly Terminal _output;
    private readonly BootOptions _options;
    private BlockDevice _disk = null!;
    private ulong _random = 88172645463325252;
    private ulong _sequence;
    private ulong _done;
    private ulong _errors;
    private ulong _end;
    private bool _stopping;

    internal Benchmark(SystemInformation system, Terminal output, BootOptions options)
    {
        _system = system;
        _output = output;
        _options = options;
    }

    internal async ValueTask<bool> RunAsync(string only)
    {
        BlockDevice? disk = _system.FindDisk(0);
        if (disk is null)
        {
            _output.Write("no disk to measure (qemu: -blockdev null-co,... -device virtio-blk-pci,...)\n");
            return false;
        }
        _disk = disk;
        bool any = false;
        bool good = true;
        for (int i = 0; i < 8; i++)
        {
            Job job = JobAt(i);
            if (only.Length == 0 || only == job.Name)
            {
                any = true;
                good &= await RunJobAsync(job);
            }
        }
        if (!any)
        {
            _output.Write("no such job: ").Write(only).EndLine();
        }
        return any && good;
    }

    private readonly struct Job
    {
        internal Job(string name, bool isWrite, bool isSequential, uint length, int depth)
        {
            Name = name;
            IsWrite = isWrite;
            IsSequential = isSequential;
            Length = length;
            Depth = depth;
        }

        internal string Name { get; }

        internal bool IsWrite { get; }

        internal bool IsSequential { get; }

        internal uint Length { get; }

        internal int Depth { get; }
    }

    private static Job JobAt(int index) => index switch
    {
        0 => new Job("randread_4k_qd1", false, false, 4096, 1),
        1 => new Job("randread_4k_qd16", false, false, 4096, 16),
        2 => new Job("randread_4k_qd32", false, false, 4096, 32),
        3 => new Job("randread_4k_qd128", false, false, 4096, 128),
        4 => new Job("read_128k_qd8", false, true, 131072, 8),
        5 => new Job("read_1m_qd4", false, true, 1 << 20, 4),
        6 => new Job("randwrite_4k_qd16", true, false, 4096, 16),
        _ => new Job("randwrite_4k_qd32", true, false, 4096, 32),
    };

    private async ValueTask<bool> RunJobAsync(Job job)
    {
        uint sectors = job.Length / BlockDevice.SectorSize;
        if (_disk.SectorCount < sectors || !_disk.Dma.TryAllocate(job.Length * (uint)job.Depth, 4096, out DmaBuffer memory))
        {
            _output.Write("SKIP ").Write(job.Name).Write(": the disk or the memory is too small\n");
            return true;
        }
        if (job.IsWrite && (_disk.IsReadOnly || (!_options.BenchmarkWrites && await HasContentAsync(memory))))
        {
            _disk.Dma.Free(memory);
            _output.Write("SKIP ").Write(job.Name).Write(": the disk is read-only or has content; bench-writes=yes overwrites it\n");
            return true;
        }
        Worker[] workers = new Worker[job.Depth];
        for (int i = 0; i < workers.Length; i++)
        {
            workers[i] = new Worker(memory.Slice((uint)i * job.Length, job.Length));
        }
        _done = 0;
        _errors = 0;
        _stopping = false;
        _sequence = 0;
        // The first round makes boxes and requests; what is counted begins after it.
        await RunWorkersAsync(job, workers, 20_000_000);
        VirtioBlk? virtio = _disk as VirtioBlk;
        ulong kicks = virtio?.Notifications ?? 0;
        ulong interrupts = virtio?.Interrupts ?? 0;
        ulong allocated = RuntimeHeap.BytesAllocated;
        ulong begin = _system.Loop.Clock.Now;
        _done = 0;
        await RunWorkersAsync(job, workers, _options.JobMilliseconds * 1_000_000ul);
        ulong elapsed = _system.Loop.Clock.Now - begin;
        allocated = RuntimeHeap.BytesAllocated - allocated;
        kicks = (virtio?.Notifications ?? 0) - kicks;
        interrupts = (virtio?.Interrupts ?? 0) - interrupts;
        _output.Write("JOB ").Write(job.Name).Write(" iops=").Write(_done * 1_000_000 / (elapsed / 1000 + 1)).Write(" errs=").Write(_errors);
        WriteRatio(" kicks_per_io=", kicks);
        WriteRatio(" irqs_per_io=", interrupts);
        WriteRatio(" alloc_bytes_per_io=", allocated);
        _output.Write(" ios=").Write(_done).Write(" lost_doorbells=").Write(virtio?.LostDoorbells ?? 0).EndLine();
        _disk.Dma.Free(memory);
        return _errors == 0;
    }

    private sealed class Worker
    {
        internal Worker(DmaBuffer buffer) => Buffer = buffer;

        internal DmaBuffer Buffer { get; }

        internal ValueTask Task { get; set; }
    }

    private async ValueTask RunWorkersAsync(Job job, Worker[] workers, ulong nanoseconds)
    {
        _stopping = false;
        _end = _system.Loop.Clock.Now + nanoseconds;
        for (int i = 0; i < workers.Length; i++)
        {
            workers[i].Task = WorkAsync(job, workers[i].Buffer);
        }
        for (int i = 0; i < workers.Length; i++)
        {
            await workers[i].Task;
        }
    }

    private async ValueTask WorkAsync(Job job, DmaBuffer buffer)
    {
        BlockDevice disk = _disk;
        uint sectors = job.Length / BlockDevice.SectorSize;
        ulong blocks = disk.SectorCount / sectors;
        // A power of two below: no division on the way.
        ulong mask = (1ul << System.Numerics.BitOperations.Log2(blocks)) - 1;
        bool isWrite = job.IsWrite;
        bool isSequential = job.IsSequential;
        while (!_stopping)
        {
            ulong sector = ((isSequential ? _sequence++ : NextRandom()) & mask) * sectors;
            IoStatus status = await (isWrite ? disk.WriteAsync(sector, buffer) : disk.ReadAsync(sector, buffer));
            if (status != IoStatus.Ok)
            {
                _errors++;
                _stopping = true;
            }
            if (++_done % CheckEvery == 0 && _system.Loop.Clock.Now >= _end)
            {
                _stopping = true;
            }
        }
    }

    private ulong NextRandom()
    {
        ulong x = _random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return _random = x;
    }

    private async ValueTask<bool> HasContentAsync(DmaBuffer memory)
    {
        DmaBuffer sector = memory.Slice(0, _disk.BlockSize);
        if (await _disk.ReadAsync(0, sector) != IoStatus.Ok)
        {
            return true;
        }
        return sector.Span[510] == 0x55 && sector.Span[511] == 0xAA;
    }

    /// <summary>Writes a number for each request with three decimals.</summary>
    private void WriteRatio(string name, ulong count)
    {
        ulong thousandths = _done == 0 ? 0 : count * 1000 / _done;
        _output.Write(name).Write(thousandths / 1000).Write(".").Write(thousandths / 100 % 10).Write(thousandths / 10 % 10).Write(thousandths % 10);
    }
}
