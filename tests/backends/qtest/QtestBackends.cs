// Disks and consoles of QEMU with our drivers in service.
using System.IO;
using System.Net.Sockets;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
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
        VirtioPciDriver virtio = new();
        virtio.Add(new VirtioBlkDriver());
        virtio.Add(new VirtioConsoleDriver());
        DriverRegistry registry = new(devices);
        registry.Add(virtio);
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

    /// <summary>Starts QEMU and binds the driver; <paramref name="more"/> are further properties of the device.</summary>
    public QtestBlockBackend(BlockSetup setup, string more = "")
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
            "-device", $"virtio-blk-pci,drive=d,disable-legacy=on,serial={setup.Id}{cache}{more}");
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

/// <summary>A virtconsole on a socket.</summary>
public sealed class QtestConsoleBackend : ConsoleBackend
{
    private readonly QtestMachine _machine;
    private readonly Socket _host;
    private readonly List<byte> _received = [];
    private readonly Task _reader;

    /// <summary>Starts QEMU and binds the driver; <paramref name="more"/> are further properties of the device.</summary>
    public QtestConsoleBackend(string more = "")
    {
        string folder = QtestBinding.NewFolder();
        string path = Path.Combine(folder, "console.sock");
        // QEMU connects as it starts: what a guest writes to a console that nobody is connected to is thrown away.
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        _machine = new QtestMachine(folder,
            "-device", "virtio-serial-pci,disable-legacy=on" + more, "-chardev", $"socket,id=c,path={path}", "-device", "virtconsole,chardev=c");
        _host = listener.Accept();
        _host.SendTimeout = 60_000;
        _reader = Task.Run(Read);
        Port = QtestBinding.AttachOne<ConsolePort>(_machine);
    }

    /// <inheritdoc/>
    public override ConsolePort Port { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <inheritdoc/>
    public override byte[] HostReceived()
    {
        lock (_received)
        {
            return [.. _received];
        }
    }

    /// <inheritdoc/>
    public override void HostSends(ReadOnlySpan<byte> bytes)
    {
        byte[] copy = bytes.ToArray();
        // The socket takes only what the driver makes room for: sending goes on in the background.
        Task.Run(() => _host.Send(copy));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        int left = _machine.MemoryInUse;
        _machine.Dispose();
        _host.Dispose();
        _reader.Wait();
        Assert.True(!Port.IsFailed || left == 0, $"{left} pieces of memory were not given back");
    }

    private void Read()
    {
        byte[] buffer = new byte[4096];
        try
        {
            int count;
            while ((count = _host.Receive(buffer)) > 0)
            {
                lock (_received)
                {
                    _received.AddRange(buffer.AsSpan(0, count));
                }
            }
        }
        catch (SocketException)
        {
            // The test is over.
        }
    }
}
