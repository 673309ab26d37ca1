// From vectors to handlers. In interrupt context a bit is set; handlers run in the run loop.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Who is called. Vectors 0x30 to 0x3F are levels (pins, shared): their end of interrupt is sent after the
/// handlers ran. Vectors 0x40 to 0x7F are edges (messages, the timer, the serial line).
/// </summary>
internal sealed class Interrupts
{
    internal const byte TimerVector = 0x7F;
    private const byte FirstLevel = InterruptTable.FirstLevel;
    private const byte FirstEdge = InterruptTable.FirstEdge;
    private const int LevelCount = InterruptTable.LevelCount;
    private const int EdgeCount = InterruptTable.EdgeCount - 1;
    private const int SharedLimit = 8;
    private const int MostUnclaimed = 1000;
    private const ulong TimerBit = 1ul << (TimerVector - FirstEdge);
    private const ulong NoEdge = TimerBit; // which has no handler

    private readonly IoApic[] _ioApics;
    private readonly Pic8259? _pic;
    private readonly InterruptHandler?[] _edges = new InterruptHandler?[EdgeCount];
    private readonly InterruptHandler?[] _levels = new InterruptHandler?[LevelCount * SharedLimit];
    private readonly int[] _unclaimed = new int[LevelCount];
    private readonly uint[] _levelInterrupts = new uint[LevelCount];
    private int _levelsUsed;

    // The edge that came last, most often comes next.
    private ulong _lastEdge = NoEdge;
    private InterruptHandler? _lastHandler;

    internal Interrupts(Acpi acpi, bool wants8259)
    {
        Local = new LocalApic(InterruptTable.SpuriousVector, TimerVector);
        _ioApics = new IoApic[acpi.IoApicCount];
        for (int i = 0; i < _ioApics.Length; i++)
        {
            ulong address = acpi.IoApic(i, out uint first);
            _ioApics[i] = new IoApic(address, first);
        }
        if (wants8259 || !HasIoApic())
        {
            _pic = new Pic8259();
            Local.LetThrough8259();
        }
    }

    /// <summary>The processor's own controller.</summary>
    internal LocalApic Local { get; }

    /// <summary>True when lines arrive at the 8259 pair: a global interrupt is a line of theirs then, 0 to 15.</summary>
    internal bool Uses8259 => _pic is not null;

    /// <summary>How many interrupts were handed to handlers since boot.</summary>
    internal ulong Delivered { get; private set; }

    /// <summary>How many edge vectors are free.</summary>
    internal int FreeEdges
    {
        get
        {
            int free = 0;
            for (int i = 0; i < EdgeCount; i++)
            {
                free += _edges[i] is null ? 1 : 0;
            }
            return free;
        }
    }

    /// <summary>Takes a free edge vector for <paramref name="handler"/>; false when all are taken.</summary>
    internal bool TryAllocateEdge(InterruptHandler handler, out byte vector)
    {
        for (int i = 0; i < EdgeCount; i++)
        {
            if (_edges[i] is null)
            {
                _edges[i] = handler;
                vector = (byte)(FirstEdge + i);
                return true;
            }
        }
        vector = 0;
        return false;
    }

    /// <summary>Sends a global interrupt that is an edge to a vector; false when no I/O APIC has it.</summary>
    internal bool TryRouteEdge(uint interrupt, byte vector) => FindIoApic(interrupt)?.TryRoute(interrupt, vector, Local.Id, level: false) ?? false;

    /// <summary>The message that raises an edge vector on this processor.</summary>
    internal MsiMessage MessageOf(byte vector) => new((uint)LocalApic.Address | (uint)Local.Id << 12, vector);

    /// <summary>Gives an edge vector back.</summary>
    internal void ReleaseEdge(byte vector)
    {
        if (vector >= FirstEdge && vector < FirstEdge + EdgeCount)
        {
            _edges[vector - FirstEdge] = null;
            _lastEdge = NoEdge;
        }
    }

    /// <summary>
    /// Calls <paramref name="handler"/> for a global interrupt that is a level, shared with up to seven others. With the 8259 pair edges are
    /// attached so, too.
    /// </summary>
    internal bool TryAttachLevel(uint interrupt, InterruptHandler handler)
    {
        if (!TryFindLevel(interrupt, out int level))
        {
            return false;
        }
        for (int i = level * SharedLimit; i < (level + 1) * SharedLimit; i++)
        {
            if (_levels[i] is not null)
            {
                continue;
            }
            _levels[i] = handler;
            if (_pic is not null)
            {
                _pic.Unmask(interrupt);
                return true;
            }
            return FindIoApic(interrupt)!.TryRoute(interrupt, (byte)(FirstLevel + level), Local.Id, level: true);
        }
        return false;
    }

