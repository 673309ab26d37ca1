// Traces on the serial line.
using VirtioSharp.Drivers.Virtio.Trace;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Prints each line at once, so that the last one before a hang is there; on the serial line only, since a trace of a virtio console on
/// that console would never end. Beginning with the mark of a trace, lines are found in any log.
/// </summary>
internal sealed class SerialTrace : TraceSink
{
    private readonly Terminal _terminal;

    internal SerialTrace(Terminal terminal) => _terminal = terminal;

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> line)
    {
        _terminal.WriteUntrusted(line);
        _terminal.EndLine();
    }
}
