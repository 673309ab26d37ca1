// From vectors to handlers. In interrupt context a bit is set; handlers run in the run loop.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// The interrupt table and who is called. Vectors 0x30 to 0x3F are levels (pins, shared): their end of interrupt is sent after the
/// handlers ran. Vectors 0x40 to 0x7F are edges (messages, the timer, the serial line).
/// </summary>
internal sealed unsafe class Interrupts
{
    internal const byte TimerVector = 0x7F;
    private const byte FirstLevel = 0x30;
    private const byte FirstEdge = 0x40;
    private const byte SpuriousVector = 0xFF;
    private const int LevelCount = 16;
    private const int EdgeCount = 63;
    private const int SharedLimit = 8;
    private const ulong TimerBit = 1ul << (TimerVector - FirstEdge);

    private readonly ulong* _table;
    private readonly InterruptHandler?[] _edges = new InterruptHandler?[EdgeCount];
    private readonly InterruptHandler?[] _levels = new InterruptHandler?[LevelCount * SharedLimit];
    private readonly uint[] _levelInterrupts = new uint[LevelCount];
    private int _levelsUsed;

    internal Interrupts(Acpi acpi, byte* table)
    {
        _table = (ulong*)table;
        for (int i = 0; i < 256; i++)
        {
            SetGate(i, Image.IgnoreStub, 0);
        }
        for (int i = 0; i < 32; i++)
        {
            SetGate(i, Image.ExceptionStubs + i * 16, 1);
        }
        for (int i = 0; i < LevelCount; i++)
        {
            SetGate(FirstLevel + i, Image.LevelStubs + i * 16, 0);
        }
        for (int i = 0; i < EdgeCount + 1; i++)
        {
            SetGate(FirstEdge + i, Image.EdgeStubs + i * 16, 0);
        }
        Cpu.LoadInterruptTable(table, 256 * 16 - 1);
        Local = new LocalApic(acpi.LocalApicAddress, SpuriousVector, TimerVector);
        Io = new IoApic(acpi.IoApicAddress, acpi.IoApicBase);
    }

    /// <summary>The processor's own controller.</summary>
    internal LocalApic Local { get; }

    /// <summary>The controller of the pins.</summary>
    internal IoApic Io { get; }

    /// <summary>How many interrupts were handed to handlers since boot.</summary>
    internal ulong Delivered { get; private set; }

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

    /// <summary>The message that raises an edge vector on this processor.</summary>
    internal MsiMessage MessageOf(byte vector) => new(0xFEE00000u | (uint)Local.Id << 12, vector);

    /// <summary>Gives an edge vector back.</summary>
    internal void ReleaseEdge(byte vector)
    {
        if (vector >= FirstEdge && vector < FirstEdge + EdgeCount)
        {
            _edges[vector - FirstEdge] = null;
        }
    }

    /// <summary>Calls <paramref name="handler"/> for a global interrupt that is a level, shared with up to seven others.</summary>
    internal bool TryAttachLevel(uint interrupt, InterruptHandler handler)
    {
        int level = 0;
        while (level < _levelsUsed && _levelInterrupts[level] != interrupt)
        {
            level++;
        }
        if (level == LevelCount)
        {
            return false;
        }
        for (int i = 0; i < SharedLimit; i++)
        {
            if (_levels[level * SharedLimit + i] is not null)
            {
                continue;
            }
            _levels[level * SharedLimit + i] = handler;
            if (level == _levelsUsed)
            {
                _levelInterrupts[_levelsUsed++] = interrupt;
            }
            return Io.TryRoute(interrupt, (byte)(FirstLevel + level), Local.Id, level: true);
        }
        return false;
    }

    /// <summary>Ends what <see cref="TryAttachLevel"/> began; the last handler of an interrupt masks it.</summary>
    internal void DetachLevel(uint interrupt, InterruptHandler handler)
    {
        for (int level = 0; level < _levelsUsed; level++)
        {
            if (_levelInterrupts[level] != interrupt)
            {
                continue;
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
                Io.Mask(interrupt);
            }
        }
    }

    /// <summary>Calls the handlers of everything noted; true in <paramref name="timer"/> when the timer was among it.</summary>
    internal bool Dispatch(out bool timer)
    {
        ulong edges = Cpu.TakeInterrupts();
        ulong levels = Cpu.TakeDeferredInterrupts();
        timer = (edges & TimerBit) != 0;
        edges &= ~TimerBit;
        bool any = (edges | levels) != 0;
        for (int i = 0; edges != 0; i++, edges >>= 1)
        {
            if ((edges & 1) != 0)
            {
                Delivered++;
                _edges[i]?.OnInterrupt();
            }
        }
        for (int i = 0; levels != 0; i++, levels >>= 1)
        {
            if ((levels & 1) != 0)
            {
                Delivered++;
                for (int j = i * SharedLimit; j < (i + 1) * SharedLimit; j++)
                {
                    _levels[j]?.OnInterrupt();
                }
                Local.EndOfInterrupt();
            }
        }
        return any;
    }

    private void SetGate(int vector, byte* handler, byte stack)
    {
        ulong address = (ulong)handler;
        _table[vector * 2] = (address & 0xFFFF) | 8ul << 16 | (ulong)stack << 32 | 0x8Eul << 40 | (address >> 16 & 0xFFFF) << 48;
        _table[vector * 2 + 1] = address >> 32;
    }
}
