// The few ACPI tables we need: where the interrupt controllers and the config space are.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Finds RSDP, RSDT or XSDT, MADT and MCFG, checks their sums, and falls back to what every PC has where there are none.
/// </summary>
internal sealed unsafe class Acpi
{
    private const uint HeaderLength = 36;
    private const uint MaxTableLength = 1 << 20;
    private const uint MaxTables = 64;
    private const uint InterruptControllers = 0x43495041;
    private const uint ConfigSpaces = 0x4746434D;

    private readonly PageTables _pages;
    private readonly uint[] _overrides = new uint[16];

    private Acpi(PageTables pages)
    {
        _pages = pages;
        for (uint i = 0; i < 16; i++)
        {
            _overrides[i] = i;
        }
    }

    /// <summary>True when tables were found.</summary>
    internal bool Found { get; private set; }

    /// <summary>The address of the first I/O APIC.</summary>
    internal ulong IoApicAddress { get; private set; } = 0xFEC00000;

    /// <summary>The first global interrupt of that I/O APIC.</summary>
    internal uint IoApicBase { get; private set; }

    /// <summary>The address of the memory-mapped config space of segment 0; 0 when there is none.</summary>
    internal ulong ConfigSpaceAddress { get; private set; }

    /// <summary>The last bus it covers.</summary>
    internal byte ConfigSpaceLastBus { get; private set; }

    /// <summary>Reads the tables from <paramref name="root"/>, or from where the BIOS leaves them when it is 0.</summary>
    internal static Acpi Read(ulong root, PageTables pages)
    {
        Acpi acpi = new(pages);
        byte* pointer = (byte*)root;
        if (root == 0 || !pages.TryMapReadOnly(root, HeaderLength) || !IsRootPointer(pointer))
        {
            // 5.2.5.1 of the ACPI specification: the first KiB of the extended BIOS data area, then the BIOS.
            pointer = Search(0x9FC00, 0xA0000);
            pointer = pointer is null ? Search(0xE0000, 0x100000) : pointer;
        }
        if (pointer is not null)
        {
            acpi.ReadTables(pointer);
        }
        return acpi;
    }

    /// <summary>The global interrupt to which an interrupt line of the ISA bus is wired.</summary>
    internal uint GlobalInterrupt(byte line) => line < 16 ? _overrides[line] : line;

    private static byte* Search(ulong start, ulong end)
    {
        for (ulong address = start; address < end; address += 16)
        {
            if (IsRootPointer((byte*)address))
            {
                return (byte*)address;
            }
        }
        return null;
    }

    private static bool IsRootPointer(byte* p) => *(ulong*)p == 0x2052545020445352 && Sum(p, 20) == 0;

    private static byte Sum(byte* p, uint length)
    {
        byte sum = 0;
        for (uint i = 0; i < length; i++)
        {
            sum += p[i];
        }
        return sum;
    }

    /// <summary>True for a table that can be read (it may lie above the memory that boot.S mapped) and whose sum is right.</summary>
    private bool IsTable(byte* table)
    {
        if (table is null || !_pages.TryMapReadOnly((ulong)table, HeaderLength))
        {
            return false;
        }
        uint length = *(uint*)(table + 4);
        return length is >= HeaderLength and <= MaxTableLength && _pages.TryMapReadOnly((ulong)table, length) && Sum(table, length) == 0;
    }

    private void ReadTables(byte* pointer)
    {
        bool extended = pointer[15] >= 2 && *(ulong*)(pointer + 24) != 0;
        byte* list = extended ? (byte*)*(ulong*)(pointer + 24) : (byte*)*(uint*)(pointer + 16);
        if (!IsTable(list))
        {
            return;
        }
        Found = true;
        uint width = extended ? 8u : 4u;
        uint count = Math.Min((*(uint*)(list + 4) - HeaderLength) / width, MaxTables);
        for (uint i = 0; i < count; i++)
        {
            byte* entry = list + HeaderLength + i * width;
            byte* table = extended ? (byte*)*(ulong*)entry : (byte*)*(uint*)entry;
            if (!IsTable(table))
            {
                continue;
            }
            if (*(uint*)table == InterruptControllers)
            {
                ReadInterruptControllers(table, *(uint*)(table + 4));
            }
            else if (*(uint*)table == ConfigSpaces)
            {
                ReadConfigSpaces(table, *(uint*)(table + 4));
            }
        }
    }

    private void ReadInterruptControllers(byte* table, uint length)
    {
        bool first = true;
        for (uint offset = 44; offset + 2 <= length && table[offset + 1] >= 2 && offset + table[offset + 1] <= length;)
        {
            byte* entry = table + offset;
            uint size = entry[1];
            if (entry[0] == 1 && size >= 12 && first)
            {
                IoApicAddress = *(uint*)(entry + 4);
                IoApicBase = *(uint*)(entry + 8);
                first = false;
            }
            else if (entry[0] == 2 && size >= 10 && entry[3] < 16)
            {
                _overrides[entry[3]] = *(uint*)(entry + 4);
            }
            offset += size;
        }
    }

    private void ReadConfigSpaces(byte* table, uint length)
    {
        for (uint offset = 44; offset + 16 <= length; offset += 16)
        {
            byte* entry = table + offset;
            if (*(ushort*)(entry + 8) == 0 && entry[10] == 0)
            {
                ConfigSpaceAddress = *(ulong*)entry;
                ConfigSpaceLastBus = entry[11];
            }
        }
    }
}
