// A PCI function on the bench: config space that a test fills, answers that it chooses.
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Virtio.Trace;

/// <summary>A function that does nothing by itself; what reaches it is shown in parentheses.</summary>
internal sealed class BenchFunction(TraceBench bench) : PciFunction
{
    private readonly BenchRegion _config = new(bench, 4096);
    private readonly BenchRegion _bar = new(bench, 0x4000);
    private byte _last;

    internal bool Answer { get; set; } = true;

    internal bool IsPorts { get; set; }

    internal InterruptKind Kind { get; set; }

    internal Dictionary<ushort, InterruptHandler> Handlers { get; } = [];

    public override PciAddress Address => new(0, 1, 2, 3);

    public override DmaSpace Dma => bench.Memory;

    public override Clock Clock => bench.Clock;

    public override bool IsPresent => Answer;

    public override ushort ConfigSpaceLength => 4096;

    internal Span<byte> this[ulong offset] => _config[offset];

    /// <summary>Adds a capability at a place behind those that were added before.</summary>
    internal BenchFunction With(byte at, byte id, params byte[] body)
    {
        _config[6][0] |= 0x10;
        _config[_last == 0 ? 0x34 : _last + 1ul][0] = at;
        _config[at][0] = id;
        body.CopyTo(_config[at + 2ul]);
        _last = at;
        return this;
    }

    /// <summary>Adds a capability of virtio (4.1.4).</summary>
    internal BenchFunction WithVirtio(byte at, byte type, byte bar, uint offset, uint length) =>
        With(at, 9, [16, type, bar, 0, 0, 0, .. BitConverter.GetBytes(offset), .. BitConverter.GetBytes(length)]);

    public override byte ReadConfig8(ushort offset) => _config.Read8(offset);

    public override ushort ReadConfig16(ushort offset) => _config.Read16(offset);

    public override uint ReadConfig32(ushort offset) => _config.Read32(offset);

    public override void WriteConfig8(ushort offset, byte value) => _config.Write8(offset, value);

    public override void WriteConfig16(ushort offset, ushort value) => _config.Write16(offset, value);

    public override void WriteConfig32(ushort offset, uint value) => _config.Write32(offset, value);

    public override bool TryGetBar(int index, out PciBar bar)
    {
        bench.Machine($"get BAR {index}");
        bar = new PciBar(0xE000_0000, 0x4000, IsPorts, is64Bit: false, isPrefetchable: false);
        return Answer;
    }

    public override bool TryMapBar(int index, out IoRegion? region)
    {
        bench.Machine($"map BAR {index}");
        region = Answer ? _bar : null;
        return Answer;
    }

    public override bool TryEnable()
    {
        bench.Machine("enable");
        return Answer;
    }

    public override void Disable() => bench.Machine("disable");

    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind)
    {
        bench.Machine($"prepare {wanted} interrupts");
        kind = Kind;
        return (ushort)(Kind == InterruptKind.None ? 0 : wanted - 1);
    }

    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler)
    {
        bench.Machine($"attach {vector}");
        Handlers[vector] = handler;
        return Answer;
    }

    public override void ReleaseInterrupts() => bench.Machine("release interrupts");
}

/// <summary>A handler that says whether it was meant, and may look at the device first.</summary>
internal sealed class BenchHandler(bool isMine, Action? first = null) : InterruptHandler
{
    internal int Calls { get; private set; }

    public override bool OnInterrupt()
    {
        Calls++;
        first?.Invoke();
        return isMine;
    }
}
