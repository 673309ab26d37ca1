// The run loop: poll the devices, resume who waits, sleep until something happens.
using System.Runtime.CompilerServices;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>Bytes that come in from somewhere; one waits for them at a time.</summary>
public abstract class ByteSource
{
    internal Action? Waiting;

    /// <summary>Takes one byte; false when there is none at the moment.</summary>
    public abstract bool TryRead(out byte value);

    /// <summary>True when nothing more will ever come.</summary>
    public virtual bool IsEnded => false;

    /// <summary>True when <see cref="TryRead"/> would succeed.</summary>
    public abstract bool IsReadable { get; }
}

/// <summary>Drives everything that waits. There is one thread, and this is it.</summary>
public sealed class RunLoop
{
    private const uint LookAtClockEvery = 64;

    private readonly Clock _clock;
    private readonly HaltPolling? _polling;
    private ByteSource?[] _sources = new ByteSource?[8];
    private BlockDevice?[] _disks = new BlockDevice?[8];
    private ulong _changes = ulong.MaxValue;
    private bool _mayPoll;
    private Delay? _delays;
    private Delay? _freeDelays;
    private uint _steps;
    private int _sourceCount;
    private int _diskCount;

    /// <summary>
    /// Makes the loop of a machine's devices, which may come and go. With <paramref name="polling"/> it is tried out whether to look for
    /// interrupts before sleeping.
    /// </summary>
    public RunLoop(Clock clock, DeviceTable devices, HaltPolling? polling = null)
    {
        _clock = clock;
        _polling = polling;
        Devices = devices;
    }

    /// <summary>The devices.</summary>
    public DeviceTable Devices { get; }

    /// <summary>The time.</summary>
    public Clock Clock => _clock;

    /// <summary>How often the loop slept.</summary>
    public ulong Sleeps { get; private set; }

    /// <summary>Adds a source of bytes that somebody will wait for.</summary>
    public void Add(ByteSource source)
    {
        if (_sourceCount == _sources.Length)
        {
            Array.Resize(ref _sources, _sourceCount * 2);
        }
        _sources[_sourceCount++] = source;
    }

    /// <summary>Takes a source out that nobody waits for any more.</summary>
    public void Remove(ByteSource source)
    {
        for (int i = 0; i < _sourceCount; i++)
        {
            if (_sources[i] == source)
            {
                _sources[i] = _sources[--_sourceCount];
                _sources[_sourceCount] = null;
                return;
            }
        }
    }

    /// <summary>Runs until <paramref name="task"/> is done.</summary>
    public void Run(ValueTask task)
    {
        while (!task.IsCompleted)
        {
            Step();
        }
    }

    /// <summary>Waits for <paramref name="nanoseconds"/>.</summary>
    public Delay After(ulong nanoseconds)
    {
        Delay delay = _freeDelays ?? new Delay(this);
        _freeDelays = delay.Next;
        ulong now = _clock.Now;
        delay.Begin(nanoseconds > ulong.MaxValue - now ? ulong.MaxValue : now + nanoseconds);
        delay.Next = _delays;
        _delays = delay;
        return delay;
    }

    internal void Return(Delay delay)
    {
        delay.Next = _freeDelays;
        _freeDelays = delay;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Step()
    {
        if (_changes != Devices.Changes)
        {
            ListDevices();
        }
        for (int i = 0; i < _diskCount; i++)
        {
            _disks[i]!.Kick();
        }
        ulong deadline = Devices.NextDeadline();
        if (_delays is not null)
        {
            deadline = Math.Min(deadline, NextDelay());
        }
        // Interrupts and input that never cease must not keep deadlines from being seen.
        bool look = ++_steps % LookAtClockEvery == 0;
        if (!HasReadable())
        {
            // A deadline that has passed lets interrupts in and does not sleep.
            if (_mayPoll && Devices.WantsPolling())
            {
                _clock.WaitForInterrupt(0);
            }
            else
            {
                if (_polling is not null && _polling.IsDue())
                {
                    JudgePolling(_polling);
                }
                Sleeps++;
                look |= !_clock.WaitForInterrupt(deadline);
            }
        }
        // What has come back is not overdue.
        Devices.Poll();
        if (look)
        {
            ulong now = _clock.Now;
            Devices.OnDeadline(now);
            EndDelays(now);
        }
        for (int i = 0; i < _sourceCount; i++)
        {
            ByteSource source = _sources[i]!;
            if (source.Waiting is not null && (source.IsReadable || source.IsEnded))
            {
                Action waiting = source.Waiting;
                source.Waiting = null;
                waiting();
            }
        }
    }

    private void JudgePolling(HaltPolling polling)
    {
        ulong done = 0;
        for (int i = 0; i < _diskCount; i++)
        {
            done += _disks[i]!.Completed;
        }
        polling.Judge(_clock.Now, done);
        _clock.SpinsBeforeSleep = polling.Spins;
    }

    private void ListDevices()
    {
        _changes = Devices.Changes;
        _diskCount = 0;
        _mayPoll = false;
        for (int i = 0; i < Devices.Count; i++)
        {
            _mayPoll |= Devices[i].IsPolled;
            if (Devices[i] is BlockDevice disk)
            {
                if (_diskCount == _disks.Length)
                {
                    Array.Resize(ref _disks, _diskCount * 2);
                }
                _disks[_diskCount++] = disk;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool HasReadable()
    {
        for (int i = 0; i < _sourceCount; i++)
        {
            if (_sources[i]!.Waiting is not null && _sources[i]!.IsReadable)
            {
                return true;
            }
        }
        return false;
    }

    private ulong NextDelay()
    {
        ulong earliest = ulong.MaxValue;
        for (Delay? delay = _delays; delay is not null; delay = delay.Next)
        {
            earliest = Math.Min(earliest, delay.Deadline);
        }
        return earliest;
    }

    private void EndDelays(ulong now)
    {
        Delay? delay = _delays;
        _delays = null;
        while (delay is not null)
        {
            Delay? next = delay.Next;
            if (delay.Deadline <= now)
            {
                delay.End();
            }
            else
            {
                delay.Next = _delays;
                _delays = delay;
            }
            delay = next;
        }
    }
}
