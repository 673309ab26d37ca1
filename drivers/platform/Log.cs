// Where drivers say what they found: a sink that the machine or a test sets.
namespace VirtioSharp.Drivers.Platform;

/// <summary>How much a message matters.</summary>
public enum LogLevel
{
    /// <summary>What was found and chosen.</summary>
    Information,

    /// <summary>A device did something wrong that the driver could live with.</summary>
    Warning,

    /// <summary>A device or a queue had to be given up.</summary>
    Error,
}

/// <summary>Takes messages of drivers. Nothing is formatted or allocated by the driver: text and number come apart.</summary>
public abstract class LogSink
{
    /// <summary>Takes one message; <paramref name="value"/> belongs to it and is shown in hexadecimal.</summary>
    public abstract void Write(LogLevel level, string source, string message, ulong value);
}

/// <summary>The log of all drivers.</summary>
public static class Log
{
    /// <summary>Set by the machine or by a test; without one, messages are dropped.</summary>
    public static LogSink? Sink { get; set; }

    /// <summary>Writes one message with the number that belongs to it.</summary>
    public static void Write(LogLevel level, string source, string message, ulong value = 0) =>
        Sink?.Write(level, source, message, value);
}
