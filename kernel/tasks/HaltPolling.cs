// Whether to look for interrupts for a moment before the processor is halted.
namespace VirtioSharp.Kernel.Tasks;

/// <summary>
/// A halted processor takes long to wake where another one has to wake it, and nothing where both share one: nobody can know, so it is
/// measured. Now and then the other way is tried for a moment, and whichever gets more requests done is kept.
/// </summary>
public sealed class HaltPolling
{
    /// <summary>How long a way is kept at first before the other one is tried, in nanoseconds; twice as long each time that it proves right.</summary>
    public const ulong KeepTime = 10_000_000;

    /// <summary>How long it is kept at most.</summary>
    public const ulong LongestKeepTime = 640_000_000;

    /// <summary>How long the other way is tried, in nanoseconds.</summary>
    public const ulong TryTime = 250_000;

    private const uint LookEvery = 8;

    // What is done has to say something; with less to do the processor may as well be halted.
    private const ulong LeastDone = 8;
    private const ulong Pause = 100_000_000;

    private uint _waits;
    private ulong _began;
    private ulong _doneBefore;
    private ulong _keepTime = KeepTime;
    private ulong _keptRate;
    private bool _isTrying;

    /// <summary>True when it is better to look before halting.</summary>
    public bool Spins { get; private set; }

    /// <summary>Called before each wait: true when <see cref="Judge"/> wants to be called.</summary>
    public bool IsDue() => ++_waits % LookEvery == 0;

    /// <summary>Looks at how far things have come: the time, in nanoseconds, and how many requests are done in all.</summary>
    public void Judge(ulong now, ulong done)
    {
        ulong time = now - _began;
        ulong wanted = _isTrying ? TryTime : _keepTime;
        if (time < wanted)
        {
            return;
        }
        ulong count = done - _doneBefore;
        _began = now;
        _doneBefore = done;
        if (count < LeastDone || time > wanted + Pause)
        {
            // Nothing is known of idle times: begin anew, and halted.
            Begin(spins: false);
            return;
        }
        ulong rate = count * LongestKeepTime / time;
        if (!_isTrying)
        {
            _keptRate = rate;
            _isTrying = true;
            Spins = !Spins;
        }
        else if (rate > _keptRate + _keptRate / 20)
        {
            Begin(Spins);
        }
        else
        {
            // A draw goes to what was: a twentieth is noise.
            Spins = !Spins;
            _isTrying = false;
            _keepTime = Math.Min(_keepTime * 2, LongestKeepTime);
        }
    }

    private void Begin(bool spins)
    {
        Spins = spins;
        _isTrying = false;
        _keepTime = KeepTime;
    }
}
