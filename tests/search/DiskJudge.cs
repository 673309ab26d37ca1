// The same requests for two disks, written by hand into a virtqueue: what the driver's side can see of them.
using System.Buffers.Binary;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>One request of virtio-blk (5.2.6): its type, sector, length in bytes, and how header, data and status are cut into pieces.</summary>
internal readonly record struct JudgedRequest(uint Type, ulong Sector, int Length, int Cuts);

/// <summary>A disk on any machine, driven by its queue alone: nothing between a request and the device but the ring.</summary>
internal sealed class DiskJudge : JudgedQueue
{
    private const uint SlotLength = 8192;
    private const ulong Limit = 30_000_000_000;

    /// <summary>Takes the only disk of a machine into service with exactly these features of the ring.</summary>
    public DiskJudge(PciHost host, QueueFeatures features, ushort size, ulong diskFeatures)
        : base(host, DeviceType.Block, features.Bits() | diskFeatures, size, SlotLength)
    {
    }

    /// <summary>
    /// Puts requests into the ring together, waits for all, and says what came of each: room in the ring, status, length, bytes. Those of one
    /// call must not depend on each other's order.
    /// </summary>
    public List<string> Do(IReadOnlyList<JudgedRequest> requests)
    {
        string[] seen = new string[requests.Count];
        for (int slot = 0; slot < requests.Count; slot++)
        {
            seen[slot] = Add((ushort)slot, requests[slot]) ? "never came" : $"refused with {Queue.FreeDescriptors} free";
        }
        Queue.Kick();
        ulong end = Host.Clock.Now + Limit;
        while (Queue.InFlight > 0)
        {
            while (Queue.TryTakeUsed(out ushort slot, out uint written))
            {
                seen[slot] = Describe(slot, requests[slot], written);
            }
            Assert.False(Queue.IsBroken, Queue.BrokenReason);
            Assert.True(Host.Clock.Now < end, "a request never came back");
            if (Queue.InFlight > 0 && Queue.TryEnableInterrupts())
            {
                Host.Clock.WaitForInterrupt(Host.Clock.Now + 100_000_000);
            }
        }
        return [.. seen, $"{Queue.FreeDescriptors} free, {Queue.ClampedLengths} clamped"];
    }

    /// <summary>What the configuration says of the capacity, and what was agreed on.</summary>
    public string DescribeDevice() => $"{(Device.TryReadConfig64(0, out ulong sectors) ? sectors : 0)} sectors, {Device.Features:X}";

    private bool Add(ushort slot, JudgedRequest request)
    {
        DmaBuffer own = Slot(slot);
        own.Span.Fill(0xEE);
        DmaBuffer header = own.Slice(0, 16);
        header.Span.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header.Span, request.Type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.Span[8..], request.Type == 13 ? 0 : request.Sector);
        DmaBuffer data = own.Slice(512, (uint)Math.Max(1, request.Length));
        bool isOut = request.Type == 1;
        if (isOut)
        {
            for (int i = 0; i < request.Length; i++)
            {
                data.Span[i] = (byte)(request.Sector * 7 + (ulong)request.Cuts + (ulong)(i / 512));
            }
        }
        List<DmaBuffer> readable = [header];
        List<DmaBuffer> writable = [];
        if (request.Type == 13)
        {
            // Zeroes: one range, and no data (5.2.6).
            data.Span[..16].Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(data.Span, request.Sector);
            BinaryPrimitives.WriteUInt32LittleEndian(data.Span[8..], (uint)request.Length / 512);
            readable.Add(data.Slice(0, 16));
        }
        else
        {
            Cut(data, request.Length, request.Cuts, isOut ? readable : writable);
        }
        writable.Add(own.Slice(24, 1));
        return Queue.TryAdd(readable.ToArray(), writable.ToArray(), slot);
    }

    private static void Cut(DmaBuffer data, int length, int cuts, List<DmaBuffer> pieces)
    {
        int done = 0;
        for (int i = 0; done < length; i++)
        {
            int part = Math.Min(length - done, i < 3 ? 512 * (1 + (cuts >> (2 * i) & 3)) : length);
            pieces.Add(data.Slice((uint)done, (uint)part));
            done += part;
        }
    }

    private string Describe(ushort slot, JudgedRequest request, uint written)
    {
        DmaBuffer own = Slot(slot);
        byte status = own.Span[24];
        ReadOnlySpan<byte> data = own.Span.Slice(512, request.Type is 1 or 13 ? 0 : request.Length);
        if (request.Type == 8)
        {
            data = data[..(data.IndexOf((byte)0) + 1)]; // QEMU writes the identification to its NUL, and says that it wrote 20 bytes
        }
        uint sum = 0;
        foreach (byte value in data)
        {
            sum = sum * 31 + value;
        }
        // Of a request that failed neither length nor bytes mean anything (5.2.6, 2.7.8.3), and QEMU's and the fake's are not the same.
        return status == 0 ? $"{request}: status 0, {written} bytes, sum {sum:X8}" : $"{request}: status {status}";
    }
}
