// A queue of writable buffers on any machine, at a device that does nothing but fill them: what the driver's side can see of it.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Queue;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>The only source of entropy of a machine, driven by its queue alone. Each answer is what can be seen, in words.</summary>
internal sealed class EntropyJudge : IDisposable
{
    private const uint SlotLength = 1024;
    private const int Slots = 16;
    private const byte Untouched = 0xEE;
    private const ushort EntropyDevice = 4;
    private const ulong Limit = 20_000_000_000;

    private readonly PciHost _host;
    private readonly VirtioDevice _device;
    private readonly Virtqueue _queue;
    private readonly DmaBuffer _memory;
    private readonly Dictionary<ushort, int[]> _added = [];

    /// <summary>Takes the device into service with exactly these features of the ring.</summary>
    public EntropyJudge(PciHost host, QueueFeatures features, ushort size)
    {
        _host = host;
        PciScan scan = PciScan.Run(host);
        ModernPciTransport? transport = null;
        for (int i = 0; i < scan.Count && transport is null; i++)
        {
            ModernPciTransport.TryCreate(scan[i], EntropyDevice, out transport);
        }
        Assert.NotNull(transport);
        _device = new VirtioDevice(transport);
        Assert.True(_device.Negotiate(VirtioFeature.Version1, features.Bits()).IsBound);
        Assert.Equal(features.Bits() | VirtioFeature.Version1, _device.Features);
        _device.PrepareInterrupts(1);
        ProbeResult created = _device.CreateQueue(0, size, out Virtqueue? queue);
        Assert.True(created.IsBound, created.Reason);
        _queue = queue!;
        Assert.Equal(size, _queue.Size);
        _device.Start();
        Assert.True(host.Dma.TryAllocate(Slots * SlotLength, 4096, out _memory));
    }

    /// <summary>How many buffers are in the ring.</summary>
    public int InFlight => _queue.InFlight;

    /// <summary>Adds a buffer of pieces with these lengths.</summary>
    public string Add(ushort token, int[] lengths)
    {
        DmaBuffer own = _memory.Slice(token * SlotLength, SlotLength);
        own.Span.Fill(Untouched);
        bool added = _queue.TryAdd(default, Pieces(own, lengths), token);
        if (added)
        {
            _added.Add(token, lengths);
        }
        return $"buffer {token} of {lengths.Length} pieces {(added ? "added" : "refused")}, {_queue.FreeDescriptors} free";
    }

    /// <summary>Asks for interrupts, or for none.</summary>
    public string Wish(bool wants)
    {
        if (!wants)
        {
            _queue.DisableInterrupts();
            return "no interrupts";
        }
        return _queue.TryEnableInterrupts() ? "interrupts" : "interrupts, but something was used";
    }

    /// <summary>Publishes what was added.</summary>
    public string Kick()
    {
        _queue.Kick();
        return $"{_queue.Notifications} doorbells";
    }

    /// <summary>Takes what comes: <paramref name="expected"/> buffers, for which is waited, or all that are there when that is negative.</summary>
    public List<string> Take(int expected)
    {
        List<string> taken = [];
        ulong end = _host.Clock.Now + Limit;
        bool isLate = false;
        while (expected < 0 || (taken.Count < expected && !isLate))
        {
            _host.Clock.WaitForInterrupt(_host.Clock.Now + 1_000_000);
            int before = taken.Count;
            TakeThere(taken);
            if (expected < 0 && taken.Count == before)
            {
                break;
            }
            isLate = _host.Clock.Now > end;
        }
        // A device that works by itself has done all of its turn once it answers to something else; its interrupt has come by then.
        Assert.False(_device.NeedsReset());
        _host.Clock.WaitForInterrupt(_host.Clock.Now);
        TakeThere(taken);
        string interrupt = _queue.TakeInterrupt() ? "an" : "no";
        taken.Add($"{interrupt} interrupt, {_queue.InFlight} in flight, {_queue.FreeDescriptors} free, {_queue.ClampedLengths} clamped");
        return taken;
    }

    /// <summary>Resets the device and begins anew; what it had not seen comes back.</summary>
    public string Restart()
    {
        Assert.True(_device.Halt());
        int count = 0;
        while (_queue.TryDetach(out ushort token))
        {
            Assert.True(_added.Remove(token));
            count++;
        }
        Assert.True(_device.Restart().IsBound);
        _device.Start();
        _queue.TakeInterrupt();
        return $"{count} came back, {_queue.FreeDescriptors} free";
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _device.Stop();
        while (_queue.TryDetach(out _))
        {
            // A test that failed has its own message.
        }
        _device.FreeQueues();
        _host.Dma.Free(_memory);
    }

    private static DmaBuffer[] Pieces(DmaBuffer own, int[] lengths)
    {
        DmaBuffer[] pieces = new DmaBuffer[lengths.Length];
        uint at = 0;
        for (int i = 0; i < lengths.Length; i++)
        {
            pieces[i] = own.Slice(at, (uint)lengths[i]);
            at += (uint)lengths[i] + 8; // what lies between must not change
        }
        return pieces;
    }

    private void TakeThere(List<string> taken)
    {
        while (_queue.TryTakeUsed(out ushort token, out uint written))
        {
            Assert.True(_added.Remove(token, out int[]? lengths));
            byte[] own = _memory.Slice(token * SlotLength, SlotLength).Span.ToArray();
            uint sum = 0;
            foreach (byte value in own)
            {
                sum = sum * 31 + value;
            }
            taken.Add($"buffer {token} of {string.Join('+', lengths!)}: {written} bytes, sum {sum:X8}");
        }
        Assert.False(_queue.IsBroken, _queue.BrokenReason);
    }
}
