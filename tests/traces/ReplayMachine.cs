// What a driver finds when a trace is replayed: a device that answers as the recorded one did.
using System.Runtime.InteropServices;
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Tests.Traces;

/// <summary>Time goes on with the trace, and a little by itself.</summary>
internal sealed class ReplayClock : Clock
{
    private ulong _now = 1_000_000_000;
    private ulong _begin = 1_000_000_000;

    public override ulong Now => _now += 10;

    /// <summary>The recorded moment is reached.</summary>
    internal void Reach(ulong time) => _now = Math.Max(_now, _begin + time);

    /// <summary>A moment of the driver's own is reached.</summary>
    internal ulong Advance(ulong moment) => _now = moment == ulong.MaxValue ? _now : Math.Max(_now, moment);

    public override bool WaitForInterrupt(ulong deadline) => false;

    public override void Pause() => _now += 100_000;
}

/// <summary>Memory whose device addresses are other than those of any recording.</summary>
internal sealed unsafe class ReplayDma(Replay replay) : DmaSpace, IDisposable
{
    private const ulong First = 0x7_0000_0000;

    private readonly List<nint> _memory = [];
    private ulong _next = First;

    public override bool TryAllocate(uint length, uint alignment, out DmaBuffer buffer)
    {
        buffer = default;
        if (!replay.MayAllocate())
        {
            return false;
        }
        nuint aligned = Math.Max(alignment, 64);
        byte* pointer = (byte*)NativeMemory.AlignedAlloc((length + aligned - 1) & ~(aligned - 1), aligned);
        new Span<byte>(pointer, (int)length).Clear();
        _memory.Add((nint)pointer);
        ulong address = (_next + aligned - 1) & ~((ulong)aligned - 1);
        _next = address + length + 4096;
        buffer = new DmaBuffer(pointer, address, length);
        return true;
    }

    /// <summary>Kept until the end: what is wrong may be told then.</summary>
    public override void Free(in DmaBuffer buffer)
    {
    }

    public override void Share(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    public override void Unshare(in DmaBuffer buffer, DmaDirection direction)
    {
    }

    public void Dispose()
    {
        foreach (nint pointer in _memory)
        {
            NativeMemory.AlignedFree((void*)pointer);
        }
        _memory.Clear();
    }
}

/// <summary>Registers that are asked for by their names.</summary>
internal sealed class ReplayRegion(Replay replay, int bar, ulong length) : IoRegion
{
    private readonly Dictionary<string, uint> _written = [];

    public override ulong Length => length;

    public override byte Read8(ulong offset) => (byte)Read(offset, 8);

    public override ushort Read16(ulong offset) => (ushort)Read(offset, 16);

    public override uint Read32(ulong offset) => Read(offset, 32);

    public override void Write8(ulong offset, byte value) => _written[replay.NameOf(bar, offset)] = value;

    public override void Write16(ulong offset, ushort value) => _written[replay.NameOf(bar, offset)] = value;

    public override void Write32(ulong offset, uint value) => _written[replay.NameOf(bar, offset)] = value;

    private uint Read(ulong offset, int width)
    {
        if (replay.IsInterrupting)
        {
            return replay.InterruptStatus;
        }
        string name = replay.NameOf(bar, offset);
        string value = replay.Ask($"r{width} {name}", mayBeLeftOut: true);
        return value == "*" ? _written.GetValueOrDefault(name) : (uint)TraceEvent.Number(value); // an address: the one that was given
    }
}

/// <summary>A function of PCI.</summary>
internal sealed class ReplayFunction(Replay replay, ushort access) : PciFunction
{
    private const int AccessBar = 4;
    private const int AccessOffset = 8;
    private const int AccessData = 16;

    private readonly Dictionary<int, ReplayRegion> _aimed = [];
    private int _aimedBar;
    private uint _aimedOffset;

    private const ulong SomeAddress = 0xE000_0000;

    public override PciAddress Address => new(0, 0, 1, 0);

