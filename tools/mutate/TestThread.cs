// A thread that runs tests, for a limited time each.
using System.Threading;

namespace VirtioSharp.Mutate;

/// <summary>Runs one test after the other; a test that takes too long does not hold up who asks.</summary>
internal sealed class TestThread
{
    private readonly SemaphoreSlim _wanted = new(0);
    private readonly SemaphoreSlim _done = new(0);
    private TestCase? _test;
    private Exception? _wrong;

    /// <summary>Starts it.</summary>
    public TestThread() => new Thread(Work, 16 << 20) { IsBackground = true }.Start();

    /// <summary>False when the test did not end in time; otherwise what went wrong, or null.</summary>
    public bool TryRun(TestCase test, double seconds, out Exception? wrong)
    {
        _test = test;
        _wanted.Release();
        bool ended = TryEnd(seconds);
        wrong = ended ? _wrong : null;
        return ended;
    }

    /// <summary>
    /// Waits for a test that took too long. What counts is processor time, so that a busy machine kills no mutants; a test that only
    /// waits is given five times as long.
    /// </summary>
    public bool TryEnd(double seconds)
    {
        const double Slice = 0.1;
        double begin = UsedSeconds;
        for (double waited = 0; UsedSeconds - begin < seconds && waited < 5 * seconds; waited += Slice)
        {
            if (_done.Wait(TimeSpan.FromSeconds(Slice)))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Processor time of this process so far.</summary>
    public static double UsedSeconds => Environment.CpuUsage.TotalTime.TotalSeconds;

    private void Work()
    {
        while (true)
        {
            _wanted.Wait();
            _wrong = _test!.Run();
            _done.Release();
        }
    }
}
