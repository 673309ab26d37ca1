// The program that QEMU's guest runs while the drivers run outside: it says that the firmware is done, and halts.
using System.Buffers.Binary;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>A multiboot image of some forty bytes.</summary>
internal static class HaltKernel
{
    /// <summary>Where the program says that it runs.</summary>
    internal const uint FlagAddress = LoadAddress + 0x800;

    /// <summary>What it says.</summary>
    internal const uint FlagValue = 0x600DF00D;

    private const uint LoadAddress = 0x100000;
    private const uint HeaderLength = 32;

    /// <summary>Makes the image.</summary>
    internal static byte[] Build()
    {
        // mov dword [flag], value; hlt; jmp to the hlt
        byte[] code = [0xC7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0xF4, 0xEB, 0xFD];
        BinaryPrimitives.WriteUInt32LittleEndian(code.AsSpan(2), FlagAddress);
        BinaryPrimitives.WriteUInt32LittleEndian(code.AsSpan(6), FlagValue);
        byte[] image = new byte[4096];
        const uint Magic = 0x1BADB002;
        const uint Flags = 0x00010000;
        uint[] header =
        [
            Magic, Flags, unchecked(0u - (Magic + Flags)), LoadAddress, LoadAddress, LoadAddress + 4096, LoadAddress + 4096,
            LoadAddress + HeaderLength,
        ];
        for (int i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(i * 4), header[i]);
        }
        code.CopyTo(image, HeaderLength);
        return image;
    }
}
