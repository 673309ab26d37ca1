// The few ACPI tables we need: where the interrupt controllers and the config space are.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Finds RSDP, RSDT or XSDT, MADT and MCFG, checks their sums, and falls back to what every PC has where there are none. A machine
/// without MCFG and without a BIOS that sets PCI up (microvm) says in its DSDT where config space and the room for BARs are.
/// </summary>
internal sealed unsafe class Acpi
{
    private const uint HeaderLength = 36;
    private const uint MaxTableLength = 1 << 20;
    private const uint MaxTables = 64;
    private const int MaxIoApics = 4;
    private const uint InterruptControllers = 0x43495041;
    private const uint ConfigSpaceTable = 0x4746434D;
    private const int ConfigSpaceEntries = 44;
    private const uint FixedDescription = 0x50434146;
    private const uint ConfigBaseName = 0x4142435F; // _CBA
    private const uint BaseBusName = 0x4E42425F; // _BBN
    private const byte BytePrefix = 0x0A;
    private const uint FirstLinkName = 0x30495347; // GSI0
    private const uint InterruptDescriptor = 0x000689; // extended interrupt descriptor, of 6 bytes
    private const uint LinkLength = 96;
    private const uint MemoryDescriptor = 0x00001787; // DWORD address space descriptor, of 23 bytes, memory

    private readonly PageTables _pages;
    private readonly uint[] _overrides = new uint[16];
    private readonly ulong[] _ioApics = new ulong[MaxIoApics];
    private readonly bool[] _rootBuses = new bool[256];
    private readonly uint[] _ioApicBases = new uint[MaxIoApics];

    private Acpi(PageTables pages)
    {
        _pages = pages;
        _ioApics[0] = 0xFEC00000;
        for (uint i = 0; i < 16; i++)
        {
            _overrides[i] = i;
        }
    }

    /// <summary>True when tables were found.</summary>
    internal bool Found { get; private set; }

    /// <summary>How many I/O APICs there are, 1 to 4.</summary>
    internal int IoApicCount { get; private set; } = 1;

    /// <summary>The virtio-mmio devices that the DSDT names.</summary>
    internal AcpiDevices Devices { get; } = new();

    /// <summary>Where config space is mapped to memory.</summary>
    internal ConfigSpaces ConfigSpaces { get; } = new();

    /// <summary>Where BARs can be put that no firmware assigned; 0 when that is not known.</summary>
    internal ulong BarWindowStart { get; private set; }

    /// <summary>The first address behind the room for BARs.</summary>
    internal ulong BarWindowEnd { get; private set; }

    /// <summary>The first of four global interrupts that the pins of bus 0 are wired to in turn; 0 when that is not known.</summary>
    internal uint FirstLink { get; private set; }

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

    /// <summary>The address of the I/O APIC <paramref name="index"/>, and the first global interrupt that arrives there.</summary>
    internal ulong IoApic(int index, out uint firstInterrupt)
    {
        firstInterrupt = _ioApicBases[index];
        return _ioApics[index];
    }

    /// <summary>True for the first bus of a host bridge beside the one of bus 0.</summary>
    internal bool IsRootBus(byte bus) => _rootBuses[bus];

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
        byte* description = null;
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
            else if (*(uint*)table == ConfigSpaceTable && *(uint*)(table + 4) >= ConfigSpaceEntries)
            {
                ConfigSpaces.Read(new ReadOnlySpan<byte>(table, (int)*(uint*)(table + 4)).Slice(ConfigSpaceEntries));
            }
            else if (*(uint*)table == FixedDescription)
            {
                description = table;
            }
        }
        if (description is not null)
        {
            ReadDescription(description, *(uint*)(description + 4));
        }
    }

    private void ReadInterruptControllers(byte* table, uint length)
    {
        int found = 0;
        for (uint offset = 44; offset + 2 <= length && table[offset + 1] >= 2 && offset + table[offset + 1] <= length;)
        {
            byte* entry = table + offset;
            uint size = entry[1];
            if (entry[0] == 1 && size >= 12 && found < MaxIoApics)
            {
                _ioApics[found] = *(uint*)(entry + 4);
                _ioApicBases[found++] = *(uint*)(entry + 8);
                IoApicCount = found;
            }
            else if (entry[0] == 2 && size >= 10 && entry[3] < 16)
            {
                _overrides[entry[3]] = *(uint*)(entry + 4);
            }
            offset += size;
        }
    }

    /// <summary>Finds the DSDT, and in it what a machine without MCFG needs.</summary>
    private void ReadDescription(byte* description, uint length)
    {
        byte* table = length >= 148 ? (byte*)*(ulong*)(description + 140) : null;
        table = table is null && length >= 44 ? (byte*)*(uint*)(description + 40) : table;
        if (!IsTable(table))
        {
            return;
        }
        if (ConfigSpaces.Count != 0)
        {
            ReadRootBuses(table, *(uint*)(table + 4));
        }
        else
        {
            ReadHostBridge(table);
            Devices.Read(table + HeaderLength, *(uint*)(table + 4) - HeaderLength);
        }
    }

    /// <summary>Further host bridges name their first bus: a constant behind _BBN (ACPI 6.5.5).</summary>
    private void ReadRootBuses(byte* table, uint length)
    {
        for (uint i = HeaderLength; i + 6 <= length; i++)
        {
            if (*(uint*)(table + i) == BaseBusName && table[i + 4] == BytePrefix)
            {
                _rootBuses[table[i + 5]] = true;
            }
        }
    }

    /// <summary>
    /// Looks into the DSDT for the method _CBA (PCI firmware specification 4.1.3), which returns a constant, and for the window of device
    /// memory in _CRS behind it (ACPI 6.4.3.5.2). No interpreter: a bridge that computes them is not understood, and has an MCFG anyway.
    /// </summary>
    private void ReadHostBridge(byte* table)
    {
        uint end = *(uint*)(table + 4);
        ulong config = 0;
        for (uint i = HeaderLength; i + 26 <= end; i++)
        {
            if (config == 0 && *(uint*)(table + i) == ConfigBaseName && table[i + 5] == 0xA4 && table[i + 6] is (0x0C or 0x0E))
            {
                config = table[i + 6] == 0x0E ? *(ulong*)(table + i + 7) : *(uint*)(table + i + 7);
            }
            else if (config != 0 && *(uint*)(table + i) == MemoryDescriptor)
            {
                uint start = *(uint*)(table + i + 10);
                uint size = *(uint*)(table + i + 22);
                if (start != 0 && size != 0 && (ulong)start + size <= 1ul << 32 && ConfigSpaces.TryAdd(new ConfigSpace(config, 0, 0, 255)))
                {
                    BarWindowStart = start;
                    BarWindowEnd = (ulong)start + size;
                    FirstLink = FindFirstLink(table, end);
                    return;
                }
            }
        }
    }

    /// <summary>The interrupt of the link device GSI0: the first extended interrupt descriptor behind its name (ACPI 6.4.3.6).</summary>
    private static uint FindFirstLink(byte* table, uint end)
    {
        for (uint i = HeaderLength; i + LinkLength <= end; i++)
        {
            if (*(uint*)(table + i) != FirstLinkName)
            {
                continue;
            }
            for (uint j = i + 4; j + 9 <= i + LinkLength; j++)
            {
                if ((*(uint*)(table + j) & 0xFFFFFF) == InterruptDescriptor && table[j + 4] == 1)
                {
                    return *(uint*)(table + j + 5);
                }
            }
        }
        return 0;
    }
}
