// virtio-console for people: the specification's words for fields and control messages (virtio 5.3.4, 5.3.6.2).
using System.Buffers.Binary;

namespace VirtioSharp.Drivers.Console;

/// <summary>What traces call things.</summary>
internal static class VirtioConsoleWords
{
    /// <summary>The field of the configuration at an offset.</summary>
    internal static string FieldAt(uint offset) => offset switch
    {
        < VirtioConsoleFormat.RowsOffset => "cols",
        < VirtioConsoleFormat.MaxPortsOffset => "rows",
        < VirtioConsoleFormat.EmergencyOffset => "max_nr_ports",
        _ => "emerg_wr",
    };

    /// <summary>The event of a control message and the port that it is about; empty for anything else.</summary>
    internal static string MessageOf(ReadOnlySpan<byte> message, out ulong port)
    {
        port = 0;
        if (message.Length < VirtioConsoleFormat.ControlLength)
        {
            return "";
        }
        port = BinaryPrimitives.ReadUInt32LittleEndian(message);
        return BinaryPrimitives.ReadUInt16LittleEndian(message.Slice(VirtioConsoleFormat.ControlEventOffset)) switch
        {
            VirtioConsoleFormat.DeviceReady => "DEVICE_READY",
            VirtioConsoleFormat.DeviceAdd => "DEVICE_ADD",
            VirtioConsoleFormat.DeviceRemove => "DEVICE_REMOVE",
            VirtioConsoleFormat.PortReady => "PORT_READY",
            VirtioConsoleFormat.ConsolePort => "CONSOLE_PORT",
            VirtioConsoleFormat.Resize => "RESIZE",
            VirtioConsoleFormat.PortOpen => "PORT_OPEN",
            VirtioConsoleFormat.PortName => "PORT_NAME",
            _ => "unknown event",
        };
    }
}
