// A device's half of a ring for a thread of its own: memory without checks, and a bell each way.
using System.Runtime.InteropServices;
using System.Threading;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio.Transport;

namespace VirtioSharp.Tests.Virtio.Queue;

/// <summary>Plain memory: a device address is a pointer.</summary>
internal sealed unsafe class PlainMemory : DmaSpace
{
    /// <inheritdoc/>
    public override bool NeedsSharing => false;

    /// <inheritdoc/>
    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        void* memory = NativeMemory.AlignedAlloc(length, alignment);
        NativeMemory.Clear(memory, length);
        buffer = new DmaBuffer((byte*)memory, (ulong)memory, length);
        return true;
    }

    /// <inheritdoc/>
    public override void Free(in DmaBuffer buffer) => NativeMemory.AlignedFree(buffer.Pointer);

    /// <inheritdoc/>
    public override void Share(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public override void Unshare(in DmaBuffer buffer, DmaDirection direction)
    {
    }
}

/// <summary>
/// A bell that wakes one thread from another, and shows when it should have rung and did not: whoever has decided whether to ring says
/// how far he has come, and whoever sleeps compares.
/// </summary>
internal sealed class Bell
{
    private const int SpinsBetweenYields = 200;

    private bool _rung;
    private long _decided;

    /// <summary>True when one side slept though there was something for it.</summary>
    public bool WasMissed { get; private set; }

    /// <summary>Rings.</summary>
    public void Ring() => Volatile.Write(ref _rung, true);

    /// <summary>All up to number <paramref name="count"/> is in the ring, and has been rung for if that was wanted.</summary>
    public void Decide(long count) => Volatile.Write(ref _decided, count);

    /// <summary>Sleeps until it rings; false when it should have rung for more than <paramref name="seen"/>.</summary>
    public bool Sleep(long seen)
    {
        for (int spins = 0; ; spins++)
        {
            // In this order: what was decided was rung for before.
            bool isDue = Volatile.Read(ref _decided) > seen;
            if (Volatile.Read(ref _rung))
            {
                Volatile.Write(ref _rung, false);
                return true;
            }
            if (isDue)
            {
                WasMissed = true;
                return false;
            }
            if (spins % SpinsBetweenYields == SpinsBetweenYields - 1)
            {
                Thread.Yield();
            }
        }
    }
}

/// <summary>A transport that is nothing but a doorbell.</summary>
internal sealed class DoorbellTransport : VirtioTransport
{
    /// <summary>Rung by each notification.</summary>
    public Bell Doorbell { get; } = new();

    public override string Name => "doorbell";

    public override ushort DeviceType => throw new NotSupportedException();

    public override bool IsLegacy => false;

    public override DmaSpace Dma { get; } = new PlainMemory();

    public override Clock Clock => throw new NotSupportedException();

    public override uint ConfigLength => 0;

    public override void Notify(ushort queue) => Doorbell.Ring();

    public override byte ReadStatus() => throw new NotSupportedException();

    public override void WriteStatus(byte status) => throw new NotSupportedException();

    public override ulong ReadDeviceFeatures() => throw new NotSupportedException();

    public override void WriteDriverFeatures(ulong features) => throw new NotSupportedException();

    public override byte ReadConfigGeneration() => throw new NotSupportedException();

    public override byte ReadConfig8(ushort offset) => throw new NotSupportedException();

    public override ushort ReadConfig16(ushort offset) => throw new NotSupportedException();

    public override uint ReadConfig32(ushort offset) => throw new NotSupportedException();

    public override void WriteConfig8(ushort offset, byte value) => throw new NotSupportedException();

    public override void WriteConfig16(ushort offset, ushort value) => throw new NotSupportedException();

    public override void WriteConfig32(ushort offset, uint value) => throw new NotSupportedException();

    public override ushort ReadQueueCount() => throw new NotSupportedException();

    public override ushort ReadMaxQueueSize(ushort queue) => throw new NotSupportedException();

    public override bool IsQueueEnabled(ushort queue) => throw new NotSupportedException();

    public override ProbeResult EnableQueue(ushort queue, ushort size, in VirtqueueAddresses addresses) => throw new NotSupportedException();

    public override bool TrySetQueueVector(ushort queue, ushort vector) => throw new NotSupportedException();

    public override bool TrySetConfigVector(ushort vector) => throw new NotSupportedException();

    public override byte ReadInterruptStatus() => throw new NotSupportedException();

    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind) => throw new NotSupportedException();

    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler) => throw new NotSupportedException();

    public override void ReleaseInterrupts() => throw new NotSupportedException();

    public override void Disable() => throw new NotSupportedException();
}

