// Self-tests of RING_RESET: a queue is stopped, reset and begun anew, and works as before (virtio 2.6.1).
using System.Threading.Tasks;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Kernel.Tasks;

namespace VirtioSharp.Kernel.Apps;

/// <summary>Outcomes are those of <see cref="SelfTest"/>: empty passes, with '-' in front it is skipped.</summary>
internal static class QueueResetTests
{
    private const int Rounds = 16;

    /// <summary>The disk's first queue between reads: what is read stays the same.</summary>
    internal static async ValueTask<string> DiskAsync(BlockDevice disk, DmaBuffer memory)
    {
        VirtioDevice? virtio = disk is VirtioBlk block ? block.Virtio : null;
        DmaBuffer before = memory.Slice(0, disk.BlockSize);
        DmaBuffer after = memory.Slice(disk.BlockSize, disk.BlockSize);
        if (virtio is null || !virtio.Has(VirtioFeature.RingReset))
        {
            return "-the disk has no RING_RESET";
        }
        for (int i = 0; i < Rounds; i++)
        {
            if (await disk.ReadAsync(0, before) != IoStatus.Ok)
            {
                return "a read failed before the reset";
            }
            string outcome = Reset(virtio, virtio.Queue(0));
            if (outcome.Length != 0)
            {
                return outcome;
            }
            if (await disk.ReadAsync(0, after) != IoStatus.Ok || !before.Span.SequenceEqual(after.Span))
            {
                return "a read failed after the reset";
            }
        }
        return "";
    }

    /// <summary>The console's transmit queue between lines, while its receive queue stays in service.</summary>
    internal static async ValueTask<string> ConsoleAsync(ConsolePort port, RunLoop loop)
    {
        VirtioDevice? virtio = ConsolePorts.DeviceOf(loop, port) is VirtioConsole console ? console.Virtio : null;
        if (virtio is null || !virtio.Has(VirtioFeature.RingReset))
        {
            return "-the console has no RING_RESET";
        }
        for (int i = 0; i < Rounds; i++)
        {
            string outcome = Reset(virtio, RecoveryTests.TransmitQueueOf(virtio, port));
            if (outcome.Length != 0)
            {
                return outcome;
            }
            uint taken = port.Write("queue reset\r\n"u8);
            for (int wait = 0; wait < 1000 && port.HasUnsent && !port.IsFailed; wait++)
            {
                await loop.After(1_000_000);
            }
            if (taken != 13 || port.HasUnsent || port.IsFailed)
            {
                return "the console did not take the bytes";
            }
        }
        return "";
    }

    private static string Reset(VirtioDevice virtio, Virtqueue queue) =>
        queue.InFlight != 0 ? "-the queue is in use"
        : virtio.TryHaltQueue(queue) ? RestartOutcome(virtio, queue)
        // QEMU 7.2 offers the feature over MMIO and has no register for it.
        : virtio.Transport.IsQueueEnabled(queue.Index) ? "-the device offers RING_RESET and ignores it"
        : "the queue did not let itself be reset";

    private static string RestartOutcome(VirtioDevice virtio, Virtqueue queue) =>
        virtio.RestartQueue(queue) ? "" : "the queue did not begin anew";
}
