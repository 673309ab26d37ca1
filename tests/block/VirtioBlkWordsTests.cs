// What traces call the parts of a disk: the words of the specification (virtio 5.2.4, 5.2.6).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Block;
using Xunit;

namespace VirtioSharp.Tests.Block;

/// <summary>Every byte of the configuration has the name of its field, every request the name of its type.</summary>
public sealed class VirtioBlkWordsTests
{
    private readonly VirtioBlkDriver _driver = new();

    [Fact]
    public void Every_byte_of_the_configuration_belongs_to_the_field_that_the_specification_puts_there()
    {
        (string Name, int Length)[] fields =
        [
            ("capacity", 8), ("size_max", 4), ("seg_max", 4), ("geometry", 4), ("blk_size", 4), ("topology", 8), ("writeback", 1), ("unused0", 1),
            ("num_queues", 2), ("discard", 12), ("write_zeroes", 9), ("unused1", 3), ("secure_erase", 12), ("zoned", 24),
        ];
        string[] expected = [.. fields.SelectMany(field => Enumerable.Repeat(field.Name, field.Length))];
        Assert.Equal(96, expected.Length);
        Assert.Equal(expected, Enumerable.Range(0, expected.Length).Select(offset => _driver.NameOfField((uint)offset)));
    }

    [Fact]
    public void A_header_is_called_by_the_type_of_the_request_and_tells_its_sector()
    {
        (uint Type, string Word)[] words =
        [
            (0, "IN"), (1, "OUT"), (4, "FLUSH"), (8, "GET_ID"), (10, "GET_LIFETIME"), (11, "DISCARD"), (13, "WRITE_ZEROES"), (14, "SECURE_ERASE"),
            (15, "ZONE_APPEND"), (16, "ZONE_REPORT"), (18, "ZONE_OPEN"), (20, "ZONE_CLOSE"), (22, "ZONE_FINISH"), (24, "ZONE_RESET"), (26, "ZONE_RESET_ALL"),
        ];
        Dictionary<uint, string> types = words.ToDictionary(each => each.Type, each => each.Word);
        for (uint type = 0; type < 32; type++)
        {
            byte[] header = Header(type, 0x1122_3344_5566_7788);
            Assert.Equal(types.GetValueOrDefault(type, "unknown type"), _driver.NameOfRequest(0, header, out ulong sector));
            Assert.Equal(0x1122_3344_5566_7788ul, sector);
            Assert.Equal(_driver.NameOfRequest(0, header, out _), _driver.NameOfRequest(3, [.. header, 1, 2, 3], out sector));
            Assert.Equal(0x1122_3344_5566_7788ul, sector);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(15)]
    public void What_is_too_short_for_a_header_has_no_name_and_no_sector(int length)
    {
        Assert.Equal("", _driver.NameOfRequest(0, Header(4, 99).AsSpan(0, length), out ulong sector));
        Assert.Equal(0ul, sector);
    }

    [Fact]
    public void An_answer_is_called_by_its_last_byte()
    {
        (byte Status, string Word)[] words = [(0, "OK"), (1, "IOERR"), (2, "UNSUPP"), (0xFF, "no status"), (3, "another status"), (0xFE, "another status")];
        foreach ((byte status, string word) in words)
        {
            Assert.Equal(word, _driver.NameOfAnswer(0, [status], out ulong about));
            Assert.Equal(word, _driver.NameOfAnswer(0, [0, 1, 2, status], out about));
            Assert.Equal(0ul, about);
        }
        Assert.Equal("", _driver.NameOfAnswer(0, [], out _));
    }

    private static byte[] Header(uint type, ulong sector)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sector);
        return header;
    }
}
