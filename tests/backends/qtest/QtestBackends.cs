// Disks and consoles of QEMU with our drivers in service.
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>Takes the only virtio device of a machine into service.</summary>
internal static class QtestBinding
{
    internal static string NewFolder() => Directory.CreateTempSubdirectory("virtiosharp-qtest-").FullName;

    internal static T AttachOne<T>(QtestMachine machine)
        where T : Device
    {
        DeviceTable devices = new();
        VirtioDriverTable virtio = new();
        virtio.Add(new VirtioBlkDriver());
        virtio.Add(new VirtioConsoleDriver());
        DriverRegistry registry = new(devices);
        registry.Add(new VirtioPciDriver(virtio));
        PciScan scan = PciScan.Run(machine);
        for (int i = 0; i < scan.Count; i++)
        {
            ProbeResult result = registry.Attach(scan[i]);
            Assert.True(result.Status != ProbeStatus.Failed, $"{result.Reason} (0x{result.Value:X})");
        }
        Assert.Equal(1, devices.Count);
        return Assert.IsAssignableFrom<T>(devices[0]);
    }
}

/// <summary>A virtio-blk-pci device with a raw image behind it.</summary>
public sealed class QtestBlockBackend : BlockBackend
{
    private readonly QtestMachine _machine;
    private readonly string _image;
    private readonly BlockSetup _setup;

    /// <summary>
    /// Starts QEMU and binds the driver; <paramref name="more"/> are further properties of the device. Without <paramref name="mapsMemory"/>
    /// none of its BARs can be mapped.
    /// </summary>
    public QtestBlockBackend(BlockSetup setup, string more = "", bool mapsMemory = true)
    {
        _setup = setup;
        string folder = QtestBinding.NewFolder();
        _image = Path.Combine(folder, "disk.img");
        using (FileStream stream = File.Create(_image))
        {
            stream.SetLength((long)setup.Sectors * 512);
        }
        string cache = setup.HasFlush ? "" : ",config-wce=off,write-cache=off";
        _machine = new QtestMachine(folder,
            "-drive", $"if=none,id=d,file={_image},format=raw,readonly={(setup.IsReadOnly ? "on" : "off")}",
            "-device", $"virtio-blk-pci,drive=d,disable-legacy=on,serial={setup.Id}{cache}{more}")
        { RefusesMemory = !mapsMemory };
        Disk = QtestBinding.AttachOne<BlockDevice>(_machine);
    }

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

    internal QtestConsoleHost(string more = "", bool mapsMemory = true)
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
        Machine = new QtestMachine(folder,
            "-device", "virtio-serial-pci,disable-legacy=on" + more, "-chardev", $"pipe,id=c,path={path}", "-device", "virtconsole,chardev=c")
        { RefusesMemory = !mapsMemory };
        _input = new FileStream(path + ".in", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0);
    }

    internal QtestMachine Machine { get; }

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
        Machine.Dispose();
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
    public QtestConsoleBackend(string more = "", bool mapsMemory = true)
    {
        _host = new QtestConsoleHost(more, mapsMemory);
        Port = QtestBinding.AttachOne<ConsolePort>(_host.Machine);
    }

    /// <inheritdoc/>
    public override ConsolePort Port { get; }

    /// <inheritdoc/>
    public override Clock Clock => _host.Machine.Clock;

    /// <inheritdoc/>
    public override byte[] HostReceived() => _host.Received();

    /// <inheritdoc/>
    public override void HostSends(ReadOnlySpan<byte> bytes) => _host.Send(bytes);

    /// <inheritdoc/>
    public override void Dispose()
    {
        int left = _host.Machine.MemoryInUse;
        _host.Dispose();
        Assert.True(!Port.IsFailed || left == 0, $"{left} pieces of memory were not given back");
    }
}
