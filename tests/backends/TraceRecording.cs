// Traces of whatever machine a test makes.
using System.IO;
using System.Text;
using System.Threading;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Tests.Backends;

/// <summary>
/// While there is one, the devices that are taken into service are traced. With <c>TRACES=folder</c> in the environment every test writes
/// traces there, a file for each machine.
/// </summary>
public sealed class TraceRecording : TraceSink, IDisposable
{
    private static readonly AsyncLocal<TraceRecording?> s_current = new();
    private static readonly string? s_folder = Environment.GetEnvironmentVariable("TRACES");
    private static int s_count;

    private readonly string? _path;

    /// <summary>Begins to record.</summary>
    public TraceRecording() => s_current.Value = this;

    private TraceRecording(string path) => _path = path;

    /// <summary>What was recorded.</summary>
    public List<string> Lines { get; } = [];

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> line)
    {
        string text = Encoding.ASCII.GetString(line);
        Lines.Add(text);
        if (_path is not null)
        {
            File.AppendAllText(_path, text + "\n");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => s_current.Value = null;

    /// <summary>The driver for virtio over PCI, traced if that is wanted.</summary>
    internal static PciDriver Around(VirtioPciDriver driver, VirtioDriverTable drivers) =>
        Wanted() is TraceRecording sink ? new TracingPciDriver(driver, new Tracer(sink, drivers)) : driver;

    /// <summary>A virtio-mmio device, traced if that is wanted.</summary>
    internal static PlatformDevice Around(PlatformDevice device, VirtioDriverTable drivers) =>
        Wanted() is TraceRecording sink ? new Tracer(sink, drivers).Around(device) : device;

    private static TraceRecording? Wanted()
    {
        if (s_current.Value is null && s_folder is not null)
        {
            Directory.CreateDirectory(s_folder);
            return new TraceRecording(Path.Combine(s_folder, $"{Interlocked.Increment(ref s_count):d5}.trace"));
        }
        return s_current.Value;
    }
}
