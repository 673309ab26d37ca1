// The drivers' messages on the serial line.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>Prints what drivers have to say, a line each.</summary>
internal sealed class SerialLog : LogSink
{
    private readonly Terminal _terminal;

    internal SerialLog(Terminal terminal) => _terminal = terminal;

    /// <inheritdoc/>
    public override void Write(LogLevel level, string source, string message, ulong value)
    {
        _terminal.Write(level == LogLevel.Error ? "error: " : level == LogLevel.Warning ? "warning: " : "");
        _terminal.Write(source).Write(": ").Write(message).Write(" (0x").WriteHex(value).Write(")\n");
    }
}
