// The virtio-mmio devices that the DSDT describes.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Devices of the id LNRO0005, each with its registers (Memory32Fixed, ACPI 6.4.3.4) and its interrupt (6.4.3.6) in the buffer of its _CRS.
/// No interpreter: constants are found by their shape, as QEMU's microvm writes them.
/// </summary>
internal sealed unsafe class AcpiDevices
{
    private const int MaxDevices = 64;
    private const ulong VirtioMmio = 0x353030304F524E4C; // LNRO0005
    private const uint MaxResources = 96;
    private const uint FixedMemory = 0x000986; // of 9 bytes
    private const uint Interrupt = 0x000689; // of 6 bytes

    private readonly MmioPlace[] _places = new MmioPlace[MaxDevices];
    private int _count;

    /// <summary>What was found.</summary>
    internal ReadOnlySpan<MmioPlace> Places => new(_places, 0, _count);

    /// <summary>Looks through the byte code of a table.</summary>
    internal void Read(byte* code, uint length)
    {
        for (uint i = 0; i + 8 <= length && _count < MaxDevices; i++)
        {
            if (*(ulong*)(code + i) == VirtioMmio && TryReadResources(code + i + 8, Math.Min(length - i - 8, MaxResources), out MmioPlace place))
            {
                _places[_count++] = place;
            }
        }
    }

    private static bool TryReadResources(byte* code, uint length, out MmioPlace place)
    {
        place = default;
        for (uint i = 0; i + 12 <= length; i++)
        {
            if ((*(uint*)(code + i) & 0xFFFFFF) != FixedMemory)
            {
                continue;
            }
            for (uint j = i + 12; j + 9 <= length; j++)
            {
                if ((*(uint*)(code + j) & 0xFFFFFF) == Interrupt && code[j + 4] == 1)
                {
                    place = new MmioPlace(*(uint*)(code + i + 4), *(uint*)(code + i + 8), *(uint*)(code + j + 5));
                    return place.Length != 0;
                }
            }
        }
        return false;
    }
}
