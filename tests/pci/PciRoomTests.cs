// Room for BARs: whatever is asked for in whatever order.
using VirtioSharp.Drivers.Pci;
using Xunit;

namespace VirtioSharp.Tests.Pci;

/// <summary>What is given out is aligned, inside, and nobody else's; what comes back is given out again.</summary>
public sealed class PciRoomTests
{
    private const ulong Unit = 1 << 12;

    [Fact]
    public void Without_a_window_there_is_no_room()
    {
        PciRoom room = new();
        Assert.Equal(0ul, room.Length);
        Assert.False(room.TryTake(Unit, out ulong address));
        Assert.Equal(0ul, address);
    }

    [Fact]
    public void The_lowest_place_that_fits_is_taken_and_holes_are_filled()
    {
        PciRoom room = Open(0x10_0000, 0x20_0000);
        Assert.Equal(0x10_0000ul, Take(room, 0x1000));
        Assert.Equal(0x10_4000ul, Take(room, 0x4000));
        Assert.Equal(0x10_1000ul, Take(room, 0x1000));
        Assert.Equal(0x10_2000ul, Take(room, 0x2000));
        room.Return(0x10_1000);
        Assert.Equal(0x10_8000ul, Take(room, 0x2000));
        Assert.Equal(0x10_1000ul, Take(room, 0x1000));
    }

    [Fact]
    public void A_window_is_given_out_to_its_last_byte_and_no_further()
    {
        PciRoom room = Open(0x10_0000, 0x10_4000);
        Assert.False(room.TryTake(0x8000, out _));
        Assert.Equal(0x10_0000ul, Take(room, 0x4000));
        Assert.False(room.TryTake(1, out _));
        room.Return(0x10_0000);
        Assert.Equal(0x10_0000ul, Take(room, 0x2000));
        Assert.Equal(0x10_2000ul, Take(room, 0x2000));
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(1ul << 40)]
    [InlineData(1ul << 63)]
    public void Lengths_that_can_not_be_are_refused(ulong length) => Assert.False(Open(0xC000_0000, 0x1_0000_0000).TryTake(length, out _));

    [Fact]
    public void A_window_at_the_end_of_all_addresses_does_not_wrap_around()
    {
        PciRoom room = Open(ulong.MaxValue - 0x2FFF, ulong.MaxValue - 0xFFF);
        Assert.Equal(ulong.MaxValue - 0x2FFF, Take(room, 0x1000));
        Assert.Equal(ulong.MaxValue - 0x1FFF, Take(room, 0x1000));
        Assert.False(room.TryTake(0x1000, out _));
        Assert.False(room.TryTake(1ul << 62, out _));
    }

    [Fact]
    public void Returning_what_nobody_took_changes_nothing()
    {
        PciRoom room = Open(0x10_0000, 0x10_2000);
        Take(room, 0x1000);
        room.Return(0x10_1000);
        room.Return(0);
        Assert.Equal(0x10_1000ul, Take(room, 0x1000));
        Assert.False(room.TryTake(0x1000, out _));
    }

    [Fact]
    public void What_firmware_gave_out_is_not_given_out_again()
    {
        PciRoom room = Open(0x10_0000, 0x10_8000);
        room.Note(0x10_1000, 0x1000);
        room.Note(0x10_0000, 0x1000);
        Assert.Equal(0x10_2000ul, Take(room, 0x2000));
        Assert.Equal(0x10_4000ul, Take(room, 0x4000));
    }

    [Fact]
    public void In_whatever_order_ranges_come_and_go_they_are_aligned_inside_and_apart()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            Random random = new(seed);
            ulong start = (ulong)random.Next(1, 1 << 16) * Unit;
            ulong end = start + (ulong)random.Next(1, 256) * Unit;
            PciRoom room = Open(start, end);
            List<(ulong Start, ulong End)> taken = [];
            for (int step = 0; step < 300; step++)
            {
                if (taken.Count > 0 && random.Next(3) == 0)
                {
                    int index = random.Next(taken.Count);
                    room.Return(taken[index].Start);
                    taken.RemoveAt(index);
                    continue;
                }
                ulong length = Unit << random.Next(8);
                bool found = room.TryTake(length, out ulong address);
                Assert.True(found == IsAnyFree(taken, start, end, length), $"seed {seed}, step {step}: 0x{length:X} bytes, found {found}");
                if (found)
                {
                    bool apart = taken.TrueForAll(other => address + length <= other.Start || other.End <= address);
                    Assert.True(address % length == 0 && address >= start && address + length <= end && apart, $"seed {seed}, step {step}");
                    taken.Add((address, address + length));
                }
            }
            taken.ForEach(each => room.Return(each.Start));
            ulong largest = Unit << 8;
            while (!IsAnyFree([], start, end, largest))
            {
                largest /= 2;
            }
            Assert.True(room.TryTake(largest, out _), $"seed {seed}: not all came back");
        }
    }

    [Fact]
    public void Powers_of_two_whose_sum_is_not_above_the_window_all_fit_in_any_order()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            Random random = new(seed);
            ulong window = Unit << 10;
            PciRoom room = Open(window * 3, window * 4);
            ulong left = window;
            while (left > 0)
            {
                ulong length = Unit << random.Next(10);
                if (length <= left)
                {
                    Take(room, length);
                    left -= length;
                }
            }
            Assert.False(room.TryTake(Unit, out _));
        }
    }

    private static bool IsAnyFree(List<(ulong Start, ulong End)> taken, ulong start, ulong end, ulong length)
    {
        for (ulong place = (start + length - 1) & ~(length - 1); place + length <= end; place += length)
        {
            if (taken.TrueForAll(other => place + length <= other.Start || other.End <= place))
            {
                return true;
            }
        }
        return false;
    }

    private static PciRoom Open(ulong start, ulong end)
    {
        PciRoom room = new();
        room.Open(start, end);
        return room;
    }

    private static ulong Take(PciRoom room, ulong length)
    {
        Assert.True(room.TryTake(length, out ulong address));
        return address;
    }
}
