// QEMU's machine protocol: plugs and unplugs devices of a machine that runs.
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using Xunit;

namespace VirtioSharp.Tests.System;

/// <summary>One connection; every wait has an end.</summary>
public sealed class Qmp : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;
    private readonly List<string> _events = [];

    /// <summary>Connects to the socket that QEMU was told to listen at, and ends the greeting.</summary>
    public Qmp(string path)
    {
        _socket = Connect(path);
        NetworkStream stream = new(_socket) { ReadTimeout = (int)s_limit.TotalMilliseconds };
        _reader = new StreamReader(stream);
        _writer = new StreamWriter(stream) { AutoFlush = true };
        Assert.NotNull(Next()["QMP"]);
        Execute("qmp_capabilities");
    }

    /// <summary>The options of QEMU for a socket at <paramref name="path"/>.</summary>
    public static string[] Options(string path) => ["-qmp", $"unix:{path},server=on,wait=off"];

    /// <summary>Carries a command out; an error of QEMU fails the test.</summary>
    public void Execute(string command, object? arguments = null)
    {
        _writer.WriteLine(JsonSerializer.Serialize(new { execute = command, arguments = arguments ?? new { } }));
        while (true)
        {
            JsonNode answer = Next();
            Assert.True(answer["error"] is null, $"{command}: {answer["error"]}");
            if (answer["return"] is not null)
            {
                return;
            }
            Note(answer);
        }
    }

    /// <summary>Waits until QEMU has told of the end of a device.</summary>
    public void WaitForDeleted(string device)
    {
        string expected = $"DEVICE_DELETED {device}";
        while (!_events.Remove(expected))
        {
            Note(Next());
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _reader.Dispose();
        _socket.Dispose();
    }

    private static Socket Connect(string path)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (true)
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                socket.Connect(new UnixDomainSocketEndPoint(path));
                return socket;
            }
            catch (SocketException) when (watch.Elapsed < s_limit)
            {
                socket.Dispose();
                Thread.Sleep(10);
            }
        }
    }

    private void Note(JsonNode message)
    {
        if (message["event"] is not null)
        {
            _events.Add($"{message["event"]} {message["data"]?["device"]}");
        }
    }

    private JsonNode Next() => JsonNode.Parse(_reader.ReadLine() ?? throw new IOException("QEMU closed the connection"))!;
}
