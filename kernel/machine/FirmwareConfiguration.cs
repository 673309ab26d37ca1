// QEMU's firmware configuration device (fw_cfg), read by ports.
namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Where QEMU keeps what it tells firmware. The kernel asks for one thing: the command line, to which a microvm without ACPI appends its
/// virtio-mmio devices only after it was handed to a multiboot kernel.
/// </summary>
internal static class FirmwareConfiguration
{
    private const ushort Selector = 0x510;
    private const ushort Data = 0x511;
    private const ushort SignatureKey = 0x00;
    private const ushort CommandLineSizeKey = 0x14;
    private const ushort CommandLineKey = 0x15;
    private const uint Signature = 0x554D4551; // QEMU
    private const uint MaxLength = 4096;

    /// <summary>The command line; empty when there is no such device, or no line.</summary>
    internal static string ReadCommandLine()
    {
        if (Read32(SignatureKey) != Signature)
        {
            return "";
        }
        uint length = Math.Min(Read32(CommandLineSizeKey), MaxLength);
        char[] text = new char[length];
        Cpu.Out16(Selector, CommandLineKey);
        int count = 0;
        for (uint i = 0; i < length; i++)
        {
            byte value = Cpu.In8(Data);
            if (value == 0)
            {
                break;
            }
            text[count++] = (char)value;
        }
        return new string(text, 0, count);
    }

    private static uint Read32(ushort key)
    {
        Cpu.Out16(Selector, key);
        uint value = 0;
        for (int shift = 0; shift < 32; shift += 8)
        {
            value |= (uint)Cpu.In8(Data) << shift;
        }
        return value;
    }
}
