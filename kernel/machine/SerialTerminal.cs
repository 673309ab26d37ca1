// The serial line as a place to write text to.
namespace VirtioSharp.Kernel.Machine;

/// <summary>The serial line as a terminal, at once and without buffers.</summary>
internal sealed class SerialTerminal : Terminal
{
    /// <inheritdoc/>
    public override void WriteByte(byte value) => SerialPort.Send(value);
}
