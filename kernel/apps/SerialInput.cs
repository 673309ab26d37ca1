// What a person types on the serial line.
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>The bytes that come in on the serial line.</summary>
internal sealed class SerialInput : ByteSource
{
    private readonly SerialPort _port;

    internal SerialInput(SerialPort port) => _port = port;

    /// <inheritdoc/>
    public override bool IsReadable => _port.HasReceived;

    /// <inheritdoc/>
    public override bool TryRead(out byte value) => _port.TryRead(out value);
}
