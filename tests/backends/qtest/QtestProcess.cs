// A QEMU whose guest does nothing, driven from outside over its test socket.
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.IO.MemoryMappedFiles;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>
/// Starts QEMU with its RAM in a file that this process maps too, waits until the firmware has assigned the BARs, and speaks the qtest
/// protocol: one line a command, one line an answer.
/// </summary>
internal sealed unsafe class QtestProcess : IDisposable
{
    /// <summary>How much RAM the guest has.</summary>
    internal const uint MemoryLength = 64 << 20;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly string _folder;
    private readonly Process _process;
    private readonly Socket _socket;
    private readonly byte[] _received = new byte[4096];
    private readonly bool[] _lines = new bool[64];
    private readonly StringBuilder _errors = new();
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private int _start;
    private int _end;

    internal QtestProcess(string folder, string machine, params string[] options)
    {
        _folder = folder;
        string memory = Path.Combine(folder, "ram");
        string kernel = Path.Combine(folder, "halt.bin");
        string socketPath = Path.Combine(folder, "qtest.sock");
        File.WriteAllBytes(kernel, HaltKernel.Build());
        using (FileStream stream = File.Create(memory))
        {
            stream.SetLength(MemoryLength);
        }
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        listener.Listen();
        _process = StartQemu(machine, kernel, memory, socketPath, options);
        _socket = Accept(listener);
        _socket.ReceiveTimeout = (int)s_limit.TotalMilliseconds;
        _file = MemoryMappedFile.CreateFromFile(memory, FileMode.Open);
        _view = _file.CreateViewAccessor(0, MemoryLength);
        byte* pointer = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        Memory = pointer;
        WaitForFirmware();
    }

    /// <summary>The guest's RAM, from guest address 0 on.</summary>
    internal byte* Memory { get; }

    /// <summary>Reads through the guest's processor: <c>inl 0xcfc</c>, <c>readw 0xfe000000</c>.</summary>
    internal uint Read(string command, ulong address)
    {
        string answer = Exchange($"{command} 0x{address:x}");
        return (uint)ulong.Parse(answer.AsSpan("OK 0x".Length), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }

    /// <summary>Writes through the guest's processor.</summary>
    internal void Write(string command, ulong address, uint value) => Exchange($"{command} 0x{address:x} 0x{value:x}");

    /// <summary>From here on the inputs of the I/O APIC end in this process, and nothing reaches the guest's processor any more.</summary>
    internal void InterceptLines() => Exchange("irq_intercept_in ioapic");

    /// <summary>The level of an input of the I/O APIC, as far as QEMU has said until now.</summary>
    internal bool IsLineUp(uint line)
    {
        while (_start < _end || _socket.Available > 0)
        {
            string said = ReadLine();
            Assert.True(TryNoteLine(said), $"QEMU said '{said}' without being asked: {Errors}");
        }
        return _lines[line];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }
        _process.WaitForExit();
        _process.Dispose();
        _socket.Dispose();
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private Process StartQemu(string machine, string kernel, string memory, string socketPath, string[] options)
    {
        ProcessStartInfo info = new(Environment.GetEnvironmentVariable("QEMU") is { Length: > 0 } qemu ? qemu : "qemu-system-x86_64")
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        string[] all =
        [
            "-M", machine + ",memory-backend=ram", "-m", "64", "-object", $"memory-backend-file,id=ram,size={MemoryLength},mem-path={memory},share=on",
            "-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot", "-kernel", kernel, "-qtest", $"unix:{socketPath}", "-qtest-log", "none",
            .. options,
        ];
        foreach (string option in all)
        {
            info.ArgumentList.Add(option);
        }
        Process process = Process.Start(info)!;
        process.ErrorDataReceived += (_, line) => Note(line.Data);
        process.OutputDataReceived += (_, line) => Note(line.Data);
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return process;
    }

    /// <summary>What QEMU has complained of; its lines come on threads of their own.</summary>
    private string Errors
    {
        get
        {
            lock (_errors)
            {
                return _errors.ToString();
            }
        }
    }

    private void Note(string? line)
    {
        lock (_errors)
        {
            _errors.AppendLine(line);
        }
    }

    private Socket Accept(Socket listener)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!listener.Poll(100_000, SelectMode.SelectRead))
        {
            Assert.True(!_process.HasExited && watch.Elapsed < s_limit, $"QEMU did not connect to its test socket: {Errors}");
        }
        return listener.Accept();
    }

    private void WaitForFirmware()
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (global::System.Threading.Volatile.Read(ref *(uint*)(Memory + HaltKernel.FlagAddress)) != HaltKernel.FlagValue)
        {
            Assert.True(!_process.HasExited && watch.Elapsed < s_limit, $"the guest's firmware did not come to its end: {Errors}");
            global::System.Threading.Thread.Yield();
        }
    }

    private string Exchange(string command)
    {
        _socket.Send(Encoding.ASCII.GetBytes(command + "\n"));
        string answer = ReadLine();
        while (TryNoteLine(answer))
        {
            answer = ReadLine();
        }
        Assert.True(answer.StartsWith("OK", StringComparison.Ordinal), $"QEMU answered '{answer}' to '{command}': {Errors}");
        return answer;
    }

    /// <summary>Notes what QEMU says of an intercepted line, between its answers: <c>IRQ raise 12</c>.</summary>
    private bool TryNoteLine(string said)
    {
        string[] words = said.Split(' ');
        if (words[0] != "IRQ")
        {
            return false;
        }
        _lines[int.Parse(words[2], CultureInfo.InvariantCulture)] = words[1] == "raise";
        return true;
    }

    private string ReadLine()
    {
        StringBuilder line = new();
        while (true)
        {
            while (_start < _end)
            {
                byte next = _received[_start++];
                if (next == '\n')
                {
                    return line.ToString();
                }
                line.Append((char)next);
            }
            _start = 0;
            _end = _socket.Receive(_received);
            Assert.True(_end > 0, $"QEMU ended: {Errors}");
        }
    }
}
