// QEMU's virtio-rng with our driver in service. Its bytes come from a pipe: the test knows every one of them.
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Entropy;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>A machine with a virtio-rng device; what the test writes into a pipe is what the device has to give.</summary>
public sealed class QtestEntropyBackend : EntropyBackend
{
    private readonly IQtestMachine _machine;
    private readonly FileStream _pipe;
    private readonly List<Task> _writes = [];

    /// <summary>Starts QEMU and binds the driver; <paramref name="more"/> are further properties of the device.</summary>
    public QtestEntropyBackend(string more = "", QtestBus bus = QtestBus.Pci)
    {
        bool isPci = bus is QtestBus.Pci or QtestBus.PolledPci;
        string folder = QtestBinding.NewFolder();
        _pipe = OpenPipe(Path.Combine(folder, "random"));
        string device = isPci ? "virtio-rng-pci,disable-legacy=on" : "virtio-rng-device";
        string[] options = ["-object", $"rng-random,id=r,filename={_pipe.Name}", "-device", $"{device},rng=r{more}"];
        _machine = isPci
            ? new QtestMachine(folder, options) { HasInterrupts = bus == QtestBus.Pci }
            : new QtestMmioMachine(folder, bus == QtestBus.LegacyMmio, options);
        Source = _machine.AttachOne<EntropySource>();
    }

    /// <inheritdoc/>
    public override EntropySource Source { get; }

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <summary>Where the driver's memory comes from.</summary>
    internal DmaSpace Dma => ((VirtioRng)Source).Virtio.Transport.Dma;

    /// <inheritdoc/>
    public override void HostGives(ReadOnlySpan<byte> bytes)
    {
        byte[] copy = bytes.ToArray();
        // The pipe takes what fits: the rest goes on in the background, at most until QEMU ends.
        Task write = Task.Factory.StartNew(() => _pipe.Write(copy), TaskCreationOptions.LongRunning);
        _writes.Add(write);
        write.Wait(TimeSpan.FromMilliseconds(20));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        bool removed = Source.Submit(new TestEntropyRequest(1)) == IoStatus.Removed;
        int left = _machine.MemoryInUse;
        _machine.Dispose();
        // What nobody took is taken now, so that no writer waits for ever.
        byte[] rest = new byte[4096];
        while (_writes.Any(write => !write.Wait(TimeSpan.FromMilliseconds(1))))
        {
            _pipe.ReadAtLeast(rest, 1);
        }
        _pipe.Dispose();
        Assert.True(!removed || left == 0, $"{left} pieces of memory were not given back");
    }

    /// <summary>Makes a named pipe and opens it both ways: it has a writer as long as anybody reads, and so never an end.</summary>
    internal static FileStream OpenPipe(string path)
    {
        using (Process made = Process.Start("mkfifo", path))
        {
            made.WaitForExit();
        }
        return new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);
    }
}
