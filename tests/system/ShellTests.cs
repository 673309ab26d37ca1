// A person at the serial line and at the virtio console.
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace VirtioSharp.Tests.System;

[Trait("Needs", "qemu")]
[Collection("qemu-system")]
public sealed class ShellTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly DiskImages _images = new();

    public void Dispose() => _images.Dispose();

    [Fact]
    public void A_line_can_be_typed_corrected_and_called_back()
    {
        using KernelRun run = KernelRun.Start("q35", "", KernelRun.Disk(_images.Random("disk.img", 1 << 20)));
        run.WaitFor("> ");
        run.Send("upptime\b\b\b\b\b\x1b[C\b\x1b[F\r");
        run.Send("uptimx\be\r");
        run.WaitFor("up ");
        run.Send("disk info\r");
        run.WaitFor("disk0: 2048 sectors");
        run.Send("nonsense\r");
        run.WaitFor("unknown command: nonsense");
        run.Send("\x1b[A\x1b[A\r");
        run.Send("half a line\x15mem\r");
        run.WaitFor("heap: ");
        run.Send("abc\x03halt\r");
        KernelResult result = run.WaitForEnd();
        Assert.Equal(33, result.ExitCode);
        Assert.Equal(2, result.Serial.Split("disk0: 2048 sectors of 512 bytes").Length - 1);
    }

    [Fact]
    public void The_virtio_console_has_a_shell_of_its_own()
    {
        string path = _images.PathOf("console.sock");
        using KernelRun run = KernelRun.Start("q35", "", "-device", "virtio-serial-pci,disable-legacy=on",
            "-chardev", $"socket,id=c,path={path},server=on,wait=off", "-device", "virtconsole,chardev=c");
        run.WaitFor("Type help");
        using Socket console = Connect(path);
        console.Send("uptime\r"u8);
        string said = ReceiveUntil(console, " interrupts\r\n");
        Assert.Contains("up ", said);
        console.Send("halt\r"u8);
        Assert.Equal(33, run.WaitForEnd().ExitCode);
    }

    /// <summary>
    /// The host reads as it goes: QEMU throws away what a virtconsole writes while its socket is full, so that a host that does not read
    /// at all can be shown on the fake machine only.
    /// </summary>
    [Fact]
    public void A_long_conversation_on_the_virtio_console_loses_no_byte()
    {
        string path = _images.PathOf("console.sock");
        using KernelRun run = KernelRun.Start("q35", "", "-device", "virtio-serial-pci,disable-legacy=on",
            "-chardev", $"socket,id=c,path={path},server=on,wait=off", "-device", "virtconsole,chardev=c");
        run.WaitFor("Type help");
        using Socket console = Connect(path);
        const string Last = "halt                           ends the machine\r\n> ";
        console.Send("help\r"u8);
        string first = ReceiveUntil(console, Last);
        string expected = first[first.IndexOf("help\r\n", StringComparison.Ordinal)..];
        for (int i = 0; i < 300; i++)
        {
            console.Send("help\r"u8);
            Assert.Equal(expected, ReceiveUntil(console, Last));
        }
        run.Send("halt\r");
        Assert.Equal(33, run.WaitForEnd().ExitCode);
    }

    private static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 60_000, SendTimeout = 60_000 };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    private static string ReceiveUntil(Socket socket, string end)
    {
        StringBuilder said = new();
        byte[] buffer = new byte[1000];
        while (!said.ToString(Math.Max(0, said.Length - 4000), Math.Min(said.Length, 4000)).Contains(end))
        {
            bool readable = socket.Poll(s_limit, SelectMode.SelectRead);
            int tail = Math.Min(said.Length, 500);
            Assert.True(readable, $"the console said no more after {said.Length} bytes, which end with:\n{said.ToString(said.Length - tail, tail)}");
            int count = socket.Receive(buffer);
            Assert.True(count > 0, "the console was closed; it had said:\n" + said);
            said.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }
        return said.ToString();
    }
}
