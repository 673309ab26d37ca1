// What a driver for PCI functions is.
using VirtioSharp.Drivers.Platform;

namespace VirtioSharp.Drivers.Pci;

/// <summary>A driver for a sort of PCI function. The driver object knows no device: each probe makes its own.</summary>
public abstract class PciDriver
{
    /// <summary>The driver's name, for people.</summary>
    public abstract string Name { get; }

    /// <summary>True when the ids say that this driver is meant; reads config space only, changes nothing.</summary>
    public abstract bool Matches(PciFunction function);

    /// <summary>Takes the function into service and enters its devices; on failure everything is as before, and the device quiet.</summary>
    public abstract ProbeResult Probe(PciFunction function, DeviceTable devices);
}
