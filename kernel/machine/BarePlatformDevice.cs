// A device without a bus on bare metal.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Kernel.Machine;

/// <summary>Registers that were mapped, and a global interrupt that is treated as a level.</summary>
internal sealed class BarePlatformDevice : PlatformDevice
{
    private readonly BareMachine _machine;
    private readonly MmioPlace _place;

    private BarePlatformDevice(BareMachine machine, in MmioPlace place, IoRegion registers)
    {
        _machine = machine;
        _place = place;
        Registers = registers;
    }

    /// <inheritdoc/>
    public override ulong Address => _place.Address;

    /// <inheritdoc/>
    public override IoRegion Registers { get; }

    /// <inheritdoc/>
    public override DmaSpace Dma => _machine.Dma;

    /// <inheritdoc/>
    public override Clock Clock => _machine.Clock;

    /// <summary>The global interrupt.</summary>
    internal uint Interrupt => _place.Interrupt;

    /// <summary>Maps the registers; false where that can't be.</summary>
    internal static bool TryCreate(BareMachine machine, in MmioPlace place, out BarePlatformDevice? device)
    {
        device = null;
        if (!machine.TryMapRegisters(place.Address, place.Length, out IoRegion? region))
        {
            return false;
        }
        device = new BarePlatformDevice(machine, place, region!);
        return true;
    }

    /// <inheritdoc/>
    public override bool TryAttachInterrupt(InterruptHandler handler) =>
        _machine.BestInterruptKind >= InterruptKind.Pin && _machine.Interrupts.TryAttachLevel(_place.Interrupt, handler);

    /// <inheritdoc/>
    public override void DetachInterrupt(InterruptHandler handler) => _machine.Interrupts.DetachLevel(_place.Interrupt, handler);
}
