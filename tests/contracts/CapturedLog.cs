// What the drivers say, for tests.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Contracts;

/// <summary>What the drivers log in this thread; tests run in several.</summary>
public sealed class CapturedLog : IDisposable
{
    [ThreadStatic]
    private static List<string>? t_entries;

    /// <summary>Begins.</summary>
    public CapturedLog()
    {
        Log.Sink ??= new ThreadSink();
        t_entries = Entries;
    }

    /// <summary>The messages.</summary>
    public List<string> Entries { get; } = [];

    /// <inheritdoc/>
    public void Dispose() => t_entries = null;

    private sealed class ThreadSink : LogSink
    {
        public override void Write(LogLevel level, string source, string message, ulong value) => t_entries?.Add($"{source}: {message} 0x{value:X}");
    }
}
