// virtio-console: features, configuration, queues, control messages (virtio 5.3).
namespace VirtioSharp.Drivers.Console;

/// <summary>Numbers of the console device (virtio 5.3.2 to 5.3.6).</summary>
public static class VirtioConsoleFormat
{
    /// <summary>VIRTIO_CONSOLE_F_SIZE: columns and rows are given.</summary>
    public const ulong Size = 1ul << 0;

    /// <summary>VIRTIO_CONSOLE_F_MULTIPORT: there may be several ports, and control messages about them.</summary>
    public const ulong Multiport = 1ul << 1;

    /// <summary>VIRTIO_CONSOLE_F_EMERG_WRITE: a byte can be written through the configuration.</summary>
    public const ulong EmergencyWrite = 1ul << 2;

    // struct virtio_console_config (5.3.4): offsets.
    internal const ushort ColumnsOffset = 0;
    internal const ushort RowsOffset = 2;
    internal const ushort MaxPortsOffset = 4;
    internal const ushort EmergencyOffset = 8;

    // Queues (5.3.2).
    internal const ushort ControlReceiveQueue = 2;
    internal const ushort ControlTransmitQueue = 3;

    // struct virtio_console_control (5.3.6.2): offsets and length; what follows some messages begins behind it.
    internal const int ControlIdOffset = 0;
    internal const int ControlEventOffset = 4;
    internal const int ControlValueOffset = 6;
    internal const int ControlLength = 8;

    // struct virtio_console_resize (5.3.6.2), behind the message: columns, then rows.
    internal const int ResizeColumnsOffset = ControlLength;
    internal const int ResizeRowsOffset = ControlLength + 2;
    internal const int ResizeLength = 4;

    // Events.
    internal const ushort DeviceReady = 0;
    internal const ushort DeviceAdd = 1;
    internal const ushort DeviceRemove = 2;
    internal const ushort PortReady = 3;
    internal const ushort ConsolePort = 4;
    internal const ushort Resize = 5;
    internal const ushort PortOpen = 6;
    internal const ushort PortName = 7;

    /// <summary>The receive queue of a port (5.3.2): those of port 0 come before the control queues, the others behind.</summary>
    internal static ushort ReceiveQueueOf(int port) => (ushort)(port == 0 ? 0 : 2 * port + 2);

    /// <summary>The transmit queue of a port.</summary>
    internal static ushort TransmitQueueOf(int port) => (ushort)(ReceiveQueueOf(port) + 1);

    /// <summary>The name of a feature bit in the specification's words; empty for one without a name.</summary>
    public static string NameOf(int bit) => bit switch
    {
        0 => "SIZE",
        1 => "MULTIPORT",
        2 => "EMERG_WRITE",
        _ => "",
    };
}
