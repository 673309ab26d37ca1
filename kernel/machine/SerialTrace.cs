// Traces on the serial line.
using VirtioSharp.Drivers.Virtio.Trace;

namespace VirtioSharp.Kernel.Machine;

/// <summary>
/// Prints each line at once, so that the last one before a hang is there; on the serial line only, since a trace of a virtio console on
/// that console would never end. Beginning with the mark of a trace, lines are found in any log. A panic is the end of it: it may be said
/// on a console too, whose registers are traced.
/// </summary>
internal sealed class SerialTrace : TraceSink
{
    private readonly SerialTerminal _terminal;

    internal SerialTrace(SerialTerminal terminal) => _terminal = terminal;

    /// <summary>How many lines were written.</summary>
    internal ulong Lines { get; private set; }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> line)
    {
        if (_terminal.Echo is null)
        {
            Lines++;
            _terminal.WriteUntrusted(line);
            _terminal.EndLine();
        }
    }
}