    /// <summary>The level of a global interrupt: with the 8259 pair its line, else the next that is free.</summary>
    private bool TryFindLevel(uint interrupt, out int level)
    {
        level = (int)interrupt;
        if (_pic is not null)
        {
            return interrupt < Pic8259.LineCount;
        }
        for (level = 0; level < _levelsUsed; level++)
        {
            if (_levelInterrupts[level] == interrupt)
            {
                return true;
            }
        }
        if (level == LevelCount || FindIoApic(interrupt) is null)
        {
            return false;
        }
        _levelInterrupts[_levelsUsed++] = interrupt;
        return true;
    }

    /// <summary>Ends what <see cref="TryAttachLevel"/> began; the last handler of an interrupt masks it.</summary>
    internal void DetachLevel(uint interrupt, InterruptHandler handler)
    {
        if (!TryFindLevel(interrupt, out int level))
        {
            return;
        }
        bool any = false;
        for (int i = level * SharedLimit; i < (level + 1) * SharedLimit; i++)
        {
            if (_levels[i] == handler)
            {
                _levels[i] = null;
            }
            any |= _levels[i] is not null;
        }
        if (!any)
        {
            _pic?.Mask(interrupt);
            FindIoApic(interrupt)?.Mask(interrupt);
        }
    }

    private bool HasIoApic()
    {
        for (int i = 0; i < _ioApics.Length; i++)
        {
            if (_ioApics[i].Count != 0)
            {
                return true;
            }
        }
        return false;
    }

    private IoApic? FindIoApic(uint interrupt)
    {
        for (int i = 0; i < _ioApics.Length; i++)
        {
            if (_ioApics[i].Has(interrupt))
            {
                return _ioApics[i];
            }
        }
        return null;
    }

    /// <summary>Calls the handlers of everything noted; true when the timer was among it.</summary>
    internal unsafe bool Dispatch()
    {
        ulong levels;
        ulong edges = Cpu.TakeInterrupts(&levels);
        bool timer = (edges & TimerBit) != 0;
        edges &= ~TimerBit;
        if (edges == _lastEdge)
        {
            Delivered++;
            _lastHandler!.OnInterrupt();
            edges = 0;
        }
        for (int i = 0; edges != 0; i++, edges >>= 1)
        {
            if ((edges & 1) != 0)
            {
                Delivered++;
                _lastEdge = _edges[i] is null ? NoEdge : 1ul << i;
                _lastHandler = _edges[i];
                _lastHandler?.OnInterrupt();
            }
        }
        if (levels != 0)
        {
            DispatchLevels(levels);
        }
        return timer;
    }

    private void DispatchLevels(ulong levels)
    {
        for (int i = 0; levels != 0; i++, levels >>= 1)
        {
            if ((levels & 1) != 0)
            {
                Delivered++;
                bool claimed = false;
                for (int j = i * SharedLimit; j < (i + 1) * SharedLimit; j++)
                {
                    claimed |= _levels[j]?.OnInterrupt() ?? false;
                }
                EndLevel(i);
                CountUnclaimed(i, claimed);
            }
        }
    }

    /// <summary>
    /// A line that nobody claims time after time would keep the kernel busy for ever: it is silenced. Its devices are looked at by their
    /// deadlines from then on.
    /// </summary>
    private void CountUnclaimed(int level, bool claimed)
    {
        _unclaimed[level] = claimed ? 0 : _unclaimed[level] + 1;
        if (_unclaimed[level] == MostUnclaimed)
        {
            uint interrupt = _pic is not null ? (uint)level : _levelInterrupts[level];
            _pic?.Mask(interrupt);
            FindIoApic(interrupt)?.Mask(interrupt);
            Log.Write(LogLevel.Warning, "interrupts", "nobody claims a line, which is silenced; its devices are polled", interrupt);
        }
    }

    private void EndLevel(int level)
    {
        if (_pic is null)
        {
            Local.EndOfInterrupt();
        }
        else
        {
            _pic.EndOfInterrupt(level);
        }
    }
}
