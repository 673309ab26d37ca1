// Several ports of QEMU's virtio-serial, which come and go.
using System.IO;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Tests.Contracts;
using VirtioSharp.Tests.System;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>Names, kinds, opening, plugging and unplugging.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestPortTests
{
    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    [InlineData(",vectors=0")]
    [InlineData(",disable-legacy=off,disable-modern=on")]
    public void Ports_are_announced_named_used_and_taken_away(string more)
    {
        string folder = QtestBinding.NewFolder();
        string socket = Path.Combine(folder, "qmp");
        string file = Path.Combine(folder, "port");
        using QtestMachine machine = new(
            folder,
            [
                "-device", "virtio-serial-pci,id=vs,disable-legacy=on" + more, "-chardev", $"file,id=a,path={file}",
                "-chardev", $"file,id=c,path={Path.Combine(folder, "console")}", "-device", "virtconsole,chardev=c", .. Qmp.Options(socket),
            ]);
        using Qmp qmp = new(socket);
        VirtioConsole console = machine.AttachOne<VirtioConsole>();
        Waiting.Until(console, machine.Clock, () => console.PortCount == 1 && console.Port(0).IsConsole && console.Port(0).IsHostOpen, "the console");
        string expected = "";
        for (int cycle = 1; cycle <= 3; cycle++)
        {
            qmp.Execute("device_add", new Dictionary<string, object>
            {
                ["driver"] = "virtserialport",
                ["id"] = "p",
                ["bus"] = "vs.0",
                ["chardev"] = "a",
                ["name"] = $"port.{cycle}",
            });
            Waiting.Until(console, machine.Clock, () => console.PortCount == 2 && console.Port(1).IsHostOpen, "the port");
            ConsolePort port = console.Port(1);
            Assert.Equal(($"port.{cycle}", false, false), (global::System.Text.Encoding.UTF8.GetString(port.Name), port.IsConsole, port.IsOpen));
            port.Open();
            byte[] text = global::System.Text.Encoding.ASCII.GetBytes($"cycle {cycle};");
            expected += $"cycle {cycle};";
            Assert.Equal((uint)text.Length, port.Write(text));
            Waiting.Until(console, machine.Clock, () => !port.HasUnsent && File.ReadAllText(file) == expected, "the bytes");
            qmp.Execute("device_del", new Dictionary<string, object> { ["id"] = "p" });
            Waiting.Until(console, machine.Clock, () => console.PortCount == 1, "the end of the port");
            qmp.WaitForDeleted("p");
            Assert.True(port.IsFailed);
        }
        Assert.Equal(3ul, console.IgnoredMessages); // QEMU says that a port is closed after it said that it is gone
        console.Remove();
        Assert.Equal(0, machine.MemoryInUse);
    }

    [Fact]
    public void No_more_ports_are_used_than_wanted()
    {
        string folder = QtestBinding.NewFolder();
        using QtestMachine machine = new(folder, ["-device", "virtio-serial-pci,disable-legacy=on,max_ports=3"]);
        VirtioConsole console = machine.AttachOne<VirtioConsole>();
        Assert.Equal((3, 8), (console.MaxPorts, console.Virtio.QueueCount));
        console.Remove();
    }
}
