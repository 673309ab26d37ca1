// The format of a packed image: sequences of literals and a match, in whole bytes, so that few instructions unpack it.
namespace VirtioSharp.Pack;

/// <summary>
/// A sequence is a token, literals, a distance, and what the token had no room for. Bits 0 and 1 of the token: how many literals (3: three, and as
/// many more as follow the token). Bits 2 to 5: the length of the match less 2 (15: more follow the distance). Bits 6 and 7: how many bytes of
/// distance there are, less one (0: the distance is that of the match before). A number that follows is one byte, or 255 and two bytes; the
/// length 65535 is none, but the end.
/// </summary>
internal static class Format
{
    public const int MaxShortLiterals = 3;
    public const int MinMatch = 2;
    public const int LengthShift = 2;
    public const int MaxShortLength = 15;
    public const int DistanceShift = 6;
    public const int MaxDistanceBytes = 3;

    /// <summary>The longest run of literals and the longest match: less than what a number of two bytes can say.</summary>
    public const int MaxRun = ushort.MaxValue;

    /// <summary>What follows the last literals in place of the rest of a length.</summary>
    public const int End = ushort.MaxValue;

    /// <summary>What marks a number of two bytes.</summary>
    public const int LongNumber = 255;

    /// <summary>How many bytes follow for a number of which <paramref name="most"/> fits in the token.</summary>
    public static int Rest(int number, int most) => number < most ? 0 : number - most < LongNumber ? 1 : 3;

    /// <summary>How many bytes a distance takes.</summary>
    public static int DistanceBytes(int distance) => distance <= 0x100 ? 1 : distance <= 0x10000 ? 2 : 3;
}
