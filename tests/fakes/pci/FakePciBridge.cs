// A bridge to another bus.
using VirtioSharp.Drivers.Pci;

namespace VirtioSharp.Tests.Fakes.Pci;

/// <summary>A PCI-to-PCI bridge whose bus numbers firmware has set.</summary>
public sealed class FakePciBridge : FakePciFunction
{
    /// <summary>Makes a bridge from <paramref name="primary"/> to <paramref name="secondary"/>.</summary>
    public FakePciBridge(byte primary, byte secondary, byte subordinate)
        : base(0x1B36, 0x000C)
    {
        Set16(PciRegisters.ClassCode, 0x0604);
        Set8(PciRegisters.HeaderType, PciRegisters.HeaderBridge);
        Set8(PciRegisters.PrimaryBus, primary);
        Set8(PciRegisters.SecondaryBus, secondary);
        Set8(PciRegisters.SubordinateBus, subordinate);
    }
}
