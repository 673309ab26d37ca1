// The packed table of symbols: names are found by address, and a broken table ends the search.
using System.Text;
using VirtioSharp.Kernel.Machine;
using Xunit;

namespace VirtioSharp.Tests.Kernel.Machine;

/// <summary><see cref="SymbolNames"/>; that tools/make-symbols writes what it reads is shown by every panic of the booted kernel.</summary>
public sealed class SymbolNamesTests
{
    // At 0x10 Disk.Read, at 0x13 Disk.Write, at 0x213 Disk, at 0x213 + 0x7F entry.
    private static readonly byte[] Table =
    [
        0x10, 0, .. "Disk.Read"u8, 0,
        0x03, 5, .. "Write"u8, 0,
        0x80, 0x04, 4, 0,
        0x7F, 0, .. "entry"u8, 0,
    ];

    [Theory]
    [InlineData(0x10u, "Disk.Read", 0x10u)]
    [InlineData(0x12u, "Disk.Read", 0x10u)]
    [InlineData(0x13u, "Disk.Write", 0x13u)]
    [InlineData(0x212u, "Disk.Write", 0x13u)]
    [InlineData(0x213u, "Disk", 0x213u)]
    [InlineData(0x292u, "entry", 0x292u)]
    [InlineData(uint.MaxValue, "entry", 0x292u)]
    public void An_address_belongs_to_the_last_symbol_that_is_not_behind_it(uint address, string expected, uint expectedStart)
    {
        byte[] name = new byte[SymbolNames.MaxLength];
        Assert.True(SymbolNames.TryFind(Table, address, name, out int length, out uint start));
        Assert.Equal((expected, expectedStart), (Encoding.ASCII.GetString(name, 0, length), start));
    }

    [Fact]
    public void An_address_before_the_first_symbol_has_none() =>
        Assert.False(SymbolNames.TryFind(Table, 0xF, new byte[SymbolNames.MaxLength], out _, out _));

    [Fact]
    public void A_name_longer_than_its_room_is_cut()
    {
        byte[] name = new byte[7];
        Assert.True(SymbolNames.TryFind(Table, 0x13, name, out int length, out _));
        Assert.Equal("Disk.Wr", Encoding.ASCII.GetString(name, 0, length));
    }

    [Fact]
    public void A_table_that_ends_anywhere_or_holds_anything_is_read_no_further_than_it_goes()
    {
        byte[] name = new byte[8];
        for (int length = 0; length <= Table.Length; length++)
        {
            SymbolNames.TryFind(Table.AsSpan(0, length), uint.MaxValue, name, out _, out _);
        }
        Random random = new(1);
        for (int i = 0; i < 10_000; i++)
        {
            byte[] table = new byte[random.Next(40)];
            random.NextBytes(table);
            SymbolNames.TryFind(table, (uint)random.Next(), name, out int length, out _);
            Assert.InRange(length, 0, name.Length);
        }
    }
}
