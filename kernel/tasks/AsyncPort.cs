// Awaiting a console port.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Console;

namespace VirtioSharp.Kernel.Tasks;

/// <summary>
/// A console port whose bytes are awaited: one reads, one writes, one waits for its opening at a time. It is the port's listener from its making on.
/// </summary>
public sealed class AsyncPort : ConsoleListener
{
    private readonly Signal _readable = new();
    private readonly Signal _writable = new();
    private readonly Signal _opened = new();
    private bool _isEnded;

    /// <summary>Takes a port over.</summary>
    public AsyncPort(ConsolePort port)
    {
        Port = port;
        port.Listener = this;
    }

    /// <summary>The port.</summary>
    public ConsolePort Port { get; }

    /// <summary>Waits until the host opened its end; false when the port is gone.</summary>
    public async ValueTask<bool> WhenOpened()
    {
        while (!Port.IsHostOpen && !Port.IsFailed)
        {
            await _opened;
        }
        return !Port.IsFailed;
    }

    /// <summary>
    /// Waits until there are bytes and reads at most <paramref name="count"/> of them; 0 when the host closed its end or the port is gone, and nothing
    /// is left to read.
    /// </summary>
    public async ValueTask<int> ReadAsync(byte[] buffer, int offset, int count)
    {
        while (true)
        {
            int read = (int)Port.Read(new Span<byte>(buffer, offset, count));
            if (read != 0 || count == 0 || _isEnded || Port.IsFailed)
            {
                return read;
            }
            await _readable;
        }
    }

    /// <summary>Writes all of the bytes, waiting for room; false when the port is gone before.</summary>
    public async ValueTask<bool> WriteAsync(byte[] buffer, int offset, int count)
    {
        int written = 0;
        while (true)
        {
            written += (int)Port.Write(new ReadOnlySpan<byte>(buffer, offset + written, count - written));
            if (written == count || Port.IsFailed)
            {
                return written == count;
            }
            await _writable;
        }
    }

    /// <summary>Waits for room to write; there may be none yet afterwards.</summary>
    public async ValueTask WhenWritable() => await _writable;

    /// <summary>Waits until the device has taken everything; false when the port is gone before.</summary>
    public async ValueTask<bool> FlushAsync()
    {
        while (Port.HasUnsent && !Port.IsFailed)
        {
            await _writable;
        }
        return !Port.IsFailed;
    }

    /// <inheritdoc/>
    public override void OnReadable() => _readable.Set();

    /// <inheritdoc/>
    public override void OnWritable() => _writable.Set();

    /// <inheritdoc/>
    public override void OnOpened()
    {
        _isEnded = false;
        _opened.Set();
    }

    /// <inheritdoc/>
    public override void OnClosed()
    {
        _isEnded = true;
        _readable.Set();
        if (Port.IsFailed)
        {
            _opened.Set();
        }
    }
}
