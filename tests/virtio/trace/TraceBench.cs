// A bench for traces: registers and memory that do nothing by themselves. A test plays the driver and the device, and reads what was written down.
using System.Text;
using VirtioSharp.Drivers.Platform;
using VirtioSharp.Drivers.Virtio;
using VirtioSharp.Drivers.Virtio.Trace;
using VirtioSharp.Drivers.Virtio.Transport;
using VirtioSharp.Tests.Fakes;
using Xunit;

namespace VirtioSharp.Tests.Virtio.Trace;

/// <summary>A trace, and what stands below it. Time stands still unless a test says otherwise.</summary>
internal sealed class TraceBench : TraceSink
{
    private readonly List<string> _lines = [];

    internal TraceBench(VirtioDriver? driver = null, string place = "bench", ushort type = 7)
    {
        TestContract.Use();
        Memory = new BenchMemory(this);
        Trace = new DeviceTrace(this, Clock, "d0", place, type, driver);
        Dma = new TracedDma(Memory, Trace);
        Registers = new BenchRegion(this, 0x400);
    }

    internal BenchClock Clock { get; } = new();

    internal DeviceTrace Trace { get; }

    /// <summary>Memory below the trace, and around which there is a trace.</summary>
    internal BenchMemory Memory { get; }

    /// <summary>See <see cref="Memory"/>.</summary>
    internal TracedDma Dma { get; }

    /// <summary>The registers themselves.</summary>
    internal BenchRegion Registers { get; }

    /// <summary>The registers as the driver sees them; null before <see cref="UseMmio"/>.</summary>
    internal IoRegion Device { get; private set; } = null!;

    /// <summary>True to see among the lines what reached the machine, in parentheses.</summary>
    internal bool ShowsMachine { get; set; }

    /// <summary>The lines since somebody asked last, with their heads.</summary>
    internal string[] Whole()
    {
        string[] lines = [.. _lines];
        _lines.Clear();
        return lines;
    }

    /// <summary>What was written down since somebody asked last is this, line by line; the device, the number and the time before it are left out.</summary>
    internal void Says(params string[] expected) =>
        Assert.Equal(expected, Whole().Select(line => line.StartsWith('(') ? line : line.Split(' ', 4)[3]));

    /// <summary>Lets what was written down so far be.</summary>
    internal void Forget() => _lines.Clear();

    public override void Write(ReadOnlySpan<byte> line) => _lines.Add(Encoding.ASCII.GetString(line));

    internal void Machine(string what)
    {
        if (ShowsMachine)
        {
            _lines.Add($"({what})");
        }
    }

    /// <summary>From here on the device is one of virtio-mmio, version 2, with these features accepted.</summary>
    internal TraceBench UseMmio(ulong features = VirtioFeature.Version1)
    {
        Trace.UseMmio(Registers.Length);
        Device = new TracedRegion(Registers, Trace, 0);
        Accept(features);
        return this;
    }

    internal void Accept(ulong features)
    {
        Set(MmioRegisters.DriverFeaturesSelect, 1, MmioRegisters.DriverFeatures, (uint)(features >> 32));
        Set(MmioRegisters.DriverFeaturesSelect, 0, MmioRegisters.DriverFeatures, (uint)features);
        Forget();
    }

    /// <summary>Writes registers, offset and value in turns.</summary>
    internal void Set(params ulong[] pairs)
    {
        for (int i = 0; i < pairs.Length; i += 2)
        {
            Device.Write32(pairs[i], (uint)pairs[i + 1]);
        }
    }

    /// <summary>The driver enables a queue.</summary>
    internal void Enable(ushort queue, uint size, ulong descriptors, ulong driver, ulong device)
    {
        Set(MmioRegisters.QueueSelect, queue, MmioRegisters.QueueSize, size,
            MmioRegisters.QueueDescriptorArea, (uint)descriptors, MmioRegisters.QueueDescriptorArea + 4, descriptors >> 32,
            MmioRegisters.QueueDriverArea, (uint)driver, MmioRegisters.QueueDriverArea + 4, driver >> 32,
            MmioRegisters.QueueDeviceArea, (uint)device, MmioRegisters.QueueDeviceArea + 4, device >> 32);
        Forget();
        Set(MmioRegisters.QueueReady, 1);
    }

    /// <summary>A split ring in memory of its own, whose queue was enabled.</summary>
    internal BenchSplitRing AddSplit(ushort queue = 0, ushort size = 4)
    {
        BenchSplitRing ring = new(Allocate(BenchSplitRing.LengthOf(size)), size);
        Enable(queue, size, ring.Descriptors, ring.Driver, ring.Device);
        Forget();
        return ring;
    }

    /// <summary>A packed ring in memory of its own, whose queue was enabled.</summary>
    internal BenchPackedRing AddPacked(ushort queue = 0, ushort size = 4)
    {
        BenchPackedRing ring = new(Allocate(BenchPackedRing.LengthOf(size)), size);
        Enable(queue, size, ring.Descriptors, ring.Driver, ring.Device);
        Forget();
        return ring;
    }

    /// <summary>Memory for the driver.</summary>
    internal DmaBuffer Allocate(uint length)
    {
        Assert.True(Dma.TryAllocate(length, 16, out DmaBuffer buffer));
        return buffer;
    }

