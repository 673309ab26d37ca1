// Device registers on bare metal: in memory and in port space.
using System.Threading;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>Registers in memory, mapped uncached.</summary>
internal sealed unsafe class MemoryIoRegion : IoRegion
{
    private readonly byte* _start;

    internal MemoryIoRegion(ulong address, ulong length)
    {
        _start = (byte*)address;
        Length = length;
    }

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override byte Read8(ulong offset) => Volatile.Read(ref *(_start + offset));

    /// <inheritdoc/>
    public override ushort Read16(ulong offset) => Volatile.Read(ref *(ushort*)(_start + offset));

    /// <inheritdoc/>
    public override uint Read32(ulong offset) => Volatile.Read(ref *(uint*)(_start + offset));

    /// <inheritdoc/>
    public override void Write8(ulong offset, byte value) => Volatile.Write(ref *(_start + offset), value);

    /// <inheritdoc/>
    public override void Write16(ulong offset, ushort value) => Volatile.Write(ref *(ushort*)(_start + offset), value);

    /// <inheritdoc/>
    public override void Write32(ulong offset, uint value) => Volatile.Write(ref *(uint*)(_start + offset), value);
}

/// <summary>Registers in port space.</summary>
internal sealed class PortIoRegion : IoRegion
{
    private readonly ushort _start;

    internal PortIoRegion(ushort start, ulong length)
    {
        _start = start;
        Length = length;
    }

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override byte Read8(ulong offset) => Cpu.In8((ushort)(_start + offset));

    /// <inheritdoc/>
    public override ushort Read16(ulong offset) => Cpu.In16((ushort)(_start + offset));

    /// <inheritdoc/>
    public override uint Read32(ulong offset) => Cpu.In32((ushort)(_start + offset));

    /// <inheritdoc/>
    public override void Write8(ulong offset, byte value) => Cpu.Out8((ushort)(_start + offset), value);

    /// <inheritdoc/>
    public override void Write16(ulong offset, ushort value) => Cpu.Out16((ushort)(_start + offset), value);

    /// <inheritdoc/>
    public override void Write32(ulong offset, uint value) => Cpu.Out32((ushort)(_start + offset), value);
}
