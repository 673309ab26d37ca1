// A BAR reached through config space: the PCI configuration access capability (virtio 4.1.4.9).
using VirtioSharp.Drivers.Pci;
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Virtio.Transport;

/// <summary>
/// The registers of a BAR that can't be mapped. Each access aims the window in config space and goes through it: four accesses for one,
/// so this is for machines where nothing else works. All regions of a function share its window; nothing is remembered between accesses.
/// </summary>
internal sealed class PciConfigAccess : IoRegion
{
    private readonly PciFunction _function;
    private readonly ushort _capability;
    private readonly byte _bar;

    /// <summary>A window into BAR <paramref name="bar"/> by the capability at <paramref name="capability"/> in config space.</summary>
    internal PciConfigAccess(PciFunction function, byte capability, byte bar, ulong length)
    {
        _function = function;
        _capability = capability;
        _bar = bar;
        Length = length;
    }

    /// <inheritdoc/>
    public override ulong Length { get; }

    /// <inheritdoc/>
    public override byte Read8(ulong offset) => _function.ReadConfig8(Aim(offset, 1));

    /// <inheritdoc/>
    public override ushort Read16(ulong offset) => _function.ReadConfig16(Aim(offset, 2));

    /// <inheritdoc/>
    public override uint Read32(ulong offset) => _function.ReadConfig32(Aim(offset, 4));

    /// <inheritdoc/>
    public override void Write8(ulong offset, byte value) => _function.WriteConfig8(Aim(offset, 1), value);

    /// <inheritdoc/>
    public override void Write16(ulong offset, ushort value) => _function.WriteConfig16(Aim(offset, 2), value);

    /// <inheritdoc/>
    public override void Write32(ulong offset, uint value) => _function.WriteConfig32(Aim(offset, 4), value);

    /// <summary>Aims the window and answers with where it is. The length goes first: an offset must be a multiple of it (4.1.4.9.2).</summary>
    private ushort Aim(ulong offset, uint width)
    {
        _function.WriteConfig8((ushort)(_capability + VirtioPciRegisters.CapabilityBarField), _bar);
        _function.WriteConfig32((ushort)(_capability + VirtioPciRegisters.CapabilitySizeField), width);
        _function.WriteConfig32((ushort)(_capability + VirtioPciRegisters.CapabilityOffsetField), (uint)offset);
        return (ushort)(_capability + VirtioPciRegisters.AccessDataField);
    }
}
