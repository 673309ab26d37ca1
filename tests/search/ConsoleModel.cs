// A console as simple as it can be said: two streams of bytes.
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Backends.Fake;
using VirtioSharp.Tests.Fakes;
using VirtioSharp.Tests.Fakes.Console;
using VirtioSharp.Tests.Fakes.Virtio;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>What goes in at one end comes out at the other, all of it and in order; a reset loses what it says that it may have lost.</summary>
internal sealed class ConsoleModel : IDisposable
{
    private static readonly string[] Names =
    [
        "write", "write", "write", "read", "read", "type", "type", "run", "run", "poll", "poll", "credit", "time", "reset", "trouble", "limit",
    ];

    private readonly FakeMachine _machine = new();
    private readonly FakeConsoleDevice _device;
    private readonly ConsoleDevice _console;
    private readonly ConsolePort _port;

    // What was written and what has to arrive of it; what was typed and how much of it was read.
    private readonly List<byte> _sent = [];
    private readonly List<byte> _typed = [];
    private readonly List<byte> _read = [];
    private byte _next;
    private ulong _inDoubt;
    private int _resets;
    private int _expectedResets;

    /// <summary>Takes the console that a number names into service.</summary>
    public ConsoleModel(int setup)
    {
        ushort[] sizes = [2, 4, 1, 64];
        _device = new FakeConsoleDevice(sizes[setup >> 3 & 3]);
        _device.OfferedFeatures |= (setup & 1) != 0 ? FakeVirtioDevice.RingPacked : 0;
        _device.OfferedFeatures |= (setup & 2) != 0 ? FakeVirtioDevice.InOrder : 0;
        _device.OfferedFeatures |= (setup & 4) != 0 ? FakeVirtioDevice.NotificationData : 0;
        _device.OfferedFeatures &= ~((setup & 32) != 0 ? FakeVirtioDevice.EventIndex : 0);
        if ((setup >> 6 & 3) == 0)
        {
            _machine.Plug(new FakeVirtioPciDevice(_device, 4), 0, 3);
            _console = FakeBinding.AttachOne<ConsoleDevice>(_machine);
        }
        else
        {
            _console = FakeBinding.AttachMmio<ConsoleDevice>(_machine, _device, 2);
        }
        _port = _console.Port(0);
    }

    /// <summary>Runs a sequence to its end, then lets everything arrive.</summary>
    public static void Run(Sequence sequence)
    {
        using ConsoleModel model = new(sequence.Setup);
        foreach (int step in sequence.Steps)
        {
            model.Do(step & 15, step >> 4 & 0xFF, step >> 12);
        }
        model.Finish();
    }

    /// <summary>For people.</summary>
    public static string Describe(int setup, int step) => $"{Names[step & 15]} {step >> 4 & 0xFF} {step >> 12}";

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();

    private void Do(int kind, int a, int b)
    {
        switch (kind)
        {
            case <= 2:
                byte[] bytes = Next(a % 8 == 0 ? b : a % 32);
                uint taken = _port.Write(bytes);
                Assert.True(taken <= bytes.Length, "more was taken than there is");
                _sent.AddRange(bytes.AsSpan(0, (int)taken));
                break;
            case 3 or 4:
                Read(a % 8 == 0 ? b : a % 64);
                break;
            case 5 or 6:
                byte[] typed = Next(a % 8 == 0 ? b : a % 32);
                _typed.AddRange(typed);
                _device.Type(typed);
                break;
            case 7 or 8:
                _machine.Run();
                break;
            case 9 or 10:
                _console.Poll();
                break;
            case 11:
                _device.TransmitCredit = a % 4 == 3 ? int.MaxValue : a % 4;
                break;
            case 12:
                Pass();
                break;
            case 13 when a % 4 == 0 && _resets < 3:
                Reset(breaksRing: b % 2 != 0, queue: b >> 1 & 1);
                break;
            case 14:
                FakeVirtqueue queue = _device.Queues[a & 1];
                queue.LoseSignals = b & 1;
                queue.LoseNotifications = a >> 1 & 1 & (a & 1); // of the receive queue no doorbell is looked after: nobody waits for it
                break;
            case 15:
                _device.MostInput = 1 + b % 64;
                break;
        }
        Assert.False(_port.IsFailed, "the console was given up");
    }

    private byte[] Next(int count)
    {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            bytes[i] = _next++;
        }
        return bytes;
    }

    private void Read(int most)
    {
        byte[] into = new byte[most];
        uint count = _port.Read(into);
        Assert.True(count <= most);
        _read.AddRange(into.AsSpan(0, (int)count));
        Assert.True(_read.Count <= _typed.Count, "more was read than was typed");
    }

    private void Pass()
    {
        _machine.FakeClock.Advance(10_000_000);
        ulong now = _machine.Clock.Now;
        if (_console.NextDeadline <= now)
        {
            _console.OnDeadline(now);
        }
    }

    /// <summary>The device breaks down between two moments of work: what it was given to send and has not sent is lost, and counted.</summary>
    private void Reset(bool breaksRing, int queue)
    {
        _console.Poll(); // what was received so far is the driver's
        if (breaksRing)
        {
            _device.IsTamperingAllowed = true;
            if (_device.Queues[queue].Held == 0)
            {
                return;
            }
            _device.Queues[queue].PushUsed(0xFFFF, 0);
        }
        else
        {
            _device.AskForReset();
        }
        int before = _device.Output.Length;
        _resets++;
        _expectedResets = _device.Resets + 1;
        _console.Poll();
        Assert.Equal(_expectedResets, _device.Resets);
        int lost = (int)(_port.BytesInDoubt - _inDoubt);
        _inDoubt = _port.BytesInDoubt;
        _sent.RemoveRange(before, lost);
    }

    private void Finish()
    {
        foreach (FakeVirtqueue queue in _device.Queues)
        {
            queue.LoseSignals = queue.LoseNotifications = 0;
        }
        _device.TransmitCredit = int.MaxValue;
        _device.MostInput = int.MaxValue;
        for (int round = 0; round < 60 && (_port.HasUnsent || _read.Count < _typed.Count); round++)
        {
            _machine.Run();
            _console.Poll();
            Read(4096);
            if (round % 4 == 3)
            {
                _machine.FakeClock.Advance(1_000_000_000);
            }
            Pass();
        }
        Assert.False(_port.HasUnsent, "bytes were never sent");
        Assert.True(_sent.ToArray().AsSpan().SequenceEqual(_device.Output), $"{_device.Output.Length} bytes arrived of {_sent.Count}, or others");
        Assert.True(_read.ToArray().AsSpan().SequenceEqual(_typed.ToArray()), $"{_read.Count} bytes were read of {_typed.Count}, or others");
        _console.Remove();
        _machine.AssertNothingLeaked();
    }
}