    /// <summary>The driver lends pieces to the device: to read, or to write.</summary>
    internal void Lend(DmaDirection direction, params DmaBuffer[] pieces)
    {
        foreach (DmaBuffer piece in pieces)
        {
            Dma.Share(piece, direction);
        }
    }

    /// <summary>The driver takes pieces back.</summary>
    internal void Take(DmaDirection direction, params DmaBuffer[] pieces)
    {
        foreach (DmaBuffer piece in pieces)
        {
            Dma.Unshare(piece, direction);
        }
    }
}

/// <summary>A driver that has a word for everything.</summary>
internal sealed class BenchDriver : VirtioDriver
{
    public override ushort DeviceType => 7;

    public override string Name => "virtio-bench";

    public override string Clause => "5.99";

    public override string NameOfFeature(int bit) => bit is 0 or 1 or 28 or 31 ? "OWN_" + bit : "";

    public override string NameOfField(uint offset) => "field_" + offset;

    /// <summary>What is asked is the first byte, of which 0 is nothing; it is about the length that is seen.</summary>
    public override string NameOfRequest(ushort queue, ReadOnlySpan<byte> first, out ulong about)
    {
        about = (ulong)first.Length;
        return first[0] == 0 ? "" : $"ASK_{first[0]} in queue {queue}";
    }

    /// <summary>The answer is the first byte, of which 0 is nothing; it is about the second.</summary>
    public override string NameOfAnswer(ushort queue, ReadOnlySpan<byte> last, out ulong about)
    {
        about = last.Length > 1 ? last[1] : 0ul;
        return last.Length == 0 || last[0] == 0 ? "" : $"ANSWER_{last[0]} in queue {queue} of {last.Length}";
    }

    public override ProbeResult Probe(VirtioTransport transport, out Device? device)
    {
        device = null;
        return ProbeResult.Failed("only names are wanted", 0);
    }
}

/// <summary>Time that a test sets.</summary>
internal sealed class BenchClock : Clock
{
    internal ulong Time { get; set; } = 5000;

    public override ulong Now => Time;

    public override bool WaitForInterrupt(ulong deadline) => false;
}

/// <summary>Memory above 4 GiB, or where a test wants it.</summary>
internal sealed unsafe class BenchMemory(TraceBench bench) : DmaSpace
{
    private readonly List<byte[]> _bytes = [];
    private ulong _next = 0x1_0000_0000;

    /// <summary>True when there is none left.</summary>
    internal bool IsEmpty { get; set; }

    /// <summary>Where the next allocation is; 0 for behind the last.</summary>
    internal ulong NextAddress { get; set; }

    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        bench.Machine($"allocate {length}, aligned to {alignment}");
        buffer = default;
        if (IsEmpty)
        {
            return false;
        }
        ulong address = NextAddress == 0 ? _next : NextAddress;
        _next = NextAddress == 0 ? _next + (length / 0x10000 + 1) * 0x10000 : _next;
        NextAddress = 0;
        buffer = At(address, length);
        return true;
    }

    /// <summary>Memory at an address that the trace has heard nothing of.</summary>
    internal DmaBuffer At(ulong address, uint length)
    {
        byte[] bytes = GC.AllocateArray<byte>((int)length + 64, pinned: true);
        _bytes.Add(bytes);
        fixed (byte* pointer = bytes)
        {
            return new DmaBuffer(pointer, address, length);
        }
    }

    /// <summary>An address and a length, and nothing behind them.</summary>
    internal static DmaBuffer Nowhere(ulong address, uint length) => new(null, address, length);

    public override void Free(in DmaBuffer buffer) => bench.Machine($"free 0x{buffer.DeviceAddress:x}");

    public override void Share(in DmaBuffer buffer, DmaDirection direction) => bench.Machine($"share 0x{buffer.DeviceAddress:x} {direction}");

    public override void Unshare(in DmaBuffer buffer, DmaDirection direction) => bench.Machine($"unshare 0x{buffer.DeviceAddress:x} {direction}");
}

/// <summary>Registers that are what was written to them last.</summary>
internal sealed class BenchRegion(TraceBench bench, ulong length) : IoRegion
{
    private readonly byte[] _bytes = new byte[length];

    public override ulong Length => length;

    internal Span<byte> this[ulong offset] => _bytes.AsSpan((int)offset);

    public override byte Read8(ulong offset)
    {
        bench.Machine($"read 8 at 0x{offset:x}");
        return _bytes[offset];
    }

    public override ushort Read16(ulong offset)
    {
        bench.Machine($"read 16 at 0x{offset:x}");
        return BitConverter.ToUInt16(this[offset]);
    }

    public override uint Read32(ulong offset)
    {
        bench.Machine($"read 32 at 0x{offset:x}");
        return BitConverter.ToUInt32(this[offset]);
    }

    public override void Write8(ulong offset, byte value)
    {
        bench.Machine($"write 8 at 0x{offset:x}: 0x{value:x}");
        _bytes[offset] = value;
    }

    public override void Write16(ulong offset, ushort value)
    {
        bench.Machine($"write 16 at 0x{offset:x}: 0x{value:x}");
        BitConverter.TryWriteBytes(this[offset], value);
    }

    public override void Write32(ulong offset, uint value)
    {
        bench.Machine($"write 32 at 0x{offset:x}: 0x{value:x}");
        BitConverter.TryWriteBytes(this[offset], value);
    }
}
