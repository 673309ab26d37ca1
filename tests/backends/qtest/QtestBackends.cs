// Disks and consoles of QEMU with our drivers in service.
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>How a device of QEMU is reached.</summary>
public enum QtestBus
{
    /// <summary>PCI on q35.</summary>
    Pci,

    /// <summary>PCI on q35, without any interrupt.</summary>
    PolledPci,

    /// <summary>virtio-mmio on microvm.</summary>
    Mmio,

    /// <summary>virtio-mmio of version 1 on microvm.</summary>
    LegacyMmio,
}

/// <summary>A virtio-blk device with a raw image behind it.</summary>
public sealed class QtestBlockBackend : BlockBackend
{
    private readonly IQtestMachine _machine;
    private readonly string _image;
    private readonly BlockSetup _setup;

    /// <summary>
    /// Starts QEMU and binds the driver; <paramref name="more"/> are further properties of the device. Without <paramref name="mapsMemory"/>
    /// none of its BARs can be mapped.
    /// </summary>
    public QtestBlockBackend(BlockSetup setup, string more = "", bool mapsMemory = true, QtestBus bus = QtestBus.Pci)
    {
        _setup = setup;
        string folder = QtestBinding.NewFolder();
        _image = Path.Combine(folder, "disk.img");
        using (FileStream stream = File.Create(_image))
        {
            stream.SetLength((long)setup.Sectors * 512);
        }
        string cache = setup.HasFlush ? "" : ",config-wce=off,write-cache=off";
        string device = bus is QtestBus.Pci or QtestBus.PolledPci ? "virtio-blk-pci,disable-legacy=on" : "virtio-blk-device";
        string[] options =
        [
            "-drive", $"if=none,id=d,file={_image},format=raw,discard=unmap,readonly={(setup.IsReadOnly ? "on" : "off")}",
            "-device", $"{device},drive=d,serial={setup.Id}{cache}{more}",
        ];
        _machine = bus is QtestBus.Pci or QtestBus.PolledPci
            ? new QtestMachine(folder, options) { RefusesMemory = !mapsMemory, HasInterrupts = bus == QtestBus.Pci }
            : new QtestMmioMachine(folder, bus == QtestBus.LegacyMmio, options);
        Disk = _machine.AttachOne<BlockDevice>();
    }

    /// <summary>The machine, where it has no PCI.</summary>
    internal QtestMmioMachine MmioMachine => (QtestMmioMachine)_machine;

    /// <inheritdoc/>
    public override BlockDevice Disk { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override string? WhyNot =>
        _setup.SegMax != 0 || _setup.SizeMax != 0 ? "QEMU's disk does not let seg_max and size_max be chosen"
        : _setup.HasFlush != Disk.CanFlush ? "QEMU's disk offers FLUSH whatever its cache"
        : null;

    /// <inheritdoc/>
    public override byte[] ReadMedium(ulong sector, int sectors)
    {
        byte[] bytes = new byte[sectors * 512];
        using FileStream stream = new(_image, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        stream.Position = (long)sector * 512;
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <inheritdoc/>
    public override void WriteMedium(ulong sector, ReadOnlySpan<byte> bytes)
    {
        using FileStream stream = new(_image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        stream.Position = (long)sector * 512;
        stream.Write(bytes);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // A test that failed before it removed the disk has its own message.
        bool removed = Disk.Submit(TestRequest.For(BlockOperation.Flush, 0, default)) == IoStatus.Removed;
        int left = _machine.MemoryInUse;
        _machine.Dispose();
        Assert.True(!removed || left == 0, $"{left} pieces of memory were not given back");
    }
}

/// <summary>A machine with a virtconsole whose host side is a pipe and a file.</summary>
internal sealed class QtestConsoleHost : IDisposable
{
    private readonly FileStream _input;
    private readonly string _output;

    internal QtestConsoleHost(string more = "", bool mapsMemory = true, QtestBus bus = QtestBus.Pci)
    {
        string folder = QtestBinding.NewFolder();
        string path = Path.Combine(folder, "console");
        // QEMU opens console.in and console.out. A console throws away what its host side does not take at once, and a
        // file takes everything: with a socket, bytes would be lost in QEMU whenever this process is slow.
        using (Process made = Process.Start("mkfifo", path + ".in"))
        {
            made.WaitForExit();
        }
        _output = path + ".out";
        File.WriteAllBytes(_output, []);
        string device = bus is QtestBus.Pci or QtestBus.PolledPci ? "virtio-serial-pci,disable-legacy=on" : "virtio-serial-device";
        string[] options = ["-device", device + more, "-chardev", $"pipe,id=c,path={path}", "-device", "virtconsole,chardev=c"];
        Any = bus is QtestBus.Pci or QtestBus.PolledPci
            ? new QtestMachine(folder, options) { RefusesMemory = !mapsMemory, HasInterrupts = bus == QtestBus.Pci }
            : new QtestMmioMachine(folder, bus == QtestBus.LegacyMmio, options);
        _input = new FileStream(path + ".in", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0);
    }

    /// <summary>The machine.</summary>
    internal IQtestMachine Any { get; }

    /// <summary>The machine, where it has PCI.</summary>
    internal QtestMachine Machine => (QtestMachine)Any;

    internal byte[] Received()
    {
        using FileStream stream = new(_output, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    internal void Send(ReadOnlySpan<byte> bytes)
    {
        byte[] copy = bytes.ToArray();
        // The pipe takes only what the driver makes room for: sending goes on in the background, at most until QEMU ends.
        Task.Factory.StartNew(() => _input.Write(copy), TaskCreationOptions.LongRunning);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Any.Dispose();
        _input.Dispose();
    }
}

/// <summary>A virtconsole of QEMU with its driver.</summary>
public sealed class QtestConsoleBackend : ConsoleBackend
{
    private readonly QtestConsoleHost _host;

    /// <summary>
    /// Starts QEMU and binds the driver; <paramref name="more"/> are further properties of the device. Without <paramref name="mapsMemory"/>
    /// none of its BARs can be mapped.
    /// </summary>
    public QtestConsoleBackend(string more = "", bool mapsMemory = true, QtestBus bus = QtestBus.Pci)
    {
        _host = new QtestConsoleHost(more, mapsMemory, bus);
        Device = _host.Any.AttachOne<ConsoleDevice>();
        Port = FirstPort(Device, _host.Any.Clock);
    }

    /// <inheritdoc/>
    public override ConsoleDevice Device { get; }

    /// <inheritdoc/>
    public override ConsolePort Port { get; }

    /// <inheritdoc/>
    public override Clock Clock => _host.Any.Clock;

    /// <inheritdoc/>
    public override byte[] HostReceived() => _host.Received();

    /// <inheritdoc/>
    public override void HostSends(ReadOnlySpan<byte> bytes) => _host.Send(bytes);

    /// <inheritdoc/>
    public override void Dispose()
    {
        int left = _host.Any.MemoryInUse;
        _host.Dispose();
        Assert.True(!Port.IsFailed || left == 0, $"{left} pieces of memory were not given back");
    }
}
