// Lines of a trace: their heads, what is counted instead of written again, and how long one may be.
using System.Text;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

public sealed class TraceLineTests
{
    private const int Most = 4096;

    [Fact]
    public void The_first_line_says_the_version_the_place_the_type_and_who_drives_it() =>
        Assert.Equal(["@d0 0 0 trace 1 bench type 7 ; 5.99 virtio-bench"], new TraceBench(new BenchDriver()).Whole());

    [Fact]
    public void A_device_that_nobody_drives_has_a_trace_as_well() =>
        Assert.Equal(["@d0 0 0 trace 1 elsewhere type 65535 ; 5 no driver"], new TraceBench(null, "elsewhere", 65535).Whole());

    [Fact]
    public void Lines_have_a_number_and_the_nanoseconds_since_the_first()
    {
        TraceBench bench = new();
        bench.Clock.Time += 17;
        bench.Allocate(512);
        bench.Clock.Time += 1_000_000_000_000;
        bench.Allocate(8);
        Assert.Equal(["@d0 0 0 trace 1 bench type 7 ; 5 no driver", "@d0 1 17 alloc m0 512", "@d0 2 1000000000017 alloc m1 8"], bench.Whole());
    }

    [Fact]
    public void What_is_read_again_and_again_is_counted()
    {
        TraceBench bench = new TraceBench().UseMmio();
        bench.Registers[MmioRegisters.QueueSizeMax][0] = 8;
        for (int i = 0; i < 4; i++)
        {
            bench.Device.Read32(MmioRegisters.Status);
        }
        bench.Says("r32 Status = 0x0 ; 2.1 reset"); // the rest once it is over
        bench.Device.Read32(MmioRegisters.QueueSizeMax);
        bench.Device.Read32(MmioRegisters.Status);
        bench.Device.Read32(MmioRegisters.Status);
        bench.Set(MmioRegisters.Status, 1);
        bench.Says(
            "same 3",
            "r32 QueueNumMax[0] = 0x8 ; 4.2.3.2",
            "r32 Status = 0x0 ; 2.1 reset",
            "same 1",
            "w32 Status = 0x1 ; 2.1 ACKNOWLEDGE");
    }

    [Fact]
    public void What_is_read_again_behind_something_else_is_written_again()
    {
        TraceBench bench = new TraceBench().UseMmio();
        bench.Device.Read32(MmioRegisters.ConfigGeneration);
        bench.Device.Read32(MmioRegisters.QueueSizeMax);
        bench.Device.Read32(MmioRegisters.ConfigGeneration);
        bench.Set(MmioRegisters.QueueSelect, 0);
        bench.Device.Read32(MmioRegisters.ConfigGeneration);
        bench.Says(
            "r32 ConfigGeneration = 0x0 ; 2.5.1",
            "r32 QueueNumMax[0] = 0x0 ; 4.2.3.2",
            "r32 ConfigGeneration = 0x0 ; 2.5.1",
            "w32 QueueSel = 0x0 ; 4.2.2",
            "r32 ConfigGeneration = 0x0 ; 2.5.1");
    }

    [Fact]
    public void Another_answer_is_another_line_even_when_it_is_as_long()
    {
        TraceBench bench = new TraceBench().UseMmio();
        for (byte i = 1; i < 4; i++)
        {
            bench.Registers[MmioRegisters.ConfigGeneration][0] = i;
            bench.Device.Read32(MmioRegisters.ConfigGeneration);
        }
        bench.Says("r32 ConfigGeneration = 0x1 ; 2.5.1", "r32 ConfigGeneration = 0x2 ; 2.5.1", "r32 ConfigGeneration = 0x3 ; 2.5.1");
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(9, "9")]
    [InlineData(10, "10")]
    [InlineData(11, "11")]
    [InlineData(99, "99")]
    [InlineData(100, "100")]
    [InlineData(1234567890, "1234567890")]
    [InlineData(ulong.MaxValue, "18446744073709551615")]
    public void Numbers_are_decimal(ulong value, string expected) => Assert.Equal(expected, Written(new TraceText().Add(value)));

    [Theory]
    [InlineData(0, "0x0")]
    [InlineData(9, "0x9")]
    [InlineData(10, "0xa")]
    [InlineData(15, "0xf")]
    [InlineData(16, "0x10")]
    [InlineData(0xFEDCBA9876543210, "0xfedcba9876543210")]
    [InlineData(0x1000000000000000, "0x1000000000000000")]
    public void Registers_and_addresses_are_hexadecimal(ulong value, string expected) => Assert.Equal(expected, Written(new TraceText().Hex(value)));

    [Theory]
    [InlineData(5, 8, "00000005")]
    [InlineData(0x12345678, 8, "12345678")]
    [InlineData(0x123456789, 8, "123456789")]
    [InlineData(0, 2, "00")]
    [InlineData(0, 16, "0000000000000000")]
    public void Hashes_have_as_many_digits_as_are_wanted(ulong value, int least, string expected) =>
        Assert.Equal(expected, Written(new TraceText().Digits(value, least)));

    [Fact]
    public void Bytes_are_two_digits_each() =>
        Assert.Equal("00099aff10", Written(new TraceText().Dump([0, 9, 0x9A, 0xFF, 0x10])));

    [Fact]
    public void A_text_may_be_added_to_another_and_begun_anew()
    {
        TraceText one = new TraceText().Add("one ").Add(1);
        TraceText both = new TraceText().Add("two, ").Add(one);
        Assert.Equal("two, one 1", Written(both));
        Assert.Equal("three", Written(both.Clear().Add("three")));
        Assert.Equal("one 1", Written(one));
    }

    [Theory]
    [InlineData("", "", true)]
    [InlineData("a line", "a line", true)]
    [InlineData("a line", "a lint", false)]
    [InlineData("a line", "b line", false)]
    [InlineData("a line", "a line more", false)]
    [InlineData("a line", "", false)]
    public void Two_texts_are_the_same_when_all_of_them_is(string left, string right, bool same)
    {
        Assert.Equal(same, new TraceText().Add(left).Is(new TraceText().Add(right)));
        Assert.Equal(same, new TraceText().Add(right).Is(new TraceText().Add(left)));
    }

    /// <summary>Else a name out of a driver, or a byte out of memory, could break the line.</summary>
    [Theory]
    [InlineData(0x0A, false)]
    [InlineData(0x1F, false)]
    [InlineData(0x20, true)]
    [InlineData(0x7E, true)]
    [InlineData(0x7F, false)]
    public void Only_printable_characters_are_written(int character, bool may)
    {
        Exception? thrown = Record.Exception(() => new TraceText().Add("x" + (char)character));
        Assert.Equal(!may, thrown is ContractException);
    }

    [Fact]
    public void What_just_fits_is_there_as_it_is()
    {
        string longest = new string('a', Most - 1) + "z";
        Assert.Equal(longest, Written(new TraceText().Add(longest)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5000)]
    public void What_does_not_fit_is_cut_off_and_ends_with_dots(int more)
    {
        string text = Written(new TraceText().Add(new string('a', Most) + new string('z', more)));
        Assert.Equal(new string('a', Most - 4) + " ...", text);
    }

    private static string Written(TraceText text) => Encoding.ASCII.GetString(text.Bytes);
}
