// Every ring that QEMU offers, at sizes that no driver asks for: read requests written by hand, many times around.
using System.IO;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Backends.Qtest;

/// <summary>Virtqueues against QEMU's virtio-blk, which runs at the same time.</summary>
[Trait("Needs", "qemu")]
[Collection("qemu-qtest")]
public sealed class QtestRingTests
{
    private const uint SlotLength = 1024;
    private const uint DataOffset = 512;
    private const uint StatusOffset = 16;
    private const ulong Limit = 30_000_000_000;

    private static readonly string[] OnOff = ["off", "on"];

    /// <summary>Formats with features, and sizes of the queue: also those that are no powers of two.</summary>
    public static TheoryData<QueueFeatures, int> Rings
    {
        get
        {
            TheoryData<QueueFeatures, int> data = [];
            for (int bits = 0; bits < 1 << 3; bits++)
            {
                int[] sizes = (bits & (int)QueueFeatures.Packed) != 0 ? [3, 7, 100, 256, 1000] : [4, 8, 256, 1024];
                foreach (int size in sizes)
                {
                    data.Add((QueueFeatures)bits, size);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Rings))]
    [Trait("Requirement", "CORE-RSVD-6")]
    public void Reads_in_flight_all_around_the_ring_bring_each_its_own_sector(QueueFeatures features, int size)
    {
        string folder = QtestBinding.NewFolder();
        string image = Path.Combine(folder, "disk.img");
        byte[] content = new byte[4096 * 512];
        new Random(size).NextBytes(content);
        File.WriteAllBytes(image, content);
        using QtestMachine machine = new(folder,
            "-drive", $"if=none,id=d,file={image},format=raw,readonly=on",
            "-device", $"virtio-blk-pci,drive=d,disable-legacy=on,queue-size=1024,packed={OnOff[Has(features, QueueFeatures.Packed)]}" +
            $",event_idx={OnOff[Has(features, QueueFeatures.EventIndex)]},indirect_desc={OnOff[Has(features, QueueFeatures.Indirect)]}");
        VirtioDevice device = Open(machine);
        Assert.True(device.Negotiate(VirtioFeature.Version1, VirtioFeature.Supported & ~VirtioFeature.RingReset).IsBound);
        Assert.Equal(features.Bits() | VirtioFeature.Version1, device.Features);
        device.PrepareInterrupts(1);
        ProbeResult created = device.CreateQueue(0, (ushort)size, out Virtqueue? queue);
        Assert.True(created.IsBound, created.Reason);
        Assert.Equal(size, queue!.Size);
        device.Start();

        int most = size / 3;
        Assert.True(machine.Dma.TryAllocate((uint)most * SlotLength, 4096, out DmaBuffer memory));
        Reader reader = new(queue, memory, content);
        Random random = new(size);
        Queue<ushort> free = new(Enumerable.Range(0, most).Select(i => (ushort)i));
        ulong end = machine.Clock.Now + Limit;
        for (int done = 0, sent = 0, total = 6 * most + 40; done < total;)
        {
            for (int i = random.Next(1, most + 1); i > 0 && sent < total && free.TryDequeue(out ushort slot); i--, sent++)
            {
                reader.Send(slot, (ulong)random.Next(4096));
            }
            queue.Kick();
            while (queue.TryTakeUsed(out ushort slot, out uint written))
            {
                reader.Check(slot, written);
                free.Enqueue(slot);
                done++;
            }
            Assert.False(queue.IsBroken, queue.BrokenReason);
            Assert.True(machine.Clock.Now < end, $"{done} of {total} requests were done");
            if ((free.Count == 0 || sent == total) && done < total && queue.TryEnableInterrupts())
            {
                // Woken by an interrupt, or after a while, as a run loop is.
                machine.Clock.WaitForInterrupt(machine.Clock.Now + 1_000_000_000);
            }
        }
        Assert.Equal((0, size), (queue.InFlight, queue.FreeDescriptors));
        Assert.Equal(0ul, queue.ClampedLengths);
        Assert.True(device.Stop());
        device.FreeQueues();
        machine.Dma.Free(memory);
    }

    private static int Has(QueueFeatures features, QueueFeatures one) => features.HasFlag(one) ? 1 : 0;

    private static VirtioDevice Open(QtestMachine machine)
    {
        PciScan scan = PciScan.Run(machine);
        for (int i = 0; i < scan.Count; i++)
        {
            if (ModernPciTransport.TryCreate(scan[i], DeviceType.Block, out ModernPciTransport? transport).IsBound)
            {
                return new VirtioDevice(transport!);
            }
        }
        throw new InvalidOperationException("QEMU shows no disk");
    }

    /// <summary>Requests for one sector each, in three or more pieces (virtio 5.2.6).</summary>
    private sealed class Reader(Virtqueue queue, DmaBuffer memory, byte[] content)
    {
        private readonly Dictionary<ushort, ulong> _sectors = [];

        public void Send(ushort slot, ulong sector)
        {
            DmaBuffer own = memory.Slice(slot * SlotLength, SlotLength);
            DmaBuffer header = own.Slice(0, 16);
            header.Span.Clear();
            BitConverter.TryWriteBytes(header.Span[8..], sector);
            DmaBuffer status = own.Slice(StatusOffset, 1);
            status.Span[0] = 0xFF;
            DmaBuffer data = own.Slice(DataOffset, 512);
            data.Span.Fill(0xEE);
            _sectors.Add(slot, sector);
            Assert.True(queue.TryAdd([header], [data, status], slot), "refused though there is room");
        }

        public void Check(ushort slot, uint written)
        {
            Assert.True(_sectors.Remove(slot, out ulong sector), "a token came back that was not out");
            DmaBuffer own = memory.Slice(slot * SlotLength, SlotLength);
            Assert.Equal((513u, (byte)0), (written, own.Span[(int)StatusOffset]));
            Assert.True(own.Slice(DataOffset, 512).Span.SequenceEqual(content.AsSpan((int)sector * 512, 512)), "other bytes");
        }
    }
}
