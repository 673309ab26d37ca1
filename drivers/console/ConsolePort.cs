// A console port as applications see it: bytes in, bytes out.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Console;

/// <summary>Told from <see cref="Device.Poll"/> when something changed at a port.</summary>
public abstract class ConsoleListener
{
    /// <summary>There are bytes to read.</summary>
    public abstract void OnReadable();

    /// <summary>There is room to write again.</summary>
    public abstract void OnWritable();

    /// <summary>The size of the console changed.</summary>
    public virtual void OnResized()
    {
    }
}

/// <summary>A stream of bytes in both directions. Nothing is lost while the device works: what does not fit is not taken.</summary>
public abstract class ConsolePort : Device
{
    /// <summary>Told when bytes came or room was made; null when nobody cares.</summary>
    public ConsoleListener? Listener { get; set; }

    /// <summary>The width in characters, 0 when the device does not say.</summary>
    public abstract ushort Columns { get; }

    /// <summary>The height in characters, 0 when the device does not say.</summary>
    public abstract ushort Rows { get; }

    /// <summary>True when the device is out of service: nothing can be written any more, and nothing more will come.</summary>
    public abstract bool IsFailed { get; }

    /// <summary>
    /// How many bytes were with the device when it had to be reset: they may have been sent or not, and are not sent again.
    /// </summary>
    public abstract ulong BytesInDoubt { get; }

    /// <summary>Takes as many of <paramref name="bytes"/> as there is room for, from the front, and says how many; copied at once.</summary>
    public abstract uint Write(ReadOnlySpan<byte> bytes);

    /// <summary>Moves received bytes to <paramref name="into"/> and says how many; 0 when there are none.</summary>
    public abstract uint Read(Span<byte> into);

    /// <summary>True while bytes that were written have not been taken by the device.</summary>
    public abstract bool HasUnsent { get; }
}
