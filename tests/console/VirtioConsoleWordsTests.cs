// What traces call the parts of a console: the words of the specification (virtio 5.3.4, 5.3.6.2).
using System.Buffers.Binary;
using VirtioSharp.Drivers.Console;
using Xunit;

namespace VirtioSharp.Tests.Console;

/// <summary>Fields of the configuration, and control messages; bytes of a port are never taken for a message.</summary>
public sealed class VirtioConsoleWordsTests
{
    private const ushort ControlReceive = 2;
    private const ushort ControlTransmit = 3;

    private readonly VirtioConsoleDriver _driver = new();

    [Fact]
    public void Every_byte_of_the_configuration_belongs_to_the_field_that_the_specification_puts_there()
    {
        string[] expected = ["cols", "cols", "rows", "rows", .. Enumerable.Repeat("max_nr_ports", 4), .. Enumerable.Repeat("emerg_wr", 4)];
        Assert.Equal(expected, Enumerable.Range(0, 12).Select(offset => _driver.NameOfField((uint)offset)));
    }

    [Fact]
    public void Messages_in_both_directions_are_called_by_their_event_and_tell_their_port()
    {
        string[] events =
        [
            "DEVICE_READY", "DEVICE_ADD", "DEVICE_REMOVE", "PORT_READY", "CONSOLE_PORT", "RESIZE", "PORT_OPEN", "PORT_NAME", "unknown event",
        ];
        for (ushort i = 0; i < events.Length; i++)
        {
            Assert.Equal((events[i], 0x0102_0304ul), (_driver.NameOfRequest(ControlTransmit, Message(i), out ulong port), port));
            Assert.Equal((events[i], 0x0102_0304ul), (_driver.NameOfAnswer(ControlReceive, Message(i), out port), port));
            Assert.Equal((events[i], 0x0102_0304ul), (_driver.NameOfAnswer(ControlReceive, [.. Message(i), (byte)'x'], out port), port));
        }
    }

    [Fact]
    public void What_goes_through_the_queues_of_a_port_is_no_message()
    {
        foreach (ushort queue in new ushort[] { 0, 1, ControlReceive, 4, 5 })
        {
            Assert.Equal(("", 0ul), (_driver.NameOfRequest(queue, Message(1), out ulong port), port));
        }
        foreach (ushort queue in new ushort[] { 0, 1, ControlTransmit, 4, 5 })
        {
            Assert.Equal(("", 0ul), (_driver.NameOfAnswer(queue, Message(1), out ulong port), port));
        }
    }

    [Fact]
    public void What_is_shorter_than_a_message_is_none()
    {
        Assert.Equal(("", 0ul), (_driver.NameOfRequest(ControlTransmit, Message(1).AsSpan(0, 7), out ulong port), port));
        Assert.Equal(("", 0ul), (_driver.NameOfAnswer(ControlReceive, [], out port), port));
    }

    private static byte[] Message(ushort what)
    {
        byte[] message = new byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(message, 0x0102_0304);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), what);
        return message;
    }
}