/// <summary>
/// A device that uses each buffer of one piece at once, asks for a doorbell only when there is nothing left, and looks once more after asking (virtio 2.7.7,
/// 2.7.10, 2.8.10). It adds up the first bytes of the buffers: what it saw of the memory behind the ring.
/// </summary>
internal abstract unsafe class RacingDevice(VirtqueueAddresses areas, ushort size, Bell doorbell, Bell interrupt)
{
    /// <summary>How many buffers were used.</summary>
    public long Used { get; private set; }

    /// <summary>The sum of what was in them.</summary>
    public long Sum { get; private set; }

    protected byte* Descriptors { get; } = (byte*)areas.DescriptorArea;

    protected byte* DriverArea { get; } = (byte*)areas.DriverArea;

    protected byte* DeviceArea { get; } = (byte*)areas.DeviceArea;

    protected ushort Size => size;

    /// <summary>Works until so many buffers were used, or a doorbell was missed.</summary>
    public void Run(long total)
    {
        while (Used < total)
        {
            while (TryUse(out uint* content))
            {
                Sum += *content;
                Complete();
                Thread.MemoryBarrier();
                if (WantsInterrupt())
                {
                    interrupt.Ring();
                }
                interrupt.Decide(++Used);
            }
            Arm();
            Thread.MemoryBarrier();
            if (!HasMore() && Used < total && !doorbell.Sleep(Used))
            {
                interrupt.Ring(); // the test is over: nobody may sleep on
                return;
            }
        }
    }

    /// <summary>Takes the next buffer.</summary>
    protected abstract bool TryUse(out uint* content);

    /// <summary>Writes the used entry of the buffer that was taken.</summary>
    protected abstract void Complete();

    /// <summary>Reads whether the driver waits for this one.</summary>
    protected abstract bool WantsInterrupt();

    /// <summary>Asks for a doorbell with the next buffer.</summary>
    protected abstract void Arm();

    /// <summary>True when there is something to take.</summary>
    protected abstract bool HasMore();
}

/// <summary>The split format with EVENT_IDX.</summary>
internal sealed unsafe class RacingSplitDevice(VirtqueueAddresses areas, ushort size, Bell doorbell, Bell interrupt)
    : RacingDevice(areas, size, doorbell, interrupt)
{
    private ushort _next;
    private ushort _head;

    protected override bool HasMore() => Volatile.Read(ref *(ushort*)(DriverArea + 2)) != _next;

    protected override bool TryUse(out uint* content)
    {
        content = null;
        if (!HasMore())
        {
            return false;
        }
        _head = ((ushort*)(DriverArea + 4))[_next % Size];
        content = *(uint**)(Descriptors + 16 * _head);
        return true;
    }

    protected override void Complete()
    {
        ((ulong*)(DeviceArea + 4))[_next % Size] = _head;
        Volatile.Write(ref *(ushort*)(DeviceArea + 2), ++_next);
    }

    protected override bool WantsInterrupt() => Volatile.Read(ref *(ushort*)(DriverArea + 4 + 2 * Size)) == (ushort)(_next - 1);

    protected override void Arm() => Volatile.Write(ref *(ushort*)(DeviceArea + 4 + 8 * Size), _next);
}

/// <summary>The packed format with EVENT_IDX.</summary>
internal sealed unsafe class RacingPackedDevice(VirtqueueAddresses areas, ushort size, Bell doorbell, Bell interrupt)
    : RacingDevice(areas, size, doorbell, interrupt)
{
    private int _next;
    private int _wrap = 1;
    private uint _place;

    private ushort* Flags => (ushort*)(Descriptors + 16 * _next + 14);

    protected override bool HasMore() => (Volatile.Read(ref *Flags) & 0x8080) == (_wrap == 1 ? 0x80 : 0x8000);

    protected override bool TryUse(out uint* content)
    {
        content = null;
        if (!HasMore())
        {
            return false;
        }
        content = *(uint**)(Descriptors + 16 * _next);
        return true;
    }

    protected override void Complete()
    {
        _place = (uint)(_next | _wrap << 15);
        // The id stands in the descriptor already.
        *(uint*)(Descriptors + 16 * _next + 8) = 0;
        Volatile.Write(ref *Flags, (ushort)(_wrap * 0x8080));
        if (++_next == Size)
        {
            _next = 0;
            _wrap ^= 1;
        }
    }

    protected override bool WantsInterrupt()
    {
        uint wish = Volatile.Read(ref *(uint*)DriverArea);
        return wish >> 16 == 0 || (wish >> 16 == 2 && (wish & 0xFFFF) == _place);
    }

    protected override void Arm() => Volatile.Write(ref *(uint*)DeviceArea, (uint)(_next | _wrap << 15) | 2u << 16);
}
