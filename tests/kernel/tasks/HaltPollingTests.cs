// Looking for interrupts before the processor is halted: the better way is found, and costs little where it is not.
using VirtioSharp.Kernel.Tasks;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Tasks;

/// <summary>A machine on which a wait takes one time when the processor is halted, and another one when it is not.</summary>
public sealed class HaltPollingTests
{
    private const ulong Microsecond = 1000;
    private const ulong Second = 1_000_000_000;

    private readonly HaltPolling _polling = new();
    private ulong _now = 5 * Second;
    private ulong _done;
    private ulong _spinning;

    [Theory]
    [InlineData(15, 60)]
    [InlineData(40, 60)]
    [InlineData(300, 320)]
    public void Where_halting_is_better_next_to_no_time_is_spent_on_the_other_way(ulong halted, ulong spun)
    {
        Work(2 * Second, halted * Microsecond, spun * Microsecond);
        Assert.InRange(_spinning, 1ul, Second / 25);
    }

    [Theory]
    [InlineData(60, 15)]
    [InlineData(60, 40)]
    public void Where_looking_is_better_it_is_found_out_within_some_milliseconds_and_kept(ulong halted, ulong spun)
    {
        Work(20_000_000, halted * Microsecond, spun * Microsecond);
        Assert.True(_polling.Spins, "it is not found out within 20 ms");
        ulong before = _spinning;
        Work(2 * Second, halted * Microsecond, spun * Microsecond);
        Assert.InRange(_spinning - before, 2 * Second - Second / 25, 2 * Second + Second);
    }

    [Fact]
    public void A_difference_that_is_noise_changes_nothing()
    {
        Work(Second, 60 * Microsecond, 59 * Microsecond);
        Assert.InRange(_spinning, 1ul, Second / 50);
    }

    [Fact]
    public void When_the_other_way_becomes_better_it_is_noticed_within_two_seconds()
    {
        Work(5 * Second, 60 * Microsecond, 15 * Microsecond);
        Assert.True(_polling.Spins);
        Work(2 * Second, 15 * Microsecond, 60 * Microsecond);
        _spinning = 0;
        Work(Second, 15 * Microsecond, 60 * Microsecond);
        Assert.InRange(_spinning, 0ul, Second / 25);
    }

    [Fact]
    public void Who_has_nothing_to_do_is_halted()
    {
        Work(Second, 60 * Microsecond, 15 * Microsecond);
        Assert.True(_polling.Spins);
        _now += 10 * Second;
        Wait(Microsecond, requests: 0);
        Assert.False(_polling.Spins);
        for (int i = 0; i < 1000; i++)
        {
            Wait(Second, requests: 1);
            Assert.False(_polling.Spins, "a request now and then is not worth it");
        }
    }

    private void Work(ulong time, ulong halted, ulong spun)
    {
        for (ulong end = _now + time; _now < end;)
        {
            Wait(_polling.Spins ? spun : halted, requests: 1);
        }
    }

    private void Wait(ulong time, ulong requests)
    {
        do
        {
            _now += time;
            _done += requests;
            _spinning += _polling.Spins ? time : 0;
        }
        while (!_polling.IsDue());
        _polling.Judge(_now, _done);
    }
}
