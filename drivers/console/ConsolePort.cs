// A console port as applications see it: bytes in, bytes out.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Console;

/// <summary>Told from <see cref="Device.Poll"/> when something changed at a port.</summary>
public abstract class ConsoleListener
{
    /// <summary>There are bytes to read, or there never will be any again.</summary>
    public abstract void OnReadable();

    /// <summary>There is room to write again, or there never will be.</summary>
    public abstract void OnWritable();

    /// <summary>The size of the console changed.</summary>
    public virtual void OnResized()
    {
    }

    /// <summary>The host opened its end.</summary>
    public virtual void OnOpened()
    {
    }

    /// <summary>The host closed its end, or the port is gone.</summary>
    public virtual void OnClosed()
    {
    }
}

/// <summary>
/// A stream of bytes in both directions. Nothing is lost while the device works: what does not fit is not taken. A port that is taken away and
/// comes again under its number is the same object.
/// </summary>
public abstract class ConsolePort
{
    /// <summary>The most bytes of a name that are kept.</summary>
    public const int MaxNameLength = 248;

    /// <summary>Told when something changed; null when nobody cares, and again after the port was taken away.</summary>
    public ConsoleListener? Listener { get; set; }

    /// <summary>The number of the port at its device, from 0.</summary>
    public abstract int Number { get; }

    /// <summary>Device and number for people, e.g. <c>console0p1</c>.</summary>
    public abstract string Label { get; }

    /// <summary>The name that the host gave the port, as it came: anything may be in it. Empty when it has none.</summary>
    public abstract ReadOnlySpan<byte> Name { get; }

    /// <summary>True for a port that a person sits at; false for a plain stream of bytes.</summary>
    public abstract bool IsConsole { get; }

    /// <summary>True while this end is open: the host sends to open ports only. Consoles are opened by themselves.</summary>
    public abstract bool IsOpen { get; }

    /// <summary>True while the host's end is open. What is written to a plain port before waits, as far as there is room.</summary>
    public abstract bool IsHostOpen { get; }

    /// <summary>The width in characters, 0 when the device does not say.</summary>
    public abstract ushort Columns { get; }

    /// <summary>The height in characters, 0 when the device does not say.</summary>
    public abstract ushort Rows { get; }

    /// <summary>True when the port is gone or its device out of service: nothing can be written, and nothing more will come.</summary>
    public abstract bool IsFailed { get; }

    /// <summary>
    /// How many bytes were with the device when it had to be reset: they may have been sent or not, and are not sent again.
    /// </summary>
    public abstract ulong BytesInDoubt { get; }

    /// <summary>True while bytes that were written have not been taken by the device.</summary>
    public abstract bool HasUnsent { get; }

    /// <summary>Opens this end.</summary>
    public abstract void Open();

    /// <summary>Closes this end. What was received can still be read.</summary>
    public abstract void Close();

    /// <summary>Takes as many of <paramref name="bytes"/> as there is room for, from the front, and says how many; copied at once.</summary>
    public abstract uint Write(ReadOnlySpan<byte> bytes);

    /// <summary>Moves received bytes to <paramref name="into"/> and says how many; 0 when there are none.</summary>
    public abstract uint Read(Span<byte> into);
}
