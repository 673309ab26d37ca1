// virtio-console: features and configuration (virtio 5.3).
namespace VirtioSharp.Drivers.Console;

/// <summary>Numbers of the console device (virtio 5.3.3, 5.3.4).</summary>
public static class VirtioConsoleFormat
{
    /// <summary>VIRTIO_CONSOLE_F_SIZE: columns and rows are given.</summary>
    public const ulong Size = 1ul << 0;

    internal const ushort ColumnsOffset = 0;
    internal const ushort RowsOffset = 2;
    internal const ushort ReceiveQueue = 0;
    internal const ushort TransmitQueue = 1;

    /// <summary>The name of a feature bit in the specification's words; empty for one without a name.</summary>
    public static string NameOf(int bit) => bit switch
    {
        0 => "SIZE",
        1 => "MULTIPORT",
        2 => "EMERG_WRITE",
        _ => "",
    };
}
