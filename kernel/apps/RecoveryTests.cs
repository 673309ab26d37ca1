// Self-tests that break a device on purpose, and see that its driver begins anew (virtio 2.1.2). Not part of the usual ones.
using System.Threading;
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>
/// Writes into the rings behind the drivers' backs what no driver may write, so that the device gives up. Outcomes are those of
/// <see cref="SelfTest"/>.
/// </summary>
internal static class RecoveryTests
{
    // QEMU 7.2 never stops looking at a broken packed ring: the machine stands still.
    private const string PackedRing = "-a packed ring is not broken on purpose: QEMU hangs then";
    private const int Rounds = 4;
    private const ulong Timeout = 100_000_000;
    private const ulong LookInterval = 1_000_000;
    private const int MaxLooks = 5_000;
    private const int SilentLooks = 10;

    /// <summary>The disk. A legacy device does not say that it needs a reset: the read that finds out is past its deadline.</summary>
    internal static async ValueTask<string> DiskAsync(BlockDevice disk, DmaBuffer memory, RunLoop loop)
    {
        if (disk is not VirtioBlk block)
        {
            return "-no virtio disk";
        }
        if (block.Virtio.Has(VirtioFeature.RingPacked))
        {
            return PackedRing;
        }
        DmaBuffer before = memory.Slice(0, disk.BlockSize);
        DmaBuffer after = memory.Slice(disk.BlockSize, disk.BlockSize);
        ulong timeout = block.RequestTimeout;
        string outcome = "";
        for (int i = 0; i < Rounds && outcome.Length == 0; i++)
        {
            ulong recoveries = block.Recoveries;
            if (await disk.ReadAsync(0, before) != IoStatus.Ok)
            {
                return "a read failed before the device was broken";
            }
            await BreakAsync(disk, block.Virtio, block.Virtio.Queue(0), loop);
            block.RequestTimeout = Timeout;
            IoStatus status = await disk.ReadAsync(0, after);
            block.RequestTimeout = timeout;
            bool isRight = status == (block.Virtio.Transport.IsLegacy ? IoStatus.TimedOut : IoStatus.Ok);
            outcome = !isRight ? DiskCommands.NameOf(status)
                : block.Recoveries != recoveries + 1 ? "the device was not begun anew once"
                : await disk.ReadAsync(0, after) != IoStatus.Ok || !before.Span.SequenceEqual(after.Span) ? "a read failed after the recovery"
                : "";
        }
        return outcome;
    }

    /// <summary>The console, whose device says that it needs a reset.</summary>
    internal static async ValueTask<string> ConsoleAsync(ConsolePort port, RunLoop loop)
    {
        if (ConsolePorts.DeviceOf(loop, port) is not VirtioConsole console || console.Virtio.Transport.IsLegacy)
        {
            return "-no console that could say that it needs a reset";
        }
        if (console.Virtio.Has(VirtioFeature.RingPacked))
        {
            return PackedRing;
        }
        for (int i = 0; i < Rounds; i++)
        {
            ulong recoveries = console.Recoveries;
            await BreakAsync(console, console.Virtio, TransmitQueueOf(console.Virtio, port), loop);
            uint taken = port.Write("recovered\r\n"u8);
            for (int look = 0; port.HasUnsent && !port.IsFailed && look < MaxLooks; look++)
            {
                await loop.After(LookInterval);
            }
            if (console.Recoveries != recoveries + 1 || taken != 11 || port.HasUnsent || port.IsFailed)
            {
                return "the console did not recover";
            }
        }
        return "";
    }

    /// <summary>The queue in which a port sends: those for control come between the first port's and the others'.</summary>
    internal static Virtqueue TransmitQueueOf(VirtioDevice virtio, ConsolePort port)
    {
        int index = port.Number == 0 ? 1 : 2 * port.Number + 3;
        int number = 0;
        while (virtio.Queue(number).Index != index)
        {
            number++;
        }
        return virtio.Queue(number);
    }

    /// <summary>Spoils a ring and waits until the driver has noticed, or for a legacy device some time.</summary>
    private static async ValueTask BreakAsync(Device device, VirtioDevice virtio, Virtqueue queue, RunLoop loop)
    {
        ulong before = RecoveriesOf(device);
        Spoil(virtio, queue);
        // A disk that nobody waits for is not looked at: without an interrupt the next request finds out.
        bool isSilent = virtio.Transport.IsLegacy || (virtio.IsPolled && device is VirtioBlk);
        int looks = isSilent ? SilentLooks : MaxLooks;
        for (int look = 0; RecoveriesOf(device) == before && look < looks; look++)
        {
            await loop.After(LookInterval);
        }
    }

    private static ulong RecoveriesOf(Device device) => device is VirtioBlk disk ? disk.Recoveries : device is VirtioConsole console ? console.Recoveries : 0;

    /// <summary>Makes a buffer available that begins beyond the descriptors.</summary>
    private static unsafe void Spoil(VirtioDevice virtio, Virtqueue queue)
    {
        ushort* available = (ushort*)queue.Addresses.DriverArea;
        ushort index = available[1];
        available[2 + index % queue.Size] = ushort.MaxValue;
        Volatile.Write(ref available[1], (ushort)(index + 1));
        virtio.Transport.Notify(queue.Index);
    }
}
