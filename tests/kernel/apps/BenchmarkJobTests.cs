// Names of benchmark jobs, and where their requests go.
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Kernel.Apps;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Apps;

/// <summary><see cref="BenchmarkJob"/>, <see cref="BenchmarkRun"/> and <see cref="LatencyHistogram"/>.</summary>
public sealed class BenchmarkJobTests
{
    [Fact]
    public void Every_job_that_runs_without_a_name_has_one_that_can_be_read() =>
        Assert.All(Enumerable.Range(0, BenchmarkJob.Count), index => Assert.True(BenchmarkJob.TryParse(BenchmarkJob.At(index), out _)));

    [Theory]
    [InlineData("randread_4k_qd1", 0, 4096, 1, false)]
    [InlineData("read_1m_qd4", 0, 1 << 20, 4, true)]
    [InlineData("randwrite_512_qd128", 1024, 512, 128, false)]
    [InlineData("write_128k_qd4096", 1024, 131072, 4096, true)]
    [InlineData("mixed_64m_qd2", 307, 64 << 20, 2, false)]
    public void A_name_says_what_is_done(string name, uint writes, uint length, int depth, bool isSequential)
    {
        Assert.True(BenchmarkJob.TryParse(name, out BenchmarkJob job));
        Assert.Equal((name, writes, length, depth, isSequential), (job.Name, job.Writes, job.Length, job.Depth, job.IsSequential));
    }

    [Theory]
    [InlineData("")]
    [InlineData("_")]
    [InlineData("randread")]
    [InlineData("randread_4k")]
    [InlineData("randread_4k_")]
    [InlineData("randread_4k_q")]
    [InlineData("randread_4k_qd")]
    [InlineData("randread_4k_qd0")]
    [InlineData("randread_4k_qd4097")]
    [InlineData("randread_4k_qdx")]
    [InlineData("randread_4k_qd1_")]
    [InlineData("randread__qd1")]
    [InlineData("randread_k_qd1")]
    [InlineData("randread_0_qd1")]
    [InlineData("randread_513_qd1")]
    [InlineData("randread_65m_qd1")]
    [InlineData("randread_4194304k_qd1")]
    [InlineData("trim_4k_qd1")]
    public void A_name_of_nothing_is_refused(string name) => Assert.False(BenchmarkJob.TryParse(name, out _));

    [Theory]
    [InlineData("randread_4k_qd1", 0, 0)]
    [InlineData("randwrite_4k_qd1", 1000, 1000)]
    [InlineData("mixed_4k_qd1", 250, 350)]
    public void Requests_lie_on_the_disk_and_as_many_are_writes_as_the_job_says(string name, int least, int most)
    {
        BenchmarkJob.TryParse(name, out BenchmarkJob job);
        BenchmarkRun run = new(job, sectorCount: 1000, new FakeMachine().FakeClock);
        int writes = 0;
        for (int i = 0; i < 1000; i++)
        {
            ulong sector = run.Next(out bool isWrite);
            Assert.True(sector + (job.Length / BlockDevice.SectorSize) <= 1000 && sector % 8 == 0);
            writes += isWrite ? 1 : 0;
        }
        Assert.InRange(writes, least, most);
    }

    [Theory]
    [InlineData(8ul, 1)]
    [InlineData(80ul, 8)]
    [InlineData(1000ul, 64)]
    public void Sequential_requests_follow_each_other_and_begin_anew_at_the_end(ulong sectorCount, int blocks)
    {
        BenchmarkJob.TryParse("read_4k_qd1", out BenchmarkJob job);
        BenchmarkRun run = new(job, sectorCount, new FakeMachine().FakeClock);
        ulong first = run.Next(out _) / 8;
        for (int i = 1; i < 3 * blocks; i++)
        {
            Assert.Equal((first + (ulong)i) % (ulong)blocks * 8, run.Next(out _));
        }
    }

    [Fact]
    public void Random_requests_reach_all_of_a_small_disk()
    {
        BenchmarkJob.TryParse("randread_4k_qd1", out BenchmarkJob job);
        BenchmarkRun run = new(job, 64 * 8, new FakeMachine().FakeClock);
        Assert.Equal(64, Enumerable.Range(0, 2000).Select(_ => run.Next(out bool _)).Distinct().Count());
    }

    [Fact]
    public void A_run_ends_after_as_many_requests_as_it_was_given_or_with_the_first_error()
    {
        BenchmarkRun run = new(new FakeMachine().FakeClock);
        run.Begin(3, 0);
        run.End(IoStatus.Ok);
        run.End(IoStatus.Ok);
        Assert.False(run.IsStopping);
        run.End(IoStatus.Ok);
        Assert.True(run.IsStopping);

        run.Begin(3, 0);
        run.End(IoStatus.DeviceError);
        Assert.True(run.IsStopping);
        Assert.Equal((1ul, 1ul), (run.Done, run.Errors));
    }

    [Fact]
    public void A_run_by_time_ends_when_it_is_over()
    {
        FakeClock clock = new FakeMachine().FakeClock;
        BenchmarkRun run = new(clock);
        run.Begin(0, nanoseconds: 1_000_000);
        for (int i = 0; i < 64; i++)
        {
            run.End(IoStatus.Ok);
        }
        Assert.False(run.IsStopping);
        clock.Advance(1_000_000);
        for (int i = 0; i < 64; i++)
        {
            run.End(IoStatus.Ok);
        }
        Assert.True(run.IsStopping);
    }

    [Fact]
    public void Percentiles_are_right_within_two_percent()
    {
        LatencyHistogram histogram = new();
        Assert.Equal(0ul, histogram.Percentile(500));
        for (ulong value = 1; value <= 100_000; value++)
        {
            histogram.Add(value * 37);
        }
        foreach (uint thousandths in new uint[] { 1, 10, 500, 990, 999, 1000 })
        {
            double exact = thousandths * 100.0 * 37;
            Assert.InRange(histogram.Percentile(thousandths), exact, exact * 1.02);
        }
        histogram.Clear();
        Assert.Equal((0ul, 0ul), (histogram.Count, histogram.Percentile(500)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(ulong.MaxValue)]
    public void Any_time_can_be_counted(ulong nanoseconds)
    {
        LatencyHistogram histogram = new();
        histogram.Add(nanoseconds);
        Assert.True(histogram.Percentile(500) >= nanoseconds);
        Assert.True(histogram.Percentile(500) - nanoseconds <= nanoseconds / 64);
    }
}
