// The trace of one device: lines, numbered and with their time. docs/traces.md says what they mean.
using System.Runtime.CompilerServices;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>
/// Writes down what passes between a driver and its device: registers, memory, interrupts. It sits around the device as the driver sees it
/// (<see cref="TracedFunction"/>, <see cref="TracedPlatformDevice"/>) and looks into the rings whenever the driver comes by; the
/// drivers know nothing of it, and without it nothing costs anything.
/// </summary>
public sealed unsafe partial class DeviceTrace
{
    /// <summary>The version of the format, said in the first line of a trace.</summary>
    public const uint Version = 1;

    private readonly TraceSink _sink;
    private readonly Clock _clock;
    private readonly string _name;
    private readonly VirtioDriver? _driver;
    private readonly ulong _begin;
    private readonly TraceText _line = new();
    private TraceText _text = new();
    private TraceText _lastRead = new();
    private bool _mayRepeat;
    private ulong _repeats;
    private ulong _number;

    /// <summary>
    /// Begins the trace of a device of a type (virtio 5), called <paramref name="name"/>, at <paramref name="place"/> for people;
    /// <paramref name="driver"/> names its features.
    /// </summary>
    public DeviceTrace(TraceSink sink, Clock clock, string name, string place, ushort deviceType, VirtioDriver? driver)
    {
        _sink = sink;
        _clock = clock;
        _name = name;
        _driver = driver;
        _begin = clock.Now;
        Begin("trace ").Add(Version).Add(" ").Add(place).Add(" type ").Add(deviceType);
        Note(driver is null ? "5 no driver" : driver.Clause).Add(driver is null ? "" : " ").Add(driver is null ? "" : driver.Name);
        End();
    }

    /// <summary>Writes down what the driver did to memory since it came by last; everything else does so by itself.</summary>
    public void Look() => Touch(-1);

    /// <summary>Begins a line.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal TraceText Begin(string what) => _text.Clear().Add(what);

    /// <summary>What follows in the line is for people: the clause first.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal TraceText Note(string clause) => _text.Add(" ; ").Add(clause);

    /// <summary>Ends a line.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal void End()
    {
        EndRepeats();
        _mayRepeat = false;
        Put(_text);
    }

    /// <summary>Ends a line about something that was read: the same once more is only counted.</summary>
    internal void EndRead()
    {
        if (_mayRepeat && _text.Is(_lastRead))
        {
            _repeats++;
            return;
        }
        EndRepeats();
        TraceText other = _lastRead;
        _lastRead = _text;
        _text = other;
        _mayRepeat = true;
        Put(_lastRead);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EndRepeats()
    {
        if (_repeats != 0)
        {
            Head().Add("same ").Add(_repeats);
            _repeats = 0;
            _sink.Write(_line.Bytes);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Put(TraceText text)
    {
        Head().Add(text);
        _sink.Write(_line.Bytes);
    }

    /// <summary>What every line begins with: a mark by which it is found in a log, its number, nanoseconds since the first.</summary>
    private TraceText Head() => _line.Clear().Add("@").Add(_name).Add(" ").Add(_number++).Add(" ").Add(_clock.Now - _begin).Add(" ");
}
