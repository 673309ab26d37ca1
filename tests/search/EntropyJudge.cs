// A queue of writable buffers on any machine, at a device that does nothing but fill them: what the driver's side can see of it.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Tests.Contracts;
using Xunit;

namespace VirtioSharp.Tests.Search;

/// <summary>The only source of entropy of a machine, driven by its queue alone. Each answer is what can be seen, in words.</summary>
internal sealed class EntropyJudge : JudgedQueue
{
    private const uint SlotLength = 1024;
    private const byte Untouched = 0xEE;
    private const ushort EntropyDevice = 4;
    private const ulong Limit = 20_000_000_000;

    private readonly Dictionary<ushort, int[]> _added = [];

    /// <summary>Takes the device into service with exactly these features of the ring.</summary>
    public EntropyJudge(PciHost host, QueueFeatures features, ushort size)
        : base(host, EntropyDevice, features.Bits(), size, SlotLength)
    {
    }

    /// <summary>How many buffers are in the ring.</summary>
    public int InFlight => Queue.InFlight;

    /// <summary>Adds a buffer of pieces with these lengths.</summary>
    public string Add(ushort token, int[] lengths)
    {
        DmaBuffer own = Slot(token);
        own.Span.Fill(Untouched);
        bool added = Queue.TryAdd(default, Pieces(own, lengths), token);
        if (added)
        {
            _added.Add(token, lengths);
        }
        return $"buffer {token} of {lengths.Length} pieces {(added ? "added" : "refused")}, {Queue.FreeDescriptors} free";
    }

    /// <summary>Asks for interrupts, or for none.</summary>
    public string Wish(bool wants)
    {
        if (!wants)
        {
            Queue.DisableInterrupts();
            return "no interrupts";
        }
        return Queue.TryEnableInterrupts() ? "interrupts" : "interrupts, but something was used";
    }

    /// <summary>Publishes what was added.</summary>
    public string Kick()
    {
        Queue.Kick();
        return $"{Queue.Notifications} doorbells";
    }

    /// <summary>Takes what comes: <paramref name="expected"/> buffers, for which is waited, or all that are there when that is negative.</summary>
    public List<string> Take(int expected)
    {
        List<string> taken = [];
        ulong end = Host.Clock.Now + Limit;
        bool isLate = false;
        while (expected < 0 || (taken.Count < expected && !isLate))
        {
            Host.Clock.WaitForInterrupt(Host.Clock.Now + 1_000_000);
            int before = taken.Count;
            TakeThere(taken);
            if (expected < 0 && taken.Count == before)
            {
                break;
            }
            isLate = Host.Clock.Now > end;
        }
        // A device that works by itself has done all of its turn once it answers to something else; its interrupt has come by then.
        Assert.False(Device.NeedsReset());
        Host.Clock.WaitForInterrupt(Host.Clock.Now);
        TakeThere(taken);
        string interrupt = Queue.TakeInterrupt() ? "an" : "no";
        taken.Add($"{interrupt} interrupt, {Queue.InFlight} in flight, {Queue.FreeDescriptors} free, {Queue.ClampedLengths} clamped");
        return taken;
    }

    /// <summary>Resets the device and begins anew; what it had not seen comes back.</summary>
    public string Restart()
    {
        Assert.True(Device.Halt());
        int count = 0;
        while (Queue.TryDetach(out ushort token))
        {
            Assert.True(_added.Remove(token));
            count++;
        }
        Assert.True(Device.Restart().IsBound);
        Device.Start();
        Queue.TakeInterrupt();
        return $"{count} came back, {Queue.FreeDescriptors} free";
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
        while (Queue.TryTakeUsed(out ushort token, out uint written))
        {
            Assert.True(_added.Remove(token, out int[]? lengths));
            byte[] own = Slot(token).Span.ToArray();
            uint sum = 0;
            foreach (byte value in own)
            {
                sum = sum * 31 + value;
            }
            taken.Add($"buffer {token} of {string.Join('+', lengths!)}: {written} bytes, sum {sum:X8}");
        }
        Assert.False(Queue.IsBroken, Queue.BrokenReason);
    }
}
