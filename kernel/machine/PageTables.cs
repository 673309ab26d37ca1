// Mapping of what boot.S left out: device registers, wherever they are.
namespace VirtioSharp.Kernel.Machine;

/// <summary>The page tables of the one address space, an identity map. Device memory is uncached and never executed.</summary>
internal sealed unsafe class PageTables
{
    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong Uncached = 0x18;
    private const ulong Large = 0x80;
    private const ulong NoExecute = 1ul << 63;
    private const ulong AddressMask = 0x000FFFFFFFFFF000;
    private const ulong PageSize = 4096;
    private const ulong LargeSize = 0x200000;
    private const int MaxAddressBits = 47;

    private readonly PhysicalMemory _memory;

    internal PageTables(PhysicalMemory memory)
    {
        _memory = memory;
        uint* registers = stackalloc uint[4];
        Cpu.Identify(0x80000000, registers);
        uint leaves = registers[0];
        if (leaves >= 0x80000008)
        {
            Cpu.Identify(0x80000008, registers);
            AddressBits = Math.Min((int)(registers[0] & 0xFF), MaxAddressBits);
        }
    }

    /// <summary>How many bits of a physical address an identity map can reach.</summary>
    internal int AddressBits { get; } = 36;

    /// <summary>
    /// Takes page 0 away, so that a null reference faults. boot.S leaves it mapped, since boot protocols put their information there.
    /// </summary>
    internal static void UnmapNullPage()
    {
        ulong* table = (ulong*)(Cpu.ReadPageMap() & AddressMask);
        for (int level = 0; level < 3; level++)
        {
            table = (ulong*)(table[0] & AddressMask);
        }
        table[0] = 0;
        Cpu.WritePageMap(Cpu.ReadPageMap());
    }

    /// <summary>Maps device memory in units of 2 MiB; what is mapped already stays. False when out of memory or of range.</summary>
    internal bool TryMapDevice(ulong address, ulong length) => TryMap(address, length, Writable | Uncached);

    /// <summary>Maps memory that the firmware left something in, to be read; what is mapped already stays as it is.</summary>
    internal bool TryMapReadOnly(ulong address, ulong length) => address >= PageSize && TryMap(address, length, 0);

    private bool TryMap(ulong address, ulong length, ulong rights)
    {
        ulong end = address + length;
        if (length == 0 || end < address || end >> AddressBits != 0)
        {
            return false;
        }
        for (ulong page = address & ~(LargeSize - 1); page < end; page += LargeSize)
        {
            ulong* map = (ulong*)(Cpu.ReadPageMap() & AddressMask);
            if (!TryEnter(map, page >> 39 & 511, out ulong* pointers) || !TryEnter(pointers, page >> 30 & 511, out ulong* directory))
            {
                return false;
            }
            ulong* entry = &directory[page >> 21 & 511];
            if ((*entry & Present) == 0)
            {
                *entry = page | Present | rights | Large | NoExecute;
            }
        }
        return true;
    }

    private bool TryEnter(ulong* table, ulong index, out ulong* next)
    {
        if ((table[index] & Present) != 0)
        {
            next = (ulong*)(table[index] & AddressMask);
            return true;
        }
        next = null;
        if (!_memory.TryTake(4096, 4096, out byte* page))
        {
            return false;
        }
        Cpu.Clear(page, 4096);
        next = (ulong*)page;
        table[index] = (ulong)page | Present | Writable;
        return true;
    }
}
