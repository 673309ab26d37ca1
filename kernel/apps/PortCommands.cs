// The shell's commands for console ports.
using System.Threading.Tasks;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Kernel.Machine;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary><c>ports</c> and <c>port NAME open|close|send|echo|make|hash</c>.</summary>
internal sealed class PortCommands
{
    private const uint WaitMilliseconds = 5000;
    private const ulong Announcements = 20_000_000;
    private const int ChunkLength = 16384;
    private const int SlowChunkLength = 1500;
    private const ulong SlowInterval = 50_000;

    private readonly RunLoop _loop;

    internal PortCommands(RunLoop loop) => _loop = loop;

    /// <summary>Lists the ports; names are shown without what could steer a terminal.</summary>
    internal async ValueTask<bool> ListAsync(Terminal output)
    {
        int count = 0;
        if (ConsolePorts.HasDevice(_loop))
        {
            await _loop.After(Announcements); // devices announce their ports some time after they were begun
        }
        for (ConsolePort? port = ConsolePorts.At(_loop, 0); port is not null; port = ConsolePorts.At(_loop, ++count))
        {
            output.Write(port.Label).Write(port.IsConsole ? ": console" : ": port");
            if (port.Name.Length != 0)
            {
                output.Write(" \"").WriteUntrusted(port.Name).Write("\"");
            }
            output.Write(port.IsOpen ? ", open here" : ", closed here").Write(port.IsHostOpen ? ", open at the host" : ", closed at the host");
            if (port.Columns != 0)
            {
                output.Write(", ").Write(port.Columns).Write(" by ").Write(port.Rows);
            }
            output.EndLine();
        }
        if (count == 0)
        {
            output.Write("no console ports; add one: -device virtio-serial-pci -device virtserialport,chardev=...,name=...\n");
        }
        return true;
    }

    internal async ValueTask<bool> RunAsync(string[] words, Terminal output)
    {
        if (words.Length < 3)
        {
            output.Write("port NAME open|close|wait|send TEXT|echo|make BYTES|hash BYTES [slow]; ports lists them\n");
            return false;
        }
        ConsolePort? port = await ConsolePorts.FindAsync(_loop, words[1], WaitMilliseconds);
        if (port is null)
        {
            output.Write("no port ").Write(words[1]).Write(" came within 5 seconds; ports lists what is there\n");
            return false;
        }
        ulong count = 0;
        if (words[2] is "make" or "hash" && (words.Length < 4 || !ulong.TryParse(words[3], out count)))
        {
            output.Write("a number of bytes is missing: port NAME ").Write(words[2]).Write(" BYTES\n");
            return false;
        }
        return await RunAsync(port, count, words, output);
    }

    private ValueTask<bool> RunAsync(ConsolePort port, ulong count, string[] words, Terminal output)
    {
        switch (words[2])
        {
            case "open":
                port.Open();
                return new(true);
            case "close":
                port.Close();
                return new(true);
            case "wait":
                return new AsyncPort(port).WhenOpened();
            case "send":
                return SendAsync(port, words, output);
            case "echo":
                return EchoAsync(port, output);
            case "make":
                return MakeAsync(port, count, output);
            case "hash":
                return HashAsync(port, count, words.Length > 4 && words[4] == "slow", output);
            default:
                output.Write("port does not know ").Write(words[2]).EndLine();
                return new(false);
        }
    }

    private static async ValueTask<bool> SendAsync(ConsolePort port, string[] words, Terminal output)
    {
        AsyncPort stream = await OpenAsync(port);
        byte[] bytes = CommandText.BytesOf(words, 3, "\n");
        if (!await stream.WriteAsync(bytes, 0, bytes.Length))
        {
            return Gone(port, output);
        }
        return await stream.FlushAsync() || Gone(port, output);
    }

    /// <summary>Sends back what comes until the host closes its end.</summary>
    private static async ValueTask<bool> EchoAsync(ConsolePort port, Terminal output)
    {
        AsyncPort stream = await OpenAsync(port);
        byte[] buffer = new byte[ChunkLength];
        ulong total = 0;
        while (true)
        {
            int read = await stream.ReadAsync(buffer, 0, buffer.Length);
            if (read == 0)
            {
                break;
            }
            total += (ulong)read;
            if (!await stream.WriteAsync(buffer, 0, read))
            {
                break;
            }
        }
        output.Write(port.Label).Write(": sent back ").Write(total).Write(" bytes\n");
        return true;
    }

    /// <summary>Sends bytes made by a simple rule, and shows their hash.</summary>
    private static async ValueTask<bool> MakeAsync(ConsolePort port, ulong count, Terminal output)
    {
        AsyncPort stream = await OpenAsync(port);
        byte[] buffer = new byte[ChunkLength];
        Sha256 hash = new();
        uint x = 1;
        ulong left = count;
        while (left != 0)
        {
            int length = (int)Math.Min(left, ChunkLength);
            for (int i = 0; i < length; i++)
            {
                x = x * 1664525 + 1013904223;
                buffer[i] = (byte)(x >> 24);
            }
            hash.Add(new ReadOnlySpan<byte>(buffer, 0, length));
            if (!await stream.WriteAsync(buffer, 0, length))
            {
                return Gone(port, output);
            }
            left -= (uint)length;
        }
        if (!await stream.FlushAsync())
        {
            return Gone(port, output);
        }
        output.WriteHash(hash).Write("  ").Write(port.Label).Write(" ").Write(count).Write(" bytes\n");
        return true;
    }

    /// <summary>Reads bytes and shows their hash; <paramref name="slow"/> reads little at a time, with breaks.</summary>
    private async ValueTask<bool> HashAsync(ConsolePort port, ulong count, bool slow, Terminal output)
    {
        AsyncPort stream = await OpenAsync(port);
        byte[] buffer = new byte[slow ? SlowChunkLength : ChunkLength];
        Sha256 hash = new();
        ulong left = count;
        while (left != 0)
        {
            int read = await stream.ReadAsync(buffer, 0, (int)Math.Min(left, (ulong)buffer.Length));
            if (read == 0)
            {
                output.Write(port.Label).Write(": the host closed its end with ").Write(left).Write(" bytes missing\n");
                return false;
            }
            hash.Add(new ReadOnlySpan<byte>(buffer, 0, read));
            left -= (uint)read;
            if (slow)
            {
                await _loop.After(SlowInterval);
            }
        }
        output.WriteHash(hash).Write("  ").Write(port.Label).Write(" ").Write(count).Write(" bytes\n");
        return true;
    }

    private static async ValueTask<AsyncPort> OpenAsync(ConsolePort port)
    {
        AsyncPort stream = new(port);
        port.Open();
        if (!port.IsConsole)
        {
            await stream.WhenOpened();
        }
        return stream;
    }

    private static bool Gone(ConsolePort port, Terminal output)
    {
        output.Write(port.Label).Write(": the port is gone\n");
        return false;
    }
}
