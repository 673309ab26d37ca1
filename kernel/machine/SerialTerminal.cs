// The serial line as a place to write text to.
using VirtioSharp.Drivers.Console;

namespace VirtioSharp.Kernel.Machine;

/// <summary>The serial line as a terminal, at once and without buffers.</summary>
internal sealed class SerialTerminal : Terminal
{
    /// <inheritdoc/>
    public override void WriteByte(byte value)
    {
        SerialPort.Send(value);
        Echo?.TryWriteEmergency(value);
    }

    /// <summary>Where everything is said a second time: during a panic, for machines whose serial line nobody sees.</summary>
    internal ConsoleDevice? Echo { get; set; }
}
