// Where the lines of a trace go.
namespace VirtioSharp.Drivers.Virtio.Trace;

/// <summary>Takes the lines of traces: a serial line, a file, a test that compares.</summary>
public abstract class TraceSink
{
    /// <summary>Takes one line of ASCII without its end; the bytes are valid during the call. Never called in interrupt context.</summary>
    public abstract void Write(ReadOnlySpan<byte> line);
}
