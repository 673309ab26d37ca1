// Where a virtio-mmio device is, as a command line or a table says it.
namespace VirtioSharp.Kernel.Machine;

/// <summary>The registers of a device, and the global interrupt it raises.</summary>
internal readonly struct MmioPlace
{
    internal MmioPlace(ulong address, ulong length, uint interrupt)
    {
        Address = address;
        Length = length;
        Interrupt = interrupt;
    }

    internal ulong Address { get; }

    internal ulong Length { get; }

    internal uint Interrupt { get; }

    /// <summary>
    /// Reads what Linux reads behind <c>virtio_mmio.device=</c>: <c>SIZE@ADDRESS:INTERRUPT[:ID]</c>, where SIZE may end in K, M or G and
    /// numbers may be hexadecimal; false for anything else.
    /// </summary>
    internal static bool TryParse(string text, out MmioPlace place)
    {
        place = default;
        int position = 0;
        if (!TryParseNumber(text, ref position, out ulong length))
        {
            return false;
        }
        int shift = position < text.Length ? text[position] switch { 'K' or 'k' => 10, 'M' or 'm' => 20, 'G' or 'g' => 30, _ => 0 } : 0;
        position += shift != 0 ? 1 : 0;
        if (!TrySkip(text, ref position, '@') || !TryParseNumber(text, ref position, out ulong address) ||
            !TrySkip(text, ref position, ':') || !TryParseNumber(text, ref position, out ulong interrupt))
        {
            return false;
        }
        if (position < text.Length && (!TrySkip(text, ref position, ':') || !TryParseNumber(text, ref position, out _)))
        {
            return false;
        }
        if (position != text.Length || length == 0 || length > uint.MaxValue >> shift || interrupt > 0xFFFF)
        {
            return false;
        }
        place = new MmioPlace(address, length << shift, (uint)interrupt);
        return true;
    }

    private static bool TrySkip(string text, ref int position, char expected)
    {
        if (position == text.Length || text[position] != expected)
        {
            return false;
        }
        position++;
        return true;
    }

    private static bool TryParseNumber(string text, ref int position, out ulong value)
    {
        bool isHexadecimal = position + 2 < text.Length && text[position] == '0' && text[position + 1] is 'x' or 'X';
        position += isHexadecimal ? 2 : 0;
        int start = position;
        value = 0;
        for (; position < text.Length; position++)
        {
            int digit = text[position] switch
            {
                >= '0' and <= '9' and char c => c - '0',
                >= 'a' and <= 'f' and char c when isHexadecimal => c - 'a' + 10,
                >= 'A' and <= 'F' and char c when isHexadecimal => c - 'A' + 10,
                _ => -1,
            };
            if (digit < 0)
            {
                break;
            }
            if (value > ulong.MaxValue >> 5)
            {
                return false;
            }
            value = value * (isHexadecimal ? 16ul : 10) + (uint)digit;
        }
        return position > start;
    }
}