    public override DmaSpace Dma => replay.Memory;

    public override Clock Clock => replay.Clock;

    public override bool IsPresent => replay.Ask("present", mayBeLeftOut: true) == "yes";

    public override ushort ConfigSpaceLength => 4096;

    public override byte ReadConfig8(ushort offset) => (byte)Read(offset, 8);

    public override ushort ReadConfig16(ushort offset) => (ushort)Read(offset, 16);

    public override uint ReadConfig32(ushort offset) => Read(offset, 32);

    public override void WriteConfig8(ushort offset, byte value) => _aimedBar = access != 0 && offset == access + AccessBar ? value : _aimedBar;

    public override void WriteConfig16(ushort offset, ushort value)
    {
    }

    public override void WriteConfig32(ushort offset, uint value)
    {
        _aimedOffset = access != 0 && offset == access + AccessOffset ? value : _aimedOffset;
        if (IsAimed(offset))
        {
            Aimed.Write32(_aimedOffset, value);
        }
    }

    public override bool TryGetBar(int index, out PciBar bar)
    {
        string[] answer = replay.Ask($"bar {index}", mayBeLeftOut: true).Split(' ');
        bool isPorts = answer[0] == "ports";
        bar = answer.Length == 2
            ? new PciBar(isPorts ? 0xC000 : SomeAddress, TraceEvent.Number(answer[1]), isPorts, is64Bit: false, isPrefetchable: false)
            : default;
        return answer.Length == 2;
    }

    public override bool TryMapBar(int index, out IoRegion? region)
    {
        string answer = replay.Ask($"map {index}", mayBeLeftOut: true);
        region = answer == "no" ? null : new ReplayRegion(replay, index, TraceEvent.Number(answer));
        return region is not null;
    }

    public override bool TryEnable() => replay.Ask("enable", mayBeLeftOut: false) == "yes";

    public override void Disable()
    {
    }

    public override ushort PrepareInterrupts(ushort wanted, out InterruptKind kind)
    {
        string[] answer = replay.Ask($"interrupts {wanted}", mayBeLeftOut: false).Split(' ');
        kind = answer[1] switch { "MSI-X" => InterruptKind.MsiX, "MSI" => InterruptKind.Msi, "pin" => InterruptKind.Pin, _ => InterruptKind.None };
        return (ushort)TraceEvent.Number(answer[0]);
    }

    public override bool TryAttachInterrupt(ushort vector, InterruptHandler handler) => replay.TryAttach(vector, handler);

    public override void ReleaseInterrupts() => replay.Handlers.Clear();

    private ReplayRegion Aimed
    {
        get
        {
            if (!_aimed.TryGetValue(_aimedBar, out ReplayRegion? region))
            {
                _aimed.Add(_aimedBar, region = new ReplayRegion(replay, _aimedBar, uint.MaxValue));
            }
            return region;
        }
    }

    private bool IsAimed(ushort offset) => access != 0 && offset - access is >= AccessData and < AccessData + 4;

    private uint Read(ushort offset, int width) => IsAimed(offset)
        ? width == 8 ? Aimed.Read8(_aimedOffset) : width == 16 ? Aimed.Read16(_aimedOffset) : Aimed.Read32(_aimedOffset)
        : (uint)TraceEvent.Number(replay.Ask($"cfg r{width} 0x{offset:x}", mayBeLeftOut: true));
}

/// <summary>A device without a bus.</summary>
internal sealed class ReplayPlatformDevice(Replay replay, ulong length) : PlatformDevice
{
    public override ulong Address => 0xFEB0_0000;

    public override IoRegion Registers { get; } = new ReplayRegion(replay, 0, length);

    public override DmaSpace Dma => replay.Memory;

    public override Clock Clock => replay.Clock;

    public override bool TryAttachInterrupt(InterruptHandler handler) => replay.TryAttach(0, handler);

    public override void DetachInterrupt(InterruptHandler handler) => replay.Handlers.Clear();
}
