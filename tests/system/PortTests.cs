// Console ports of QEMU in front of the booted kernel: names, hot-plug, 10 MB in each direction, last words.
using System.IO;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class PortTests : IDisposable
{
    private const int TenMegabytes = 10 << 20;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly DiskImages _files = new();

    public void Dispose() => _files.Dispose();

    [Theory]
    [InlineData("q35", "virtio-serial-pci,disable-legacy=on")]
    [InlineData("q35", "virtio-serial-pci,disable-legacy=on,packed=on")]
    [InlineData("q35", "virtio-serial-pci,disable-legacy=on,max_ports=4,vectors=0")]
    [InlineData("pc", "virtio-serial-pci,disable-modern=on")]
    [InlineData("microvm", "virtio-serial-device")]
    public void Ports_have_their_names_and_kinds_and_bytes_go_out(string machine, string device)
    {
        string console = _files.PathOf("console");
        string port = _files.PathOf("port");
        KernelResult result = KernelRun.Boot(
            machine,
            "run=\"ports; console to the console; port org.example send to the port\"",
            [
                "-device", device,
                "-chardev", $"file,id=a,path={console}", "-device", "virtconsole,chardev=a",
                "-chardev", $"file,id=b,path={port}", "-device", "virtserialport,chardev=b,name=org.example",
            ]);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("console0: virtio-console, ", result.Serial);
        Assert.Contains("console0p0: console, open here, open at the host", result.Serial);
        Assert.Contains("console0p1: port \"org.example\", closed here, open at the host", result.Serial);
        Assert.Equal("to the console\n", File.ReadAllText(console));
        Assert.Equal("to the port\n", File.ReadAllText(port));
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public void Ten_megabytes_go_out_byte_for_byte(string more)
    {
        string file = _files.PathOf("port");
        KernelResult result = KernelRun.Boot("q35", $"run=\"port p make {TenMegabytes}\"", Port($"file,id=b,path={file}", more));
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(TenMegabytes, new FileInfo(file).Length);
        Assert.Equal($"{DiskImages.Hash(file)}  console0p1 {TenMegabytes} bytes", result.Lines[^1]);
    }

    [Fact]
    public void Ten_megabytes_go_out_to_a_host_that_reads_slowly()
    {
        string path = _files.PathOf("socket");
        using KernelRun run = KernelRun.Start("q35", $"run=\"port p make {TenMegabytes}\"", Port($"socket,id=b,path={path},server=on,wait=off"));
        using Socket socket = Connect(path);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[60_000];
        int total = 0;
        for (int turn = 0; total < TenMegabytes; turn++)
        {
            int count = socket.Receive(buffer);
            Assert.True(count > 0, "the port was closed too early");
            hash.AppendData(buffer, 0, count);
            total += count;
            if (turn % 4 == 0)
            {
                Thread.Sleep(1);
            }
        }
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal($"{Convert.ToHexStringLower(hash.GetHashAndReset())}  console0p1 {TenMegabytes} bytes", result.Lines[^1]);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData(",packed=on", "")]
    [InlineData("", " slow")]
    public async Task Ten_megabytes_come_in_byte_for_byte(string more, string slow)
    {
        byte[] bytes = new byte[TenMegabytes];
        new Random(5).NextBytes(bytes);
        string path = _files.PathOf("socket");
        using KernelRun run = KernelRun.Start("q35", $"run=\"port p hash {bytes.Length}{slow}\"", Port($"socket,id=b,path={path},server=on,wait=off", more));
        using Socket socket = Connect(path);
        Task sending = Task.Run(() =>
        {
            for (int sent = 0; sent < bytes.Length;)
            {
                sent += socket.Send(bytes, sent, bytes.Length - sent, SocketFlags.None);
            }
        });
        KernelResult result = run.WaitForEnd();
        await sending;
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal($"{Convert.ToHexStringLower(SHA256.HashData(bytes))}  console0p1 {bytes.Length} bytes", result.Lines[^1]);
    }

    [Fact]
    public async Task What_is_sent_comes_back_until_the_host_closes_its_end()
    {
        byte[] bytes = new byte[300_000];
        new Random(6).NextBytes(bytes);
        string path = _files.PathOf("socket");
        using KernelRun run = KernelRun.Start("q35", "run=\"port p echo; ports\"", Port($"socket,id=b,path={path},server=on,wait=off"));
        byte[] back = new byte[bytes.Length];
        using (Socket socket = Connect(path))
        {
            Task sending = Task.Run(() => socket.Send(bytes));
            for (int got = 0; got < back.Length;)
            {
                int count = socket.Receive(back, got, back.Length - got, SocketFlags.None);
                Assert.True(count > 0);
                got += count;
            }
            await sending;
        }
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Equal(bytes, back);
        Assert.Contains($"console0p1: sent back {bytes.Length} bytes", result.Serial);
        Assert.Contains("console0p1: port \"p\", open here, closed at the host", result.Serial);
    }

    [Theory]
    [InlineData("q35", "virtio-serial-pci,disable-legacy=on")]
    [InlineData("microvm", "virtio-serial-device")]
    public void Ports_come_and_go_while_the_kernel_runs(string machine, string device)
    {
        string socket = _files.PathOf("qmp");
        using KernelRun run = KernelRun.Start(
            machine, "", ["-device", device + ",id=vs", "-chardev", $"file,id=b,path={_files.PathOf("port")}", .. Qmp.Options(socket)]);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        for (int i = 1; i <= 3; i++)
        {
            qmp.Execute("device_add", new Dictionary<string, object>
            {
                ["driver"] = "virtserialport",
                ["id"] = "p",
                ["bus"] = "vs.0",
                ["chardev"] = "b",
                ["name"] = $"name{i}",
            });
            run.Send($"port name{i} send round {i}\rports\r");
            run.WaitFor($"port \"name{i}\", open here, open at the host");
            qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = "p" });
            qmp.WaitForDeleted("p");
        }
        run.Send("ports\r");
        run.WaitFor("no console ports");
        run.Send("halt\r");
        KernelResult result = run.WaitForEnd();
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.EndsWith("round 3\n", File.ReadAllText(_files.PathOf("port")));
    }

    [Fact]
    public void A_console_that_is_plugged_later_gets_a_shell()
    {
        string socket = _files.PathOf("qmp");
        string console = _files.PathOf("console");
        using KernelRun run = KernelRun.Start(
            "q35",
            "",
            [
                "-device", "virtio-serial-pci,disable-legacy=on,id=vs",
                "-chardev", $"socket,id=c,path={console},server=on,wait=off", .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        run.WaitFor("Type help");
        qmp.Execute("device_add", new Dictionary<string, object> { ["driver"] = "virtconsole", ["id"] = "p", ["bus"] = "vs.0", ["chardev"] = "c" });
        using Socket seat = Connect(console);
        seat.Send("uptime\r"u8);
        string said = "";
        byte[] buffer = new byte[1000];
        seat.ReceiveTimeout = (int)s_limit.TotalMilliseconds;
        while (!said.Contains(" ms, "))
        {
            said += Encoding.ASCII.GetString(buffer, 0, seat.Receive(buffer));
        }
        qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = "p" });
        qmp.WaitForDeleted("p");
        run.Send("ports\r");
        run.WaitFor("no console ports");
        run.Send("halt\r");
        Assert.Equal(33, run.WaitForEnd().ExitCode);
    }

    [Fact]
    public void A_name_that_would_steer_a_terminal_is_shown_and_does_not()
    {
        string[] options =
        [
            "-device", "virtio-serial-pci,disable-legacy=on",
            "-chardev", $"file,id=b,path={_files.PathOf("port")}", "-device", "virtserialport,chardev=b,name=\u001b[2Jgotcha\u0007",
        ];
        KernelResult result = KernelRun.Boot("q35", "run=ports", options);
        Assert.True(result.ExitCode == 33, result.Serial);
        Assert.Contains("console0p1: port \".[2Jgotcha.\"", result.Serial);
        Assert.DoesNotContain('\u001b', result.Serial);
    }

    [Fact]
    public void A_panic_is_told_by_emergency_writes_too()
    {
        string console = _files.PathOf("console");
        string[] options = ["-device", "virtio-serial-pci,disable-legacy=on", "-chardev", $"file,id=a,path={console}", "-device", "virtconsole,chardev=a"];
        KernelResult result = KernelRun.Boot("q35", "run=\"panic null\"", options);
        Assert.Equal(37, result.ExitCode);
        string said = File.ReadAllText(console);
        Assert.Contains("PANIC: page fault while reading", said);
        Assert.EndsWith("The kernel has stopped.\r\n", said);
    }

    [Theory]
    [InlineData("port nobody open", "no port nobody came within 5 seconds")]
    [InlineData("port p make", "a number of bytes is missing")]
    [InlineData("port p dance", "port does not know dance")]
    [InlineData("port", "port NAME open|close")]
    public void Bad_input_is_answered_with_what_to_do(string command, string message)
    {
        KernelResult result = KernelRun.Boot("q35", $"run=\"{command}\"", Port($"file,id=b,path={_files.PathOf("port")}"));
        Assert.Equal(35, result.ExitCode);
        Assert.Contains(message, result.Serial);
    }

    private static string[] Port(string host, string more = "") =>
        ["-device", "virtio-serial-pci,disable-legacy=on" + more, "-chardev", host, "-device", "virtserialport,chardev=b,name=p"];

    private static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)s_limit.TotalMilliseconds };
        for (int i = 0; i < 200; i++)
        {
            try
            {
                socket.Connect(new UnixDomainSocketEndPoint(path));
                return socket;
            }
            catch (SocketException)
            {
                Thread.Sleep(50); // QEMU has not begun to listen yet
            }
        }
        throw new IOException($"nobody listens at {path}");
    }
}
